package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi"
	"github.com/flowcallback/flowcallback/openapi/signature"
)

func (a *app) doctor() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "show the configuration, and test whether the service accepts it",
		Description: `Checks the configuration, and asks the service for its contract, its clock, its readiness and one page
of waits. It also sends a callback that breaks the contract, which a service refuses after it has
checked the credentials, so nothing changes. Exits with the status of the first problem.

Examples:
  flowcallback doctor
  flowcallback --endpoint https://callbacks.example.com --project-id P doctor`,
		Action: noArguments(func(ctx context.Context, _ *cli.Command) error { return a.examine(ctx) }),
	}
}

// examine prints a line for each check, and returns the first problem.
func (a *app) examine(ctx context.Context) error {
	var first error
	report := func(what string, found string, err error) {
		mark := "ok   "
		if err != nil {
			mark, found = "WRONG", err.Error()
			if first == nil {
				first = fmt.Errorf("%s: %w", what, err)
			}
		}
		if a.json {
			_ = a.printJSON(struct {
				Check string `json:"check"`
				OK    bool   `json:"ok"`
				Found string `json:"found"`
			}{what, err == nil, found})
			return
		}
		fmt.Fprintf(a.stdout, "%s  %-12s %s\n", mark, what, plain(found))
	}
	a.retry = 0 // show a problem immediately
	c, err := a.client()
	report("settings", fmt.Sprintf("endpoint %s, project %s, credentials: %s", a.endpoint, a.projectID, a.credentialsFrom), err)
	if err != nil {
		return first
	}
	document, date, err := a.fetchContract(ctx)
	report("endpoint", "it responds", err)
	if err != nil {
		return first
	}
	switch document {
	case openapi.Callback:
		report("contract", "the service has the same contract as this command", nil)
	case "":
		report("contract", "the service does not publish its contract (the vendor's does not)", nil)
	default:
		report("contract", "", fmt.Errorf("%w has another contract than this command: one of them is an older release", errService))
	}
	found, err := skew(date)
	report("clocks", found, err)
	found, err = a.tryReadiness(ctx)
	report("readiness", found, err)
	found, err = a.tryCallback(ctx)
	report("callbacks", found, err)
	found, err = tryWaits(ctx, c)
	report("waits", found, err)
	if p, err := c.Whoami(ctx); err == nil && p.Engine != "" {
		report("engine", printable(p.Engine)+", which offers "+printable(strings.Join(p.Offers, ", ")), nil)
	}
	return first
}

// get sends a GET request to a path of the service, without credentials.
func (a *app) get(ctx context.Context, path ...string) (response *http.Response, body []byte, err error) {
	location, err := url.JoinPath(a.endpoint, path...)
	if err != nil {
		return nil, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, location, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	return a.send(r)
}

// send sends a request once and reads its response.
func (a *app) send(r *http.Request) (response *http.Response, body []byte, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), a.attempt)
	defer cancel()
	response, err = http.DefaultClient.Do(r.WithContext(ctx))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", client.ErrUnreachable, err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(response.Body, 1<<20)); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", client.ErrUnreachable, err)
	}
	return response, body, nil
}

// tryReadiness asks whether the service can settle callbacks now.
func (a *app) tryReadiness(ctx context.Context) (found string, err error) {
	response, _, err := a.get(ctx, "readyz")
	switch {
	case err != nil:
		return "", err
	case response.StatusCode == http.StatusServiceUnavailable:
		return "", fmt.Errorf("%w is not ready to settle callbacks; its log has the cause", errService)
	case response.StatusCode == http.StatusOK:
		return "the service can settle callbacks", nil
	default:
		return "the service does not report it", nil
	}
}

// tryCallback sends a callback whose body lacks the mandatory members. A service that accepts the credentials for
// this project refuses it because it breaks the contract.
func (a *app) tryCallback(ctx context.Context) (found string, err error) {
	location, err := url.JoinPath(a.endpoint, "v2", url.PathEscape(a.projectID), "fgs", "workflows", "doctor", "callback")
	if err != nil {
		return "", err
	}
	body := []byte("{}")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, location, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "X-Workflow-Run-Id": {"doctor"}, "X-Workflow-State-Id": {"doctor"}}
	if a.authenticate != nil {
		if err := a.authenticate(r, body); err != nil {
			return "", err
		}
	}
	response, text, err := a.send(r)
	if err != nil {
		return "", err
	}
	var refusal callback.CallbackError
	_ = json.Unmarshal(text, &refusal) // a body that is not JSON leaves it empty
	switch {
	case response.StatusCode == http.StatusBadRequest && refusal.ErrorCode != "":
		return "the credentials may call back in this project", nil
	case response.StatusCode == http.StatusUnauthorized, response.StatusCode == http.StatusForbidden:
		return "", &client.Error{StatusCode: response.StatusCode, Code: refusal.ErrorCode, Message: refusal.ErrorMsg + " (credentials: " + a.credentialsFrom + ")", RequestID: refusal.RequestID}
	default:
		return "", fmt.Errorf("%w answers a callback with %s %.100q: is the endpoint right?", errService, response.Status, text)
	}
}

// fetchContract returns the contract that the service publishes, or "", and the time of its
// clock.
func (a *app) fetchContract(ctx context.Context) (document string, date string, err error) {
	response, body, err := a.get(ctx, "openapi", "callback.yaml")
	switch {
	case err != nil:
		return "", "", err
	case response.StatusCode == http.StatusBadRequest && bytes.Contains(body, []byte("HTTP request to an HTTPS server")):
		return "", "", fmt.Errorf("%w uses HTTPS: the endpoint must begin with https://", errService)
	case response.StatusCode != http.StatusOK:
		return "", response.Header.Get("Date"), nil
	default:
		return string(body), response.Header.Get("Date"), nil
	}
}

// skew compares the clock of the service with this machine's.
func skew(date string) (found string, err error) {
	theirs, err := http.ParseTime(date)
	if err != nil {
		return "the service does not report its time", nil
	}
	apart := time.Since(theirs).Abs().Round(time.Second)
	if apart > signature.MaxClockSkew {
		return "", fmt.Errorf("%w has a clock that differs by %s, so signatures are refused: correct one of the clocks", errService, span(apart))
	}
	return fmt.Sprintf("they differ by less than %s", span(apart+time.Second)), nil
}

// tryWaits asks for a page of waits.
func tryWaits(ctx context.Context, c *client.Client) (found string, err error) {
	for _, err = range c.Waits.List(ctx, client.Filter{}) {
		break
	}
	var answer *client.Error
	switch {
	case err == nil:
		return "the credentials may read waits", nil
	case errors.Is(err, client.ErrForbidden):
		return "the credentials may not read waits", nil
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotImplemented:
		return "the service does not offer waits", nil
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return "the service does not offer waits", nil
	default:
		return "", err
	}
}
