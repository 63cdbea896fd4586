package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// demo plays the side that waits: it opens a wait under the contract's example ids, says
// how to resume it, and prints the outcome when it comes. It ends with ctx.
func demo(ctx context.Context, e engine.Engine, token bool, endpoint string, stdout io.Writer) error {
	keeper, ok := e.(engine.Waits)
	if !ok {
		return errors.New("--demo needs an engine that keeps waits itself, such as sqlite")
	}
	published, err := contract.Callback()
	if err != nil {
		return err
	}
	ids := published.Operation("createCallbackWorkflow").Examples()
	project, workflow, run, state := ids["project_id"], ids["workflow_id"], ids["X-Workflow-Run-Id"], ids["X-Workflow-State-Id"]
	wait, _, err := keeper.OpenWait(ctx, project, waits.OpenWaitRequest{
		WorkflowID: workflow, RunID: run, StateID: state,
		TimeoutSeconds: int((24 * time.Hour).Seconds()),
		Input:          []byte(`{"question":"May the order go out?"}`),
	})
	if err != nil {
		return err
	}
	credential := ""
	if token {
		credential = "    -H \"X-Auth-Token: $TOKEN\" \\\n"
	}
	fmt.Fprintf(stdout, `A flow waits. Resume it from another terminal:

  curl -i %s/v2/%s/fgs/workflows/%s/callback \
%s    -H 'Content-Type: application/json' \
    -H 'X-Workflow-Run-Id: %s' \
    -H 'X-Workflow-State-Id: %s' \
    -d '{"result":"success","output":{"message":"success","result":200}}'

`, endpoint, project, workflow, credential, run, state)
	wait, err = keeper.GetWait(ctx, project, wait.WaitID, ctx.Done())
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	case wait.Outcome == nil:
		fmt.Fprintf(stdout, "The flow waits no more: %s.\n", wait.Status)
	case wait.Outcome.Error != "":
		fmt.Fprintf(stdout, "The flow goes on: %s (%s) with %s\n", wait.Status, wait.Outcome.Error, wait.Outcome.Output)
	default:
		fmt.Fprintf(stdout, "The flow goes on: %s with %s\n", wait.Status, wait.Outcome.Output)
	}
	return nil
}
