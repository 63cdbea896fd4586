package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/temporal/flow"
)

// approval is a workflow that waits for two states, one after the other.
func approval(ctx workflow.Context) (outcomes []waits.Outcome, err error) {
	for _, state := range []string{"approve", "pay"} {
		outcome, err := flow.Await(ctx, state, time.Hour, map[string]string{"order": "4711"})
		if err != nil {
			return outcomes, err
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}

// Await still schedules the same commands: a history recorded from a real Temporal replays
// without a difference. "go test -run TestHistory -update" in e2e records it.
func TestReplay(t *testing.T) {
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(approval, workflow.RegisterOptions{Name: "approval"})
	if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, "testdata/approval.json"); err != nil {
		t.Error(err)
	}
}

// environment returns a test environment in which the activity returns the result of end.
func environment(t *testing.T, end func() (json.RawMessage, error)) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	e := suite.NewTestWorkflowEnvironment()
	e.RegisterActivityWithOptions(func(ctx context.Context, _ any) (json.RawMessage, error) {
		if id := activity.GetInfo(ctx).ActivityID; id != "approve" {
			t.Errorf("activity id %q, want the state id \"approve\"", id)
		}
		return end()
	}, activity.RegisterOptions{Name: flow.Activity})
	return e
}

func wait(ctx workflow.Context) (waits.Outcome, error) {
	return flow.Await(ctx, "approve", time.Hour, nil)
}

func TestOutcomes(t *testing.T) {
	const output = `{"big":123456789012345678901234567890,"one":1.0}`
	for name, test := range map[string]struct {
		end  func() (json.RawMessage, error)
		want callback.Request
	}{
		"a success": {func() (json.RawMessage, error) { return json.RawMessage(output), nil }, enginetest.Success(output)},
		"a fail": {func() (json.RawMessage, error) {
			return nil, temporal.NewNonRetryableApplicationError("why", flow.FailureType, nil, json.RawMessage(output))
		}, enginetest.Fail("why", output)},
	} {
		t.Run(name, func(t *testing.T) {
			e := environment(t, test.end)
			e.ExecuteWorkflow(wait)
			var got waits.Outcome
			if err := e.GetWorkflowResult(&got); err != nil || !engine.Same(got, engine.OutcomeOf(test.want)) {
				t.Errorf("Await = %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

// If the wait ends without a callback, Await returns an error that tells the cause.
func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		end  func() (json.RawMessage, error)
		want error
	}{
		"the deadline passed": {func() (json.RawMessage, error) {
			return nil, temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil)
		}, engine.ErrExpired},
		"the wait was cancelled":     {func() (json.RawMessage, error) { return nil, temporal.NewCanceledError() }, engine.ErrCancelled},
		"the activity itself failed": {func() (json.RawMessage, error) { return nil, errors.New("no callback") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := environment(t, test.end)
			var got error
			e.ExecuteWorkflow(func(ctx workflow.Context) error {
				_, got = wait(ctx)
				return nil
			})
			if got == nil || test.want != nil && !errors.Is(got, test.want) || test.want == nil && (errors.Is(got, engine.ErrExpired) || errors.Is(got, engine.ErrCancelled)) {
				t.Errorf("Await: %v, want %v", got, test.want)
			}
		})
	}
}
