package interop_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// The conformance cases as data say all that a program in another language needs.
func TestCasesInPython(t *testing.T) {
	for name, flags := range map[string][]string{"refuses unknown states": nil, "holds callbacks": {"--unknown", "hold"}} {
		t.Run(name, func(t *testing.T) { runCases(t, flags) })
	}
}

func runCases(t *testing.T, flags []string) {
	s := servertest.Start(t, append(flags, "--engine", "sqlite:"+filepath.Join(t.TempDir(), "waits.db"))...)
	c, err := client.New(s.URL, "shop")
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for i := range 60 {
		key := client.State{Workflow: "Flow", Run: fmt.Sprint("Run-", i), State: fmt.Sprint("State-", i)}
		if _, err := c.Waits.Open(t.Context(), key, client.OpenOptions{}); err != nil {
			t.Fatal(err)
		}
		line, err := json.Marshal(map[string]string{"workflow_id": key.Workflow, "run_id": key.Run, "state_id": key.State})
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, string(line))
	}
	list := exec.CommandContext(t.Context(), servertest.Build(t, "client/cmd/flowcallback"), "--project-id", "shop", "--json", "conformance", "--list")
	list.Stderr = os.Stderr
	cases, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	run := func() (string, error) {
		for name, text := range map[string]string{"cases": string(cases), "states": strings.Join(states, "\n")} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		output, err := exec.CommandContext(t.Context(), "python3", "testdata/run_cases.py", s.URL, "shop", filepath.Join(folder, "cases"), filepath.Join(folder, "states")).CombinedOutput()
		return string(output), err
	}
	if text, err := run(); err != nil || !strings.HasSuffix(text, " tried, 0 failed\n") || strings.HasPrefix(text, "0 ") {
		t.Errorf("run_cases.py: %v\n%s", err, text)
	}
	states = states[1:] // they are settled, and the outcomes of the first run would be the same again
	if text, err := run(); err == nil || !strings.Contains(text, "FAILED settling: a success is answered with the execution: (400, ") || strings.Contains(text, "FAILED body: ") {
		t.Errorf("run_cases.py with states that are settled: %v\n%s", err, text)
	}
}
