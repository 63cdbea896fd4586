package main_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
	"github.com/flowcallback/flowcallback/server/servertest"
)

var states = flag.Int("states", 10_000, "how many waits TestRandomOrderAndAKill settles")

// Many waits are settled in random order, and the server is killed while it folds
// them. Every answer stands, and the lists are complete.
func TestRandomOrderAndAKill(t *testing.T) {
	n := *states
	engine := file(t)
	_, path, _ := strings.Cut(engine, ":")
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	forEach(n, 256, func(i int) {
		_, _, err := e.OpenWait(t.Context(), "project", waits.OpenWaitRequest{WorkflowID: "w", RunID: "run", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 86400}, "")
		if err != nil {
			t.Error(err)
		}
	})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	s := servertest.Start(t, "--engine", engine, "--log-level", "info")
	order := rand.Perm(n)
	answered := make([]atomic.Bool, n)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	var sent atomic.Int64
	forEach(n, 64, func(i int) {
		if int(sent.Add(1)) == n-n/10 { // it folds all the time, so also now
			s.Kill()
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v2/project/fgs/workflows/w/callback", strings.NewReader(fmt.Sprintf(`{"result":"success","output":{"n":%d}}`, order[i])))
		if err != nil {
			t.Error(err)
			return
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "X-Workflow-Run-Id": {"run"}, "X-Workflow-State-Id": {fmt.Sprint(order[i])}}
		if response, err := transport.RoundTrip(r); err == nil {
			response.Body.Close()
			answered[order[i]].Store(response.StatusCode == http.StatusOK)
		}
	})
	c := newClient(t, servertest.Start(t, "--engine", engine))
	listed := map[waits.Status]int{}
	for _, status := range []waits.Status{waits.Waiting, waits.Success} {
		for wait, err := range c.Waits.List(t.Context(), client.Filter{Status: status, Workflow: "w"}) {
			if err != nil {
				t.Fatal(err)
			}
			var i int
			_, _ = fmt.Sscan(string(wait.StateID), &i)
			right := wait.Status == waits.Waiting || string(wait.Outcome.Output) == fmt.Sprintf(`{"n":%d}`, i)
			if wait.Status != status || !right || status == waits.Waiting && answered[i].Load() {
				t.Fatalf("list of status %s has %+v; answered: %t", status, wait, answered[i].Load())
			}
			listed[status]++
		}
	}
	if listed[waits.Waiting]+listed[waits.Success] != n || listed[waits.Success] < n/2 {
		t.Errorf("the lists have %v waits, want %d in all and most of them success", listed, n)
	}
}

// A migration that is killed at any time leaves the file of before or the migrated one.
func TestKilledMigration(t *testing.T) {
	fixture, err := os.ReadFile("../../engine/sqlite/testdata/schema1.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "waits.db")
	if err := os.WriteFile(path, fixture, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := servertest.Build(t, "server/cmd/flowcallbackd")
	for i := range 15 {
		command := exec.CommandContext(t.Context(), binary, "--engine", "sqlite:"+path, "--listen", "127.0.0.1:0", "--retention", "0")
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(i*4+rand.IntN(4)) * time.Millisecond)
		_ = command.Process.Kill()
		_ = command.Wait() // the error is the kill
	}
	server := servertest.Start(t, "--engine", "sqlite:"+path, "--retention", "0")
	c, err := client.New(server.URL, "shop")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range c.Waits.List(t.Context(), client.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 4 {
		t.Errorf("the migrated file has %d waits of the project, want 4", n)
	}
	if err := sqlite.Check(t.Context(), path); err != nil {
		t.Errorf("Check: %v", err)
	}
}
