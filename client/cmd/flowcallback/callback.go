package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
)

// stateFlags are the flags that identify a state.
func stateFlags(s *client.State, required bool) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "workflow-id", Required: required, Destination: &s.Workflow, Sources: cli.EnvVars("FLOWCALLBACK_WORKFLOW_ID"),
			Usage: "`ID` of the flow definition",
		},
		&cli.StringFlag{
			Name: "run-id", Required: required, Destination: &s.Run, Sources: cli.EnvVars("FLOWCALLBACK_RUN_ID"),
			Usage: "`ID` of the run that waits",
		},
		&cli.StringFlag{
			Name: "state-id", Required: required, Destination: &s.State, Sources: cli.EnvVars("FLOWCALLBACK_STATE_ID"),
			Usage: "`ID` of the state that waits",
		},
	}
}

// target is the state that a callback is for: three ids, or the id of its wait.
type target struct {
	client.State

	waitID string
}

func (t *target) flags() []cli.Flag {
	return append(stateFlags(&t.State, false), &cli.StringFlag{
		Name: "wait-id", Destination: &t.waitID, Usage: "`ID` of the wait, instead of the three ids (flowcallbackd only)",
	})
}

// check returns an error if the flags identify no state. --wait-id wins over the three ids, which
// the environment may have set.
func (t *target) check(c *cli.Command) error {
	var missing []string
	for _, name := range []string{"workflow-id", "run-id", "state-id"} {
		if !c.IsSet(name) {
			missing = append(missing, strconv.Quote(name))
		}
	}
	if t.waitID == "" && missing != nil {
		return fmt.Errorf("%w: missing flags: %s; or pass --wait-id", errUsage, strings.Join(missing, ", "))
	}
	return nil
}

func (t *target) resolve(ctx context.Context, c *client.Client) (client.State, error) {
	if t.waitID != "" {
		return stateOf(ctx, c, t.waitID)
	}
	return t.State, nil
}

func outputFlag(output *string) cli.Flag {
	return &cli.StringFlag{
		Name: "output", Value: "{}", Destination: output,
		Usage: "output for the flow, a `JSON` object; @FILE reads it from a file, - from standard input",
	}
}

func (a *app) succeed() *cli.Command {
	var target target
	var output string
	return &cli.Command{
		Name:  "succeed",
		Usage: "resume the flow with a success",
		Description: `Prints the id of the execution that continues, after the outcome is stored durably.

Examples:
  flowcallback succeed --workflow-id order-approval --run-id R --state-id S --output '{"approved":true}'
  program | flowcallback succeed --workflow-id order-approval --run-id R --state-id S --output -`,
		Flags: append(target.flags(), outputFlag(&output), a.retryNotFoundFlag()),
		Action: noArguments(func(ctx context.Context, c *cli.Command) error {
			if err := target.check(c); err != nil {
				return err
			}
			return a.callBack(ctx, target, output, func(c *client.Client, state client.State, object json.RawMessage) (string, error) {
				return c.Succeed(ctx, state, object)
			})
		}),
	}
}

func (a *app) fail() *cli.Command {
	var target target
	var output, reason string
	return &cli.Command{
		Name:  "fail",
		Usage: "resume the flow with a failure",
		Description: `Prints the id of the execution that continues, after the outcome is stored durably.

Examples:
  flowcallback fail --workflow-id order-approval --run-id R --state-id S --error "payment declined"
  flowcallback fail --workflow-id order-approval --run-id R --state-id S --error late --output @details.json`,
		Flags: append(target.flags(), outputFlag(&output), a.retryNotFoundFlag(), &cli.StringFlag{
			Name: "error", Destination: &reason, Usage: "`REASON` for people",
		}),
		Action: noArguments(func(ctx context.Context, c *cli.Command) error {
			if err := target.check(c); err != nil {
				return err
			}
			return a.callBack(ctx, target, output, func(c *client.Client, state client.State, object json.RawMessage) (string, error) {
				return c.Fail(ctx, state, reason, object)
			})
		}),
	}
}

func (a *app) retryNotFoundFlag() cli.Flag {
	return &cli.DurationFlag{
		Name: "retry-not-found", Destination: &a.retryNotFound, Sources: cli.EnvVars("FLOWCALLBACK_RETRY_NOT_FOUND"), HideDefault: true,
		Usage: "`DURATION` for which to retry if the state is unknown, because the wait may be opened later (default: no retry)",
	}
}

// callBack sends a callback and prints the execution id.
func (a *app) callBack(ctx context.Context, target target, output string, send func(*client.Client, client.State, json.RawMessage) (string, error)) error {
	object, err := a.readValue(output)
	if err != nil {
		return fmt.Errorf("%w: --output: %w", errUsage, err)
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	state, err := target.resolve(ctx, c)
	if err != nil {
		return err
	}
	executionID, err := send(c, state, object)
	if isUnknown := errors.Is(err, client.ErrNotFound) && !errors.Is(err, client.ErrExpired) && !errors.Is(err, client.ErrCancelled); isUnknown {
		return fmt.Errorf("%w; if the wait is opened later, pass --retry-not-found 30s, or start the server with --unknown=hold", err)
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(callback.Response{ExecutionID: executionID})
	}
	_, err = fmt.Fprintln(a.stdout, printable(executionID))
	return err
}

// readValue returns the value of a flag that takes JSON, @FILE or -. It refuses an empty
// value, which is the result of a failed program in a pipe, or of a variable that is not set.
func (a *app) readValue(value string) ([]byte, error) {
	data := []byte(value)
	var err error
	if path, ok := strings.CutPrefix(value, "@"); ok {
		data, err = os.ReadFile(path)
	} else if value == "-" {
		data, err = io.ReadAll(a.stdin)
	}
	switch {
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(data)) == 0:
		return nil, errors.New("is empty; want a JSON object, such as {}")
	default:
		return data, nil
	}
}

// stateOf returns the state of a wait, for commands that take --wait-id instead of three ids.
func stateOf(ctx context.Context, c *client.Client, waitID string) (client.State, error) {
	wait, err := c.Waits.Get(ctx, waitID)
	if err != nil {
		return client.State{}, fmt.Errorf("wait %s: %w", waitID, err)
	}
	return client.State{Workflow: wait.WorkflowID, Run: string(wait.RunID), State: string(wait.StateID)}, nil
}
