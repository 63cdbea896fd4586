package enginetest

import (
	"errors"
	"testing"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// Hold runs the suite of engines that hold callbacks for unknown states. start returns a new,
// empty subject in that mode.
func Hold(t *testing.T, start func(*testing.T) *WaitsSubject) {
	for name, run := range map[string]func(*testing.T, *WaitsSubject){
		"held callback is handed over when the wait is opened": handsOver,
		"held callback is repeated and contradicted":           decidesHeld,
		"held callback survives a reopen":                      holdsOverReopen,
		"held callback is in the feed once, after the open":    feedsHeld,
		"held callback keeps its principal":                    holdsPrincipal,
		"expired and cancelled states hold nothing":            holdsNothingForEnded,
		"held callbacks are listed and dropped":                listsHeld,
	} {
		t.Run(name, func(t *testing.T) { run(t, start(t)) })
	}
}

// unknown is the key of a state that the cases open later.
func unknown() engine.Key {
	request := open("state")
	return engine.Key{ProjectID: project, WorkflowID: request.WorkflowID, RunID: request.RunID, StateID: request.StateID}
}

func (s *WaitsSubject) hold(t *testing.T, output string) (executionID string) {
	t.Helper()
	executionID, err := s.Engine.Callback(t.Context(), engine.Callback{Key: unknown(), Request: Success(output), Principal: "early"})
	if err != nil || executionID == "" {
		t.Fatalf("Callback of an unknown state = %q, %v; want an execution id", executionID, err)
	}
	return executionID
}

func handsOver(t *testing.T, s *WaitsSubject) {
	executionID := s.hold(t, `{"early":true}`)
	request := open("state")
	request.ExecutionID = "another"
	wait, opened, err := s.Engine.OpenWait(t.Context(), project, request, "")
	if err != nil || !opened || wait.Status != waits.Success || wait.ExecutionID != executionID || string(wait.Outcome.Output) != `{"early":true}` {
		t.Errorf("OpenWait of a held state = %+v, %t, %v; want it settled for execution %s", wait, opened, err, executionID)
	}
	if got := s.hold(t, `{"early":true}`); got != executionID {
		t.Errorf("Callback after the wait was opened = %q, want %q", got, executionID)
	}
}

func decidesHeld(t *testing.T, s *WaitsSubject) {
	executionID := s.hold(t, `{"a":1,"b":2}`)
	if got := s.hold(t, `{ "b": 2, "a": 1 }`); got != executionID {
		t.Errorf("repeated Callback of a held state = %q, want %q", got, executionID)
	}
	for _, other := range []string{`{}`, `{"a":1,"b":2.0}`} {
		if _, err := s.Engine.Callback(t.Context(), engine.Callback{Key: unknown(), Request: Success(other)}); !errors.Is(err, engine.ErrConflict) {
			t.Errorf("Callback(%s) of a held state: %v, want %v", other, err, engine.ErrConflict)
		}
	}
}

func holdsOverReopen(t *testing.T, s *WaitsSubject) {
	executionID := s.hold(t, `{"a":1}`)
	s.Reopen(t)
	wait, _, err := s.Engine.OpenWait(t.Context(), project, open("state"), "")
	if err != nil || wait.Status != waits.Success || wait.ExecutionID != executionID {
		t.Errorf("OpenWait of a held state after a reopen = %+v, %v; want it settled for execution %s", wait, err, executionID)
	}
}

func feedsHeld(t *testing.T, s *WaitsSubject) {
	s.hold(t, `{}`)
	if got := s.follow(t, ""); len(got) != 0 {
		t.Errorf("feed before the open = %v, want none", got)
	}
	wait, _, err := s.Engine.OpenWait(t.Context(), project, open("state"), "")
	if err != nil {
		t.Fatalf("OpenWait: %v", err)
	}
	if got := s.follow(t, ""); len(got) != 1 || got[0] != wait.WaitID {
		t.Errorf("feed after the open = %v, want %s once", got, wait.WaitID)
	}
}

func holdsPrincipal(t *testing.T, s *WaitsSubject) {
	s.hold(t, `{}`)
	if wait, _, err := s.Engine.OpenWait(t.Context(), project, open("state"), ""); err != nil || wait.SettledBy != "early" {
		t.Errorf("OpenWait of a held state: settled by %q, %v; want early", wait.SettledBy, err)
	}
}

func holdsNothingForEnded(t *testing.T, s *WaitsSubject) {
	expired, cancelled := s.open(t, "expired"), s.open(t, "cancelled")
	s.cancel(t, cancelled)
	s.Advance(t, day)
	for wait, want := range map[*waits.Wait]error{&expired: engine.ErrExpired, &cancelled: engine.ErrCancelled} {
		if _, err := s.Engine.Callback(t.Context(), engine.Callback{Key: key(*wait), Request: Success(`{}`)}); !errors.Is(err, want) {
			t.Errorf("Callback of an ended state: %v, want %v", err, want)
		}
	}
}

func listsHeld(t *testing.T, s *WaitsSubject) {
	holder, ok := s.Engine.(engine.Holder)
	if !ok {
		t.Fatal("an engine that holds callbacks must implement engine.Holder")
	}
	list := func(params waits.ListHeldParams) waits.HeldPage {
		t.Helper()
		if params.Limit == nil {
			params.Limit = new(100)
		}
		page, err := holder.ListHeld(t.Context(), project, params)
		if err != nil {
			t.Fatalf("ListHeld: %v", err)
		}
		return page
	}
	if page := list(waits.ListHeldParams{}); len(page.Held) != 0 || page.Held == nil {
		t.Errorf("ListHeld without held callbacks = %+v, want an empty list", page)
	}
	s.hold(t, `{"a":1}`)
	other := unknown()
	other.StateID = "mistyped"
	if _, err := s.Engine.Callback(t.Context(), engine.Callback{Key: other, Request: Fail("why", `{}`)}); err != nil {
		t.Fatalf("Callback: %v", err)
	}
	first := list(waits.ListHeldParams{Limit: new(1)})
	if len(first.Held) != 1 || first.NextCursor == nil || first.Held[0].StateID != "state" || first.Held[0].SentBy != "early" || first.Held[0].OutputBytes != len(`{"a":1}`) {
		t.Fatalf("first page of ListHeld = %+v, want the state \"state\" by early, and a cursor", first)
	}
	second := list(waits.ListHeldParams{Limit: new(1), Cursor: first.NextCursor})
	if len(second.Held) != 1 || second.NextCursor != nil || second.Held[0].StateID != "mistyped" || second.Held[0].Error != "why" {
		t.Fatalf("second page of ListHeld = %+v, want the state \"mistyped\"", second)
	}
	if err := holder.DropHeld(t.Context(), "another project", second.Held[0].HeldID); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("DropHeld in another project: %v, want %v", err, engine.ErrNotFound)
	}
	if err := holder.DropHeld(t.Context(), project, second.Held[0].HeldID); err != nil {
		t.Errorf("DropHeld: %v", err)
	}
	if err := holder.DropHeld(t.Context(), project, second.Held[0].HeldID); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("DropHeld again: %v, want %v", err, engine.ErrNotFound)
	}
	if _, _, err := s.Engine.OpenWait(t.Context(), project, open("state"), ""); err != nil {
		t.Fatalf("OpenWait: %v", err)
	}
	if page := list(waits.ListHeldParams{}); len(page.Held) != 0 {
		t.Errorf("ListHeld after the hand-over and the drop = %+v, want none", page)
	}
}
