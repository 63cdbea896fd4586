package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
)

func newClient(t *testing.T, endpoint, project string, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(endpoint, project, append([]client.Option{client.WithBackoff(time.Millisecond, 4*time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
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

func TestBadArgumentsAreNotSent(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the client sent a request to %s, want none", r.URL)
	}))
	defer s.Close()
	c := newClient(t, s.URL, "project")
	state := client.State{Workflow: "workflow", Run: "run", State: "state"}
	for _, output := range []any{[]int{1}, "text", 1, json.RawMessage(`[]`), json.RawMessage(`{`), []byte(`{} {}`), []byte(nil), json.RawMessage(" "), func() {}} {
		_, err := c.Succeed(t.Context(), state, output)
		want(t, err, client.ErrInvalid)
	}
	for _, id := range []string{"", ".", ".."} {
		_, err := c.Succeed(t.Context(), client.State{Workflow: id, Run: "run", State: "state"}, nil)
		want(t, err, client.ErrInvalid)
		_, err = c.Waits.Get(t.Context(), id)
		want(t, err, client.ErrInvalid)
	}
	for _, id := range []string{" run", "run ", "a\nb", "a\tb", "\x00", "\x7f"} {
		for _, s := range []client.State{{Workflow: "workflow", Run: id, State: "state"}, {Workflow: "workflow", Run: "run", State: id}} {
			_, err := c.Succeed(t.Context(), s, nil)
			want(t, err, client.ErrInvalid)
		}
	}
	if _, err := client.New(s.URL, "p", client.WithRetry(-1)); err == nil {
		t.Error("New with a negative retry time succeeded, want an error")
	}
	for _, arguments := range [][2]string{{"", "p"}, {"localhost:8080", "p"}, {"ftp://x", "p"}, {"http://", "p"}, {"http://x?a=b", "p"}, {"http://x", ""}, {"http://x", ".."}, {"http://u:p@x", "p"}} {
		if _, err := client.New(arguments[0], arguments[1]); err == nil {
			t.Errorf("New(%q, %q) succeeded, want an error", arguments[0], arguments[1])
		}
	}
}

func TestStateFromHeader(t *testing.T) {
	want := client.State{Workflow: "w", Run: "r", State: "s"}
	for _, prefix := range []string{"X-Cff-Workflow-", "X-Workflow-"} {
		header := http.Header{}
		header.Set(prefix+"Id", "w")
		header.Set(prefix+"Run-Id", "r")
		header.Set(prefix+"State-Id", "s")
		if got, err := client.StateFromHeader(header); err != nil || got != want {
			t.Errorf("StateFromHeader(%v) = %+v, %v; want %+v", header, got, err, want)
		}
		header.Del(prefix + "Run-Id")
		if _, err := client.StateFromHeader(header); !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), "X-Cff-Workflow-Run-Id") {
			t.Errorf("StateFromHeader without a run id: %v, want an ErrInvalid that names the header", err)
		}
	}
}
