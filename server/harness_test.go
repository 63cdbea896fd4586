package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// service is a server over a real SQLite file, used over real HTTP. do checks every response
// against the contract.
type service struct {
	*httptest.Server
	engine    *sqlite.Engine
	log       *bytes.Buffer
	ahead     atomic.Int64 // of the real time, in nanoseconds
	contracts []*contract.Contract
}

func start(t *testing.T, config server.Config, options sqlite.Options) *service {
	t.Helper()
	s := &service{}
	options.Now = func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
	judge, err := server.OutputJudge()
	if err != nil {
		t.Fatal(err)
	}
	options.Judge = judge
	e, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waits.db"), options)
	if err != nil {
		t.Fatal(err)
	}
	s.engine = e
	s.serve(t, e, config)
	t.Cleanup(func() {
		s.Close()
		if err := e.Close(); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	return s
}

// startOver is start over any engine.
func startOver(t *testing.T, e engine.Engine, config server.Config) *service {
	t.Helper()
	s := &service{}
	s.serve(t, e, config)
	t.Cleanup(s.Close)
	return s
}

func (s *service) serve(t *testing.T, e engine.Engine, config server.Config) {
	t.Helper()
	s.log = &bytes.Buffer{}
	if config.Logger == nil {
		config.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	}
	handler, err := server.New(e, config)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(handler)
	for _, load := range []func() (*contract.Contract, error){contract.Callback, contract.Waits} {
		c, err := load()
		if err != nil {
			t.Fatal(err)
		}
		s.contracts = append(s.contracts, c)
	}
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	body   []byte
	callback.CallbackError
}

func (a answer) String() string { return fmt.Sprintf("%d %.300s", a.status, a.body) }

// transport keeps a connection for each sender of a test.
var transport = &http.Transport{MaxIdleConnsPerHost: 64}

// do sends r and checks the response against the contract.
func (s *service) do(t *testing.T, r *http.Request) answer {
	t.Helper()
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", r.Method, r.URL, err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: body}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s %s: header %s is %q, want %q", r.Method, r.URL, name, got, want)
		}
	}
	if a.status >= 400 && !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		if err := json.Unmarshal(body, &a.CallbackError); err != nil && r.Method != http.MethodHead {
			t.Errorf("%s %s: answer %v is no error body: %v", r.Method, r.URL, a, err)
		}
		if a.RequestID != a.header.Get("X-Request-Id") && r.Method != http.MethodHead {
			t.Errorf("%s %s: request_id %q, but header X-Request-Id %q", r.Method, r.URL, a.RequestID, a.header.Get("X-Request-Id"))
		}
	}
	s.check(t, r, a)
	return a
}

func (s *service) check(t *testing.T, r *http.Request, a answer) {
	t.Helper()
	for _, c := range s.contracts {
		if operation, _ := c.Match(r); operation != nil {
			if err := operation.CheckResponse(t.Context(), r, a.status, a.header, a.body); err != nil {
				t.Errorf("%s %s: answer %v breaks the contract: %v", r.Method, r.URL, a, err)
			}
			return
		}
	}
	if a.status >= 400 && r.Method != http.MethodHead {
		var body any
		if err := json.Unmarshal(a.body, &body); err != nil || !s.contracts[0].Fits("CallbackError", body) {
			t.Errorf("%s %s: answer %v is not the contract's error body (%v)", r.Method, r.URL, a, err)
		}
	}
}

func (s *service) request(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

const workflow = "workflow"

// callback sends body to the state of run "run", and changes the request before.
func (s *service) callback(t *testing.T, state, body string, changes ...func(*http.Request)) answer {
	t.Helper()
	r := s.request(t, http.MethodPost, "/v2/project/fgs/workflows/"+workflow+"/callback", body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Workflow-Run-Id", "run")
	r.Header.Set("X-Workflow-State-Id", state)
	for _, change := range changes {
		change(r)
	}
	return s.do(t, r)
}

// open opens a wait over HTTP.
func (s *service) open(t *testing.T, state string) waits.Wait {
	t.Helper()
	a := s.do(t, s.request(t, http.MethodPost, "/v1/project/waits",
		fmt.Sprintf(`{"workflow_id":%q,"run_id":"run","state_id":%q,"timeout_seconds":3600}`, workflow, state)))
	if a.status != http.StatusCreated {
		t.Fatalf("opening a wait: %v", a)
	}
	return decode[waits.Wait](t, a)
}

func (s *service) get(t *testing.T, path string) answer {
	t.Helper()
	return s.do(t, s.request(t, http.MethodGet, path, ""))
}

func decode[T any](t *testing.T, a answer) (value T) {
	t.Helper()
	if err := json.Unmarshal(a.body, &value); err != nil {
		t.Fatalf("answer %v: %v", a, err)
	}
	return value
}

func (a answer) want(t *testing.T, status int, code callback.ErrorCode) {
	t.Helper()
	if a.status != status || a.ErrorCode != code {
		t.Errorf("got %v, want %d %s", a, status, code)
	}
}
