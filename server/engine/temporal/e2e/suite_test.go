package e2e

import (
	"log/slog"
	"testing"
	"time"

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

// The suite of all engines. Nobody sets a real Temporal's clock, so that a deadline that a
// case passes by is a short one here.
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
			if err := f.CancelWorkflow(t.Context(), key.WorkflowID, key.RunID); err != nil {
				t.Fatal(err)
			}
			f.untilClosed(t, key)
		}
		s.Advance = func(t *testing.T, _ time.Duration) { f.untilClosed(t, last) }
		s.Reopen = func(t *testing.T) { s.Engine = openEngine(t, d) }
		return s
	})
}
