package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/client"
)

func (a *app) held() *cli.Command {
	return &cli.Command{
		Name:     "held",
		Usage:    "list and drop callbacks that came before their waits (flowcallbackd only)",
		Action:   noCommand,
		Commands: []*cli.Command{a.listHeld(), a.dropHeld()},
	}
}

func (a *app) listHeld() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list held callbacks, oldest first",
		Description: `A server with --unknown=hold holds callbacks for unknown states until their waits are opened. One that
stays here probably has a mistyped id.

Example:
  flowcallback held list`,
		Action: noArguments(func(ctx context.Context, _ *cli.Command) error {
			caller, err := a.client()
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
			if !a.json {
				fmt.Fprintln(table, "HELD ID\tWORKFLOW\tRUN\tSTATE\tRESULT\tAGE\tSENT BY")
			}
			for held, err := range caller.Waits.Held(ctx) {
				if err == nil && a.json {
					err = a.printJSON(held)
				}
				if err != nil {
					return err
				}
				if !a.json {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", held.HeldID, printable(held.WorkflowID), printable(string(held.RunID)),
						printable(string(held.StateID)), held.Result, span(time.Since(held.HeldAt)), printable(held.SentBy))
				}
			}
			return table.Flush()
		}),
	}
}

func (a *app) dropHeld() *cli.Command {
	return a.onID("HELD_ID", &cli.Command{
		Name:  "drop",
		Usage: "delete a held callback, as if it had never been sent",
		Description: `Its sender was told that it was accepted, so make sure that no flow will open the wait.

Example:
  flowcallback held drop 42`,
	}, func(ctx context.Context, c *client.Client, id string) error { return c.Waits.DropHeld(ctx, id) })
}
