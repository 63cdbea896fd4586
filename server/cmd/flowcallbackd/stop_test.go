package main_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// statusOf returns the status of a GET over a new connection, or 0 if it fails.
func statusOf(url string) int {
	transport := &http.Transport{DisableKeepAlives: true}
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// After SIGTERM the server is not ready and serves on until the time of --drain is over; a
// long-poll is held until then. SIGINT ends the draining.
func TestDrain(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t), "--drain", "1h")
	c := newClient(t, s, client.WithRetry(0))
	wait, err := c.Waits.Open(t.Context(), waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s"})
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan int, 1)
	go func() { polled <- statusOf(s.URL + "/v1/project/waits/" + wait.WaitID + "?wait_seconds=50") }()
	s.Signal(t, syscall.SIGTERM)
	await(t, "/readyz answers 503", func() bool { return statusOf(s.URL+"/readyz") == http.StatusServiceUnavailable })
	if got := statusOf(s.URL + "/healthz"); got != http.StatusOK {
		t.Errorf("GET /healthz while draining: %d, want 200", got)
	}
	if _, _, err := open(t, c, "second"); err != nil {
		t.Errorf("opening a wait while draining: %v", err)
	}
	if _, err := c.Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: "second"}, nil); err != nil {
		t.Errorf("callback while draining: %v", err)
	}
	select {
	case got := <-polled:
		t.Errorf("the long-poll ended with %d while the server drained", got)
	default:
	}
	s.Signal(t, syscall.SIGINT)
	if exit := s.Wait(); exit != 0 {
		t.Errorf("flowcallbackd ended with %d:\n%s", exit, s.Log())
	}
	if got := <-polled; got != http.StatusOK {
		t.Errorf("the long-poll ended with %d, want 200", got)
	}
	if log := s.Log(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the log has errors:\n%s", log)
	}
}

func open(t *testing.T, c *client.Client, state string) (waits.Wait, bool, error) {
	t.Helper()
	wait, err := c.Waits.Open(t.Context(), waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callbackState(state)})
	return wait, err == nil, err
}

// A sender that sends a body slowly does not delay the end of the server for long.
func TestSlowBodyDoesNotDelayTheEnd(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /v2/p/fgs/workflows/w/callback HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if got := statusOf(s.URL + "/healthz"); got != http.StatusOK {
		t.Fatalf("GET /healthz: %d", got)
	}
	s.Stop(t) // it fails if the server ends with an error after its timeout
}

func TestHangupWithoutAuthIsIgnored(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t))
	s.Signal(t, syscall.SIGHUP)
	if got := statusOf(s.URL + "/healthz"); got != http.StatusOK {
		t.Errorf("GET /healthz after SIGHUP: %d, want 200", got)
	}
	s.Stop(t)
}

// A log that is not read, and one whose reader has gone, do not keep the server from
// serving. The lines that were dropped are counted.
func TestLogIsNotRead(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), "--listen", address, "--engine", file(t), "--drain", "0")
	command.Stderr = writer
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	get := func() int { return statusOf("http://" + address + "/v1/p/waits") }
	await(t, "the server listens", func() bool { return statusOf("http://"+address+"/healthz") == http.StatusOK })
	client := &http.Client{}
	for i := range 8000 { // more than the pipe and the queue hold
		response, err := client.Get("http://" + address + "/openapi/none")
		if err != nil {
			t.Fatalf("request %d with an unread log: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	if got := get(); got != http.StatusOK {
		t.Errorf("GET with an unread log: %d, want 200", got)
	}
	lines := bufio.NewScanner(reader)
	for lines.Scan() && !strings.Contains(lines.Text(), "log lines were dropped") {
	}
	if !strings.Contains(lines.Text(), "lines=") {
		t.Errorf("the log does not say how many lines were dropped: %s", lines.Text())
	}
	reader.Close()
	for range 20 {
		if got := get(); got != http.StatusOK {
			t.Fatalf("GET after the reader of the log has gone: %d, want 200", got)
		}
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("flowcallbackd without a log reader ended with %v", err)
	}
}
