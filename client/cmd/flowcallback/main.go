// Command flowcallback calls back flows that wait, and opens and follows waits, from a
// shell. It writes data to standard output and everything else to standard error.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process immediately
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	err := a.run(ctx, os.Args)
	status := exitCode(ctx, err)
	if err != nil {
		a.printError(status, err)
	}
	os.Exit(status)
}
