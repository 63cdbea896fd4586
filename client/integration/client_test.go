package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/client/precheck"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// start returns a client of a real server with a SQLite file.
func start(t *testing.T, project string, options ...client.Option) *client.Client {
	t.Helper()
	e, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waits.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := server.New(e, server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.Close()
		if err := e.Close(); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	return newClient(t, s.URL, project, options...)
}

func newClient(t *testing.T, endpoint, project string, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(endpoint, project, append([]client.Option{client.WithBackoff(time.Millisecond, 4*time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, c *client.Client, s client.State) waits.Wait {
	t.Helper()
	wait, err := c.Waits.Open(t.Context(), client.State{Workflow: s.Workflow, Run: s.Run, State: s.State}, client.OpenOptions{})
	if err != nil {
		t.Fatalf("Open(%+v): %v", s, err)
	}
	return wait
}

// want checks that err matches the wanted sentinel errors of package client, and no others.
func want(t *testing.T, err error, wanted ...error) {
	t.Helper()
	for _, sentinel := range []error{
		client.ErrInvalid, client.ErrUnauthorized, client.ErrForbidden, client.ErrNotFound, client.ErrExpired, client.ErrCancelled, client.ErrConflict,
	} {
		if got := errors.Is(err, sentinel); got != slices.Contains(wanted, sentinel) {
			t.Errorf("errors.Is(%v, %v) = %t, want %t", err, sentinel, got, !got)
		}
	}
}

func TestSucceedAndFail(t *testing.T) {
	c := start(t, "project")
	type result struct {
		Amount json.Number `json:"amount"`
		Text   string      `json:"text"`
	}
	for i, test := range []struct {
		call func(client.State) (string, error)
		want waits.Outcome
	}{
		{
			func(s client.State) (string, error) { return c.Succeed(t.Context(), s, result{"129.90", "<&>"}) },
			waits.Outcome{Result: callback.Success, Output: []byte(`{"amount":129.90,"text":"<&>"}`)},
		},
		{
			func(s client.State) (string, error) { return c.Succeed(t.Context(), s, map[string]int{"a": 1}) },
			waits.Outcome{Result: callback.Success, Output: []byte(`{"a":1}`)},
		},
		{
			func(s client.State) (string, error) { return c.Succeed(t.Context(), s, nil) },
			waits.Outcome{Result: callback.Success, Output: []byte(`{}`)},
		},
		{
			func(s client.State) (string, error) {
				return c.Succeed(t.Context(), s, json.RawMessage(`{"big": 123456789012345678901234567890}`))
			},
			waits.Outcome{Result: callback.Success, Output: []byte(`{"big":123456789012345678901234567890}`)},
		},
		{
			func(s client.State) (string, error) { return c.Fail(t.Context(), s, `why "é"`, []byte(`{"a":[]}`)) },
			waits.Outcome{Result: callback.Fail, Error: `why "é"`, Output: []byte(`{"a":[]}`)},
		},
		{
			func(s client.State) (string, error) { return c.Fail(t.Context(), s, "", nil) },
			waits.Outcome{Result: callback.Fail, Output: []byte(`{}`)},
		},
	} {
		state := client.State{Workflow: "workflow", Run: "run", State: fmt.Sprint(i)}
		wait := open(t, c, state)
		for range 2 {
			if id, err := test.call(state); err != nil || id != wait.ExecutionID {
				t.Errorf("call %d = %q, %v; want %q", i, id, err, wait.ExecutionID)
			}
		}
		got, err := c.Waits.Await(t.Context(), wait.WaitID)
		if err != nil || got.Outcome == nil {
			t.Fatalf("Await = %+v, %v", got, err)
		}
		var gotOutput, wantOutput any
		for data, value := range map[*[]byte]*any{(*[]byte)(&got.Outcome.Output): &gotOutput, (*[]byte)(&test.want.Output): &wantOutput} {
			decoder := json.NewDecoder(strings.NewReader(string(*data)))
			decoder.UseNumber()
			if err := decoder.Decode(value); err != nil {
				t.Fatal(err)
			}
		}
		if got.Outcome.Result != test.want.Result || got.Outcome.Error != test.want.Error || fmt.Sprint(gotOutput) != fmt.Sprint(wantOutput) {
			t.Errorf("outcome of call %d: %+v %s, want %+v %s", i, got.Outcome, got.Outcome.Output, test.want, test.want.Output)
		}
	}
}

func TestOddIDs(t *testing.T) {
	for _, id := range []string{"a/b", "a b", "%", "%25", "%2F", "é", "日本語", "?", "#", ";", "a+b", "~", "...", "'", "a:b", "&=", "{x}"} {
		c := start(t, id)
		state := client.State{Workflow: id, Run: "run", State: "state"}
		wait := open(t, c, state)
		if wait.ProjectID != id || wait.WorkflowID != id {
			t.Errorf("Open used project %q and workflow %q; want %q for both", wait.ProjectID, wait.WorkflowID, id)
		}
		if _, err := c.Succeed(t.Context(), state, nil); err != nil {
			t.Errorf("Succeed with id %q: %v", id, err)
		}
	}
}

func TestErrors(t *testing.T) {
	c := start(t, "project")
	state := func(id string) client.State { return client.State{Workflow: "workflow", Run: "run", State: id} }

	_, err := c.Succeed(t.Context(), state("unknown"), nil)
	want(t, err, client.ErrNotFound)
	var answer *client.Error
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusNotFound || answer.Code != "FGS.5002" || answer.Message == "" || answer.RequestID == "" {
		t.Errorf("Succeed for an unknown state: %#v, want 404 FGS.5002 with a message and a request id", err)
	}

	open(t, c, state("settled"))
	if _, err := c.Succeed(t.Context(), state("settled"), nil); err != nil {
		t.Fatal(err)
	}
	_, err = c.Fail(t.Context(), state("settled"), "", nil)
	want(t, err, client.ErrConflict)

	cancelled := open(t, c, state("cancelled"))
	if err := c.Waits.Cancel(t.Context(), cancelled.WaitID, ""); err != nil {
		t.Fatal(err)
	}
	_, err = c.Succeed(t.Context(), state("cancelled"), nil)
	want(t, err, client.ErrNotFound, client.ErrCancelled)

	_, err = c.Fail(t.Context(), state("settled"), strings.Repeat("x", 1000), nil)
	want(t, err, client.ErrInvalid)
	if !errors.As(err, &answer) || !strings.Contains(answer.Message, "error: must have at most") {
		t.Errorf("Fail with a long reason: %v, want the length limit in the message", err)
	}
	want(t, c.Waits.Cancel(t.Context(), "unknown", ""), client.ErrNotFound)
}

func TestPrecheckLeavesTheRequestAsItIs(t *testing.T) {
	check, err := precheck.New()
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, "project", client.WithCheck(check))
	state := client.State{Workflow: "workflow", Run: "run", State: "state"}
	wait := open(t, c, state)
	if _, err := c.Succeed(t.Context(), state, json.RawMessage(`{"z":1,"a":1.0}`)); err != nil {
		t.Errorf("Succeed: %v", err)
	}
	if _, err := c.Waits.Get(t.Context(), wait.WaitID); err != nil {
		t.Errorf("Get: %v", err)
	}
}
