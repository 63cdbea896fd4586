// Package servertest runs the project's real commands in tests. It builds the commands, starts
// flowcallbackd on a free port, and stops or kills it. It is for tests only.
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

// bin is the folder for the binaries of Build. Main creates it and removes it.
var bin string

// Main creates a folder for the binaries of Build, runs the tests, and returns the exit status.
// Call it from TestMain.
func Main(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "flowcallback-test-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(bin)
	return m.Run()
}

var building sync.Mutex

// Build builds a command, such as server/cmd/flowcallbackd, and returns the path of its binary.
// It builds each command once and is safe for concurrent use.
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

// root returns the folder of the project's main module. Tests in nested modules build there
// too, because the main module's go.sum lists the dependencies of the commands.
func root(t testing.TB) string {
	t.Helper()
	folder, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/flowcallback/flowcallback").Output()
	if err != nil {
		t.Fatalf("finding the project's module: %v", err)
	}
	return strings.TrimSpace(string(folder))
}

// A Server is a flowcallbackd process.
type Server struct {
	URL    string
	Stdout io.Reader

	command *exec.Cmd
	log     log
	exited  chan struct{}
	err     error
}

// Start starts flowcallbackd on a free port with additional flags, and returns when it listens.
// If the process still runs when the test ends, it is killed.
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
	_ = stdoutWriter.Close() // the child process has its own copy
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
		t.Fatalf("flowcallbackd %q exited before it listened: %v\n%s", flags, s.err, s.Log())
	case <-time.After(time.Minute):
		t.Fatalf("flowcallbackd %q does not listen after 1m:\n%s", flags, s.Log())
	}
	return s
}

// Kill sends SIGKILL and blocks until the process has exited.
func (s *Server) Kill() {
	_ = s.command.Process.Kill() // the process may have exited already
	<-s.exited
}

// Signal sends a signal to the process. It does not wait for the process to exit.
func (s *Server) Signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		t.Fatalf("sending signal %v: %v", signal, err)
	}
}

// Wait blocks until the process has exited, and returns its exit status. If a signal killed the
// process, Wait returns -1.
func (s *Server) Wait() int {
	<-s.exited
	var exit *exec.ExitError
	if errors.As(s.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// Stop sends SIGTERM and blocks until the process has exited. It fails the test if the exit
// status is not 0.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.Signal(t, syscall.SIGTERM)
	if status := s.Wait(); status != 0 {
		t.Errorf("exit status of flowcallbackd after SIGTERM = %d, want 0:\n%s", status, s.Log())
	}
}

// PID returns the process id.
func (s *Server) PID() int { return s.command.Process.Pid }

// Log returns the log output so far. It is safe for concurrent use.
func (s *Server) Log() string { return s.log.String() }

// log stores the server's standard error.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// follow reads r to its end and sends the listen address when the server logs it.
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

// WithoutVersion removes the build's version from a help text.
func WithoutVersion(help []byte) []byte { return versionLine.ReplaceAll(help, nil) }
