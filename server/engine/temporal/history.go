package temporal

import (
	"context"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// trace is what the history of a run says of an activity.
type trace struct {
	scheduled bool
	end       *historypb.HistoryEvent // of the activity, nil if there is none
	closed    enumspb.EventType       // how the run ended, unspecified if it goes on
}

// read reads the history from its end, until it finds the activity. An id can be used again
// in a run when its activity has ended: the last one counts.
func (e *Engine) read(ctx context.Context, c completion) (t trace, err error) {
	request := &workflowservice.GetWorkflowExecutionHistoryReverseRequest{
		Namespace: c.namespace,
		Execution: &commonpb.WorkflowExecution{WorkflowId: c.workflowID, RunId: c.runID},
	}
	ends := map[int64]*historypb.HistoryEvent{} // of activities, by the event that scheduled them
	for {
		answer, err := e.service.GetWorkflowExecutionHistoryReverse(ctx, request)
		if err != nil {
			return t, err
		}
		for _, event := range answer.GetHistory().GetEvents() {
			if isClosing(event.GetEventType()) {
				t.closed = event.GetEventType()
			}
			if scheduled := endOf(event); scheduled != 0 {
				ends[scheduled] = event
			}
			if event.GetActivityTaskScheduledEventAttributes().GetActivityId() == c.activityID {
				t.scheduled, t.end = true, ends[event.GetEventId()]
				return t, nil
			}
		}
		if request.NextPageToken = answer.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return t, nil
		}
	}
}

// endOf returns which event scheduled the activity that event ends, 0 if it ends none.
func endOf(event *historypb.HistoryEvent) (scheduled int64) {
	return max(
		event.GetActivityTaskCompletedEventAttributes().GetScheduledEventId(),
		event.GetActivityTaskFailedEventAttributes().GetScheduledEventId(),
		event.GetActivityTaskTimedOutEventAttributes().GetScheduledEventId(),
		event.GetActivityTaskCanceledEventAttributes().GetScheduledEventId(),
	)
}

func isClosing(event enumspb.EventType) bool {
	switch event {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		return true
	default:
		return false
	}
}

// verdict is what a callback means, given the trace: nil, one of the engine's refusals, or
// errUndecided where the activity has not ended as far as the history shows.
func (t trace) verdict(outcome waits.Outcome) error {
	switch {
	case !t.scheduled:
		return engine.ErrNotFound
	case t.end != nil:
		return verdictOf(t.end, outcome)
	case t.closed == enumspb.EVENT_TYPE_UNSPECIFIED:
		return errUndecided
	case t.closed == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		return engine.ErrExpired
	default:
		return engine.ErrCancelled
	}
}

var errUndecided = errors.New("undecided")

// verdictOf is the verdict over an activity that has ended.
func verdictOf(end *historypb.HistoryEvent, outcome waits.Outcome) error {
	switch end.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		return engine.ErrExpired
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
		return engine.ErrCancelled
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		// Failed by a worker that does not know the activity, or by Temporal: no
		// callback brought that.
		if end.GetActivityTaskFailedEventAttributes().GetFailure().GetApplicationFailureInfo().GetType() != failureType {
			return engine.ErrCancelled
		}
	}
	if settled, ok := outcomeOf(end); ok && engine.Same(settled, outcome) {
		return nil
	}
	return engine.ErrConflict
}

// outcomeOf returns the outcome that an event holds, if it is one that a callback can bring.
func outcomeOf(end *historypb.HistoryEvent) (outcome waits.Outcome, ok bool) {
	if completed := end.GetActivityTaskCompletedEventAttributes(); completed != nil {
		outcome.Result = callback.Success
		outcome.Output, ok = valueOf(completed.GetResult())
		return outcome, ok
	}
	failure := end.GetActivityTaskFailedEventAttributes().GetFailure()
	info := failure.GetApplicationFailureInfo()
	if info.GetType() != failureType {
		return outcome, false
	}
	outcome.Result, outcome.Error = callback.Fail, failure.GetMessage()
	outcome.Output, ok = valueOf(info.GetDetails())
	return outcome, ok
}

// valueOf returns the one JSON value that payloads are.
func valueOf(p *commonpb.Payloads) ([]byte, bool) {
	if len(p.GetPayloads()) != 1 || string(p.Payloads[0].GetMetadata()[encodingKey]) != encodingJSON {
		return nil, false
	}
	return p.Payloads[0].GetData(), true
}

// decide says what a callback means for an activity that Temporal did not find waiting.
func (e *Engine) decide(ctx context.Context, c completion) error {
	pauses := newPauses()
	for {
		t, err := e.read(ctx, c)
		if isMissing(err) {
			return fmt.Errorf("workflow run: %w", engine.ErrNotFound)
		}
		if err != nil {
			return err
		}
		if err := t.verdict(c.outcome); !errors.Is(err, errUndecided) {
			return wrap(err, c)
		}
		// Either it waits but no worker has taken it up yet, and then it can be completed
		// in a moment; or its end is held back until the workflow's present task is done.
		if err := pauses.pause(ctx); err != nil {
			return err
		}
		if err := e.complete(ctx, c); !isMissing(err) {
			return err
		}
	}
}

// confirm makes sure that Temporal has recorded the outcome that it took, rather than a failure
// of its own because it is too large.
func (e *Engine) confirm(ctx context.Context, c completion) error {
	pauses := newPauses()
	for {
		t, err := e.read(ctx, c)
		if err != nil {
			return err
		}
		if t.end != nil {
			if _, ok := outcomeOf(t.end); !ok {
				return fmt.Errorf("the activity was failed instead: %w", engine.ErrTooLarge)
			}
			return wrap(verdictOf(t.end, c.outcome), c)
		}
		// Its end is held back until the workflow's present task is done.
		if err := pauses.pause(ctx); err != nil {
			return err
		}
	}
}

// isMissing reports whether Temporal does not know what was asked for, or finds that it
// cannot exist.
func isMissing(err error) bool {
	var notFound *serviceerror.NotFound
	var namespace *serviceerror.NamespaceNotFound
	var invalid *serviceerror.InvalidArgument
	return errors.As(err, &notFound) || errors.As(err, &namespace) || errors.As(err, &invalid)
}

func wrap(err error, c completion) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("callback of an activity in run %s: %w", c.runID, err)
}
