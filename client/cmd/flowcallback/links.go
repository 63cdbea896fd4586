package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/urfave/cli/v3"
)

func (a *app) link() *cli.Command {
	var options client.LinkOptions
	var allow []string
	return a.onWait(&cli.Command{
		Name:  "link",
		Usage: "make a link that lets its holder decide a wait",
		Description: `Prints the URL, which is a secret, and which the server cannot show again.

Examples:
  flowcallback waits link 01980c2e-7f5d-7cc3-98b5-31b3f3a1d2aa --to "Ines Moreau" --timeout 1d
  flowcallback waits link 01980c2e-7f5d-7cc3-98b5-31b3f3a1d2aa --to scanner --allow success`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Destination: &options.To, Usage: "whom the link is for, a `NAME` for the record"},
			&cli.StringSliceFlag{Name: "allow", Destination: &allow, HideDefault: true, Usage: "`RESULT` that the link allows, success or fail; may be repeated (default: both)"},
			durationFlag("timeout", &options.Timeout, "`DURATION` until the link ends, such as 24h or 7d (default: with the wait)"),
		},
	}, func(ctx context.Context, c *client.Client, id string) error {
		for _, result := range allow {
			options.Allow = append(options.Allow, callback.Result(result))
		}
		link, err := c.Waits.Link(ctx, id, options)
		if err != nil || a.json {
			return a.printOr(link, err)
		}
		return write(a.stdout, link.URL)
	})
}

func (a *app) links() *cli.Command {
	return a.onWait(&cli.Command{
		Name:  "links",
		Usage: "list the links to a wait, without their URLs",
		Description: `Example:
  flowcallback waits links 01980c2e-7f5d-7cc3-98b5-31b3f3a1d2aa`,
	}, func(ctx context.Context, c *client.Client, id string) error {
		links, err := c.Waits.Links(ctx, id)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
		if !a.json {
			fmt.Fprintln(table, "LINK ID\tTO\tALLOWS\tAGE\tLEFT\tMADE BY")
		}
		for _, link := range links {
			if a.json {
				if err := a.printJSON(link); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", link.LinkID, printable(link.To), join(link.Allow), span(time.Since(link.CreatedAt)), span(time.Until(link.ExpiresAt)), printable(link.CreatedBy))
		}
		return table.Flush()
	})
}

func (a *app) unlink() *cli.Command {
	var link string
	return a.onWait(&cli.Command{
		Name:  "unlink",
		Usage: "withdraw a link to a wait",
		Description: `Example:
  flowcallback waits unlink 01980c2e-7f5d-7cc3-98b5-31b3f3a1d2aa --link-id 7`,
		Flags: []cli.Flag{&cli.StringFlag{Name: "link-id", Destination: &link, Usage: "`ID` of the link, as waits links shows it"}},
	}, func(ctx context.Context, c *client.Client, id string) error {
		if link == "" {
			return fmt.Errorf("%w: --link-id is missing", errUsage)
		}
		return c.Waits.WithdrawLink(ctx, id, link)
	})
}
