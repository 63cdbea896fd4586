package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/openapi"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

const success = `{"result":"success","output":{"a":1}}`

// TestCallback tests the callback semantics over HTTP.
func TestCallback(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})

	t.Run("waiting state is settled", func(t *testing.T) {
		wait := s.open(t, "settled")
		a := s.callback(t, "settled", success)
		if a.status != 200 || decode[callback.Response](t, a).ExecutionID != wait.ExecutionID {
			t.Errorf("callback: %v, want 200 and execution %s", a, wait.ExecutionID)
		}
		got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID))
		if got.Status != waits.Success || string(got.Outcome.Output) != `{"a":1}` {
			t.Errorf("wait = %+v, want success with output {\"a\":1}", got)
		}
	})
	t.Run("repeated outcome gets the same response", func(t *testing.T) {
		s.open(t, "repeated")
		first := s.callback(t, "repeated", `{"result":"success","output":{"a":1,"b":2}}`)
		again := s.callback(t, "repeated", `{ "output": {"b":2, "a":1}, "result": "success" }`)
		if first.status != 200 || again.status != 200 || string(first.body) != string(again.body) {
			t.Errorf("first callback %v, repeated callback %v; want 200 and equal bodies", first, again)
		}
	})
	t.Run("different outcome conflicts", func(t *testing.T) {
		s.open(t, "conflict")
		s.callback(t, "conflict", success)
		s.callback(t, "conflict", `{"result":"fail","output":{"a":1}}`).want(t, 400, "FLOWCALLBACK.CONFLICT")
	})
	t.Run("cancelled wait cannot be settled", func(t *testing.T) {
		wait := s.open(t, "cancelled")
		for range 2 {
			if a := s.do(t, s.request(t, http.MethodDelete, "/v1/project/waits/"+wait.WaitID, "")); a.status != 204 {
				t.Errorf("DELETE wait: %v, want 204", a)
			}
		}
		s.callback(t, "cancelled", success).want(t, 404, "FLOWCALLBACK.CANCELLED")
	})
	t.Run("unknown state is not found", func(t *testing.T) {
		s.callback(t, "unknown", success).want(t, 404, "FGS.5002")
	})
	t.Run("fail with output null stores an empty object", func(t *testing.T) {
		wait := s.open(t, "bare fail")
		if a := s.callback(t, "bare fail", `{"result":"fail","output":null}`); a.status != 200 {
			t.Errorf("callback: %v, want 200", a)
		}
		if got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID)); string(got.Outcome.Output) != `{}` {
			t.Errorf("output %s, want {}", got.Outcome.Output)
		}
	})
	t.Run("numbers keep their digits", func(t *testing.T) {
		wait := s.open(t, "digits")
		const output = `{"big":123456789012345678901234567890,"e":1e400,"one":1.0}`
		s.callback(t, "digits", `{"result":"success","output":`+output+`}`)
		if got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID)); string(got.Outcome.Output) != output {
			t.Errorf("output %s, want %s", got.Outcome.Output, output)
		}
	})
	t.Run("wait past its deadline is expired", func(t *testing.T) { // runs last because it moves the clock
		s.open(t, "expired")
		s.ahead.Store(int64(time.Hour))
		s.callback(t, "expired", success).want(t, 404, "FLOWCALLBACK.EXPIRED")
	})
}

func TestHeldCallback(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{HoldUnknown: true})
	if a := s.callback(t, "early", success); a.status != 200 {
		t.Fatalf("callback for an unknown state: %v, want 200 (held)", a)
	}
	if wait := s.open(t, "early"); wait.Status != waits.Success {
		t.Errorf("wait opened after the held callback = %+v, want success", wait)
	}
}

// A refused request does not change the wait.
func TestRefusedRequests(t *testing.T) {
	s := start(t, server.Config{MaxBody: 1000}, sqlite.Options{})
	wait := s.open(t, "state")
	long := `{"result":"success","output":{"a":"` + strings.Repeat("x", 1000) + `"}}`
	chunked := func(r *http.Request) {
		r.Body, r.GetBody, r.ContentLength = io.NopCloser(strings.NewReader(long)), nil, -1
	}
	for name, test := range map[string]struct {
		body   string
		change func(*http.Request)
		status int
		code   callback.ErrorCode
	}{
		"broken JSON":         {`{`, nil, 400, "FGS.3002"},
		"no body":             {``, nil, 400, "FGS.3002"},
		"another media type":  {success, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, "FLOWCALLBACK.MEDIA_TYPE"},
		"compressed":          {success, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, "FLOWCALLBACK.MEDIA_TYPE"},
		"announced too large": {long, nil, 413, "FSS.0413"},
		"chunked too large":   {"", chunked, 413, "FSS.0413"},
		"GET":                 {"", func(r *http.Request) { r.Method = http.MethodGet }, 405, "FLOWCALLBACK.METHOD"},
		"PUT":                 {success, func(r *http.Request) { r.Method = http.MethodPut }, 405, "FLOWCALLBACK.METHOD"},
		"slash at the end":    {success, func(r *http.Request) { r.URL.Path += "/" }, 404, "APIGW.0101"},
		"double slash":        {success, func(r *http.Request) { r.URL.Path = "/" + r.URL.Path }, 404, "APIGW.0101"},
		"another version":     {success, func(r *http.Request) { r.URL.Path = "/v3" + r.URL.Path[3:] }, 404, "APIGW.0101"},
		"no run":              {success, func(r *http.Request) { r.Header.Del("X-Workflow-Run-Id") }, 400, "FGS.3002"},
		"two states":          {success, func(r *http.Request) { r.Header.Add("X-Workflow-State-Id", "state") }, 400, "FGS.3002"},
	} {
		t.Run(name, func(t *testing.T) {
			var changes []func(*http.Request)
			if test.change != nil {
				changes = append(changes, test.change)
			}
			a := s.callback(t, "state", test.body, changes...)
			a.want(t, test.status, test.code)
			if strings.Contains(string(a.body), "xxx") {
				t.Errorf("response contains the request body: %v", a)
			}
			if test.status == 405 && !strings.Contains(a.header.Get("Allow"), http.MethodPost) {
				t.Errorf("Allow = %q, want it to contain POST", a.header.Get("Allow"))
			}
		})
	}
	if got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID)); got.Status != waits.Waiting {
		t.Errorf("wait = %+v, want waiting", got)
	}
}

// Ids are opaque: a wait opened with an id is settled with the same id, byte for byte.
func TestOddIDs(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	for i, id := range []string{
		"a/b", "a b", "%", "%25", "%2F", "%zz", "a%20b", "+", "a+b", "é", "日本語", "😀", "?", "#", "a?b#c", ";", "a;b=c", ",", "a,b",
		"..", ".", "a/../b", "\\", "\"", "'", "<>&", "{}", "[]", ":", "*", "~", "a\x00b", "null", "true", "0", strings.Repeat("é", 64),
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			body := fmt.Sprintf(`{"workflow_id":%s,"run_id":"run","state_id":%s}`, quote(id), quote(fmt.Sprint("state ", i)))
			a := s.do(t, s.request(t, http.MethodPost, "/v1/"+url.PathEscape(id)+"/waits", body))
			if a.status != 201 {
				t.Fatalf("opening a wait with id %q: %v, want 201", id, a)
			}
			if wait := decode[waits.Wait](t, a); wait.ProjectID != id || wait.WorkflowID != id {
				t.Errorf("wait has project %q and workflow %q, want %q for both", wait.ProjectID, wait.WorkflowID, id)
			}
			r := s.request(t, http.MethodPost, "/v2/"+url.PathEscape(id)+"/fgs/workflows/"+url.PathEscape(id)+"/callback", success)
			r.Header.Set("X-Workflow-Run-Id", "run")
			r.Header.Set("X-Workflow-State-Id", fmt.Sprint("state ", i))
			if a := s.do(t, r); a.status != 200 {
				t.Errorf("callback with id %q: %v, want 200", id, a)
			}
		})
	}
	for i, id := range []string{"a/b", "%2F", "é", "日本語", "a b", ",;=", "\"'", "a:b", "=?utf-8?q?x?="} {
		// The callback operation accepts more ids than waits.yaml, so the test opens the wait
		// directly in the engine.
		request := waits.OpenWaitRequest{WorkflowID: workflow, RunID: callback.RunID(id), StateID: callback.StateID(id), TimeoutSeconds: 60}
		if _, _, err := s.engine.OpenWait(t.Context(), "project", request, ""); err != nil {
			t.Errorf("%d: OpenWait with run and state %q: %v", i, id, err)
		}
		a := s.callback(t, id, success, func(r *http.Request) { r.Header.Set("X-Workflow-Run-Id", id) })
		if a.status != 200 {
			t.Errorf("%d: callback with run and state %q: %v, want 200", i, id, a)
		}
	}
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // marshalling a string cannot fail
	return string(quoted)
}

func TestLongPoll(t *testing.T) {
	draining, drain := context.WithCancel(context.Background())
	s := start(t, server.Config{Stopping: draining}, sqlite.Options{})

	t.Run("long-poll returns when the wait is settled", func(t *testing.T) {
		wait := s.open(t, "settled")
		polled := make(chan answer, 1)
		go func() { polled <- s.get(t, "/v1/project/waits/"+wait.WaitID+"?wait_seconds=50") }()
		s.callback(t, "settled", success)
		if got := decode[waits.Wait](t, <-polled); got.Status != waits.Success {
			t.Errorf("long-poll returned %+v, want success", got)
		}
	})
	t.Run("outcomes feed returns the next outcome", func(t *testing.T) {
		page := decode[waits.OutcomePage](t, s.get(t, "/v1/project/outcomes"))
		polled := make(chan answer, 1)
		go func() { polled <- s.get(t, "/v1/project/outcomes?wait_seconds=50&after="+page.Next) }()
		s.open(t, "next")
		s.callback(t, "next", success)
		if got := decode[waits.OutcomePage](t, <-polled); len(got.Outcomes) != 1 || got.Outcomes[0].StateID != "next" {
			t.Errorf("long-poll returned %+v, want the outcome of state \"next\"", got)
		}
	})
	t.Run("long-poll returns when the server drains", func(t *testing.T) {
		wait := s.open(t, "waiting")
		polled := make(chan answer, 1)
		go func() { polled <- s.get(t, "/v1/project/waits/"+wait.WaitID+"?wait_seconds=50") }()
		drain()
		if got := decode[waits.Wait](t, <-polled); got.Status != waits.Waiting {
			t.Errorf("long-poll returned %+v, want waiting", got)
		}
	})
}

func TestWaitsAPI(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	first := s.open(t, "first")
	again := s.do(t, s.request(t, http.MethodPost, "/v1/project/waits", fmt.Sprintf(`{"workflow_id":%q,"run_id":"run","state_id":"first"}`, workflow)))
	if again.status != 200 || decode[waits.Wait](t, again).WaitID != first.WaitID {
		t.Errorf("opening the same wait again: %v, want 200 and wait %s", again, first.WaitID)
	}
	s.open(t, "second")
	page := decode[waits.WaitPage](t, s.get(t, "/v1/project/waits?limit=1&status=waiting&workflow_id="+workflow))
	if len(page.Waits) != 1 || page.Waits[0].StateID != "second" || page.NextCursor == nil {
		t.Fatalf("first page = %+v, want state \"second\" and a cursor", page)
	}
	page = decode[waits.WaitPage](t, s.get(t, "/v1/project/waits?cursor="+*page.NextCursor))
	if len(page.Waits) != 1 || page.Waits[0].StateID != "first" || page.NextCursor != nil {
		t.Errorf("second page = %+v, want state \"first\" and no cursor", page)
	}
	s.get(t, "/v1/project/waits/unknown").want(t, 404, "FGS.5002")
	s.get(t, "/v1/another/waits/"+first.WaitID).want(t, 404, "FGS.5002")
	s.get(t, "/v1/project/outcomes?after=x").want(t, 400, "FGS.3002")
	s.get(t, "/v1/project/outcomes?after=4711").want(t, 409, "FLOWCALLBACK.CURSOR_FOREIGN")
	s.get(t, "/v1/project/waits?cursor=x").want(t, 400, "FGS.3002")
}

func TestDocumentsAndHealth(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if a := s.get(t, path); a.status != 200 || string(a.body) != want {
			t.Errorf("GET %s: status %d with %d bytes, want 200 with %d bytes", path, a.status, len(a.body), len(want))
		}
		if a := s.do(t, s.request(t, http.MethodHead, path, "")); a.status != 200 || len(a.body) != 0 {
			t.Errorf("HEAD %s: %v, want 200 without a body", path, a)
		}
	}
	s.get(t, "/").want(t, 404, "APIGW.0101")
	for path, want := range map[string]string{
		"/openapi/callback.yaml": openapi.Callback, "/openapi/callback.json": openapi.CallbackJSON, "/openapi/waits.yaml": openapi.WaitsAlone, "/openapi/waits.json": openapi.WaitsJSON,
	} {
		get := func(tag string) (*http.Response, string) {
			r := s.request(t, http.MethodGet, path, "")
			r.Header.Set("Origin", "https://elsewhere.example")
			r.Header.Set("If-None-Match", tag)
			response, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return response, string(body)
		}
		first, body := get("")
		if first.StatusCode != http.StatusOK || body != want || first.Header.Get("Access-Control-Allow-Origin") != "*" || first.Header.Get("Access-Control-Expose-Headers") != "ETag" || first.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("GET %s: %d %v with %d bytes; want %d bytes that every page may read and keep", path, first.StatusCode, first.Header, len(body), len(want))
		}
		if again, body := get(first.Header.Get("Etag")); again.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("GET %s again: %d with %d bytes, want 304", path, again.StatusCode, len(body))
		}
	}
}

// The principal is stored with the outcome, also for a held callback.
func TestSettledBy(t *testing.T) {
	name := func(_ context.Context, c server.Call) (server.Principal, error) {
		return server.Principal{Name: c.Request.Header.Get("X-Test-Name")}, nil
	}
	s := start(t, server.Config{Authorize: name}, sqlite.Options{HoldUnknown: true})
	for want, state := range map[string]string{"order-service": "named", "": "unnamed", "early-bird": "held"} {
		by := func(r *http.Request) { r.Header.Set("X-Test-Name", want) }
		if state != "held" {
			s.open(t, state)
		}
		if a := s.callback(t, state, success, by); a.status != 200 {
			t.Fatal(a)
		}
		if state == "held" {
			s.do(t, s.request(t, http.MethodPost, "/v1/project/waits", `{"workflow_id":"workflow","run_id":"run","state_id":"held"}`))
		}
	}
	got := map[string]string{}
	for _, wait := range decode[waits.OutcomePage](t, s.get(t, "/v1/project/outcomes")).Outcomes {
		got[wait.SettledBy] = string(wait.StateID)
	}
	if want := map[string]string{"order-service": "named", "": "unnamed", "early-bird": "held"}; !maps.Equal(got, want) {
		t.Errorf("states by settled_by = %v, want %v", got, want)
	}
}

func TestAuthorize(t *testing.T) {
	var calls []string
	decide := func(_ context.Context, c server.Call) (server.Principal, error) {
		body, err := c.Body()
		if err != nil {
			return server.Principal{}, err
		}
		calls = append(calls, fmt.Sprintf("%s %s %s", c.Action, c.ProjectID, body))
		switch c.Request.Header.Get("X-Auth-Token") {
		case "right":
			return server.Principal{Name: "order-service"}, nil
		case "elsewhere":
			return server.Principal{}, fmt.Errorf("token of another project: %w", server.ErrForbidden)
		case "guess":
			return server.Principal{}, server.ErrTooManyAttempts
		default:
			return server.Principal{}, server.ErrUnauthenticated
		}
	}
	s := start(t, server.Config{Authorize: decide}, sqlite.Options{})
	token := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Auth-Token", value) }
	}
	s.callback(t, "state", success, token("right")).want(t, 404, "FGS.5002")
	s.callback(t, "state", success, token("elsewhere")).want(t, 403, "FSS.0403")
	limited := s.callback(t, "state", success, token("guess"))
	limited.want(t, 429, "FSS.0429")
	if limited.header.Get("Retry-After") == "" || strings.Contains(s.log.String(), "status=429") {
		t.Errorf("429 with Retry-After %q; want the header, and no log line:\n%s", limited.header.Get("Retry-After"), s.log)
	}
	s.callback(t, "state", "not even JSON").want(t, 401, "APIGW.0301")
	s.get(t, "/v1/a%2Fb/waits").want(t, 401, "APIGW.0301")
	want := []string{"callback project " + success, "callback project " + success, "callback project " + success, "callback project not even JSON", "wait a/b "}
	if fmt.Sprint(calls) != fmt.Sprint(want) {
		t.Errorf("calls of Authorize = %q, want %q", calls, want)
	}
	if a := s.get(t, "/healthz"); a.status != 200 {
		t.Errorf("GET /healthz without credentials: %v, want 200", a)
	}
}

// The log contains no request data except the route.
func TestLogHoldsNoPayload(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	s.open(t, "secret-state")
	s.callback(t, "secret-state", `{"result":"fail","error":"secret-reason","output":{"a":"secret-output"}}`,
		func(r *http.Request) { r.Header.Set("X-Auth-Token", "secret-token") })
	s.callback(t, "secret-state", `{"result":"secret-result","output":{}}`)
	if log := s.log.String(); strings.Contains(log, "secret") || !strings.Contains(log, "status=200") {
		t.Errorf("log contains request data, or no line with status=200:\n%s", log)
	}
}

// A browser gets a page that links the others, without a redirect.
func TestHome(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	r := s.request(t, http.MethodGet, "/", "")
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(page), `href="console/"`) || !strings.Contains(string(page), `href="docs/"`) {
		t.Errorf("GET / of a browser: %d %s, %v; want links to the console and the documents", response.StatusCode, page, err)
	}
}

// Held callbacks are listed without their outputs, dropped, and bounded.
func TestHeldCallbacksAreListedAndBounded(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{HoldUnknown: true, MaxHeld: 2})
	for _, state := range []string{"one", "mistyped"} {
		if a := s.callback(t, state, success); a.status != 200 {
			t.Fatalf("callback of an unknown state: %v, want 200", a)
		}
	}
	s.callback(t, "one too many", success).want(t, 503, "FSS.0503")
	page := decode[waits.HeldPage](t, s.get(t, "/v1/project/held"))
	if len(page.Held) != 2 || page.Held[0].StateID != "one" || page.Held[0].OutputBytes == 0 {
		t.Fatalf("held = %+v, want two", page)
	}
	if a := s.do(t, s.request(t, http.MethodDelete, "/v1/project/held/"+page.Held[1].HeldID, "")); a.status != 204 {
		t.Errorf("DELETE of a held callback: %v, want 204", a)
	}
	s.do(t, s.request(t, http.MethodDelete, "/v1/project/held/"+page.Held[1].HeldID, "")).want(t, 404, "FGS.5002")
	s.do(t, s.request(t, http.MethodDelete, "/v1/another/held/"+page.Held[0].HeldID, "")).want(t, 404, "FGS.5002")
	if a := s.callback(t, "one too many", success); a.status != 200 {
		t.Errorf("callback after one was dropped: %v, want 200", a)
	}
	if page := decode[waits.HeldPage](t, s.get(t, "/v1/another/held")); len(page.Held) != 0 {
		t.Errorf("held of another project = %+v, want none", page)
	}
}
