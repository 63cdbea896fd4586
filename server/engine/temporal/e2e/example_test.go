package e2e

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/server/servertest"
)

// The steps in README resume the example flow.
func TestExample(t *testing.T) {
	d := startTemporal(t)
	s := servertest.Start(t, "--engine", "temporal://"+d.address+"/default")
	flowcallback := servertest.Build(t, "client/cmd/flowcallback")
	example := exec.CommandContext(t.Context(), servertest.Build(t, "server/engine/temporal/flow/example"))
	example.Env = append(example.Environ(), "TEMPORAL_ADDRESS="+d.address)
	stdout, err := example.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := example.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	command := ""
	for command == "" && lines.Scan() {
		if line, ok := strings.CutPrefix(lines.Text(), "  "); ok {
			command = line
		}
	}
	shell := exec.CommandContext(t.Context(), "sh", "-c", command)
	shell.Env = append(shell.Environ(), "PATH="+filepath.Dir(flowcallback)+":/usr/bin:/bin", "FLOWCALLBACK_ENDPOINT="+s.URL, "FLOWCALLBACK_PROJECT_ID=default", "HOME="+t.TempDir())
	output, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	if err := example.Wait(); err != nil || last != `The flow goes on: success with {"approved":true}` {
		t.Errorf("the last line of the example is %q, %v; want the success", last, err)
	}
}
