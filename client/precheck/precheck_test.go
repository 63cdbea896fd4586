package precheck_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/client/precheck"
)

func newClient(t *testing.T, endpoint, project string, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(endpoint, project, append([]client.Option{client.WithBackoff(time.Millisecond, 4*time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPrecheckFindsWhatTheServerWould(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the client sent a request to %s, want none", r.URL)
	}))
	defer s.Close()
	check, err := precheck.New()
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, s.URL, "project", client.WithCheck(check))
	state := client.State{Workflow: "workflow", Run: "run", State: "state"}
	for text, call := range map[string]func() error{
		"error: must have at most": func() error { _, err := c.Fail(t.Context(), state, strings.Repeat("x", 1000), nil); return err },
		"X-Workflow-Run-Id: must have at least": func() error {
			_, err := c.Succeed(t.Context(), client.State{Workflow: "workflow", State: "state"}, nil)
			return err
		},
		"two members with the same name": func() error { _, err := c.Succeed(t.Context(), state, json.RawMessage(`{"a":1,"a":2}`)); return err },
		"timeout_seconds: must be at least": func() error {
			_, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, client.OpenOptions{Timeout: -1 * time.Second})
			return err
		},
	} {
		err := call()
		if !errors.Is(err, client.ErrInvalid) {
			t.Errorf("got %v, want %v", err, client.ErrInvalid)
		}
		if err == nil || !strings.Contains(err.Error(), text) || errors.As(err, new(*client.Error)) {
			t.Errorf("got %v, want a local error that contains %q", err, text)
		}
	}
}

func TestPrecheckKnowsAnEndpointWithAPath(t *testing.T) {
	check, err := precheck.New()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/gateway/v2/") {
			t.Errorf("request sent to %s, want a path below /gateway/v2/", r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"execution_id":"x"}`)
	}))
	defer s.Close()
	c := newClient(t, s.URL+"/gateway", "project", client.WithCheck(check))
	if _, err := c.Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, nil); err != nil {
		t.Errorf("Succeed: %v", err)
	}
}
