// Package servertest runs the real commands in tests: it builds them, starts flowcallbackd
// on a free port, and stops or kills it. It is for tests only.
package servertest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin is where Build puts what it builds, for as long as Main runs.
var bin string

// Main runs the tests with a place for what Build builds, and returns the exit status. Call
// it from TestMain.
func Main(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "flowcallback-test-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(bin)
	return m.Run()
}

var building sync.Mutex

// Build builds one of the commands, such as server/cmd/flowcallbackd, and returns the path
// of its binary.
func Build(t testing.TB, command string) (path string) {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	if bin == "" {
		t.Fatal("servertest.Main was not called from TestMain")
	}
	path = filepath.Join(bin, filepath.Base(command))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./"+command)
	build.Dir = root(t)
	output, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("building %s: %v\n%s", command, err, output)
	}
	return path
}

// root returns the folder of the project's module, for tests in nested modules too: what a
// command needs is in its go.sum, not in theirs.
func root(t testing.TB) string {
	t.Helper()
	folder, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/flowcallback/flowcallback").Output()
	if err != nil {
		t.Fatalf("finding the project's module: %v", err)
	}
	return strings.TrimSpace(string(folder))
}

// A Server is a flowcallbackd that runs.
type Server struct {
	URL    string
	Stdout io.Reader

	command *exec.Cmd
	log     log
	exited  chan struct{}
	err     error
}

// Start starts flowcallbackd on a free port, with the given flags besides, and returns once
// it listens. It is killed when the test ends, if it still runs.
func Start(t testing.TB, flags ...string) *Server {
	t.Helper()
	s := &Server{exited: make(chan struct{})}
	s.command = exec.CommandContext(t.Context(), Build(t, "server/cmd/flowcallbackd"), append([]string{"--listen", "127.0.0.1:0", "--log-format", "json", "--drain", "0"}, flags...)...)
	stdout, stdoutWriter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.Stdout, s.command.Stdout = stdout, stdoutWriter
	stderr, err := s.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = stdoutWriter.Close() // the child has it
	address := make(chan string, 1)
	go func() {
		s.log.follow(stderr, address)
		s.err = s.command.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		s.Kill()
		_ = stdout.Close()
	})
	select {
	case a := <-address:
		s.URL = "http://" + a
	case <-s.exited:
		t.Fatalf("flowcallbackd %q ended: %v\n%s", flags, s.err, s.Log())
	case <-time.After(time.Minute):
		t.Fatalf("flowcallbackd %q does not listen:\n%s", flags, s.Log())
	}
	return s
}

// Kill ends the process at once, as kill -9 does.
func (s *Server) Kill() {
	_ = s.command.Process.Kill() // it may have ended by itself
	<-s.exited
}

// Signal sends a signal.
func (s *Server) Signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		t.Fatalf("signal %v: %v", signal, err)
	}
}

// Wait blocks until the process has ended and returns its exit status.
func (s *Server) Wait() int {
	<-s.exited
	var exit *exec.ExitError
	if errors.As(s.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// Stop ends the process as an operator would, and wants a clean exit.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.Signal(t, syscall.SIGTERM)
	if status := s.Wait(); status != 0 {
		t.Errorf("flowcallbackd ended with %d after SIGTERM:\n%s", status, s.Log())
	}
}

// PID is the process's id.
func (s *Server) PID() int { return s.command.Process.Pid }

// Log returns what the server has logged so far.
func (s *Server) Log() string { return s.log.String() }

// log keeps what the server writes to standard error.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// follow reads to the end and says where the server listens.
func (l *log) follow(r io.Reader, address chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l.mu.Lock()
		fmt.Fprintf(&l.text, "%s\n", lines.Bytes())
		l.mu.Unlock()
		var entry struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "listening" {
			address <- entry.Address
		}
	}
}

var versionLine = regexp.MustCompile(`(?m)^VERSION:\n.*\n\n`)

// WithoutVersion takes the build's version out of a help text.
func WithoutVersion(help []byte) []byte { return versionLine.ReplaceAll(help, nil) }
