package temporal

import (
	"context"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// verdict is what the history of a run says of an activity.
type verdict struct {
	scheduled bool
	event     *historypb.HistoryEvent // that scheduled it
	end       *historypb.HistoryEvent // of the activity, or nil
	closed    enumspb.EventType       // how the run ended; unspecified if it has not
	closedAt  time.Time
}

// readVerdict reads the history backwards until it finds the activity. A run can use the id of an
// ended activity again; the last one counts.
func (e *Engine) readVerdict(ctx context.Context, c completion) (v verdict, err error) {
	request := &workflowservice.GetWorkflowExecutionHistoryReverseRequest{
		Namespace: c.namespace,
		Execution: &commonpb.WorkflowExecution{WorkflowId: c.workflowID, RunId: c.runID},
	}
	ends := map[int64]*historypb.HistoryEvent{} // of activities, by the event that scheduled them
	for {
		answer, err := e.service.GetWorkflowExecutionHistoryReverse(ctx, request)
		if err != nil {
			return v, err
		}
		for _, event := range answer.GetHistory().GetEvents() {
			if isClosing(event.GetEventType()) {
				v.closed, v.closedAt = event.GetEventType(), event.GetEventTime().AsTime()
			}
			if scheduled := endOf(event); scheduled != 0 {
				ends[scheduled] = event
			}
			if event.GetActivityTaskScheduledEventAttributes().GetActivityId() == c.activityID {
				v.scheduled, v.event, v.end = true, event, ends[event.GetEventId()]
				return v, nil
			}
		}
		if request.NextPageToken = answer.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return v, nil
		}
	}
}

// endOf returns the id of the event that scheduled the activity that event ends, or 0.
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

// stored returns the state in the form that engine.Decide reads. It is waiting if the
// activity has not ended according to the history.
func (v verdict) stored(outcome waits.Outcome) engine.Stored {
	switch {
	case !v.scheduled:
		return engine.Stored{}
	case v.end != nil:
		return endedState(v.end, outcome)
	case v.closed == enumspb.EVENT_TYPE_UNSPECIFIED:
		return engine.Stored{Status: waits.Waiting}
	case v.closed == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		return engine.Stored{Status: waits.Expired}
	default:
		return engine.Stored{Status: waits.Cancelled}
	}
}

// endedState returns the state of an activity that has ended.
func endedState(end *historypb.HistoryEvent, outcome waits.Outcome) engine.Stored {
	settled, ok := outcomeOf(end)
	same := ok && engine.Same(settled, outcome)
	switch end.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		return engine.Stored{Status: waits.Success, Same: same}
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		return engine.Stored{Status: waits.Expired}
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		if end.GetActivityTaskFailedEventAttributes().GetFailure().GetApplicationFailureInfo().GetType() == failureType {
			return engine.Stored{Status: waits.Fail, Same: same}
		}
		// A worker that does not know the activity failed it, or Temporal did.
		return engine.Stored{Status: waits.Cancelled}
	default:
		return engine.Stored{Status: waits.Cancelled}
	}
}

// outcomeOf returns the outcome in an event, if a callback can have caused the event.
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

// valueOf returns the JSON value of payloads that have exactly one.
func valueOf(p *commonpb.Payloads) ([]byte, bool) {
	if len(p.GetPayloads()) != 1 || string(p.Payloads[0].GetMetadata()[encodingKey]) != encodingJSON {
		return nil, false
	}
	return p.Payloads[0].GetData(), true
}

// decide answers a callback for an activity that Temporal did not find waiting.
func (e *Engine) decide(ctx context.Context, c completion) error {
	pauses := newPauses()
	for {
		v, err := e.readVerdict(ctx, c)
		if isMissing(err) {
			return fmt.Errorf("workflow run: %w", engine.ErrNotFound)
		}
		if err != nil {
			return err
		}
		settle, err := engine.Decide(v.stored(c.outcome), time.Time{})
		if errors.Is(err, engine.ErrCancelled) && v.end == nil {
			if run := e.followReset(ctx, c); run != "" {
				err = &engine.MovedError{RunID: run}
			}
		}
		if !settle {
			return wrap(err, c)
		}
		// The activity waits, but no worker has started it yet, so it can be completed soon.
		// Or it has ended, and Temporal records that after the current workflow task.
		if err := pauses.pause(ctx); err != nil {
			return err
		}
		if err := e.complete(ctx, c); !isMissing(err) {
			return err
		}
	}
}

// confirm returns nil after Temporal has recorded the outcome that it accepted. Temporal may
// instead fail the activity later because the outcome is too large.
func (e *Engine) confirm(ctx context.Context, c completion) error {
	pauses := newPauses()
	for {
		v, err := e.readVerdict(ctx, c)
		if err != nil {
			return err
		}
		if v.end != nil {
			if _, ok := outcomeOf(v.end); !ok {
				return fmt.Errorf("activity failed by Temporal: %w", engine.ErrTooLarge)
			}
			_, err := engine.Decide(v.stored(c.outcome), time.Time{})
			return wrap(err, c)
		}
		// Temporal records the end after the current workflow task.
		if err := pauses.pause(ctx); err != nil {
			return err
		}
	}
}

// isMissing reports whether Temporal answered that something does not exist, or that its id
// is not valid.
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
