package client

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsclient"
)

// pollSeconds is how long a long-poll asks the server to wait.
const pollSeconds = 25

// Waits is the API of the waiting side: it opens waits with flowcallbackd and receives their
// outcomes. It is safe for concurrent use.
type Waits struct {
	projectID string
	waits     *waitsclient.Client
}

// OpenOptions describe a wait. The zero value is a wait with the server's defaults.
type OpenOptions struct {
	// Timeout is the time until the deadline, rounded up to seconds. Default: the contract's.
	Timeout time.Duration
	// Title is the question, in a line for people.
	Title string
	// Tags are words to find the wait by.
	Tags []string
	// Input is what a person needs to see to decide: a value that marshals to a JSON object,
	// or a JSON object as json.RawMessage or []byte.
	Input any
	// OutputSchema says what the output of a success must be: a schema of the subset of JSON
	// Schema that waits.yaml defines, in the same forms as Input.
	OutputSchema any
	// ExecutionID is returned to the sender of the callback. Default: the run's id.
	ExecutionID string
}

// Open opens a wait for a state, durably. If the state has a wait, Open returns that wait, so a
// caller that lost its memory can open again; Differs then names what the wait does not have as
// in the options.
func (w *Waits) Open(ctx context.Context, state State, options OpenOptions) (_ waits.Wait, err error) {
	defer forState(&err, "open", state)
	request := waits.OpenWaitRequest{
		WorkflowID: state.Workflow, RunID: callback.RunID(state.Run), StateID: callback.StateID(state.State),
		TimeoutSeconds: seconds(options.Timeout), ExecutionID: options.ExecutionID, Title: options.Title, Tags: options.Tags,
	}
	for _, member := range []struct {
		name  string
		value any
		into  *json.RawMessage
	}{{"input", options.Input, &request.Input}, {"output schema", options.OutputSchema, &request.OutputSchema}} {
		if member.value == nil {
			continue
		}
		object, err := marshalObject(member.name, member.value)
		if err != nil {
			return waits.Wait{}, fmt.Errorf("client: %w: %w", ErrInvalid, err)
		}
		*member.into = object
	}
	return read[waits.Wait](w.waits.OpenWait(ctx, w.projectID, request))(http.StatusCreated, http.StatusOK)
}

// seconds rounds up to seconds.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// Get returns a wait.
func (w *Waits) Get(ctx context.Context, waitID string) (waits.Wait, error) {
	return w.get(ctx, waitID, 0)
}

// Await blocks until the wait is settled, expired or cancelled, and returns it. If it has
// expired or was cancelled, the error is ErrExpired or ErrCancelled; the outcome of a settled
// wait may be a fail. Limit the time with ctx.
func (w *Waits) Await(ctx context.Context, waitID string) (waits.Wait, error) {
	var pace pace
	for {
		wait, err := w.get(ctx, waitID, pollSeconds)
		if err != nil {
			return wait, err
		}
		switch wait.Status {
		case waits.Waiting:
		case waits.Expired:
			return wait, &CallError{Operation: "await", WaitID: waitID, Err: ErrExpired}
		case waits.Cancelled:
			return wait, &CallError{Operation: "await", WaitID: waitID, Err: ErrCancelled}
		default:
			return wait, nil
		}
		if err := pace.wait(ctx); err != nil {
			return wait, &CallError{Operation: "await", WaitID: waitID, Err: err}
		}
	}
}

// pace limits long-polls to one a second, for servers that answer them early.
type pace struct{ last time.Time }

// wait blocks until a second has passed since the last call.
func (p *pace) wait(ctx context.Context) error {
	if !p.last.IsZero() {
		timer := time.NewTimer(time.Until(p.last.Add(time.Second)))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.last = time.Now()
	return nil
}

func (w *Waits) get(ctx context.Context, waitID string, seconds int) (_ waits.Wait, err error) {
	defer forWait(&err, "get", waitID)
	if err := checkSegment("wait id", waitID); err != nil {
		return waits.Wait{}, fmt.Errorf("client: %w", err)
	}
	return read[waits.Wait](w.waits.GetWait(ctx, w.projectID, waitID, &waits.GetWaitParams{WaitSeconds: &seconds}))(http.StatusOK)
}

// Cancel cancels a wait. A wait that has already left waiting stays as it is. The reason is for
// people, and may be empty.
func (w *Waits) Cancel(ctx context.Context, waitID, reason string) (err error) {
	defer forWait(&err, "cancel", waitID)
	if err := checkSegment("wait id", waitID); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	var params waits.CancelWaitParams
	if reason != "" {
		params.Reason = &reason
	}
	_, err = read[struct{}](w.waits.CancelWait(ctx, w.projectID, waitID, &params))(http.StatusNoContent)
	return err
}

// Extend gives a wait a new deadline: the given time from now, rounded up to seconds. ErrNotWaiting
// means that the wait has left waiting.
func (w *Waits) Extend(ctx context.Context, waitID string, timeout time.Duration) (_ waits.Wait, err error) {
	defer forWait(&err, "extend", waitID)
	if err := checkSegment("wait id", waitID); err != nil {
		return waits.Wait{}, fmt.Errorf("client: %w", err)
	}
	return read[waits.Wait](w.waits.ChangeWait(ctx, w.projectID, waitID, waits.ChangeWaitRequest{TimeoutSeconds: seconds(timeout)}))(http.StatusOK)
}
