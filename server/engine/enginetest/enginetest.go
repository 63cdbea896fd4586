// Package enginetest is the test suite of engines: it tests that an implementation does what
// package engine defines. One suite runs over every engine. A bug found in one engine
// becomes a case here for all of them.
//
// It is for tests, of the engines of this project and of others.
package enginetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// A Subject is an engine under test, with functions for the waiting side. The functions fail
// the test themselves. Cases that need an optional function are skipped without it.
type Subject struct {
	Engine engine.Engine
	// Open makes a new state wait for at most the given time.
	Open func(t *testing.T, timeout time.Duration) engine.Key
	// Cancel cancels the wait.
	Cancel func(t *testing.T, key engine.Key)
	// Outcome blocks until the waiting side has received the outcome, and returns it.
	Outcome func(t *testing.T, key engine.Key) waits.Outcome
	// Advance lets time pass for the engine.
	Advance func(t *testing.T, d time.Duration)
	// Reopen closes the engine and opens it again on the same store. It may replace Engine.
	Reopen func(t *testing.T)

	// Principal returns who settled a state, as the waiting side sees it. Optional.
	Principal func(t *testing.T, key engine.Key) string
	// Another returns a second engine on the same store. Optional: some stores have only
	// one.
	Another func(t *testing.T) engine.Engine
	// Crash interrupts call after the store may have committed its change and before the
	// engine has answered, as a crash or a lost connection does. Afterwards Engine works on
	// what was stored. Optional.
	Crash func(t *testing.T, call func())
}

// A WaitsEngine implements all interfaces of package engine.
type WaitsEngine interface {
	engine.Engine
	engine.Opener
	engine.Reader
	engine.Counter
	engine.Feed
}

// A WaitsSubject is such an engine under test.
type WaitsSubject struct {
	Engine  WaitsEngine // which judges outputs with Judge
	Advance func(t *testing.T, d time.Duration)
	Reopen  func(t *testing.T)
	// Another is optional, as in Subject.
	Another func(t *testing.T) WaitsEngine
}

// Callbacks returns the subject of the suite Callbacks for such an engine. Its Crash is nil.
func (s *WaitsSubject) Callbacks() *Subject {
	var states atomic.Int64
	ids := sync.Map{} // of the waits, by key
	id := func(key engine.Key) string { id, _ := ids.Load(key); return id.(string) }
	get := func(t *testing.T, key engine.Key) waits.Wait {
		t.Helper()
		wait, err := s.Engine.GetWait(t.Context(), key.ProjectID, id(key), time.Minute)
		if err != nil || wait.Outcome == nil {
			t.Fatalf("GetWait = %+v, %v; want an outcome", wait, err)
		}
		return wait
	}
	c := &Subject{Engine: s.Engine, Advance: s.Advance}
	c.Open = func(t *testing.T, timeout time.Duration) engine.Key {
		t.Helper()
		key := engine.Key{ProjectID: "Project", WorkflowID: "Workflow", RunID: "Run", StateID: callback.StateID(fmt.Sprint("State ", states.Add(1)))}
		wait, _, err := s.Engine.OpenWait(t.Context(), key.ProjectID, waits.OpenWaitRequest{
			WorkflowID: key.WorkflowID, RunID: key.RunID, StateID: key.StateID, TimeoutSeconds: int(timeout / time.Second),
		}, "")
		if err != nil {
			t.Fatalf("OpenWait: %v", err)
		}
		ids.Store(key, wait.WaitID)
		return key
	}
	c.Cancel = func(t *testing.T, key engine.Key) {
		t.Helper()
		if err := s.Engine.CancelWait(t.Context(), key.ProjectID, id(key), "", ""); err != nil {
			t.Fatalf("CancelWait: %v", err)
		}
	}
	c.Outcome = func(t *testing.T, key engine.Key) waits.Outcome { t.Helper(); return *get(t, key).Outcome }
	c.Principal = func(t *testing.T, key engine.Key) string { t.Helper(); return get(t, key).SettledBy }
	c.Reopen = func(t *testing.T) { t.Helper(); s.Reopen(t); c.Engine = s.Engine }
	if s.Another != nil {
		c.Another = func(t *testing.T) engine.Engine { t.Helper(); return s.Another(t) }
	}
	return c
}

const day = 24 * time.Hour

// Success returns a request with result success, as the contract check leaves it.
func Success(output string) callback.Request {
	return callback.Request{Result: callback.Success, Output: []byte(output)}
}

// Fail returns a request with result fail. An empty reason is left out.
func Fail(reason, output string) callback.Request {
	return callback.Request{Result: callback.Fail, Error: reason, Output: []byte(output)}
}

func (s *Subject) accept(t *testing.T, key engine.Key, request callback.Request) (executionID string) {
	t.Helper()
	executionID, err := s.Engine.Callback(t.Context(), engine.Callback{Key: key, Request: request})
	if err != nil || executionID == "" {
		t.Fatalf("Callback(%v, %s %q %s) = %q, %v; want an execution id", key, request.Result, request.Error, request.Output, executionID, err)
	}
	return executionID
}

func (s *Subject) refuse(t *testing.T, key engine.Key, request callback.Request, want error) {
	t.Helper()
	if executionID, err := s.Engine.Callback(t.Context(), engine.Callback{Key: key, Request: request}); !errors.Is(err, want) || executionID != "" {
		t.Errorf("Callback(%v, %s %q %s) = %q, %v; want %v", key, request.Result, request.Error, request.Output, executionID, err, want)
	}
}

func (s *Subject) wantOutcome(t *testing.T, key engine.Key, request callback.Request) {
	t.Helper()
	if got, want := s.Outcome(t, key), engine.OutcomeOf(request); !engine.Same(got, want) {
		t.Errorf("outcome of %v: %s %q %s, want %s %q %s", key, got.Result, got.Error, got.Output, want.Result, want.Error, want.Output)
	}
}

// swapCase changes the case of ASCII letters.
func swapCase(id string) string {
	swapped := []byte(id)
	for i, c := range swapped {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			swapped[i] = c ^ 0x20
		}
	}
	return string(swapped)
}
