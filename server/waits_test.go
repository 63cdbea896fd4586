package server_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// carrier is a schema for outputs.
const carrier = `{"type":"object","required":["carrier"],"properties":{"carrier":{"type":"string","enum":["post","courier"]},"days":{"type":"integer","maximum":9007199254740991}}}`

// openTyped opens a wait with the schema carrier.
func (s *service) openTyped(t *testing.T, state string) waits.Wait {
	t.Helper()
	return s.openSchema(t, state, carrier)
}

func (s *service) openSchema(t *testing.T, state, schema string) waits.Wait {
	t.Helper()
	a := s.do(t, s.request(t, http.MethodPost, "/v1/project/waits", fmt.Sprintf(`{"workflow_id":"workflow","run_id":"run","state_id":%q,"timeout_seconds":60,"output_schema":%s}`, state, schema)))
	a.want(t, 201, "")
	return decode[waits.Wait](t, a)
}

// A wait shows its schema as it was sent. A success that breaks it is refused with the member and
// the rule, and leaves no trace. Everything else is answered as without a schema.
func TestTypedWaits(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{HoldUnknown: true})
	output := func(object string) string { return `{"result":"success","output":` + object + `}` }
	wait := s.openTyped(t, "state")
	if got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID)); string(got.OutputSchema) != carrier {
		t.Errorf("schema of the wait = %s, want %s", got.OutputSchema, carrier)
	}
	for object, want := range map[string]string{
		`{}`:                   "output.carrier: is missing",
		`{"carrier":"pigeon"}`: "output.carrier: must be post or courier",
		`{"carrier":"post","days":9007199254740993}`: "output.days: must be at most 9007199254740991",
	} {
		a := s.callback(t, "state", output(object))
		a.want(t, 400, "FLOWCALLBACK.OUTPUT")
		if !strings.HasSuffix(a.ErrorMsg, want) {
			t.Errorf("output %s: %q, want %q at its end", object, a.ErrorMsg, want)
		}
	}
	if got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID)); got.Status != waits.Waiting {
		t.Errorf("status after refused outputs: %s, want waiting", got.Status)
	}
	s.callback(t, "state", output(`{"carrier":"post","more":1}`)).want(t, 200, "")
	s.callback(t, "state", output(`{"more":1,"carrier":"post"}`)).want(t, 200, "")
	s.callback(t, "state", output(`{}`)).want(t, 400, "FLOWCALLBACK.CONFLICT") // not judged: the state is settled

	s.openTyped(t, "failing")
	s.callback(t, "failing", `{"result":"fail","output":null}`).want(t, 200, "") // a fail is not judged
	s.callback(t, "held", output(`{}`)).want(t, 200, "")
	if held := s.openTyped(t, "held"); held.Status != waits.Success { // its sender was answered
		t.Errorf("status of a wait with a held callback: %s, want success", held.Status)
	}
	cancelled := s.openTyped(t, "cancelled")
	s.do(t, s.request(t, http.MethodDelete, "/v1/project/waits/"+cancelled.WaitID, "")).want(t, 204, "")
	s.callback(t, "cancelled", output(`{}`)).want(t, 404, "FLOWCALLBACK.CANCELLED")
	s.openTyped(t, "late")
	s.ahead.Add(int64(time.Hour))
	s.callback(t, "late", output(`{}`)).want(t, 404, "FLOWCALLBACK.EXPIRED")
}

// Of callbacks for a typed state that race, one settles it.
func TestTypedWaitsInARace(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	for round := range 20 {
		state := fmt.Sprint(round)
		s.openTyped(t, state)
		var mu sync.Mutex
		statuses := map[int]int{}
		var racing sync.WaitGroup
		for i := range 4 {
			racing.Go(func() {
				a := s.callback(t, state, fmt.Sprintf(`{"result":"success","output":{"carrier":"post","days":%d}}`, i))
				mu.Lock()
				defer mu.Unlock()
				statuses[a.status]++
			})
		}
		racing.Wait()
		if statuses[200] != 1 || statuses[400] != 3 {
			t.Fatalf("answers to 4 callbacks = %v, want one 200 and three conflicts", statuses)
		}
	}
}

func TestChangingAWait(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	wait := s.open(t, "state")
	change := func(body string) answer {
		return s.do(t, s.request(t, http.MethodPatch, "/v1/project/waits/"+wait.WaitID, body))
	}
	a := change(`{"timeout_seconds":2592000}`)
	a.want(t, 200, "")
	if moved := decode[waits.Wait](t, a); !moved.ExpiresAt.After(wait.ExpiresAt) {
		t.Errorf("deadline = %s, want one after %s", moved.ExpiresAt, wait.ExpiresAt)
	}
	s.callback(t, "state", success).want(t, 200, "")
	change(`{"timeout_seconds":60}`).want(t, 409, "FLOWCALLBACK.NOT_WAITING")
	s.do(t, s.request(t, http.MethodPatch, "/v1/project/waits/unknown", `{"timeout_seconds":60}`)).want(t, 404, "FGS.5002")
}

// Any right credentials may ask what they allow.
func TestWhoami(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	if got := decode[waits.Principal](t, s.get(t, "/v1/whoami")); got.Name != "" || !slices.Equal(got.Projects, []string{"*"}) || !slices.Equal(got.Allow, []string{"callback", "wait"}) {
		t.Errorf("whoami without authentication = %+v; want no name and everything", got)
	}
	decide := func(_ context.Context, c server.Call) (server.Principal, error) {
		if c.Action != server.ActionAsk {
			return server.Principal{}, server.ErrForbidden
		}
		return server.Principal{Name: "order-service", Projects: []string{"p"}, Allow: []server.Action{server.ActionCallback}}, nil
	}
	s = start(t, server.Config{Authorize: decide}, sqlite.Options{})
	if got := decode[waits.Principal](t, s.get(t, "/v1/whoami")); got.Name != "order-service" || !slices.Equal(got.Projects, []string{"p"}) || !slices.Equal(got.Allow, []string{"callback"}) {
		t.Errorf("whoami = %+v; want the principal", got)
	}
}
