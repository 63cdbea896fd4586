package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
)

func (a *app) extend() *cli.Command {
	var timeout time.Duration
	return a.onWait(&cli.Command{
		Name:  "extend",
		Usage: "give a wait a new deadline",
		Description: `Prints the new deadline. Exits with 3 if the wait no longer waits. It then stays as it is.

Example:
  flowcallback waits extend 01980c2e-7f5d-7cc3-98b5-31b3f3a1d2aa --timeout 7d`,
		Flags: []cli.Flag{durationFlag("timeout", &timeout, "`DURATION` from now to the new deadline, in whole seconds, such as 90s, 24h or 7d")},
	}, func(ctx context.Context, c *client.Client, id string) error {
		if timeout <= 0 || timeout%time.Second != 0 {
			return fmt.Errorf("%w: --timeout is missing, or not in whole seconds", errUsage)
		}
		wait, err := c.Waits.Extend(ctx, id, timeout)
		if err != nil || a.json {
			return a.printOr(wait, err)
		}
		return write(a.stdout, wait.ExpiresAt.Format(time.RFC3339))
	})
}

func (a *app) cancel() *cli.Command {
	var filter client.Filter
	var reason string
	var yes bool
	command := &cli.Command{
		Name:  "cancel",
		Usage: "cancel a wait, or all waiting waits that a filter selects",
		Description: `With the id of a wait, exits with 3 if it is already settled or has expired. It then stays as it is. With
a filter, shows how many waits it selects and asks, unless --yes is given.

Examples:
  flowcallback waits cancel 01980c2e-7f5d-7cc3-98b5-31b3f3a1d2aa --reason "order withdrawn"
  flowcallback waits cancel --run-id aa7d6479-141d-482f-b9bc-85b5cd14066b --yes`,
		Flags: append(filterFlags(&filter),
			&cli.StringFlag{Name: "reason", Destination: &reason, Usage: "why, a `LINE` for people"},
			&cli.BoolFlag{Name: "yes", Destination: &yes, Usage: "do not ask"},
		),
	}
	command = a.onWait(command, func(ctx context.Context, c *client.Client, id string) error {
		if filter != (client.Filter{}) {
			return fmt.Errorf("%w: want the id of a wait or a filter, not both", errUsage)
		}
		if err := c.Waits.Cancel(ctx, id, reason); err != nil {
			return err
		}
		wait, err := c.Waits.Get(ctx, id)
		if err == nil && wait.Status != waits.Cancelled {
			err = fmt.Errorf("not cancelled: %w: %s", errNotWaiting, wait.Status)
		}
		return err
	})
	one := command.Action
	command.ArgsUsage = "[WAIT_ID]"
	command.Action = func(ctx context.Context, c *cli.Command) error {
		if err := refuseEmpty(c); err != nil {
			return err
		}
		if slices.Contains(a.args, "") {
			return fmt.Errorf("%w: an argument is empty", errUsage)
		}
		if c.StringArg("WAIT_ID") == "" && filter != (client.Filter{}) && !c.Args().Present() {
			return a.cancelAll(ctx, filter, reason, yes)
		}
		return one(ctx, c)
	}
	return command
}

// cancelAll cancels the waiting waits that a filter selects.
func (a *app) cancelAll(ctx context.Context, filter client.Filter, reason string, yes bool) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	filter.Status = waits.Waiting
	var ids []string
	for wait, err := range c.Waits.List(ctx, filter) {
		if err != nil {
			return err
		}
		ids = append(ids, wait.WaitID)
	}
	if len(ids) == 0 {
		fmt.Fprintln(a.stderr, "flowcallback: no wait that waits passes the filter")
		return nil
	}
	if !yes {
		if err := a.ask(fmt.Sprintf("Cancel %s?", counted(len(ids), "wait"))); err != nil {
			return err
		}
	}
	cancelled := 0
	for _, id := range ids {
		err := c.Waits.Cancel(ctx, id, reason)
		var wait waits.Wait
		if err == nil {
			wait, err = c.Waits.Get(ctx, id)
		}
		switch {
		case err != nil:
			return fmt.Errorf("wait %s: %w (%d of %d were cancelled before it)", id, err, cancelled, len(ids))
		case wait.Status != waits.Cancelled:
			fmt.Fprintf(a.stderr, "flowcallback: wait %s: not cancelled: %s\n", id, wait.Status)
		default:
			cancelled++
			if err := write(a.stdout, id); err != nil {
				return err
			}
		}
	}
	if left := len(ids) - cancelled; left > 0 {
		return fmt.Errorf("%s not cancelled: %w", counted(left, "wait"), errNotWaiting)
	}
	return nil
}

// ask asks a question on the terminal, and returns an error unless the answer is yes.
func (a *app) ask(question string) error {
	if file, ok := a.stdin.(*os.File); !ok || !isatty.IsTerminal(file.Fd()) {
		return fmt.Errorf("%w: %s pass --yes, because there is no terminal to ask on", errUsage, question)
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(a.stdin).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return fmt.Errorf("%w: nothing was cancelled", errUsage)
	}
	return nil
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
