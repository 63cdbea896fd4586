package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
)

// A worker of Temporal's TypeScript SDK works without a library of this project: the default data
// converter decodes the outcome. The files in testdata match the code in README.
func TestTypeScript(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	for name, test := range map[string]struct {
		request callback.Request
		want    string
	}{
		"success": {enginetest.Success(`{"approved":true,"by":["é",1.5]}`), `{"output":{"approved":true,"by":["é",1.5]}}`},
		"fail":    {enginetest.Fail("payment declined", `{"attempts":3}`), `{"type":"FlowCallbackFailed","message":"payment declined","details":[{"attempts":3}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			worker := exec.CommandContext(t.Context(), "node", "worker.js", d.address, name)
			worker.Dir, worker.Stderr = "testdata/typescript", os.Stderr
			stdout, err := worker.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := worker.Start(); err != nil {
				t.Fatalf("%v (\"make e2e\" installs Node and the SDK)", err)
			}
			lines := bufio.NewScanner(stdout)
			var run struct{ RunID string }
			if !lines.Scan() || json.Unmarshal(lines.Bytes(), &run) != nil {
				t.Fatalf("the worker printed %q", lines.Text())
			}
			key := engine.Key{ProjectID: "default", WorkflowID: name, RunID: callback.RunID(run.RunID), StateID: "approve"}
			f.untilPending(t, key)
			for { // until the worker has started the activity
				if _, err = e.Callback(t.Context(), engine.Callback{Key: key, Request: test.request}); !is(err, engine.ErrUnavailable) {
					break
				}
			}
			if err != nil || !lines.Scan() || lines.Text() != test.want {
				t.Errorf("Callback: %v; the workflow got %s, want %s", err, lines.Text(), test.want)
			}
			if err := worker.Wait(); err != nil {
				t.Errorf("the worker exited: %v", err)
			}
		})
	}
}
