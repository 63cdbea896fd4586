package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	if settings := os.Getenv(bareServer); settings != "" {
		serveBare(settings)
	}
	os.Exit(servertest.Main(m))
}

func newClient(t *testing.T, s *servertest.Server, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(s.URL, "project", options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func file(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "waits.db") }

// TestDemo runs the demo of the README: the printed curl command resumes the flow.
func TestDemo(t *testing.T) {
	s := servertest.Start(t, "--demo")
	lines := bufio.NewScanner(s.Stdout)
	var curl strings.Builder
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "  ") {
			fmt.Fprintln(&curl, line)
		}
		if curl.Len() > 0 && line == "" {
			break
		}
	}
	output, err := exec.Command("sh", "-c", curl.String()).CombinedOutput()
	if err != nil || !bytes.Contains(output, []byte("200 OK")) || !bytes.Contains(output, []byte(`"execution_id"`)) {
		t.Fatalf("%s\n%v, want 200 and an execution id\n%s", curl.String(), err, output)
	}
	var printed []string
	for lines.Scan() {
		printed = append(printed, lines.Text())
		if strings.HasPrefix(lines.Text(), "The flow waits again") {
			break
		}
	}
	want := []string{
		"Or approve it in a browser: " + s.URL + "/console/46b6f338fc3445b8846c71dfb1fbd9e8", "",
		`The flow goes on: success with {"message":"success","result":200}`,
		"The flow waits again, at state second-approval.",
	}
	if !slices.Equal(printed, want) {
		t.Errorf("demo printed %q, want %q", printed, want)
	}
	s.Stop(t)
}

func TestStopFinishesWhatItTook(t *testing.T) {
	engine := file(t)
	s := servertest.Start(t, "--engine", engine)
	c := newClient(t, s)
	wait, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, client.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/project/waits/"+wait.WaitID+"?wait_seconds=50", nil)
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan error, 1)
	sent := make(chan struct{})
	go func() {
		close(sent)
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			err = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				err = errors.New(response.Status)
			}
		}
		polled <- err
	}()
	<-sent
	// After this response, the long-poll was either accepted, or the closing server refuses
	// it. In both cases it ends immediately.
	if _, err := c.Waits.Get(t.Context(), wait.WaitID); err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	if err := <-polled; err != nil && !strings.Contains(err.Error(), "refused") && !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
		t.Errorf("long-poll: error %v, want 200 or a closed connection", err)
	}

	s = servertest.Start(t, "--engine", engine)
	if got, err := newClient(t, s).Waits.Get(t.Context(), wait.WaitID); err != nil || got.Status != waits.Waiting {
		t.Errorf("wait after a restart = %+v, %v; want waiting", got, err)
	}
}

func TestStartsThatAreRefused(t *testing.T) {
	engine := file(t)
	running := servertest.Start(t, "--engine", engine)
	broken := filepath.Join(t.TempDir(), "broken")
	write(t, broken, "neither YAML: [ nor a certificate")
	for name, test := range map[string]struct {
		flags []string
		want  string
	}{
		"every address":            {[]string{"--listen", ":8080"}, "other machines could reach"},
		"every IPv4 address":       {[]string{"--listen", "0.0.0.0:8080"}, "other machines could reach"},
		"address of a network":     {[]string{"--listen", "192.0.2.1:8080"}, "other machines could reach"},
		"auth file that is broken": {[]string{"--auth", broken}, "not well-formed YAML: check indentation and quotes near line 1"},
		"auth file that is absent": {[]string{"--auth", "/no/such/file"}, "no such file"},
		"auth and no auth":         {[]string{"--auth", broken, "--insecure-no-auth"}, "contradict each other"},
		"certificate without key":  {[]string{"--tls-cert", broken}, "go together"},
		"broken certificate":       {[]string{"--tls-cert", broken, "--tls-key", broken}, "--tls-cert " + broken},
		"no port":                  {[]string{"--listen", "127.0.0.1"}, "want host:port"},
		"address in use":           {[]string{"--engine", file(t), "--listen", strings.TrimPrefix(running.URL, "http://")}, "another program uses this address"},
		"file in use":              {[]string{"--engine", engine, "--listen", "127.0.0.1:0"}, "is open in another process"},
		"unknown engine":           {[]string{"--engine", "mysql://x"}, "want sqlite:PATH"},
		"unknown choice":           {[]string{"--unknown", "drop"}, "want reject or hold"},
		"unknown log format":       {[]string{"--log-format", "xml"}, "want text or json"},
		"body limit of 0":          {[]string{"--max-body", "0"}, "want at least 1"},
		"negative retention":       {[]string{"--retention", "-1h"}, "want a positive duration"},
		"unknown flag":             {[]string{"--bogus"}, "flowcallbackd --help"},
		"argument":                 {[]string{"bogus"}, "unexpected argument"},
	} {
		t.Run(name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), test.flags...)
			command.Dir = t.TempDir()
			output, err := command.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(output), test.want) {
				t.Errorf("flowcallbackd %q: %v, output %s; want exit status 1 and %q", test.flags, err, output, test.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("FLOWCALLBACKD_UNKNOWN", "hold")
	t.Setenv("FLOWCALLBACKD_ENGINE", file(t))
	c := newClient(t, servertest.Start(t))
	if _, err := c.Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, nil); err != nil {
		t.Errorf("callback for an unknown state with FLOWCALLBACKD_UNKNOWN=hold: %v", err)
	}
	c = newClient(t, servertest.Start(t, "--engine", file(t), "--unknown", "reject"))
	if _, err := c.Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, nil); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("callback for an unknown state with --unknown reject and FLOWCALLBACKD_UNKNOWN=hold: error %v, want %v", err, client.ErrNotFound)
	}
}

// TestKillLosesNothing kills the server during concurrent callbacks. After a restart, every
// callback that got 200 is stored as it was sent. Every other wait is either settled with the
// callback's output or still waiting.
func TestKillLosesNothing(t *testing.T) {
	const rounds, states, senders = 4, 400, 32
	engine := file(t)
	for round := range rounds {
		s := servertest.Start(t, "--engine", engine)
		c := newClient(t, s, client.WithRetry(0))
		state := func(i int) client.State {
			return client.State{Workflow: "w", Run: fmt.Sprint(round), State: fmt.Sprint(i)}
		}
		output := func(i int) string { return fmt.Sprintf(`{"round":%d,"state":%d}`, round, i) }
		var ids [states]string
		forEach(states, senders, func(i int) {
			wait, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: fmt.Sprint(round), State: fmt.Sprint(i)}, client.OpenOptions{})
			if err != nil {
				t.Errorf("Open: %v", err)
			}
			ids[i] = wait.WaitID
		})
		if t.Failed() {
			t.FailNow()
		}

		var answered [states]bool
		var n atomic.Int64
		killed := make(chan struct{})
		forEach(states, senders, func(i int) {
			if _, err := c.Succeed(context.Background(), state(i), []byte(output(i))); err == nil {
				answered[i] = true
			}
			if n.Add(1) == states/4*int64(1+round%3) {
				go func() { s.Kill(); close(killed) }()
			}
		})
		<-killed

		s = servertest.Start(t, "--engine", engine)
		c = newClient(t, s)
		lost := 0
		for i := range states {
			wait, err := c.Waits.Get(t.Context(), ids[i])
			switch {
			case err != nil:
				t.Errorf("round %d: Get wait %d: %v", round, i, err)
			case wait.Status == waits.Success && string(wait.Outcome.Output) != output(i):
				t.Errorf("round %d: output of wait %d = %s, want %s", round, i, wait.Outcome.Output, output(i))
			case answered[i] && wait.Status != waits.Success:
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("round %d: %d callbacks that got 200 are lost, want 0", round, lost)
		}
		s.Stop(t)
	}
}

// forEach calls do with 0 to n-1 from senders goroutines, and returns when all calls are done.
func forEach(n, senders int, do func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	group.Wait()
}

func TestInterruptStops(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t))
	s.Signal(t, syscall.SIGINT)
	if status := s.Wait(); status != 0 {
		t.Errorf("exit status after SIGINT = %d, want 0:\n%s", status, s.Log())
	}
}

func TestHelp(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "help.txt")
	output = servertest.WithoutVersion(output)
	if *update {
		if err := os.WriteFile(golden, output, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(output, want) {
		t.Errorf("flowcallbackd --help differs from %s (%v); go test -update rewrites the file:\n%s", golden, err, output)
	}
}
