package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/client/conformance"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// Exit statuses.
const (
	exitDone        = 0
	exitRefused     = 1
	exitUsage       = 2
	exitNotWaiting  = 3
	exitCredentials = 4
	exitUnreachable = 5
	exitFail        = 6
	exitExpired     = 7
	exitCancelled   = 8
	exitCursor      = 9
	exitInterrupted = 130
)

// exitStatuses describes the exit statuses. The help prints it.
var exitStatuses = []struct {
	status  int
	meaning string
}{
	{exitDone, "done"},
	{exitRefused, "the server refused or failed"},
	{exitUsage, "wrong usage, or an invalid request that was not sent"},
	{exitNotWaiting, "the state does not wait: unknown, expired, cancelled, or settled with another outcome"},
	{exitCredentials, "missing or wrong credentials, or no permission"},
	{exitUnreachable, "the server could not be reached"},
	{exitFail, "waits await: the outcome is fail"},
	{exitExpired, "waits await: the wait has expired"},
	{exitCancelled, "waits await: the wait was cancelled"},
	{exitCursor, "waits follow: outcomes after the cursor were deleted, or it belongs to another history"},
	{exitInterrupted, "interrupted by a signal"},
}

// exitHelp returns the table of exit statuses.
func exitHelp() string {
	var b strings.Builder
	for _, s := range exitStatuses {
		fmt.Fprintf(&b, "  %-3d  %s\n", s.status, s.meaning)
	}
	return b.String()
}

// errUsage: the command line cannot be carried out.
var errUsage = errors.New("usage")

// errNotWaiting: a wait cannot be cancelled because it has already left waiting.
var errNotWaiting = errors.New("no longer waiting")

// errHandOn: an outcome could not be handed on.
var errHandOn = errors.New("handing on")

// errService: the service does not fit this command.
var errService = errors.New("the service")

// notSuccess is the result of awaiting a wait that did not end with a success.
type notSuccess struct{ status waits.Status }

func (e notSuccess) Error() string { return "the wait ended with status " + string(e.status) }

// exitCode returns the exit status for the result of a command.
func exitCode(ctx context.Context, err error) int {
	var response *client.Error
	var ended notSuccess
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.As(err, &ended):
		return map[waits.Status]int{waits.Fail: exitFail, waits.Expired: exitExpired, waits.Cancelled: exitCancelled}[ended.status]
	case errors.Is(err, errNotWaiting):
		return exitNotWaiting
	case errors.As(err, &response):
		return responseCode(response)
	case errors.Is(err, conformance.ErrCredentials):
		return exitCredentials
	case errors.Is(err, errService), errors.Is(err, errHandOn), errors.Is(err, conformance.ErrNoAPI), errors.Is(err, conformance.ErrMock):
		return exitRefused
	case errors.Is(err, client.ErrUnreachable), errors.Is(err, conformance.ErrUnreachable), errors.Is(err, conformance.ErrUnavailable):
		return exitUnreachable
	default: // the command line, a variable, a file, or a request that was not sent
		return exitUsage
	}
}

// errorText returns the message for an error. After a signal it says so, and not which call
// the signal has ended.
func errorText(status int, err error) string {
	if status == exitInterrupted {
		return "interrupted"
	}
	text := err.Error()
	var call *client.CallError
	if errors.As(err, &call) { // who reads this has just typed what the call was for
		text = strings.Replace(text, call.Error(), call.Err.Error(), 1)
	}
	return plain(text)
}

func responseCode(response *client.Error) int {
	switch {
	case errors.Is(response, client.ErrCursor):
		return exitCursor
	case errors.Is(response, client.ErrNotFound), errors.Is(response, client.ErrConflict), errors.Is(response, client.ErrNotWaiting):
		return exitNotWaiting
	case errors.Is(response, client.ErrUnauthorized), errors.Is(response, client.ErrForbidden):
		return exitCredentials
	default:
		return exitRefused
	}
}
