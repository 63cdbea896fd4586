// Command flowcallbackd serves the published operation "Calling back a flow" and the API of
// the waiting side.
//
// Only this package reads arguments and the environment, handles signals, exits, and chooses
// an engine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process immediately
	if err := run(ctx, os.Args, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "flowcallbackd: %v\n", err)
		os.Exit(1)
	}
}
