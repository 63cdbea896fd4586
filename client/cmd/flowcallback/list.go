package main

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// filterFlags are the flags that select waits by their ids and tags.
func filterFlags(f *client.Filter) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "workflow-id", Destination: &f.Workflow, Usage: "only waits of the flow with this `ID`"},
		&cli.StringFlag{Name: "workflow-prefix", Destination: &f.WorkflowPrefix, Usage: "only waits of flows whose id begins with this `TEXT`"},
		&cli.StringFlag{Name: "run-id", Destination: &f.Run, Usage: "only waits of the run with this `ID`"},
		&cli.StringFlag{Name: "state-id", Destination: &f.State, Usage: "only waits of the state with this `ID`"},
		&cli.StringFlag{Name: "tag", Destination: &f.Tag, Usage: "only waits with this `WORD`"},
	}
}

// refuseEmpty returns an error if a filter is empty, which is what a variable of the shell that is not
// set leaves: it would select everything.
func refuseEmpty(c *cli.Command) error {
	for _, name := range []string{"workflow-id", "workflow-prefix", "run-id", "state-id", "tag", "status"} {
		if c.IsSet(name) && c.String(name) == "" {
			return fmt.Errorf("%w: --%s is empty", errUsage, name)
		}
	}
	return nil
}

func (a *app) list() *cli.Command {
	var filter client.Filter
	var oldest, deadline bool
	var limit int
	return &cli.Command{
		Name:  "list",
		Usage: "list waits with their age and the time left, newest first",
		Description: `On a terminal, long ids are shortened in the middle; --wide and --json show them whole.

Examples:
  flowcallback waits list --status waiting --deadline --limit 20
  flowcallback waits list --tag urgent --expires-before 1h
  flowcallback waits list --json | jq -r .wait_id`,
		Flags: append(filterFlags(&filter),
			&cli.StringFlag{Name: "status", Destination: (*string)(&filter.Status), Usage: "only waits with this `STATUS`: waiting, success, fail, expired or cancelled"},
			instantFlag("opened-before", &filter.OpenedBefore, "only waits that were opened before this `INSTANT`: 2026-11-23T08:00:00Z, or a duration from now such as -7d"),
			instantFlag("expires-before", &filter.ExpiresBefore, "only waits whose deadline is before this `INSTANT`, such as 1h from now"),
			&cli.BoolFlag{Name: "oldest", Destination: &oldest, Usage: "list the oldest waits first"},
			&cli.BoolFlag{Name: "deadline", Destination: &deadline, Usage: "list the nearest deadlines first"},
			&cli.IntFlag{Name: "limit", Destination: &limit, HideDefault: true, Usage: "list at most this `NUMBER` of waits (default: all)"},
			&cli.BoolFlag{Name: "wide", Destination: &a.wide, Usage: "show ids whole"},
		),
		Action: noArguments(func(ctx context.Context, c *cli.Command) error {
			if err := refuseEmpty(c); err != nil {
				return err
			}
			switch {
			case oldest && deadline:
				return fmt.Errorf("%w: --oldest and --deadline: want one order", errUsage)
			case c.IsSet("limit") && limit < 1:
				return fmt.Errorf("%w: --limit %d: want at least 1", errUsage, limit)
			case oldest:
				filter.Order = waits.Oldest
			case deadline:
				filter.Order = waits.Deadline
			}
			caller, err := a.client()
			if err != nil {
				return err
			}
			return a.printWaits(first(limit, caller.Waits.List(ctx, filter)))
		}),
	}
}

// first ends an iteration after n items; 0 means never.
func first[T any](n int, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		left := n
		for item, err := range all {
			if !yield(item, err) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

func (a *app) count() *cli.Command {
	var filter client.Filter
	return &cli.Command{
		Name:  "count",
		Usage: "count waits by status",
		Description: `Each number is exact up to 1000.

Example:
  flowcallback waits count --workflow-id order-approval`,
		Flags: filterFlags(&filter),
		Action: noArguments(func(ctx context.Context, c *cli.Command) error {
			if err := refuseEmpty(c); err != nil {
				return err
			}
			caller, err := a.client()
			if err != nil {
				return err
			}
			counts, err := caller.Waits.Count(ctx, filter)
			if err != nil || a.json {
				return a.printOr(counts, err)
			}
			table := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
			for _, c := range []struct {
				status waits.Status
				count  waits.Count
			}{{waits.Waiting, counts.Waiting}, {waits.Success, counts.Success}, {waits.Fail, counts.Fail}, {waits.Expired, counts.Expired}, {waits.Cancelled, counts.Cancelled}} {
				more := ""
				if c.count.More {
					more = "more than "
				}
				fmt.Fprintf(table, "%s%d\t %s\n", more, c.count.Waits, c.status)
			}
			return table.Flush()
		}),
	}
}

// printOr prints a value as JSON, or returns the error.
func (a *app) printOr(value any, err error) error {
	if err != nil {
		return err
	}
	return a.printJSON(value)
}

func (a *app) show() *cli.Command {
	return a.onWait(&cli.Command{
		Name:  "get",
		Usage: "show a wait",
		Description: `Example:
  flowcallback waits get 01980c2e-7f5d-7cc3-98b5-31b3f3a1d2aa`,
	}, func(ctx context.Context, c *client.Client, id string) error {
		wait, err := c.Waits.Get(ctx, id)
		if err != nil || a.json {
			return a.printOr(wait, err)
		}
		return a.printWait(wait)
	})
}

// printWait prints a wait, a line for each of its members.
func (a *app) printWait(w waits.Wait) error {
	table := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	line := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, printable(text))
		}
	}
	line("title", w.Title)
	fmt.Fprintf(table, "status\t%s\n", colored(a.stdout, w.Status))
	if w.Status == waits.Waiting {
		line("left", span(time.Until(w.ExpiresAt)))
	}
	line("wait id", w.WaitID)
	line("workflow id", w.WorkflowID)
	line("run id", w.RunID)
	line("state id", w.StateID)
	if w.ExecutionID != string(w.RunID) {
		line("execution id", w.ExecutionID)
	}
	line("tags", strings.Join(w.Tags, ", "))
	line("opened", w.CreatedAt.Format(time.RFC3339))
	line("opened by", w.OpenedBy)
	line("deadline", w.ExpiresAt.Format(time.RFC3339))
	if w.SettledAt != nil {
		line("settled", w.SettledAt.Format(time.RFC3339))
	}
	line("settled by", w.SettledBy)
	line("reason", w.CancelReason)
	for _, member := range []struct {
		name string
		text []byte
	}{{"input", w.Input}, {"output schema", w.OutputSchema}} {
		fmt.Fprint(table, optionalLine(member.name, member.text))
	}
	if w.Outcome != nil {
		line("error", w.Outcome.Error)
		fmt.Fprint(table, optionalLine("output", w.Outcome.Output))
	}
	return table.Flush()
}

// optionalLine returns a line with JSON, or nothing.
func optionalLine(name string, text []byte) string {
	if text == nil {
		return ""
	}
	return fmt.Sprintf("%s\t%s\n", name, plainJSON(text))
}

// shortened returns an id that takes at most n columns: one that is longer loses its middle.
func shortened(id string, n int) string {
	runes := []rune(id)
	if n <= 0 || len(runes) <= n {
		return id
	}
	head := (n - 1) / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(n-1-head):])
}
