package postgres_test

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
)

// copies are copies of the engine on one database, with one clock.
type copies struct {
	url     string
	options postgres.Options
	ahead   atomic.Int64

	mu   sync.Mutex
	open []*postgres.Engine
}

func newCopies(tb testing.TB, url string, options postgres.Options) *copies {
	tb.Helper()
	c := &copies{url: url, options: options}
	c.options.Judge = enginetest.Judge
	c.options.Logger = slog.New(slog.DiscardHandler)
	c.options.Ahead = func() time.Duration { return time.Duration(c.ahead.Load()) }
	tb.Cleanup(func() { c.close(tb) })
	return c
}

func (c *copies) start(tb testing.TB) *postgres.Engine {
	tb.Helper()
	e, err := postgres.Open(tb.Context(), c.url, c.options)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, e)
	return e
}

func (c *copies) close(tb testing.TB) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.open {
		if err := e.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	}
	c.open = nil
}

func (c *copies) advance(_ *testing.T, d time.Duration) { c.ahead.Add(int64(d)) }

func subject(t *testing.T, c *copies) *enginetest.Subject {
	e := c.start(t)
	var states atomic.Int64
	ids := sync.Map{} // of the waits, by key
	s := &enginetest.Subject{Engine: e, Advance: c.advance}
	s.Open = func(t *testing.T, timeout time.Duration) engine.Key {
		key := engine.Key{ProjectID: "Project", WorkflowID: "Workflow", RunID: "Run", StateID: callback.StateID(fmt.Sprint("State ", states.Add(1)))}
		wait, _, err := e.OpenWait(t.Context(), key.ProjectID, waits.OpenWaitRequest{
			WorkflowID: key.WorkflowID, RunID: key.RunID, StateID: key.StateID, TimeoutSeconds: int(timeout / time.Second),
		}, "")
		if err != nil {
			t.Fatalf("OpenWait: %v", err)
		}
		ids.Store(key, wait.WaitID)
		return key
	}
	id := func(key engine.Key) string { id, _ := ids.Load(key); return id.(string) }
	get := func(t *testing.T, key engine.Key) waits.Wait {
		wait, err := e.GetWait(t.Context(), key.ProjectID, id(key), time.Minute)
		if err != nil || wait.Outcome == nil {
			t.Fatalf("GetWait = %+v, %v; want an outcome", wait, err)
		}
		return wait
	}
	s.Cancel = func(t *testing.T, key engine.Key) {
		if err := e.CancelWait(t.Context(), key.ProjectID, id(key), "", ""); err != nil {
			t.Fatalf("CancelWait: %v", err)
		}
	}
	s.Outcome = func(t *testing.T, key engine.Key) waits.Outcome { return *get(t, key).Outcome }
	s.Principal = func(t *testing.T, key engine.Key) string { return get(t, key).SettledBy }
	s.Reopen = func(t *testing.T) { c.close(t); e = c.start(t); s.Engine = e }
	s.Another = func(t *testing.T) engine.Engine { return c.start(t) }
	return s
}

func TestCallbacks(t *testing.T) {
	enginetest.Callbacks(t, func(t *testing.T) *enginetest.Subject {
		return subject(t, newCopies(t, database(t), postgres.Options{}))
	})
}

func startWaits(options postgres.Options) func(t *testing.T) *enginetest.WaitsSubject {
	return func(t *testing.T) *enginetest.WaitsSubject {
		return waitsSubject(t, newCopies(t, database(t), options))
	}
}

func waitsSubject(t *testing.T, c *copies) *enginetest.WaitsSubject {
	s := &enginetest.WaitsSubject{Engine: c.start(t), Advance: c.advance}
	s.Reopen = func(t *testing.T) { c.close(t); s.Engine = c.start(t) }
	s.Another = func(t *testing.T) enginetest.WaitsEngine { return c.start(t) }
	return s
}

func TestWaits(t *testing.T) { enginetest.Waits(t, startWaits(postgres.Options{})) }

func TestLinks(t *testing.T) { enginetest.Links(t, startWaits(postgres.Options{})) }

func TestHold(t *testing.T) { enginetest.Hold(t, startWaits(postgres.Options{HoldUnknown: true})) }
