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
	"time"

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

// After SIGTERM the server reports that it is not ready, but serves requests and long-polls
// until --drain has passed. SIGINT ends the drain early.
func TestDrain(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t), "--drain", "1h")
	c := newClient(t, s, client.WithRetry(0))
	wait, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, client.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan int, 1)
	go func() { polled <- statusOf(s.URL + "/v1/project/waits/" + wait.WaitID + "?wait_seconds=50") }()
	s.Signal(t, syscall.SIGTERM)
	await(t, "/readyz answers 503", func() bool { return statusOf(s.URL+"/readyz") == http.StatusServiceUnavailable })
	if got := statusOf(s.URL + "/healthz"); got != http.StatusOK {
		t.Errorf("GET /healthz while draining: status %d, want 200", got)
	}
	if _, _, err := open(t, c, "second"); err != nil {
		t.Errorf("opening a wait while draining: %v", err)
	}
	if _, err := c.Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: "second"}, nil); err != nil {
		t.Errorf("callback while draining: %v", err)
	}
	select {
	case got := <-polled:
		t.Errorf("long-poll ended with status %d while draining, want it open", got)
	default:
	}
	s.Signal(t, syscall.SIGINT)
	if exit := s.Wait(); exit != 0 {
		t.Errorf("exit status after SIGINT = %d, want 0:\n%s", exit, s.Log())
	}
	if got := <-polled; got != http.StatusOK {
		t.Errorf("long-poll: status %d, want 200", got)
	}
	if log := s.Log(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("log contains errors, want none:\n%s", log)
	}
}

func open(t *testing.T, c *client.Client, state string) (waits.Wait, bool, error) {
	t.Helper()
	wait, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: state}, client.OpenOptions{})
	return wait, err == nil, err
}

// A client that sends its body slowly, but above the minimum rate, does not delay the end. Its
// request is refused, because it had not arrived.
func TestSlowBodyDoesNotDelayTheEnd(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t), "--max-body", "10000000")
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /v2/p/fgs/workflows/w/callback HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	dripping := make(chan struct{})
	go func() {
		defer close(dripping)
		for range time.Tick(50 * time.Millisecond) {
			if _, err := conn.Write(make([]byte, 2<<10)); err != nil {
				return
			}
		}
	}()
	if got := statusOf(s.URL + "/healthz"); got != http.StatusOK {
		t.Fatalf("GET /healthz: status %d, want 200", got)
	}
	s.Stop(t) // fails the test if the shutdown times out
	<-dripping
}

func TestHangupWithoutAuthIsIgnored(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t))
	s.Signal(t, syscall.SIGHUP)
	if got := statusOf(s.URL + "/healthz"); got != http.StatusOK {
		t.Errorf("GET /healthz after SIGHUP: status %d, want 200", got)
	}
	s.Stop(t)
}

// The server keeps serving if its log is not read, or if the log's reader closes the pipe. It
// counts the dropped log lines.
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
	for i := range 8000 { // writes more lines than fit into the pipe and the queue
		response, err := client.Get("http://" + address + "/openapi/none")
		if err != nil {
			t.Fatalf("request %d while the log is not read: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	if got := get(); got != http.StatusOK {
		t.Errorf("GET while the log is not read: status %d, want 200", got)
	}
	lines := bufio.NewScanner(reader)
	for lines.Scan() && !strings.Contains(lines.Text(), "log lines were dropped") {
	}
	if !strings.Contains(lines.Text(), "lines=") {
		t.Errorf("log line %q does not contain the number of dropped lines", lines.Text())
	}
	reader.Close()
	for range 20 {
		if got := get(); got != http.StatusOK {
			t.Fatalf("GET after the log's reader closed the pipe: status %d, want 200", got)
		}
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("flowcallbackd without a log reader: %v, want exit status 0", err)
	}
}
