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
)

// maxSkew is how far clocks may be apart for a signature to be taken, on both sides.
const maxSkew = 15 * time.Minute

func (a *app) doctor() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "say what is configured, and whether the service can be used with it",
		Description: `Looks at the configuration, and asks the service for its contract, its clock and one page of waits; it
calls nothing back and changes nothing. Exits with the status of the first thing that is wrong.

Examples:
  flowcallback doctor
  flowcallback --endpoint https://callbacks.example.com --project-id P doctor`,
		Action: noArguments(func(ctx context.Context, _ *cli.Command) error { return a.examine(ctx) }),
	}
}

// examine prints a line for each look, and returns what is wrong first.
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
	a.retry = 0 // what is wrong is to be seen at once
	c, err := a.client()
	report("settings", fmt.Sprintf("endpoint %s, project %s, credentials: %s", a.endpoint, a.projectID, a.credentialsFrom), err)
	if err != nil {
		return first
	}
	document, date, err := a.fetchContract(ctx)
	report("endpoint", "it answers", err)
	if err != nil {
		return first
	}
	switch document {
	case openapi.Callback:
		report("contract", "the service's is the one that this command checks against", nil)
	case "":
		report("contract", "the service does not serve its contract, as the vendor's does not", nil)
	default:
		report("contract", "", fmt.Errorf("%w serves another contract than this command checks against: one of them is of another release", errService))
	}
	found, err := skew(date)
	report("clocks", found, err)
	found, err = tryCredentials(ctx, c)
	report("credentials", found, err)
	return first
}

// fetchContract returns the document that the service serves, empty if it serves none, and
// its clock.
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

// skew compares the clocks.
func skew(date string) (found string, err error) {
	theirs, err := http.ParseTime(date)
	if err != nil {
		return "the service does not say its time", nil
	}
	apart := time.Since(theirs).Abs().Round(time.Second)
	if apart > maxSkew {
		return "", fmt.Errorf("%w has a clock that is %s apart: signatures are refused", errService, span(apart))
	}
	return fmt.Sprintf("they are less than %s apart", span(apart+time.Second)), nil
}

// tryCredentials asks for a page of waits, which needs them and changes nothing.
func tryCredentials(ctx context.Context, c *client.Client) (found string, err error) {
	for _, err = range c.Waits.List(ctx, client.Filter{}) {
		break
	}
	var answer *client.Error
	switch {
	case err == nil:
		return "they are accepted, and may look at waits", nil
	case errors.Is(err, client.ErrForbidden):
		return "they are accepted, and may not look at waits, or not in this project", nil
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotImplemented:
		return "they are accepted; the service keeps no waits of its own", nil
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return "the service has nothing to try them on but a callback", nil
	default:
		return "", err
	}
}
