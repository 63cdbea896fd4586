// Command flowcallback calls back flows that wait, and opens and follows waits, from a
// shell. It writes data to standard output and everything else to standard error.
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
	err := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	status := exitCode(ctx, err)
	if err != nil {
		fmt.Fprintf(os.Stderr, "flowcallback: %s\n", errorText(status, err))
	}
	os.Exit(status)
}
