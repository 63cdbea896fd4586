package e2e

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/temporal"
)

func openEngine(t testing.TB, d *development) *temporal.Engine {
	t.Helper()
	e, err := temporal.Open("temporal://"+d.address, temporal.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// TestCallbacks runs the conformance suite of all engines. A test cannot set Temporal's clock, so
// it shortens the deadlines of at most one hour to one second.
func TestCallbacks(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	enginetest.Callbacks(t, func(t *testing.T) *enginetest.Subject {
		var last engine.Key
		s := &enginetest.Subject{Engine: openEngine(t, d), Outcome: func(t *testing.T, key engine.Key) waits.Outcome { return f.outcome(t, key) }}
		s.Open = func(t *testing.T, timeout time.Duration) engine.Key {
			if timeout <= time.Hour {
				timeout = time.Second
			}
			last = f.open(t, timeout)
			return last
		}
		s.Cancel = func(t *testing.T, key engine.Key) {
			if err := f.CancelWorkflow(t.Context(), key.WorkflowID, string(key.RunID)); err != nil {
				t.Fatal(err)
			}
			f.untilClosed(t, key)
		}
		s.Advance = func(t *testing.T, _ time.Duration) { f.untilClosed(t, last) }
		s.Reopen = func(t *testing.T) { s.Engine = openEngine(t, d) }
		s.Another = func(t *testing.T) engine.Engine { return openEngine(t, d) }
		s.Principal = func(t *testing.T, key engine.Key) string { return f.principal(t, key) }
		return s
	})
}

// principal returns the principal that completed the activity, from Temporal's history.
func (f *flows) principal(t *testing.T, key engine.Key) string {
	t.Helper()
	events := f.GetWorkflowHistory(t.Context(), key.WorkflowID, string(key.RunID), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		if completed := event.GetActivityTaskCompletedEventAttributes(); completed != nil {
			_, principal, _ := strings.Cut(completed.GetIdentity(), temporal.DefaultIdentity+" for ")
			return principal
		}
	}
	t.Fatalf("the history of %v contains no completed activity", key)
	return ""
}
