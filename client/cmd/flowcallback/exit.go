package main

import (
	"context"
	"errors"

	"github.com/flowcallback/flowcallback/client"
)

// What the exit status says.
const (
	exitDone        = 0
	exitRefused     = 1   // the server refused or failed
	exitUsage       = 2   // usage, or a bad request that was never sent
	exitNotWaiting  = 3   // no longer or never waiting
	exitCredentials = 4   // no credentials, wrong ones, or without the permission
	exitUnreachable = 5   // no answer
	exitInterrupted = 130 // a signal, as shells have it
)

// errUsage is a command line that cannot be carried out.
var errUsage = errors.New("usage")

// errNotWaiting is a wait that ended without an outcome.
var errNotWaiting = errors.New("no longer waiting")

// errService is a service that does not fit this command.
var errService = errors.New("the service")

func exitCode(ctx context.Context, err error) int {
	var answer *client.Error
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errNotWaiting):
		return exitNotWaiting
	case errors.As(err, &answer):
		return answerCode(answer)
	case errors.Is(err, errService):
		return exitRefused
	case errors.Is(err, client.ErrUnreachable):
		return exitUnreachable
	default: // the command line, a variable, a file, or a request that was never sent
		return exitUsage
	}
}

func answerCode(answer *client.Error) int {
	switch {
	case errors.Is(answer, client.ErrNotFound), errors.Is(answer, client.ErrConflict):
		return exitNotWaiting
	case errors.Is(answer, client.ErrUnauthorized), errors.Is(answer, client.ErrForbidden):
		return exitCredentials
	default:
		return exitRefused
	}
}
