package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/openapi"
	"github.com/flowcallback/flowcallback/openapi/signature"
)

func (a *app) doctor() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "show the configuration, and test whether the service accepts it",
		Description: `Checks the configuration, and asks the service for its contract, its clock and one page of waits. It
sends no callback and changes nothing. Exits with the status of the first problem.

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
		fmt.Fprintf(a.stdout, "%s  %-12s %s\n", mark, what, found)
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
	found, err = tryCredentials(ctx, c)
	report("credentials", found, err)
	return first
}

// fetchContract returns the contract that the service publishes, or "", and the time of its
// clock.
func (a *app) fetchContract(ctx context.Context) (document string, date string, err error) {
	location, err := url.JoinPath(a.endpoint, "openapi", "callback.yaml")
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, a.attempt)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, location, http.NoBody)
	if err != nil {
		return "", "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", client.ErrUnreachable, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", client.ErrUnreachable, err)
	}
	if answer.StatusCode != http.StatusOK {
		return "", answer.Header.Get("Date"), nil
	}
	return string(body), answer.Header.Get("Date"), nil
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

// tryCredentials asks for a page of waits, which needs credentials and changes nothing.
func tryCredentials(ctx context.Context, c *client.Client) (found string, err error) {
	for _, err = range c.Waits.List(ctx, client.Filter{}) {
		break
	}
	var answer *client.Error
	switch {
	case err == nil:
		return "accepted, with permission to read waits", nil
	case errors.Is(err, client.ErrForbidden):
		return "accepted, without permission to read waits in this project", nil
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotImplemented:
		return "accepted; the service does not offer waits", nil
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return "not tested; the service offers only the callback", nil
	default:
		return "", err
	}
}
