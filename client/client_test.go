package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/client/precheck"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// start returns a client of the real server over a real file.
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
	wait, err := c.Waits.Open(t.Context(), waits.OpenWaitRequest{WorkflowID: s.Workflow, RunID: s.Run, StateID: s.State})
	if err != nil {
		t.Fatalf("Open(%+v): %v", s, err)
	}
	return wait
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
			t.Errorf("outcome %d: %+v %s, want %+v %s", i, got.Outcome, got.Outcome.Output, test.want, test.want.Output)
		}
	}
}

func TestOddIDs(t *testing.T) {
	for _, id := range []string{"a/b", "a b", "%", "%25", "%2F", "é", "日本語", "?", "#", ";", "a+b", "~", "...", "'", "a:b", "&=", "{x}"} {
		c := start(t, id)
		state := client.State{Workflow: id, Run: "run " + id, State: "state " + id}
		wait := open(t, c, state)
		if wait.ProjectID != id || wait.WorkflowID != id {
			t.Errorf("opened under project %q, workflow %q; want %q", wait.ProjectID, wait.WorkflowID, id)
		}
		if _, err := c.Succeed(t.Context(), state, nil); err != nil {
			t.Errorf("Succeed under %q: %v", id, err)
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
		t.Errorf("error of an unknown state: %#v", err)
	}

	open(t, c, state("settled"))
	if _, err := c.Succeed(t.Context(), state("settled"), nil); err != nil {
		t.Fatal(err)
	}
	_, err = c.Fail(t.Context(), state("settled"), "", nil)
	want(t, err, client.ErrConflict)

	cancelled := open(t, c, state("cancelled"))
	if err := c.Waits.Cancel(t.Context(), cancelled.WaitID); err != nil {
		t.Fatal(err)
	}
	_, err = c.Succeed(t.Context(), state("cancelled"), nil)
	want(t, err, client.ErrNotFound, client.ErrCancelled)

	_, err = c.Fail(t.Context(), state("settled"), strings.Repeat("x", 1000), nil)
	want(t, err, client.ErrInvalid)
	if !errors.As(err, &answer) || !strings.Contains(answer.Message, "error: must have at most") {
		t.Errorf("error of a long reason: %v", err)
	}
	want(t, c.Waits.Cancel(t.Context(), "unknown"), client.ErrNotFound)
}

// want says which of the package's errors err is; it is none of the others.
func want(t *testing.T, err error, wanted ...error) {
	t.Helper()
	for _, sentinel := range []error{
		client.ErrInvalid, client.ErrUnauthorized, client.ErrForbidden, client.ErrNotFound, client.ErrExpired, client.ErrCancelled, client.ErrConflict,
	} {
		if got := errors.Is(err, sentinel); got != slices.Contains(wanted, sentinel) {
			t.Errorf("errors.Is(%v, %v) = %t", err, sentinel, got)
		}
	}
}

func TestBadArgumentsAreNotSent(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("sent %s", r.URL) }))
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
		t.Error("New with a negative time to retry succeeded")
	}
	for _, arguments := range [][2]string{{"", "p"}, {"localhost:8080", "p"}, {"ftp://x", "p"}, {"http://", "p"}, {"http://x?a=b", "p"}, {"http://x", ""}, {"http://x", ".."}} {
		if _, err := client.New(arguments[0], arguments[1]); err == nil {
			t.Errorf("New(%q, %q) succeeded", arguments[0], arguments[1])
		}
	}
}

func TestPrecheckFindsWhatTheServerWould(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("sent %s", r.URL) }))
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
		"two members of the same name": func() error { _, err := c.Succeed(t.Context(), state, json.RawMessage(`{"a":1,"a":2}`)); return err },
		"timeout_seconds: must be at least": func() error {
			_, err := c.Waits.Open(t.Context(), waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s", TimeoutSeconds: -1})
			return err
		},
	} {
		err := call()
		want(t, err, client.ErrInvalid)
		if err == nil || !strings.Contains(err.Error(), text) || errors.As(err, new(*client.Error)) {
			t.Errorf("got %v, want it to say %q", err, text)
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
			t.Errorf("sent to %s", r.URL)
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

// The caller's own time-out is for its other calls: a poll may take longer.
func TestTimeoutOfTheCallersClient(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"wait_id":"w","status":"success"}`)
	}))
	defer s.Close()
	c := newClient(t, s.URL, "p", client.WithRetry(0), client.WithHTTPClient(&http.Client{Timeout: time.Millisecond}))
	if wait, err := c.Waits.Await(t.Context(), "w"); err != nil || wait.Status != waits.Success {
		t.Errorf("Await = %+v, %v", wait, err)
	}
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

func TestRetries(t *testing.T) {
	answers := func(list ...http.HandlerFunc) (*httptest.Server, *atomic.Int64, chan string) {
		var n atomic.Int64
		bodies := make(chan string, 100)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			bodies <- string(body)
			list[min(int(n.Add(1)), len(list))-1](w, r)
		}))
		t.Cleanup(s.Close)
		return s, &n, bodies
	}
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"error_code":"CODE.%d","error_msg":"the last words"}`, code)
		}
	}
	done := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"execution_id":"x"}`)
	}
	drop := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	state := client.State{Workflow: "workflow", Run: "run", State: "state"}

	t.Run("until the answer is good", func(t *testing.T) {
		s, n, bodies := answers(status(429), status(502), drop, status(503, "Retry-After", "0"), status(504), done)
		id, err := newClient(t, s.URL, "p").Succeed(t.Context(), state, map[string]int{"a": 1})
		if err != nil || id != "x" || n.Load() != 6 {
			t.Errorf("Succeed = %q, %v after %d attempts; want x after 6", id, err, n.Load())
		}
		for range n.Load() {
			if body := <-bodies; body != `{"result":"success","output":{"a":1}}` {
				t.Errorf("sent %s", body)
			}
		}
	})
	t.Run("not what will not change", func(t *testing.T) {
		for _, code := range []int{400, 401, 403, 404, 405, 413, 500, 501} {
			s, n, _ := answers(status(code))
			_, err := newClient(t, s.URL, "p").Succeed(t.Context(), state, nil)
			var answer *client.Error
			if n.Load() != 1 || !errors.As(err, &answer) || answer.StatusCode != code {
				t.Errorf("%d: %v after %d attempts", code, err, n.Load())
			}
		}
	})
	t.Run("as long as it may, and then the last answer counts", func(t *testing.T) {
		s, n, _ := answers(status(503))
		_, err := newClient(t, s.URL, "p", client.WithRetry(20*time.Millisecond)).Succeed(t.Context(), state, nil)
		var answer *client.Error
		if !errors.As(err, &answer) || answer.Code != "CODE.503" || answer.Message != "the last words" || n.Load() < 2 {
			t.Errorf("%v after %d attempts", err, n.Load())
		}
		s, n, _ = answers(status(503, "Retry-After", "3600"))
		if _, err := newClient(t, s.URL, "p").Succeed(t.Context(), state, nil); n.Load() != 1 || !errors.As(err, &answer) {
			t.Errorf("a Retry-After beyond the time there is: %v after %d attempts", err, n.Load())
		}
	})
	t.Run("with a pause, whatever the server says", func(t *testing.T) {
		s, n, _ := answers(status(503, "Retry-After", "0"))
		_, err := newClient(t, s.URL, "p", client.WithRetry(time.Second), client.WithBackoff(300*time.Millisecond, time.Second)).Succeed(t.Context(), state, nil)
		if err == nil || n.Load() > 10 {
			t.Errorf("%v after %d attempts", err, n.Load())
		}
	})
	t.Run("not at all when told so", func(t *testing.T) {
		s, n, _ := answers(status(503))
		if _, err := newClient(t, s.URL, "p", client.WithRetry(0)).Succeed(t.Context(), state, nil); err == nil || n.Load() != 1 {
			t.Errorf("%v after %d attempts", err, n.Load())
		}
	})
	t.Run("until the caller has enough", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s, _, _ := answers(status(503), func(w http.ResponseWriter, r *http.Request) { cancel(); status(503)(w, r) })
		_, err := newClient(t, s.URL, "p").Succeed(ctx, state, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
	})
	t.Run("an attempt that takes too long", func(t *testing.T) {
		release := make(chan struct{})
		hang := func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		s, n, _ := answers(hang, done)
		defer close(release)
		_, err := newClient(t, s.URL, "p", client.WithTimeout(50*time.Millisecond)).Succeed(t.Context(), state, nil)
		if err != nil || n.Load() != 2 {
			t.Errorf("%v after %d attempts", err, n.Load())
		}
	})
}

func TestUnexpectedAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		header http.Header
		body   string
		want   string
	}{
		"redirect":               {307, http.Header{"Location": {"/elsewhere"}}, "", `Temporary Redirect to "/elsewhere", which is not followed`},
		"page":                   {200, http.Header{"Content-Type": {"text/html"}}, "<html>", "6 bytes of text/html"},
		"empty 200":              {200, http.Header{"Content-Type": {"application/json"}}, "", "OK with an empty body"},
		"another JSON":           {200, http.Header{"Content-Type": {"application/json"}}, `{"ok":true}`, "no execution_id"},
		"broken JSON":            {200, http.Header{"Content-Type": {"application/json"}}, `{`, "1 bytes of application/json"},
		"another success":        {202, http.Header{"Content-Type": {"application/json"}}, `{"execution_id":"x"}`, "Accepted"},
		"page of a proxy":        {403, http.Header{"Content-Type": {"text/html"}}, "<html>", "Forbidden with 6 bytes of text/html"},
		"gateway's other errors": {401, http.Header{"Content-Type": {"application/json"}}, `{"error":{"code":"APIGW.1","message":"who are you"}}`, "APIGW.1: who are you (HTTP 401"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					t.Error("the redirect was followed")
				}
				for key, values := range test.header {
					w.Header()[key] = values
				}
				w.Header().Set("X-Request-Id", "the request")
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			}))
			defer s.Close()
			_, err := newClient(t, s.URL, "p").Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, nil)
			var answer *client.Error
			if !errors.As(err, &answer) || answer.StatusCode != test.status || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to say %q", err, test.want)
			}
		})
	}
}

func TestWaits(t *testing.T) {
	c := start(t, "project")
	state := func(i int) client.State {
		return client.State{Workflow: fmt.Sprint("workflow ", i%2), Run: "run", State: fmt.Sprint(i)}
	}
	const n = 250 // more than a page of the contract's default
	var ids []string
	for i := range n {
		ids = append(ids, open(t, c, state(i)).WaitID)
	}
	again := open(t, c, state(0))
	if again.WaitID != ids[0] {
		t.Errorf("opening again: wait %s, want %s", again.WaitID, ids[0])
	}
	listed := collect(t, c.Waits.List(t.Context(), client.Filter{}), func(w waits.Wait) string { return w.WaitID })
	slices.Reverse(listed)
	if !slices.Equal(listed, ids) {
		t.Errorf("List = %d waits, want the %d that were opened", len(listed), n)
	}
	for i := range n {
		if _, err := c.Succeed(t.Context(), state(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := collect(t, c.Waits.List(t.Context(), client.Filter{Status: waits.Success, Workflow: "workflow 1"}), func(w waits.Wait) string { return w.StateID }); len(got) != n/2 {
		t.Errorf("List with a filter = %d waits, want %d", len(got), n/2)
	}

	var first client.Settled // the last that has a cursor in the first half
	var upTo int
	var followed []string
	for settled, err := range c.Waits.Outcomes(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		followed = append(followed, settled.WaitID)
		if settled.Cursor != "" && len(followed) < n/2 {
			first, upTo = settled, len(followed)
		}
		if len(followed) == n {
			break
		}
	}
	if !slices.Equal(followed, ids) {
		t.Error("Outcomes did not follow all waits in the order in which they were settled")
	}
	for settled, err := range c.Waits.Outcomes(t.Context(), first.Cursor) {
		if err != nil || slices.Index(ids, settled.WaitID) != upTo || upTo == 0 {
			t.Errorf("Outcomes from the cursor after %d goes on at %s, %v", upTo, settled.StateID, err)
		}
		break
	}
}

func collect(t *testing.T, list iter.Seq2[waits.Wait, error], key func(waits.Wait) string) (keys []string) {
	t.Helper()
	for wait, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key(wait))
	}
	return keys
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
			t.Errorf("StateFromHeader without a run: %v", err)
		}
	}
}
