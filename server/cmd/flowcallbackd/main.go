// Command flowcallbackd serves the published operation "Calling back a flow", and the API
// of the side that waits, over an engine of its own choosing.
//
// Only this package reads arguments and the environment, handles signals, exits, or knows
// more than one engine.
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
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Args, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "flowcallbackd: %v\n", err)
		os.Exit(1)
	}
}
