package server_test

import (
	"bufio"
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

// broken is an engine that returns err. It panics if err is nil.
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
				t.Errorf("response %v, log %s; want the cause in the log and not in the response", a, s.log)
			}
			if (a.status == 503) != (a.header.Get("Retry-After") != "") {
				t.Errorf("status %d with Retry-After %q, want the header with 503 only", a.status, a.header.Get("Retry-After"))
			}
			if counted := fmt.Sprintf("flowcallback_callbacks_total{code=%q,result=\"success\"} 1\n", test.code); !strings.Contains(string(s.get(t, "/metrics").body), counted) {
				t.Errorf("GET /metrics does not contain %s", counted)
			}
			if !strings.Contains(s.log.String(), a.RequestID) {
				t.Errorf("log does not contain request id %s: %s", a.RequestID, s.log)
			}
		})
	}
	s := startOver(t, broken{engine.ErrUnavailable}, server.Config{})
	s.get(t, "/readyz").want(t, 503, "FSS.0503")
	if a := s.get(t, "/healthz"); a.status != 200 {
		t.Errorf("GET /healthz while the server is not ready: %v, want 200", a)
	}
}

// stuck is an engine whose calls block until release is closed.
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
		t.Error("503 response has no Retry-After header")
	}
	if a := s.get(t, "/readyz"); a.status != 200 {
		t.Errorf("GET /readyz while the server is busy: %v, want 200", a)
	}
	close(e.release)
	for range most {
		if a := <-answers; a.status != 200 {
			t.Errorf("accepted callback: %v, want 200", a)
		}
	}
	go func() { <-e.entered }()
	if a := s.callback(t, "state", success); a.status != 200 {
		t.Errorf("callback after the others finished: %v, want 200", a)
	}
}

// A slow sender uses no request slot, and uses memory only for the bytes already sent. One
// address can use at most half of the memory.
func TestSlowSendersKeepNobodyOut(t *testing.T) {
	s := start(t, server.Config{MaxRequests: 1, MaxBody: 100_000, MaxMemory: 400_000}, sqlite.Options{})
	s.open(t, "state")
	s.open(t, "second")
	large := `{"result":"success","output":{"a":"` + strings.Repeat("x", 90_000) + `"}}`
	for range 3 {
		defer s.sendPart(t, large, 10)()
	}
	if a := s.callback(t, "state", success); a.status != 200 {
		t.Errorf("callback with slow senders connected: %v, want 200", a)
	}
	stop, stopAnother := s.sendPart(t, large, 80_000), s.sendPart(t, large, 80_000)
	for s.callback(t, "unknown", large).status != 503 { // until the server has read most of both bodies
	}
	s.callback(t, "unknown", large).want(t, 503, "FSS.0503")
	if a := s.callback(t, "second", success); a.status != 200 {
		t.Errorf("small callback while large bodies are incomplete: %v, want 200", a)
	}
	stop()
	stopAnother()
	for s.callback(t, "unknown", large).status != 404 { // until the server has freed their memory
	}
}

// When memory is short, bodies that have been arriving for long are dropped, before their
// time-outs. Otherwise callers that must send a body to prove who they are could be kept out.
func TestSlowBodiesGiveWay(t *testing.T) {
	s := start(t, server.Config{MaxBody: 100_000, MaxMemory: 400_000}, sqlite.Options{})
	large := `{"result":"success","output":{"a":"` + strings.Repeat("x", 90_000) + `"}}`
	var slow []net.Conn
	for range 2 { // one address gets half of the memory
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "POST /v2/project/fgs/workflows/%s/callback HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
			"X-Workflow-Run-Id: run\r\nX-Workflow-State-Id: slow\r\nContent-Length: %d\r\n\r\n%s", workflow, len(large), large[:80_000])
		slow = append(slow, conn)
	}
	var answered sync.WaitGroup
	for _, conn := range slow {
		answered.Go(func() {
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || response.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("slow body: response %+v, %v; want 503, not the 408 of its own time-out", response, err)
			}
		})
	}
	done := make(chan struct{})
	go func() { answered.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return
		default:
			var both sync.WaitGroup // they need the memory of all slow ones, also of one that began a moment later
			for range 2 {
				both.Go(func() { s.callback(t, "unknown", large) })
			}
			both.Wait()
		}
	}
}

// sendPart sends only the first n bytes of a callback's body and keeps the connection open
// until stop is called. If the server refuses the request because memory is used up, sendPart
// tries again.
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
			_, _ = dialed.Read(make([]byte, 1)) // returns when the server refuses the request or stop closes conn
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
	for range 2 { // the server refuses the second one immediately
		go func() { polled <- s.get(t, "/v1/project/waits/"+wait.WaitID+"?wait_seconds=50") }()
	}
	(<-polled).want(t, 503, "FSS.0503")
	if a := s.callback(t, "state", success); a.status != 200 {
		t.Errorf("callback during a long-poll: %v, want 200", a)
	}
	if a := <-polled; a.status != 200 {
		t.Errorf("accepted long-poll: %v, want 200", a)
	}
}

// A long-poll with a percent-encoded parameter name does not use a slot for other requests.
func TestEncodedPollsAreCountedAsPolls(t *testing.T) {
	s := start(t, server.Config{MaxRequests: 1, MaxPolls: 1}, sqlite.Options{})
	wait := s.open(t, "state")
	polled := make(chan answer, 2)
	for range 2 { // the server refuses the second one immediately
		go func() { polled <- s.get(t, "/v1/project/waits/"+wait.WaitID+"?wait%5Fseconds=50") }()
	}
	(<-polled).want(t, 503, "FSS.0503")
	if a := s.callback(t, "state", success); a.status != 200 {
		t.Errorf("callback during an encoded long-poll: %v, want 200", a)
	}
	<-polled
}

// patient is an engine that reports the time left until its deadline.
type patient struct{ deadline chan time.Duration }

func (p patient) Callback(ctx context.Context, _ engine.Callback) (string, error) {
	until, _ := ctx.Deadline()
	p.deadline <- time.Until(until)
	return "execution", ctx.Err()
}

func (patient) Ready(context.Context) error { return nil }

// A callback is not a long-poll: wait_seconds does not change its deadline.
func TestCallbackDoesNotPoll(t *testing.T) {
	e := patient{make(chan time.Duration, 1)}
	s := startOver(t, e, server.Config{MaxPolls: 1, Timeout: time.Hour})
	for _, seconds := range []string{"86400", "-3600", "9999999999999"} {
		a := s.callback(t, "state", success, func(r *http.Request) { r.URL.RawQuery = "wait_seconds=" + seconds })
		if left := <-e.deadline; a.status != 200 || left > time.Hour || left < time.Minute {
			t.Errorf("callback with wait_seconds=%s: %v, engine deadline in %s; want 200 and about 1h", seconds, a, left)
		}
	}
}

func TestEngineWithoutWaits(t *testing.T) {
	s := startOver(t, broken{engine.ErrNotFound}, server.Config{})
	for _, path := range []string{"/v1/p/waits", "/v1/p/waits/w", "/v1/p/outcomes"} {
		s.get(t, path).want(t, 501, "FLOWCALLBACK.NOT_IMPLEMENTED")
	}
}

// Clients that do not read their responses can use memory only up to a limit. At the limit,
// the server refuses anonymous requests from their address but still serves principals.
func TestUnreadResponsesLeaveMemoryToPrincipals(t *testing.T) {
	name := func(_ context.Context, c server.Call) (server.Principal, error) {
		return server.Principal{Name: c.Request.Header.Get("X-Test-Name")}, nil
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
		// Pipelined requests fill the socket buffers, whose size depends on the system.
		if _, err := conn.Write([]byte(strings.Repeat("GET /v1/project/outcomes?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n", 20))); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < 200 && (i < 5 || refused == 0); i++ {
		if a := s.get(t, "/v1/project/outcomes?limit=1000"); a.status == 503 {
			refused++
		}
		r := s.request(t, http.MethodGet, "/v1/project/outcomes?limit=1", "")
		r.Header.Set("X-Test-Name", "order-service")
		if a := s.do(t, r); a.status != 200 {
			t.Fatalf("request of a principal with unread responses pending: %v, want 200", a)
		}
	}
	if refused == 0 {
		t.Error("anonymous requests refused with 503: 0, want at least 1")
	}
}
