package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/go-faster/jx"
	"github.com/ogen-go/ogen/ogenerrors"

	"github.com/flowcallback/flowcallback/server/interop/matrix/ogen/callback"
	"github.com/flowcallback/flowcallback/server/interop/matrix/ogen/waits"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run does what run.ts does.
func run(ctx context.Context) error {
	callbacks, err := callback.NewClient(os.Getenv("ENDPOINT"), callbackToken{})
	if err != nil {
		return err
	}
	opener, err := waits.NewClient(os.Getenv("ENDPOINT"), waitsToken{})
	if err != nil {
		return err
	}
	c := client{callbacks, opener}
	settled, err := c.settle(ctx, os.Getenv("WORKFLOW"))
	if err != nil {
		return err
	}
	fail := callback.CallbackRequest{Result: callback.ResultFail, Error: callback.NewOptReason("another outcome"), Output: callback.NewNilOutput(callback.Output{})}
	_, code, err := c.callBack(ctx, os.Getenv("WORKFLOW"), &fail)
	if err != nil {
		return err
	}
	escapes, err := c.settle(ctx, "order/approval 1?")
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"settled": settled, "code": code, "escapes": escapes})
}

type client struct {
	callbacks *callback.Client
	waits     *waits.Client
}

// settle reports whether a callback resumes the execution of a wait.
func (c client) settle(ctx context.Context, workflow string) (bool, error) {
	opened, err := c.waits.OpenWait(ctx,
		&waits.OpenWaitRequest{
			WorkflowID: waits.WorkflowId(workflow), RunID: waits.HeaderRunId(os.Getenv("RUN")), StateID: waits.HeaderStateId(os.Getenv("STATE")),
		},
		waits.OpenWaitParams{ProjectID: waits.ProjectId(os.Getenv("PROJECT"))})
	if err != nil {
		return false, err
	}
	wait, ok := opened.(*waits.OpenWaitCreated)
	if !ok {
		return false, fmt.Errorf("openWait: %T", opened)
	}
	output := callback.Output{"message": jx.Raw(`"done"`), "amount": jx.Raw("12.5")}
	id, _, err := c.callBack(ctx, workflow, &callback.CallbackRequest{Result: callback.ResultSuccess, Output: callback.NewNilOutput(output)})
	return id == string(wait.Response.ExecutionID), err
}

// callBack returns the id of the execution, or the code of the error.
func (c client) callBack(ctx context.Context, workflow string, outcome *callback.CallbackRequest) (id, code string, err error) {
	answer, err := c.callbacks.CreateCallbackWorkflow(ctx, outcome, callback.CreateCallbackWorkflowParams{
		ProjectID: callback.ProjectId(os.Getenv("PROJECT")), WorkflowID: callback.WorkflowId(workflow),
		XWorkflowRunID: callback.RunId(os.Getenv("RUN")), XWorkflowStateID: callback.StateId(os.Getenv("STATE")),
	})
	switch answer := answer.(type) {
	case *callback.CallbackResponseHeaders:
		return string(answer.Response.ExecutionID), "", err
	case *callback.CreateCallbackWorkflowBadRequest:
		return "", answer.Response.ErrorCode, err
	default:
		return "", fmt.Sprintf("%T", answer), err
	}
}

// The server of the test has no credentials.
type callbackToken struct{}

func (callbackToken) Signature(context.Context, callback.OperationName) (callback.Signature, error) {
	return callback.Signature{}, ogenerrors.ErrSkipClientSecurity
}

func (callbackToken) Token(context.Context, callback.OperationName) (callback.Token, error) {
	return callback.Token{APIKey: "none"}, nil
}

type waitsToken struct{}

func (waitsToken) Signature(context.Context, waits.OperationName) (waits.Signature, error) {
	return waits.Signature{}, ogenerrors.ErrSkipClientSecurity
}

func (waitsToken) Token(context.Context, waits.OperationName) (waits.Token, error) {
	return waits.Token{APIKey: "none"}, nil
}
