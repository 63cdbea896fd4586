package e2e

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/temporal/flow"
	"github.com/flowcallback/flowcallback/server/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// development is a Temporal development server: a process with its database file.
type development struct {
	address string
	flags   []string
	process *exec.Cmd
	ended   chan struct{}
	output  *os.File
}

// startTemporal starts a new Temporal and returns when it is healthy. The test's cleanup kills it.
func startTemporal(t testing.TB, flags ...string) *development {
	t.Helper()
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	output, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	d := &development{address: address, output: output, flags: append([]string{
		"server", "start-dev", "--headless", "--ip", "127.0.0.1",
		"--port", port, "--db-filename", filepath.Join(folder, "temporal.db"), "--log-level", "error",
	}, flags...)}
	t.Cleanup(func() {
		d.kill()
		output.Close()
	})
	d.start(t)
	return d
}

// start starts the process with the existing database file and returns when it is healthy.
func (d *development) start(t testing.TB) {
	t.Helper()
	process := exec.Command("temporal", d.flags...)
	process.Stdout, process.Stderr = d.output, d.output
	if err := process.Start(); err != nil {
		t.Fatalf("%v (\"make e2e\" installs Temporal)", err)
	}
	ended := make(chan struct{})
	d.process, d.ended = process, ended
	go func() {
		_ = process.Wait() // tests kill the process, so an error is expected
		close(ended)
	}()
	c := d.client(t)
	defer c.Close()
	for {
		if _, err := c.CheckHealth(t.Context(), &client.CheckHealthRequest{}); err == nil {
			return
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(d.output.Name())
			t.Fatalf("the temporal process ended: %s", text)
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// kill ends the process with SIGKILL and waits for its end.
func (d *development) kill() {
	if d.process != nil {
		_ = d.process.Process.Signal(syscall.SIGKILL) // an error means that the process has already ended
		<-d.ended
	}
}

func (d *development) client(t testing.TB) client.Client {
	t.Helper()
	c, err := client.NewLazyClient(client.Options{HostPort: d.address, Identity: "e2e", Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// flows starts workflows that wait for callbacks, and inspects them.
type flows struct {
	client.Client
	namespace string
	mu        sync.Mutex
	started   int
}

const taskQueue = "flows"

// startFlows starts a worker for the workflows below. The test's cleanup stops it.
func startFlows(t testing.TB, d *development) *flows {
	t.Helper()
	f := &flows{Client: d.client(t), namespace: "default"}
	w := worker.New(f.Client, taskQueue, worker.Options{})
	w.RegisterWorkflow(waitOnce)
	w.RegisterWorkflow(waitTwice)
	w.RegisterWorkflow(waitAside)
	w.RegisterWorkflow(waitAndMeasure)
	w.RegisterWorkflow(waitForMany)
	flow.Register(w)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Stop()
		f.Close()
	})
	return f
}

// waitOnce waits for one state and returns its outcome.
func waitOnce(ctx workflow.Context, state string, timeout time.Duration) (waits.Outcome, error) {
	return flow.Await(ctx, state, timeout, map[string]string{"question": "approve?"})
}

// waitTwice waits for a state and then for another one. It returns both outcomes.
func waitTwice(ctx workflow.Context, first, second string) (outcomes [2]waits.Outcome, err error) {
	if outcomes[0], err = flow.Await(ctx, first, time.Hour, nil); err != nil {
		return outcomes, err
	}
	outcomes[1], err = flow.Await(ctx, second, time.Hour, nil)
	return outcomes, err
}

// waitAndMeasure waits for a state and returns the size of its output in bytes.
func waitAndMeasure(ctx workflow.Context, state string) (int, error) {
	outcome, err := flow.Await(ctx, state, time.Hour, nil)
	return len(outcome.Output), err
}

// waitAside waits for a state in the background. It returns on the signal "leave" or on
// cancellation, without the state's outcome.
func waitAside(ctx workflow.Context, state string) error {
	workflow.Go(ctx, func(ctx workflow.Context) { _, _ = flow.Await(ctx, state, time.Hour, nil) })
	workflow.NewSelector(ctx).
		AddReceive(workflow.GetSignalChannel(ctx, "leave"), func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) }).
		AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {}).
		Select(ctx)
	return ctx.Err()
}

// start starts a workflow and returns the key of the given state.
func (f *flows) start(t testing.TB, state string, run any, arguments ...any) engine.Key {
	t.Helper()
	return f.startOn(t, taskQueue, state, run, arguments...)
}

// startOn is start with a task queue.
func (f *flows) startOn(t testing.TB, taskQueue, state string, run any, arguments ...any) engine.Key {
	t.Helper()
	f.mu.Lock()
	f.started++
	id := fmt.Sprint("Workflow-", f.started)
	f.mu.Unlock()
	started, err := f.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: taskQueue}, run, arguments...)
	if err != nil {
		t.Fatalf("starting a workflow: %v", err)
	}
	return engine.Key{ProjectID: f.namespace, WorkflowID: id, RunID: callback.RunID(started.GetRunID()), StateID: callback.StateID(state)}
}

// open starts a workflow and returns when its state waits.
func (f *flows) open(t testing.TB, timeout time.Duration) engine.Key {
	t.Helper()
	key := f.start(t, "State", waitOnce, "State", timeout)
	f.untilPending(t, key)
	return key
}

// untilPending blocks until the state waits.
func (f *flows) untilPending(t testing.TB, key engine.Key) {
	t.Helper()
	f.until(t, key, func(pending []string, _ enumspb.WorkflowExecutionStatus) bool {
		for _, id := range pending {
			if id == string(key.StateID) {
				return true
			}
		}
		return false
	})
}

// untilClosed blocks until the run has ended.
func (f *flows) untilClosed(t testing.TB, key engine.Key) {
	t.Helper()
	f.until(t, key, func(_ []string, status enumspb.WorkflowExecutionStatus) bool {
		return status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	})
}

func (f *flows) until(t testing.TB, key engine.Key, reached func(pending []string, status enumspb.WorkflowExecutionStatus) bool) {
	t.Helper()
	for {
		d, err := f.DescribeWorkflowExecution(t.Context(), key.WorkflowID, string(key.RunID))
		if err != nil {
			t.Fatalf("describing %v: %v", key, err)
		}
		var pending []string
		for _, a := range d.GetPendingActivities() {
			pending = append(pending, a.GetActivityId())
		}
		if reached(pending, d.GetWorkflowExecutionInfo().GetStatus()) {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// outcome blocks until the workflow returns, and returns the workflow's outcome.
func (f *flows) outcome(t testing.TB, key engine.Key) (outcome waits.Outcome) {
	t.Helper()
	if err := f.GetWorkflow(t.Context(), key.WorkflowID, string(key.RunID)).Get(t.Context(), &outcome); err != nil {
		t.Fatalf("result of workflow %v: %v", key, err)
	}
	return outcome
}

// errNone means "no error" in test tables.
var errNone = errors.New("none")

func is(err, want error) bool {
	if errors.Is(want, errNone) {
		return err == nil
	}
	return errors.Is(err, want)
}
