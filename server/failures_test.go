package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// broken is an engine that returns err, or panics where it is nil.
type broken struct{ err error }

func (b broken) Callback(context.Context, engine.Callback) (string, error) {
	if b.err == nil {
		panic("secret of the engine")
	}
	return "", b.err
}

func (b broken) Ready(context.Context) error { return b.err }

func TestFailuresOfTheEngine(t *testing.T) {
	secret := errors.New("secret of the engine: INSERT INTO")
	for name, test := range map[string]struct {
		err    error
		status int
		code   callback.ErrorCode
	}{
		"unknown error": {secret, 500, "FSS.0500"},
		"panic":         {nil, 500, "FSS.0500"},
		"overloaded":    {fmt.Errorf("%w: %w", secret, engine.ErrOverloaded), 503, "FSS.0503"},
		"unavailable":   {fmt.Errorf("%w: %w", secret, engine.ErrUnavailable), 503, "FSS.0503"},
		"too slow":      {fmt.Errorf("%w: %w", secret, context.DeadlineExceeded), 503, "FSS.0503"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startOver(t, broken{test.err}, server.Config{})
			a := s.callback(t, "state", success)
			a.want(t, test.status, test.code)
			if strings.Contains(string(a.body), "secret") || !strings.Contains(s.log.String(), "secret") {
				t.Errorf("the cause belongs in the log, not in the answer: %v, log %s", a, s.log)
			}
			if (a.status == 503) != (a.header.Get("Retry-After") != "") {
				t.Errorf("%d with Retry-After %q", a.status, a.header.Get("Retry-After"))
			}
			if counted := fmt.Sprintf("flowcallback_callbacks_total{code=%q,result=\"success\"} 1\n", test.code); !strings.Contains(string(s.get(t, "/metrics").body), counted) {
				t.Errorf("the metrics lack %s", counted)
			}
			if !strings.Contains(s.log.String(), a.RequestID) {
				t.Errorf("the log does not name request %s: %s", a.RequestID, s.log)
			}
		})
	}
	s := startOver(t, broken{engine.ErrUnavailable}, server.Config{})
	s.get(t, "/readyz").want(t, 503, "FSS.0503")
	if a := s.get(t, "/healthz"); a.status != 200 {
		t.Errorf("GET /healthz of a server that is not ready: %v, want 200", a)
	}
}

// stuck is an engine whose calls last until it is released.
type stuck struct {
	entered chan struct{}
	release chan struct{}
}

func (s stuck) Callback(context.Context, engine.Callback) (string, error) {
	s.entered <- struct{}{}
	<-s.release
	return "execution", nil
}

func (stuck) Ready(context.Context) error { return nil }

func TestTooManyRequests(t *testing.T) {
	e := stuck{make(chan struct{}), make(chan struct{})}
	const most = 3
	s := startOver(t, e, server.Config{MaxRequests: most})
	answers := make(chan answer, most)
	for range most {
		go func() { answers <- s.callback(t, "state", success) }()
		<-e.entered
	}
	refused := s.callback(t, "state", success)
	refused.want(t, 503, "FSS.0503")
	if refused.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if a := s.get(t, "/readyz"); a.status != 200 {
		t.Errorf("GET /readyz of a busy server: %v, want 200", a)
	}
	close(e.release)
	for range most {
		if a := <-answers; a.status != 200 {
			t.Errorf("one that was taken: %v, want 200", a)
		}
	}
	go func() { <-e.entered }()
	if a := s.callback(t, "state", success); a.status != 200 {
		t.Errorf("one after them: %v, want 200", a)
	}
}

// Slow senders take no slot, and memory only for what they have sent. One address gets half
// of the memory.
func TestSlowSendersKeepNobodyOut(t *testing.T) {
	s := start(t, server.Config{MaxRequests: 1, MaxBody: 100_000, MaxMemory: 400_000}, sqlite.Options{})
	s.open(t, "state")
	s.open(t, "second")
	large := `{"result":"success","output":{"a":"` + strings.Repeat("x", 90_000) + `"}}`
	for range 3 {
		defer s.sendPart(t, large, 10)()
	}
	if a := s.callback(t, "state", success); a.status != 200 {
		t.Errorf("callback beside slow senders: %v, want 200", a)
	}
	stop, stopAnother := s.sendPart(t, large, 80_000), s.sendPart(t, large, 80_000)
	for s.callback(t, "unknown", large).status != 503 { // until the server has read most of both
	}
	s.callback(t, "unknown", large).want(t, 503, "FSS.0503")
	if a := s.callback(t, "second", success); a.status != 200 {
		t.Errorf("small callback beside a large body: %v, want 200", a)
	}
	stop()
	stopAnother()
	for s.callback(t, "unknown", large).status != 404 { // until the server has noticed
	}
}

// sendPart sends the beginning of a callback's body and no more, until the function it
// returns is called. Where it is refused because others fill the memory just then, it begins
// again.
func (s *service) sendPart(t *testing.T, body string, n int) (stop func()) {
	t.Helper()
	var stopped atomic.Bool
	var mu sync.Mutex
	var conn net.Conn
	sent, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for first := true; !stopped.Load(); first = false {
			dialed, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			conn = dialed
			if stopped.Load() {
				dialed.Close()
			}
			mu.Unlock()
			_, _ = fmt.Fprintf(dialed, "POST /v2/project/fgs/workflows/%s/callback HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
				"X-Workflow-Run-Id: run\r\nX-Workflow-State-Id: slow\r\nContent-Length: %d\r\n\r\n%s", workflow, len(body), body[:n])
			if first {
				close(sent)
			}
			_, _ = dialed.Read(make([]byte, 1)) // it is refused, or stopped
			dialed.Close()
		}
	}()
	<-sent
	return func() {
		mu.Lock()
		stopped.Store(true)
		conn.Close()
		mu.Unlock()
		<-ended
	}
}

func TestTooManyPolls(t *testing.T) {
	s := start(t, server.Config{MaxPolls: 1}, sqlite.Options{})
	wait := s.open(t, "state")
	polled := make(chan answer, 2)
	for range 2 { // whichever comes second is refused at once
		go func() { polled <- s.get(t, "/v1/project/waits/"+wait.WaitID+"?wait_seconds=50") }()
	}
	(<-polled).want(t, 503, "FSS.0503")
	if a := s.callback(t, "state", success); a.status != 200 {
		t.Errorf("callback beside polls: %v, want 200", a)
	}
	if a := <-polled; a.status != 200 {
		t.Errorf("the poll that was taken: %v, want 200", a)
	}
}

// However a poll is spelled, it takes none of the requests' slots.
func TestEncodedPollsAreCountedAsPolls(t *testing.T) {
	s := start(t, server.Config{MaxRequests: 1, MaxPolls: 1}, sqlite.Options{})
	wait := s.open(t, "state")
	polled := make(chan answer, 2)
	for range 2 { // whichever comes second is refused at once
		go func() { polled <- s.get(t, "/v1/project/waits/"+wait.WaitID+"?wait%5Fseconds=50") }()
	}
	(<-polled).want(t, 503, "FSS.0503")
	if a := s.callback(t, "state", success); a.status != 200 {
		t.Errorf("callback beside an encoded poll: %v, want 200", a)
	}
	<-polled
}

// patient is an engine that tells how long it may take.
type patient struct{ deadline chan time.Duration }

func (p patient) Callback(ctx context.Context, _ engine.Callback) (string, error) {
	until, _ := ctx.Deadline()
	p.deadline <- time.Until(until)
	return "execution", ctx.Err()
}

func (patient) Ready(context.Context) error { return nil }

// A callback cannot ask to be held back: what looks like it changes nothing.
func TestCallbackDoesNotPoll(t *testing.T) {
	e := patient{make(chan time.Duration, 1)}
	s := startOver(t, e, server.Config{MaxPolls: 1, Timeout: time.Hour})
	for _, seconds := range []string{"86400", "-3600", "9999999999999"} {
		a := s.callback(t, "state", success, func(r *http.Request) { r.URL.RawQuery = "wait_seconds=" + seconds })
		if left := <-e.deadline; a.status != 200 || left > time.Hour || left < time.Minute {
			t.Errorf("with wait_seconds=%s: %v, and %s for the engine; want 200, and an hour", seconds, a, left)
		}
	}
}

func TestEngineWithoutWaits(t *testing.T) {
	s := startOver(t, broken{engine.ErrNotFound}, server.Config{})
	for _, path := range []string{"/v1/p/waits", "/v1/p/waits/w", "/v1/p/outcomes"} {
		s.get(t, path).want(t, 501, "FLOWCALLBACK.NOT_IMPLEMENTED")
	}
}

// Clients that do not read their responses use memory up to a limit. Then others of their
// address are refused, and principals are served.
func TestUnreadResponsesLeaveMemoryToPrincipals(t *testing.T) {
	name := func(_ context.Context, c server.Call) (string, error) {
		return c.Request.Header.Get("X-Test-Name"), nil
	}
	s := start(t, server.Config{MaxMemory: 8 << 20, Authorize: name}, sqlite.Options{})
	large := `{"result":"success","output":{"a":"` + strings.Repeat("x", 100_000) + `"}}`
	for i := range 10 {
		s.open(t, fmt.Sprint(i))
		s.callback(t, fmt.Sprint(i), large).want(t, 200, "")
	}
	refused := 0
	for range 60 {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		// Pipelined requests fill the buffers of the system, whose size varies.
		if _, err := conn.Write([]byte(strings.Repeat("GET /v1/project/outcomes?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n", 20))); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		if a := s.get(t, "/v1/project/outcomes?limit=1000"); a.status == 503 {
			refused++
		}
		r := s.request(t, http.MethodGet, "/v1/project/outcomes?limit=1", "")
		r.Header.Set("X-Test-Name", "order-service")
		if a := s.do(t, r); a.status != 200 {
			t.Fatalf("request of a principal beside unread responses: %v, want 200", a)
		}
	}
	if refused == 0 {
		t.Error("no request of the address was refused, so unread responses are not limited")
	}
}
