package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
)

func (a *app) waits() *cli.Command {
	return &cli.Command{
		Name:     "waits",
		Usage:    "open, await, list, change and follow waits (flowcallbackd only)",
		Action:   noCommand,
		Commands: []*cli.Command{a.open(), a.show(), a.await(), a.list(), a.count(), a.extend(), a.cancel(), a.link(), a.links(), a.unlink(), a.follow()},
	}
}

func (a *app) open() *cli.Command {
	var state client.State
	var timeout time.Duration
	var options client.OpenOptions
	var input, outputSchema string
	return &cli.Command{
		Name:  "open",
		Usage: "open a wait, or find the existing one",
		Description: `Prints the id of the wait. A state has one wait: if it exists already, it stays as it is, and a
message on standard error says so if it no longer waits.

Examples:
  flowcallback waits open --workflow-id order-approval --run-id R --state-id S --timeout 2h
  flowcallback waits open --workflow-id order-approval --run-id R --state-id S --input '{"order":4711}'`,
		Flags: append(stateFlags(&state, true),
			durationFlag("timeout", &timeout, "`DURATION` until the deadline, in whole seconds, such as 90s, 24h or 7d (default: the server's)"),
			&cli.StringFlag{Name: "input", Destination: &input, Usage: "what a person needs to see to decide, a `JSON` object; @FILE reads it from a file, - from standard input"},
			&cli.StringFlag{Name: "output-schema", Destination: &outputSchema, Usage: "what the output of a success must be, a schema in `JSON`; @FILE reads it from a file, - from standard input"},
			&cli.StringFlag{Name: "title", Destination: &options.Title, Usage: "the question, a `LINE` for people"},
			&cli.StringSliceFlag{Name: "tag", Destination: &options.Tags, Usage: "a `WORD` to find the wait by; may be repeated"},
			&cli.StringFlag{Name: "execution-id", Destination: &options.ExecutionID, Usage: "`ID` that the callback returns (default: the run id)"},
		),
		Action: noArguments(func(ctx context.Context, c *cli.Command) error {
			if err := checkTimeout(c, timeout); err != nil {
				return err
			}
			options.Timeout = timeout
			var err error
			if c.IsSet("input") {
				if options.Input, err = a.readObject("input", input); err != nil {
					return err
				}
			}
			if c.IsSet("output-schema") {
				if options.OutputSchema, err = a.readObject("output-schema", outputSchema); err != nil {
					return err
				}
			}
			caller, err := a.client()
			if err != nil {
				return err
			}
			wait, err := caller.Waits.Open(ctx, state, options)
			if err != nil {
				return err
			}
			if wait.Status != waits.Waiting {
				fmt.Fprintf(a.stderr, "flowcallback: the wait of this state exists and no longer waits: %s\n", wait.Status)
			}
			if len(wait.Differs) > 0 {
				fmt.Fprintf(a.stderr, "flowcallback: the wait of this state exists and stays as it is; it differs in %s\n", join(wait.Differs))
			}
			if a.json {
				return a.printJSON(wait)
			}
			_, err = fmt.Fprintln(a.stdout, wait.WaitID)
			return err
		}),
	}
}

func (a *app) await() *cli.Command {
	return a.onWait(&cli.Command{
		Name:  "await",
		Usage: "block until a wait has an outcome, and print it",
		Description: `Prints the outcome: result, error and output. Exits with 0 only if the result is success: with 6 if it
is fail, with 7 if the wait expired, and with 8 if it was cancelled. On a terminal it shows the time
that is left.

Examples:
  flowcallback waits await 01980c2e-7f5d-7cc3-98b5-31b3f3a1d2aa
  flowcallback --json waits await 01980c2e-7f5d-7cc3-98b5-31b3f3a1d2aa | jq .outcome.output`,
	}, func(ctx context.Context, c *client.Client, id string) error {
		wait, err := c.Waits.Get(ctx, id)
		if err == nil && wait.Status == waits.Waiting {
			stop := countDown(ctx, a.stderr, wait)
			wait, err = c.Waits.Await(ctx, id)
			stop()
		}
		if err != nil && !errors.Is(err, client.ErrExpired) && !errors.Is(err, client.ErrCancelled) {
			return err
		}
		if err := a.printOutcome(wait); err != nil {
			return err
		}
		if wait.Status != waits.Success {
			return notSuccess{wait.Status}
		}
		return nil
	})
}

// onWait completes a command that takes the id of a wait.
func (a *app) onWait(command *cli.Command, action func(ctx context.Context, c *client.Client, id string) error) *cli.Command {
	return a.onID("WAIT_ID", command, func(ctx context.Context, c *client.Client, id string) error {
		if err := action(ctx, c, id); err != nil {
			return fmt.Errorf("wait %s: %w", id, err)
		}
		return nil
	})
}

// onID completes a command that takes an id as its only argument.
func (a *app) onID(name string, command *cli.Command, action func(ctx context.Context, c *client.Client, id string) error) *cli.Command {
	var id string
	command.ArgsUsage = name
	command.Arguments = []cli.Argument{&cli.StringArg{Name: command.ArgsUsage, Destination: &id}}
	command.Action = noArguments(func(ctx context.Context, c *cli.Command) error {
		if id == "" {
			return fmt.Errorf("%w: %s is missing (see %s --help)", errUsage, name, c.FullName())
		}
		caller, err := a.client()
		if err != nil {
			return err
		}
		return action(ctx, caller, id)
	})
	return command
}

// readObject returns the JSON object that a flag names.
func (a *app) readObject(flag, value string) (json.RawMessage, error) {
	data, err := a.readValue(value)
	if err == nil {
		err = json.Unmarshal(data, &map[string]json.RawMessage{})
	}
	if err != nil {
		return nil, fmt.Errorf("%w: --%s: want a JSON object: %w", errUsage, flag, err)
	}
	return data, nil
}

// join lists names in a sentence.
func join[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}
