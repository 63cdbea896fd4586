package enginetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/server/engine"
)

// Callbacks runs the suite of engine.Engine. start returns a new, empty subject.
func Callbacks(t *testing.T, start func(*testing.T) *Subject) {
	cases := map[string]func(*testing.T, *Subject){
		"valid callback settles a waiting state":                       settles,
		"same outcome again answers the same and changes nothing":      repeats,
		"another outcome conflicts and the first one stands":           conflicts,
		"unknown state is not found, however similar its ids are":      notFound,
		"state past its deadline is expired":                           expires,
		"cancelled wait cannot be settled":                             cancelled,
		"of callbacks that race exactly one wins":                      races,
		"outcome survives a reopen, and so does the answer to repeats": reopens,
		"output arrives with every digit":                              digits,
		"output null with fail arrives as an empty object":             bareFail,
		"deadline passes while the engine is closed":                   expiresClosed,
		"waiting side sees the principal that settled the state":       keepsPrincipal,
		"callback through another copy is decided the same way":        decidesOnAnother,
		"callbacks that race over two copies have one winner":          racesOverCopies,
		"callback whose answer was lost can be repeated":               repeatsLostAnswer,
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
		"run":      func(k *engine.Key, f func(string) string) { k.RunID = callback.RunID(f(string(k.RunID))) },
		"state":    func(k *engine.Key, f func(string) string) { k.StateID = callback.StateID(f(string(k.StateID))) },
	} {
		for alteration, alter := range map[string]func(string) string{
			"another":         func(string) string { return "another" },
			"longer":          func(id string) string { return id + "x" },
			"with a space":    func(id string) string { return id + " " },
			"shorter":         func(id string) string { return id[:len(id)-1] },
			"with a NUL":      func(id string) string { return id + "\x00" },
			"in another case": swapCase,
		} {
			other := key
			change(&other, alter)
			if other == key {
				continue
			}
			if _, err := s.Engine.Callback(t.Context(), engine.Callback{Key: other, Request: Success(`{}`)}); !errors.Is(err, engine.ErrNotFound) {
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

func races(t *testing.T, s *Subject) { s.race(t, s.Engine) }

func racesOverCopies(t *testing.T, s *Subject) { s.race(t, s.Engine, s.another(t)) }

// race has callbacks with different outcomes race over the engines.
func (s *Subject) race(t *testing.T, engines ...engine.Engine) {
	for range 5 {
		key := s.Open(t, day)
		const racers = 16
		errs := make([]error, racers)
		var group sync.WaitGroup
		for i := range racers {
			group.Go(func() {
				_, errs[i] = engines[i%len(engines)].Callback(t.Context(), engine.Callback{Key: key, Request: Success(fmt.Sprintf(`{"racer":%d}`, i))})
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

func keepsPrincipal(t *testing.T, s *Subject) {
	if s.Principal == nil {
		t.Skip("the subject does not show principals")
	}
	for _, principal := range []string{"order-service", ""} {
		key := s.Open(t, day)
		sent := engine.Callback{Key: key, Request: Success(`{}`), Principal: principal}
		if _, err := s.Engine.Callback(t.Context(), sent); err != nil {
			t.Fatalf("Callback(%v) by %q: %v", key, principal, err)
		}
		sent.Principal = "another"
		if _, err := s.Engine.Callback(t.Context(), sent); err != nil {
			t.Fatalf("Callback(%v) again: %v", key, err)
		}
		s.Outcome(t, key)
		if got := s.Principal(t, key); got != principal {
			t.Errorf("principal of %v is %q, want %q", key, got, principal)
		}
	}
}

// another returns a second copy, or skips the case.
func (s *Subject) another(t *testing.T) engine.Engine {
	t.Helper()
	if s.Another == nil {
		t.Skip("the store has only one engine")
	}
	return s.Another(t)
}

func decidesOnAnother(t *testing.T, s *Subject) {
	another := s.another(t)
	key := s.Open(t, day)
	request := Success(`{"a":1}`)
	want := s.accept(t, key, request)
	if got, err := another.Callback(t.Context(), engine.Callback{Key: key, Request: request}); err != nil || got != want {
		t.Errorf("repeated Callback(%v) on another copy = %q, %v; want %q", key, got, err, want)
	}
	if _, err := another.Callback(t.Context(), engine.Callback{Key: key, Request: Success(`{}`)}); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("Callback(%v) with another outcome on another copy: %v, want %v", key, err, engine.ErrConflict)
	}
}

func repeatsLostAnswer(t *testing.T, s *Subject) {
	if s.Crash == nil {
		t.Skip("the subject cannot crash")
	}
	key := s.Open(t, day)
	request := Success(`{"a":1}`)
	s.Crash(t, func() { _, _ = s.Engine.Callback(t.Context(), engine.Callback{Key: key, Request: request}) })
	s.accept(t, key, request)
	s.refuse(t, key, Success(`{"a":2}`), engine.ErrConflict)
	s.wantOutcome(t, key, request)
}
