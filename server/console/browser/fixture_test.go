package browser

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

const (
	project = "project"
	run     = "aa7d6479-141d-482f-b9bc-85b5cd14066b"
)

// fixture is a server with a client.
type fixture struct {
	*servertest.Server

	client *client.Client
}

func start(t *testing.T, flags ...string) fixture {
	t.Helper()
	s := servertest.Start(t, append([]string{"--engine", "sqlite:" + filepath.Join(t.TempDir(), "waits.db")}, flags...)...)
	return fixture{s, nil}.as(t)
}

// as returns the fixture with a client that has the given options.
func (f fixture) as(t *testing.T, options ...client.Option) fixture {
	t.Helper()
	c, err := client.New(f.URL, project, options...)
	if err != nil {
		t.Fatal(err)
	}
	return fixture{f.Server, c}
}

// startWithTokens starts a server that authenticates, with principals and what they may do. It
// returns their tokens. The client of the fixture has the token of the first.
func startWithTokens(t *testing.T, principals ...string) (fixture, map[string]string) {
	t.Helper()
	tokens := map[string]string{}
	text, first := "principals:\n", ""
	for _, p := range principals {
		name, rights, _ := strings.Cut(p, " ")
		output, err := exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), "token").Output()
		if err != nil {
			t.Fatal(err)
		}
		var token, hash string
		if _, err := fmt.Sscanf(string(output), "token: %s\ntoken_sha256: %s\n", &token, &hash); err != nil {
			t.Fatal(err)
		}
		tokens[name] = token
		if first == "" {
			first = token
		}
		text += fmt.Sprintf("  - {name: %s, %s, token_sha256: %s}\n", name, rights, hash)
	}
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(auth, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, "--auth", auth).as(t, client.WithToken(first)), tokens
}

// console returns the address of the project's list, or of what is below it.
func (f fixture) console(below string) string { return f.URL + "/console/" + project + below }

// page returns the address of a wait.
func (f fixture) page(w waits.Wait) string { return f.console("/" + w.WaitID) }

// stateID returns a state id for a question: ids are visible ASCII.
func stateID(title string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r <= '~' {
			return r
		}
		return '-'
	}, title)
}

// ask opens a wait with a question.
func (f fixture) ask(t *testing.T, workflow, title string, options client.OpenOptions) waits.Wait {
	t.Helper()
	options.Title = title
	wait, err := f.client.Waits.Open(t.Context(), client.State{Workflow: workflow, Run: run, State: stateID(title)}, options)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * time.Millisecond) // the next wait is newer: times count milliseconds
	return wait
}

func (f fixture) get(t *testing.T, id string) waits.Wait {
	t.Helper()
	wait, err := f.client.Waits.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// stateOf returns the state that a wait waits at.
func stateOf(w waits.Wait) client.State {
	return client.State{Workflow: w.WorkflowID, Run: string(w.RunID), State: string(w.StateID)}
}

func (f fixture) succeed(t *testing.T, w waits.Wait) {
	t.Helper()
	if _, err := f.client.Succeed(t.Context(), stateOf(w), nil); err != nil {
		t.Fatal(err)
	}
}

func (f fixture) fail(t *testing.T, w waits.Wait, reason string) {
	t.Helper()
	if _, err := f.client.Fail(t.Context(), stateOf(w), reason, nil); err != nil {
		t.Fatal(err)
	}
}

// settled returns a wait once it has left waiting.
func (f fixture) settled(t *testing.T, w waits.Wait) waits.Wait {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		got := f.get(t, w.WaitID)
		if got.Status != waits.Waiting || time.Now().After(deadline) {
			return got
		}
		<-time.After(20 * time.Millisecond)
	}
}
