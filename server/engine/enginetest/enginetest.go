// Package enginetest says whether an engine holds the promise of package engine. One
// suite runs over every engine; a bug found in one of them becomes a case here for all.
//
// It is for tests, of engines below this project and of others' own.
package enginetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// A Subject is one engine under test, with the hands that the suite needs on the side
// that waits. Functions fail the test themselves.
type Subject struct {
	Engine engine.Engine
	// Open has a new state wait, for timeout from now on at most.
	Open func(t *testing.T, timeout time.Duration) engine.Key
	// Cancel withdraws the wait.
	Cancel func(t *testing.T, key engine.Key)
	// Outcome blocks until the waiting side was handed its outcome, and returns it.
	Outcome func(t *testing.T, key engine.Key) waits.Outcome
	// Advance lets time pass for the engine.
	Advance func(t *testing.T, d time.Duration)
	// Reopen ends the engine and starts it anew on what it stored. It may replace Engine.
	Reopen func(t *testing.T)
}

const day = 24 * time.Hour

// Success and Fail are requests as the contract check leaves them.
func Success(output string) callback.Request {
	return callback.Request{Result: callback.Success, Output: []byte(output)}
}

// Fail is a failure with its reason; an empty one is none.
func Fail(reason, output string) callback.Request {
	return callback.Request{Result: callback.Fail, Error: reason, Output: []byte(output)}
}

// Callbacks runs the suite of engine.Engine; start returns a new, empty subject.
func Callbacks(t *testing.T, start func(*testing.T) *Subject) {
	cases := map[string]func(*testing.T, *Subject){
		"valid callback settles a waiting state":                       settles,
		"same outcome again answers the same and changes nothing":      repeats,
		"another outcome conflicts and the first one stands":           conflicts,
		"unknown state is not found, however close its ids are":        notFound,
		"state past its deadline is expired":                           expires,
		"cancelled wait cannot be settled":                             cancelled,
		"of callbacks that race exactly one wins":                      races,
		"outcome survives a reopen, and so does the answer to repeats": reopens,
		"output arrives with every digit":                              digits,
		"output null with fail arrives as an empty object":             bareFail,
		"deadline passes while the engine is closed":                   expiresClosed,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { run(t, start(t)) })
	}
}

func settles(t *testing.T, s *Subject) {
	for _, request := range []callback.Request{
		Success(`{"message":"success","result":200}`),
		Success(`{}`),
		Fail("payment declined", `{"attempts":3}`),
		Fail("", `{}`),
	} {
		key := s.Open(t, day)
		s.accept(t, key, request)
		s.wantOutcome(t, key, request)
	}
}

func repeats(t *testing.T, s *Subject) {
	key := s.Open(t, day)
	first := Success(`{"a":1,"b":["é",{"c":null}]}`)
	want := s.accept(t, key, first)
	for _, again := range []string{
		`{"a":1,"b":["é",{"c":null}]}`,
		`{ "b": ["é", {"c": null}], "a": 1 }`,
		`{"a":1,"b":["\u00e9",{"c":null}]}`,
	} {
		if got := s.accept(t, key, Success(again)); got != want {
			t.Errorf("Callback(%s) again: execution id %q, want %q", again, got, want)
		}
	}
	s.wantOutcome(t, key, first)
}

func conflicts(t *testing.T, s *Subject) {
	for first, others := range map[*callback.Request][]callback.Request{
		new(Success(`{"a":1}`)): {
			Success(`{"a":2}`), Success(`{"a":1.0}`), Success(`{}`), Success(`{"a":1,"b":1}`), Success(`{"A":1}`),
			Fail("", `{"a":1}`),
		},
		new(Fail("why", `{}`)): {Fail("", `{}`), Fail("Why", `{}`), Success(`{}`), Fail("why", `{"a":1}`)},
	} {
		key := s.Open(t, day)
		s.accept(t, key, *first)
		for _, other := range others {
			s.refuse(t, key, other, engine.ErrConflict)
		}
		s.wantOutcome(t, key, *first)
		s.accept(t, key, *first)
	}
}

func notFound(t *testing.T, s *Subject) {
	key := s.Open(t, day)
	for name, change := range map[string]func(*engine.Key, func(string) string){
		"project":  func(k *engine.Key, f func(string) string) { k.ProjectID = f(k.ProjectID) },
		"workflow": func(k *engine.Key, f func(string) string) { k.WorkflowID = f(k.WorkflowID) },
		"run":      func(k *engine.Key, f func(string) string) { k.RunID = f(k.RunID) },
		"state":    func(k *engine.Key, f func(string) string) { k.StateID = f(k.StateID) },
	} {
		for alteration, alter := range map[string]func(string) string{
			"another":          func(string) string { return "another" },
			"longer":           func(id string) string { return id + "x" },
			"with a space":     func(id string) string { return id + " " },
			"shorter":          func(id string) string { return id[:len(id)-1] },
			"with a NUL":       func(id string) string { return id + "\x00" },
			"in other letters": swapCase,
		} {
			other := key
			change(&other, alter)
			if other == key {
				continue
			}
			if _, err := s.Engine.Callback(t.Context(), other, Success(`{}`)); !errors.Is(err, engine.ErrNotFound) {
				t.Errorf("Callback with %s %s: %v, want %v", name, alteration, err, engine.ErrNotFound)
			}
		}
	}
	s.accept(t, key, Success(`{"still":"waiting"}`))
}

func expires(t *testing.T, s *Subject) {
	key := s.Open(t, time.Hour)
	s.Advance(t, time.Hour)
	s.refuse(t, key, Success(`{}`), engine.ErrExpired)
	s.refuse(t, key, Fail("late", `{}`), engine.ErrExpired)
}

func expiresClosed(t *testing.T, s *Subject) {
	key := s.Open(t, time.Hour)
	s.Reopen(t)
	s.Advance(t, 2*time.Hour)
	s.refuse(t, key, Success(`{}`), engine.ErrExpired)
}

func cancelled(t *testing.T, s *Subject) {
	key := s.Open(t, day)
	s.Cancel(t, key)
	s.refuse(t, key, Success(`{}`), engine.ErrCancelled)
}

func races(t *testing.T, s *Subject) {
	for range 5 {
		key := s.Open(t, day)
		const racers = 16
		errs := make([]error, racers)
		var group sync.WaitGroup
		for i := range racers {
			group.Go(func() {
				_, errs[i] = s.Engine.Callback(t.Context(), key, Success(fmt.Sprintf(`{"racer":%d}`, i)))
			})
		}
		group.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Fatalf("racers %d and %d both settled %v", winner, i, key)
			case err == nil:
				winner = i
			case !errors.Is(err, engine.ErrConflict):
				t.Errorf("racer %d: %v, want %v", i, err, engine.ErrConflict)
			}
		}
		if winner < 0 {
			t.Fatalf("none of %d racers settled %v", racers, key)
		}
		s.wantOutcome(t, key, Success(fmt.Sprintf(`{"racer":%d}`, winner)))
	}
}

func reopens(t *testing.T, s *Subject) {
	key, waiting := s.Open(t, day), s.Open(t, day)
	request := Success(`{"a":1}`)
	want := s.accept(t, key, request)
	s.Reopen(t)
	if got := s.accept(t, key, request); got != want {
		t.Errorf("Callback again after a reopen: execution id %q, want %q", got, want)
	}
	s.refuse(t, key, Success(`{"a":2}`), engine.ErrConflict)
	s.wantOutcome(t, key, request)
	s.accept(t, waiting, request)
}

func digits(t *testing.T, s *Subject) {
	key := s.Open(t, day)
	request := Success(`{"big":123456789012345678901234567890,"small":0.1000000000000000055511151231257827,"e":1e400,"one":1.0}`)
	s.accept(t, key, request)
	s.wantOutcome(t, key, request)
}

func bareFail(t *testing.T, s *Subject) {
	key := s.Open(t, day)
	s.accept(t, key, Fail("", `null`))
	s.wantOutcome(t, key, Fail("", `{}`))
	s.accept(t, key, Fail("", `{}`))
}

func (s *Subject) accept(t *testing.T, key engine.Key, request callback.Request) (executionID string) {
	t.Helper()
	executionID, err := s.Engine.Callback(t.Context(), key, request)
	if err != nil || executionID == "" {
		t.Fatalf("Callback(%v, %s %q %s) = %q, %v; want an execution id", key, request.Result, request.Error, request.Output, executionID, err)
	}
	return executionID
}

func (s *Subject) refuse(t *testing.T, key engine.Key, request callback.Request, want error) {
	t.Helper()
	if executionID, err := s.Engine.Callback(t.Context(), key, request); !errors.Is(err, want) || executionID != "" {
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
