// Package flow is for workflows on Temporal that wait for a callback: Await waits, and
// whoever calls the state back through flowcallbackd resumes it.
//
// What waits is an activity that nobody works on: it is started, left pending, and
// completed from outside. A worker in another language needs nothing of this package; such
// an activity of its own under the state's id does the same.
//
// The package knows no HTTP, and not the server.
package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	// Activity is the type of the activity that waits, as Register names it.
	Activity = "FlowCallback"
	// FailureType is the type of the application failure that a callback with the result
	// fail ends the activity with. Its message is the callback's error, its only detail the
	// callback's output.
	FailureType = "FlowCallbackFailed"
)

// Register lets a worker start what Await waits for. Call it once for each worker whose
// workflows call Await.
func Register(on worker.ActivityRegistry) {
	on.RegisterActivityWithOptions(pending, activity.RegisterOptions{Name: Activity})
}

// pending leaves the activity open for whoever completes it by its id.
func pending(context.Context, any) error { return activity.ErrResultPending }

// Await blocks the workflow until the state stateID of its run is called back, and returns
// the outcome, a fail like a success. input is handed to nobody; it stands in Temporal's
// history, for people to see.
//
// After timeout, which must be positive, it returns an error that is engine.ErrExpired. When
// ctx is cancelled it returns one that is engine.ErrCancelled, at once; a callback that
// comes while the workflow goes on is then still taken by Temporal, and lost on the workflow.
// Any other error is a failure of the activity that no callback brought.
//
// An id stands for one wait of a run: a workflow that waits again, in a loop, gives each round
// an id of its own. Temporal would take the same one again, and with it a repeated callback
// of the round before. The activity has one attempt and no
// heartbeat: a second attempt would be a second wait, and nobody would send the heartbeats.
func Await(ctx workflow.Context, stateID string, timeout time.Duration, input any) (waits.Outcome, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ActivityID:             stateID,
		ScheduleToCloseTimeout: timeout,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	var output json.RawMessage
	err := workflow.ExecuteActivity(ctx, Activity, input).Get(ctx, &output)
	var failure *temporal.ApplicationError
	var expired *temporal.TimeoutError
	var cancelled *temporal.CanceledError
	switch {
	case err == nil:
		return waits.Outcome{Result: callback.Success, Output: output}, nil
	case errors.As(err, &failure) && failure.Type() == FailureType:
		if err := failure.Details(&output); err != nil {
			return waits.Outcome{}, fmt.Errorf("state %s: the output of its failure: %w", stateID, err)
		}
		return waits.Outcome{Result: callback.Fail, Error: failure.Message(), Output: output}, nil
	case errors.As(err, &expired):
		return waits.Outcome{}, fmt.Errorf("state %s: %w: %w", stateID, engine.ErrExpired, err)
	case errors.As(err, &cancelled):
		return waits.Outcome{}, fmt.Errorf("state %s: %w: %w", stateID, engine.ErrCancelled, err)
	default:
		return waits.Outcome{}, fmt.Errorf("state %s: %w", stateID, err)
	}
}
