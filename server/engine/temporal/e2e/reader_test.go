package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/temporal"
)

// walk returns all waits of a list. Temporal's visibility is eventually consistent, so it tries again
// until there are as many as expected.
func walk(t *testing.T, e *temporal.Engine, params waits.ListWaitsParams, want int) (all []waits.Wait) {
	t.Helper()
	for t.Context().Err() == nil {
		all = nil
		params.Cursor = nil
		for {
			page, err := e.ListWaits(t.Context(), "default", params, 0)
			if err != nil {
				t.Fatalf("ListWaits: %v", err)
			}
			all = append(all, page.Waits...)
			if params.Cursor = page.NextCursor; params.Cursor == nil {
				break
			}
			if len(*params.Cursor) > waits.CursorMaxLength {
				t.Fatalf("cursor %s is longer than the contract allows", *params.Cursor)
			}
		}
		if len(all) == want {
			return all
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Fatalf("ListWaits has %d waits, want %d", len(all), want)
	return nil
}

func TestReader(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	var keys []engine.Key
	for range 25 { // more than the runs of one page
		keys = append(keys, f.open(t, time.Hour))
	}
	many := f.start(t, "many", waitForMany)
	f.untilPending(t, engine.Key{WorkflowID: many.WorkflowID, RunID: many.RunID, StateID: "6"})

	for _, limit := range []int{3, 100} {
		var got []string
		for _, w := range walk(t, e, waits.ListWaitsParams{Limit: &limit}, len(keys)+statesEach) {
			if w.Status != waits.Waiting || w.CreatedAt.IsZero() || !w.ExpiresAt.After(w.CreatedAt) {
				t.Errorf("listed wait = %+v", w)
			}
			got = append(got, w.WorkflowID+" "+string(w.StateID))
		}
		if slices.Sort(got); len(slices.Compact(got)) != len(keys)+statesEach {
			t.Errorf("pages of %d list waits twice: %v", limit, got)
		}
	}
	limit := 100
	for name, test := range map[string]struct {
		params waits.ListWaitsParams
		want   int
	}{
		"workflow":        {waits.ListWaitsParams{WorkflowID: &keys[3].WorkflowID}, 1},
		"prefix":          {waits.ListWaitsParams{WorkflowPrefix: new("Workflow-")}, len(keys) + statesEach},
		"run":             {waits.ListWaitsParams{RunID: &keys[4].RunID}, 1},
		"state":           {waits.ListWaitsParams{StateID: new(callback.StateID("6"))}, 1},
		"quote":           {waits.ListWaitsParams{WorkflowID: new(`' OR WorkflowId != '\`)}, 0},
		"opened before":   {waits.ListWaitsParams{OpenedBefore: new(time.Now().Add(-time.Hour))}, 0},
		"waiting, newest": {waits.ListWaitsParams{Status: new(waits.Waiting), Order: new(waits.Newest)}, len(keys) + statesEach},
	} {
		t.Run(name, func(t *testing.T) {
			test.params.Limit = &limit
			walk(t, e, test.params, test.want)
		})
	}
	for name, params := range map[string]waits.ListWaitsParams{"status": {Status: new(waits.Success)}, "order": {Order: new(waits.Deadline)}, "tag": {Tag: new("t")}} {
		if _, err := e.ListWaits(t.Context(), "default", params, 0); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("ListWaits with a %s of other engines: %v, want %v", name, err, errors.ErrUnsupported)
		}
	}
	for _, cursor := range []string{"x", "1.2.3", "1." + string(keys[0].RunID) + ".-1"} {
		if _, err := e.ListWaits(t.Context(), "default", waits.ListWaitsParams{Cursor: &cursor}, 0); !errors.Is(err, engine.ErrCursor) {
			t.Errorf("ListWaits after %s: %v, want %v", cursor, err, engine.ErrCursor)
		}
	}

	one := walk(t, e, waits.ListWaitsParams{WorkflowID: &keys[0].WorkflowID}, 1)[0]
	got, err := e.GetWait(t.Context(), "default", one.WaitID, 0)
	if err != nil || got.WaitID != one.WaitID || got.Status != waits.Waiting || got.RunID != keys[0].RunID || got.StateID != keys[0].StateID {
		t.Errorf("GetWait = %+v, %v; want %+v", got, err, one)
	}
	polled := make(chan waits.Wait, 1)
	go func() {
		w, err := e.GetWait(t.Context(), "default", one.WaitID, time.Minute)
		if err != nil {
			t.Errorf("GetWait: %v", err)
		}
		polled <- w
	}()
	if _, err := e.Callback(t.Context(), engine.Callback{Key: keys[0], Request: enginetest.Success(`{"a":1.0}`), Principal: "order-service"}); err != nil {
		t.Fatal(err)
	}
	if got := <-polled; got.Status != waits.Success || got.Outcome == nil || string(got.Outcome.Output) != `{"a":1.0}` || got.SettledBy != "order-service" || got.SettledAt == nil {
		t.Errorf("GetWait while it was settled = %+v", got)
	}
	for _, id := range []string{"x", "AAAA", one.WaitID + "A", one.WaitID[:len(one.WaitID)-2]} {
		if _, err := e.GetWait(t.Context(), "default", id, 0); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("GetWait(%s): %v, want %v", id, err, engine.ErrNotFound)
		}
	}
}

// After a reset, a callback for the old run is told which run goes on.
func TestReset(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	key := f.open(t, time.Hour)
	events := f.GetWorkflowHistory(t.Context(), key.WorkflowID, string(key.RunID), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	var task int64
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			task = event.GetEventId()
		}
	}
	reset, err := f.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: key.WorkflowID, RunId: string(key.RunID)},
		Reason: "test", WorkflowTaskFinishEventId: task, RequestId: fmt.Sprint(time.Now().UnixNano()),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.untilClosed(t, key)
	var moved *engine.MovedError
	if _, err := e.Callback(t.Context(), engine.Callback{Key: key, Request: enginetest.Success(`{}`)}); !errors.As(err, &moved) || moved.RunID != reset.GetRunId() {
		t.Errorf("Callback for the old run: %v, want run %s", err, reset.GetRunId())
	}
	next := key
	next.RunID = callback.RunID(reset.GetRunId())
	f.untilPending(t, next)
	if _, err := e.Callback(t.Context(), engine.Callback{Key: next, Request: enginetest.Success(`{}`)}); err != nil {
		t.Errorf("Callback for the new run: %v", err)
	}
}

// Over Temporal, a client lists what waits, gets it and settles it; what Temporal has no place for is
// answered with 501.
func TestServerReads(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	c := startCopies(t, 1, d).client(t, 0)
	key := f.open(t, time.Hour)
	var listed waits.Wait
	for listed.WaitID == "" && t.Context().Err() == nil {
		for wait, err := range c.Waits.List(t.Context(), client.Filter{Status: waits.Waiting}) {
			if err != nil {
				t.Fatal(err)
			}
			listed = wait
		}
	}
	if got, err := c.Waits.Get(t.Context(), listed.WaitID); err != nil || got.StateID != key.StateID {
		t.Errorf("Get = %+v, %v; want the listed wait", got, err)
	}
	if err := c.Waits.Cancel(t.Context(), listed.WaitID, ""); !isNotOffered(err) {
		t.Errorf("Cancel: %v, want 501", err)
	}
	if _, err := c.Waits.Count(t.Context(), client.Filter{}); !isNotOffered(err) {
		t.Errorf("Count: %v, want 501", err)
	}
	for _, err := range c.Waits.Outcomes(t.Context(), "") {
		if !isNotOffered(err) {
			t.Errorf("Outcomes: %v, want 501", err)
		}
		break
	}
	who, err := c.Whoami(t.Context())
	if err != nil || who.Engine != "Temporal, namespace default" || !slices.Equal(who.Offers, []string{"read"}) {
		t.Errorf("Whoami = %+v, %v; want the namespace, and read", who, err)
	}
}

func isNotOffered(err error) bool {
	var answer *client.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotImplemented
}
