package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// secondState is the state of the demo's second wait. The examples in the documentation use
// it, so that they work against a running demo.
const secondState callback.StateID = "second-approval"

// demonstrator plays the flow in --demo: it opens waits, says how to resume them, and
// prints the outcome of the first.
type demonstrator struct {
	opener   engine.Opener
	reader   engine.Reader
	endpoint string // of this server
	token    bool   // calls need a token
	stdout   io.Writer
}

// demo runs the demo until ctx ends.
func demo(ctx context.Context, e engine.Engine, token bool, endpoint string, stdout io.Writer) error {
	opener, opens := e.(engine.Opener)
	reader, reads := e.(engine.Reader)
	if !opens || !reads {
		return errors.New("--demo needs an engine that stores waits, such as sqlite")
	}
	d := demonstrator{opener: opener, reader: reader, endpoint: endpoint, token: token, stdout: stdout}
	if err := d.run(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (d demonstrator) run(ctx context.Context) error {
	published, err := contract.Callback()
	if err != nil {
		return err
	}
	ids := published.Operation("createCallbackWorkflow").Examples()
	key := engine.Key{
		ProjectID: ids["project_id"], WorkflowID: ids["workflow_id"],
		RunID: callback.RunID(ids["X-Workflow-Run-Id"]), StateID: callback.StateID(ids["X-Workflow-State-Id"]),
	}
	wait, err := d.open(ctx, key, "May order 4711 go out?", `{"order":4711,"customer":"Halvorsen Marine AS","amount":"129.90"}`)
	if err != nil {
		return err
	}
	d.printHowTo(key)
	for wait.Status == waits.Waiting {
		if wait, err = d.reader.GetWait(ctx, key.ProjectID, wait.WaitID, time.Hour); err != nil {
			return err
		}
	}
	d.printOutcome(wait)
	key.StateID = secondState
	if _, err := d.open(ctx, key, "May the refund for order 4711 be paid?", `{"order":4711,"customer":"Halvorsen Marine AS","amount":"12.50"}`); err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "The flow waits again, at state %s.\n", key.StateID)
	return nil
}

func (d demonstrator) open(ctx context.Context, key engine.Key, title, input string) (waits.Wait, error) {
	wait, _, err := d.opener.OpenWait(ctx, key.ProjectID, waits.OpenWaitRequest{
		WorkflowID: key.WorkflowID, RunID: key.RunID, StateID: key.StateID,
		TimeoutSeconds: int((24 * time.Hour).Seconds()),
		Title:          title,
		Input:          []byte(input),
	}, "")
	return wait, err
}

func (d demonstrator) printHowTo(key engine.Key) {
	credential := ""
	if d.token {
		credential = "    -H \"X-Auth-Token: $TOKEN\" \\\n"
	}
	fmt.Fprintf(d.stdout, `A flow waits. Resume it from another terminal:

  curl -i %s/v2/%s/fgs/workflows/%s/callback \
%s    -H 'Content-Type: application/json' \
    -H 'X-Workflow-Run-Id: %s' \
    -H 'X-Workflow-State-Id: %s' \
    -d '{"result":"success","output":{"message":"success","result":200}}'

Or approve it in a browser: %s/console/%s

`, d.endpoint, key.ProjectID, key.WorkflowID, credential, key.RunID, key.StateID, d.endpoint, key.ProjectID)
}

func (d demonstrator) printOutcome(wait waits.Wait) {
	switch {
	case wait.Outcome == nil:
		fmt.Fprintf(d.stdout, "The flow no longer waits: %s.\n", wait.Status)
	case wait.Outcome.Error != "":
		fmt.Fprintf(d.stdout, "The flow goes on: %s (%s) with %s\n", wait.Status, wait.Outcome.Error, wait.Outcome.Output)
	default:
		fmt.Fprintf(d.stdout, "The flow goes on: %s with %s\n", wait.Status, wait.Outcome.Output)
	}
}
