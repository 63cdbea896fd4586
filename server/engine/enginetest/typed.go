package enginetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// Judge is the judge that the engine of a WaitsSubject must have: of every schema, it refuses outputs
// without "ok".
func Judge(_, output []byte) error {
	if !strings.Contains(string(output), "ok") {
		return &engine.OutputError{Rule: "output.ok: is missing"}
	}
	return nil
}

func (s *WaitsSubject) openTyped(t *testing.T, state callback.StateID) waits.Wait {
	t.Helper()
	request := open(state)
	request.OutputSchema = []byte(`{"type":"object","required":["ok"]}`)
	wait, opened, err := s.Engine.OpenWait(t.Context(), project, request, "")
	if err != nil || !opened {
		t.Fatalf("OpenWait(%s): opened %t, %v", state, opened, err)
	}
	return wait
}

func (s *WaitsSubject) wantRefused(t *testing.T, wait waits.Wait, request callback.Request, want error) {
	t.Helper()
	_, err := s.Engine.Callback(t.Context(), engine.Callback{Key: key(wait), Request: request})
	if !errors.Is(err, want) {
		t.Errorf("Callback(%s, %s %s): %v, want %v", wait.StateID, request.Result, request.Output, err, want)
	}
}

func judgesOutputs(t *testing.T, s *WaitsSubject) {
	wait := s.openTyped(t, "state")
	var refused *engine.OutputError
	if _, err := s.Engine.Callback(t.Context(), engine.Callback{Key: key(wait), Request: Success(`{}`)}); !errors.As(err, &refused) || refused.Rule != "output.ok: is missing" {
		t.Fatalf("Callback with a wrong output: %v, want an OutputError", err)
	}
	s.Reopen(t)
	if got := s.get(t, wait.WaitID); got.Status != waits.Waiting || string(got.OutputSchema) != `{"type":"object","required":["ok"]}` {
		t.Errorf("wait after a refused output = %+v; want it waiting, with its schema", got)
	}
	if got := s.follow(t, ""); len(got) != 0 {
		t.Errorf("feed after a refused output = %v, want none", got)
	}
	s.settle(t, wait, `{"ok":1}`)
	s.wantRefused(t, wait, Success(`{}`), engine.ErrConflict)

	failing := s.openTyped(t, "failing")
	if _, err := s.Engine.Callback(t.Context(), engine.Callback{Key: key(failing), Request: Fail("why", `{}`)}); err != nil {
		t.Errorf("Callback with a fail, which is not judged: %v", err)
	}
	cancelled, late := s.openTyped(t, "cancelled"), s.openTyped(t, "late")
	s.cancel(t, cancelled)
	s.wantRefused(t, cancelled, Success(`{}`), engine.ErrCancelled)
	s.Advance(t, day)
	s.wantRefused(t, late, Success(`{}`), engine.ErrExpired)
}

func racesTyped(t *testing.T, s *WaitsSubject) {
	for round := range 20 {
		wait := s.openTyped(t, callback.StateID(fmt.Sprint(round)))
		accepted := make(chan string, 4)
		var racing sync.WaitGroup
		for _, output := range []string{`{"ok":1}`, `{}`, `{"ok":2}`, `{"no":1}`} {
			racing.Go(func() {
				if _, err := s.Engine.Callback(t.Context(), engine.Callback{Key: key(wait), Request: Success(output)}); err == nil {
					accepted <- output
				}
			})
		}
		racing.Wait()
		close(accepted)
		var all []string
		for output := range accepted {
			all = append(all, output)
		}
		if len(all) != 1 || !strings.Contains(all[0], "ok") {
			t.Fatalf("accepted outputs = %v, want one that the schema allows", all)
		}
		if got := s.get(t, wait.WaitID); string(got.Outcome.Output) != all[0] {
			t.Fatalf("stored output = %s, want the accepted %s", got.Outcome.Output, all[0])
		}
	}
}
