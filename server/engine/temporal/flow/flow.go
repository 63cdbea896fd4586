// Package flow is for Temporal workflows that wait for a callback. Await blocks until the
// state is called back through flowcallbackd.
//
// The waiting state is an activity that is started, left pending, and completed from
// outside. Workers in other languages do not need this package: they schedule such an
// activity with the state id as its activity id.
//
// The package knows nothing of HTTP or the server.
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
	// FailureType is the type of the application failure with which a callback with result
	// fail ends the activity. Its message is the callback's error, and its only detail is
	// the callback's output.
	FailureType = "FlowCallbackFailed"
)

// Register registers the activity of Await with a worker. Call it once for each worker whose
// workflows call Await.
func Register(on worker.ActivityRegistry) {
	on.RegisterActivityWithOptions(pending, activity.RegisterOptions{Name: Activity})
}

// pending leaves the activity open, to be completed from outside by its id.
func pending(context.Context, any) error { return activity.ErrResultPending }

// Await blocks the workflow until the state stateID of its run is called back, and returns
// the outcome, with result success or fail. input is recorded in Temporal's history for
// people to read.
//
// After timeout, which must be positive, Await returns an error that is engine.ErrExpired.
// When ctx is cancelled, it returns an error that is engine.ErrCancelled immediately;
// Temporal then still accepts a callback while the workflow runs, and the workflow does not
// see it. Any other error is a failure of the activity without a callback.
//
// Use a state id only once in a run. A workflow that waits in a loop must number the rounds:
// Temporal accepts the same activity id again, and a repeated callback of one round would
// settle the next. The activity has one attempt and no heartbeat, because a second attempt
// would be a second wait, and no worker would send heartbeats.
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
