package e2e

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/temporal/flow"
)

var update = flag.Bool("update", false, "record a new history for the replay test of package flow")

// approval is the same workflow as approval in the tests of package flow.
func approval(ctx workflow.Context) (outcomes []waits.Outcome, err error) {
	for _, state := range []string{"approve", "pay"} {
		outcome, err := flow.Await(ctx, state, time.Hour, map[string]string{"order": "4711"})
		if err != nil {
			return outcomes, err
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}

// A new history replays. With -update, the test saves it as the history that the tests of
// package flow replay.
func TestHistory(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	w := worker.New(f.Client, "approvals", worker.Options{})
	w.RegisterWorkflow(approval)
	flow.Register(w)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	key := f.startOn(t, "approvals", "approve", approval)
	f.untilPending(t, key)
	want(t, "approve", e, key, enginetest.Success(`{"approved":true}`), errNone)
	pay := engine.Key{ProjectID: key.ProjectID, WorkflowID: key.WorkflowID, RunID: key.RunID, StateID: "pay"}
	f.untilPending(t, pay)
	want(t, "pay", e, pay, enginetest.Fail("payment declined", `{"attempts":3}`), errNone)
	f.untilClosed(t, key)

	history := &historypb.History{}
	events := f.GetWorkflowHistory(t.Context(), key.WorkflowID, string(key.RunID), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		history.Events = append(history.Events, event)
	}
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflow(approval)
	if err := replayer.ReplayWorkflowHistory(nil, history); err != nil {
		t.Error(err)
	}
	if *update {
		text, err := protojson.MarshalOptions{Multiline: true}.Marshal(history)
		if err == nil {
			err = os.WriteFile(filepath.Join("..", "flow", "testdata", "approval.json"), append(text, '\n'), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
