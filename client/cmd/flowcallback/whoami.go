package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"
)

func (a *app) whoami() *cli.Command {
	return &cli.Command{
		Name:  "whoami",
		Usage: "show what the credentials allow (flowcallbackd only)",
		Action: noArguments(func(ctx context.Context, _ *cli.Command) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			p, err := c.Whoami(ctx)
			if err != nil || a.json {
				return a.printOr(p, err)
			}
			if p.Name == "" {
				p.Name = "(the server does not authenticate)"
			}
			table := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintf(table, "name\t%s\nprojects\t%s\nallowed\t%s\n", printable(p.Name), printable(strings.Join(p.Projects, ", ")), strings.Join(p.Allow, ", "))
			if p.Engine != "" {
				fmt.Fprintf(table, "engine\t%s\noffers\t%s\n", printable(p.Engine), printable(strings.Join(p.Offers, ", ")))
			}
			return table.Flush()
		}),
	}
}
