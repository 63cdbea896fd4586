package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/temporal"
	"github.com/flowcallback/flowcallback/server/engine/temporal/flow"
)

// want sends a callback and checks its error. what describes the call in failure messages.
func want(t *testing.T, what string, e *temporal.Engine, key engine.Key, request callback.Request, want error) {
	t.Helper()
	id, err := e.Callback(t.Context(), engine.Callback{Key: key, Request: request})
	if !is(err, want) || is(nil, want) != (id == string(key.RunID)) {
		t.Errorf("Callback, %s: execution id %q, %v; want %v", what, id, err, want)
	}
}

// When the state no longer waits, the engine answers a callback from Temporal's history.
func TestAfterwards(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	first, another := enginetest.Success(`{"n":1.0,"big":12345678901234567890}`), enginetest.Success(`{"n":1}`)

	t.Run("the flow has continued, and then closed", func(t *testing.T) {
		key := f.start(t, "first", waitTwice, "first", "second")
		second := key
		second.StateID = "second"
		want(t, "a state that does not wait yet", e, second, first, engine.ErrNotFound)
		f.untilPending(t, key)
		want(t, "the first callback", e, key, first, errNone)
		f.untilPending(t, second)
		for _, closed := range []string{"moved on", "closed"} {
			want(t, closed+": the same outcome again", e, key, enginetest.Success(`{ "big":12345678901234567890, "n":1.0 }`), errNone)
			want(t, closed+": another output", e, key, another, engine.ErrConflict)
			want(t, closed+": a fail", e, key, enginetest.Fail("", string(first.Output)), engine.ErrConflict)
			if closed == "moved on" {
				want(t, "the second state", e, second, enginetest.Fail("why", `{"a":1}`), errNone)
				f.untilClosed(t, key)
			}
		}
		want(t, "the second state again", e, second, enginetest.Fail("why", `{"a":1}`), errNone)
		want(t, "the second state with another reason", e, second, enginetest.Fail("Why", `{"a":1}`), engine.ErrConflict)
	})

	for name, test := range map[string]struct {
		end  func(key engine.Key) error
		want error
	}{
		"the flow was cancelled":  {func(k engine.Key) error { return f.CancelWorkflow(t.Context(), k.WorkflowID, string(k.RunID)) }, engine.ErrCancelled},
		"the flow was terminated": {func(k engine.Key) error { return f.TerminateWorkflow(t.Context(), k.WorkflowID, string(k.RunID), "") }, engine.ErrCancelled},
		"the flow closed without the state's outcome": {func(k engine.Key) error {
			return f.SignalWorkflow(t.Context(), k.WorkflowID, string(k.RunID), "leave", nil)
		}, engine.ErrCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			key := f.start(t, "aside", waitAside, "aside")
			f.untilPending(t, key)
			if err := test.end(key); err != nil {
				t.Fatal(err)
			}
			f.untilClosed(t, key)
			want(t, name, e, key, first, test.want)
			want(t, name, e, key, enginetest.Fail("", `{}`), test.want)
		})
	}

	t.Run("the workflow run timed out", func(t *testing.T) {
		started, err := f.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "short", TaskQueue: taskQueue, WorkflowRunTimeout: time.Second}, waitAside, "aside")
		if err != nil {
			t.Fatal(err)
		}
		key := engine.Key{ProjectID: "default", WorkflowID: "short", RunID: callback.RunID(started.GetRunID()), StateID: "aside"}
		f.untilPending(t, key)
		f.untilClosed(t, key)
		want(t, "after the timeout of the run", e, key, first, engine.ErrExpired)
	})

	t.Run("ids that Temporal cannot have return ErrNotFound", func(t *testing.T) {
		key := f.open(t, time.Hour)
		for name, change := range map[string]func(*engine.Key){
			"run id is not a UUID":    func(k *engine.Key) { k.RunID = "run" },
			"a UUID in capitals":      func(k *engine.Key) { k.RunID = callback.RunID(strings.ToUpper(string(k.RunID))) },
			"a UUID in braces":        func(k *engine.Key) { k.RunID = "{" + k.RunID + "}" },
			"another run":             func(k *engine.Key) { k.RunID = "00000000-0000-4000-8000-000000000000" },
			"a long workflow id":      func(k *engine.Key) { k.WorkflowID = strings.Repeat("w", 2000) },
			"a long state id":         func(k *engine.Key) { k.StateID = callback.StateID(strings.Repeat("s", 2000)) },
			"a non-ASCII workflow id": func(k *engine.Key) { k.WorkflowID = "订单" },
			"a non-ASCII state id":    func(k *engine.Key) { k.StateID = "订单" },
			"a non-ASCII namespace":   func(k *engine.Key) { k.ProjectID = "订单" },
			"a long namespace":        func(k *engine.Key) { k.ProjectID = strings.Repeat("n", 2000) },
		} {
			other := key
			change(&other)
			want(t, name, e, other, first, engine.ErrNotFound)
			want(t, name+", fail", e, other, enginetest.Fail("", `{}`), engine.ErrNotFound)
		}
		want(t, "the state itself", e, key, first, errNone)
	})

	t.Run("a namespace that does not exist makes the engine unready", func(t *testing.T) {
		nowhere, err := temporal.Open("temporal://"+d.address+"/nowhere", temporal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer nowhere.Close()
		if err := nowhere.Ready(t.Context()); !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("Ready: %v, want %v and the namespace", err, engine.ErrUnavailable)
		}
	})

	t.Run("one namespace for all projects", func(t *testing.T) {
		shared, err := temporal.Open("temporal://"+d.address+"/default", temporal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer shared.Close()
		key := f.open(t, time.Hour)
		key.ProjectID = "whatever"
		want(t, "in the shared namespace", shared, key, first, errNone)
	})
}

// If no worker has started the activity yet, the engine accepts a success. Temporal cannot fail
// such an activity, so the engine refuses a fail with ErrUnavailable and accepts it later.
func TestNotTakenUp(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	idle := func(options worker.Options) worker.Worker {
		w := worker.New(f.Client, "idle", options)
		w.RegisterWorkflow(waitOnce)
		if !options.LocalActivityWorkerOnly {
			flow.Register(w)
		}
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := idle(worker.Options{LocalActivityWorkerOnly: true}) // this worker runs workflows but no activities
	var keys []engine.Key
	for _, id := range []string{"success", "fail"} {
		started, err := f.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: "idle"}, waitOnce, "State", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, engine.Key{ProjectID: "default", WorkflowID: id, RunID: callback.RunID(started.GetRunID()), StateID: "State"})
		f.untilPending(t, keys[len(keys)-1])
	}
	success, fail := enginetest.Success(`{"a":1}`), enginetest.Fail("why", `{"a":1}`)
	want(t, "success before the activity starts", e, keys[0], success, errNone)
	want(t, "fail before the activity starts", e, keys[1], fail, engine.ErrUnavailable)
	f.untilPending(t, keys[1])
	if got := f.outcome(t, keys[0]); !engine.Same(got, engine.OutcomeOf(success)) {
		t.Errorf("outcome %+v, want the success", got)
	}
	w.Stop()
	w = idle(worker.Options{})
	defer w.Stop()
	want(t, "fail after the activity started", e, keys[1], fail, errNone)
	if got := f.outcome(t, keys[1]); !engine.Same(got, engine.OutcomeOf(fail)) {
		t.Errorf("outcome %+v, want the fail", got)
	}
}

// While a workflow task runs, Temporal does not add activity events to the history. A second
// callback waits until the history contains the first.
func TestHeldBackByATask(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	entered, release := make(chan struct{}), make(chan struct{})
	busy := func(ctx workflow.Context) (outcome waits.Outcome, err error) {
		done := workflow.NewChannel(ctx)
		workflow.Go(ctx, func(ctx workflow.Context) {
			outcome, err = flow.Await(ctx, "State", time.Hour, nil)
			done.Close()
		})
		workflow.GetSignalChannel(ctx, "work").Receive(ctx, nil)
		local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Minute})
		_ = workflow.ExecuteLocalActivity(local, func() error { // keeps the workflow task running
			entered <- struct{}{}
			<-release
			return nil
		}).Get(ctx, nil)
		done.Receive(ctx, nil)
		return outcome, err
	}
	w := worker.New(f.Client, "busy", worker.Options{})
	w.RegisterWorkflowWithOptions(busy, workflow.RegisterOptions{Name: "busy"})
	flow.Register(w)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	started, err := f.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "busy", TaskQueue: "busy", WorkflowTaskTimeout: time.Minute}, "busy")
	if err != nil {
		t.Fatal(err)
	}
	key := engine.Key{ProjectID: "default", WorkflowID: "busy", RunID: callback.RunID(started.GetRunID()), StateID: "State"}
	f.untilPending(t, key)
	if err := f.SignalWorkflow(t.Context(), key.WorkflowID, string(key.RunID), "work", nil); err != nil {
		t.Fatal(err)
	}
	<-entered
	first := enginetest.Success(`{"first":true}`)
	want(t, "the first callback", e, key, first, errNone)
	second := make(chan error, 1)
	go func() {
		for {
			_, err := e.Callback(t.Context(), engine.Callback{Key: key, Request: enginetest.Success(`{"second":true}`)})
			if !errors.Is(err, engine.ErrUnavailable) {
				second <- err
				return
			}
		}
	}()
	select {
	case err := <-second:
		t.Errorf("the second callback returned %v before the history contains the first", err)
	case <-time.After(300 * time.Millisecond): // a longer time makes the test stricter
	}
	close(release)
	if err := <-second; !errors.Is(err, engine.ErrConflict) {
		t.Errorf("the second callback: %v, want %v", err, engine.ErrConflict)
	}
	if got := f.outcome(t, key); !engine.Same(got, engine.OutcomeOf(first)) {
		t.Errorf("outcome %+v, want the first", got)
	}
}

// If a payload exceeds Temporal's limit (default 2 MiB), Temporal reports success but fails the
// activity. The engine therefore refuses the callback first.
func TestTooLarge(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	key := f.start(t, "State", waitAndMeasure, "State")
	f.untilPending(t, key)
	output := func(size int) string { return `{"a":"` + strings.Repeat("x", size-len(`{"a":""}`)) + `"}` }
	const limit = 2 << 20
	want(t, "a large success", e, key, enginetest.Success(output(limit)), engine.ErrTooLarge)
	want(t, "a large fail", e, key, enginetest.Fail("why", output(limit)), engine.ErrTooLarge)
	f.untilPending(t, key)
	largest := limit // includes the payload's metadata
	for ; ; largest-- {
		_, err := e.Callback(t.Context(), engine.Callback{Key: key, Request: enginetest.Success(output(largest))})
		if err == nil {
			break
		}
		if !errors.Is(err, engine.ErrTooLarge) || largest < limit-100 {
			t.Fatalf("Callback with %d bytes of output: %v, want ErrTooLarge or, near the limit, success", largest, err)
		}
	}
	arrived := 0
	if err := f.GetWorkflow(t.Context(), key.WorkflowID, string(key.RunID)).Get(t.Context(), &arrived); err != nil || arrived != largest {
		t.Errorf("the engine accepted %d bytes of output, but the flow got %d, %v", largest, arrived, err)
	}
}

// If Temporal's limit becomes lower than the engine expects, the engine does not report success
// for an output that exceeds it, because the output has not reached the flow.
func TestLimitLowered(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	large := `{"a":"` + strings.Repeat("x", 50_000) + `"}`
	want(t, "a large success under the old limit", e, f.open(t, time.Hour), enginetest.Success(large), errNone)
	keys := []engine.Key{f.open(t, time.Hour), f.open(t, time.Hour), f.open(t, time.Hour)}
	d.kill()
	d.flags = append(d.flags, "--dynamic-config-value", "limit.blobSize.error=20000", "--dynamic-config-value", "limit.blobSize.warn=10000")
	d.start(t)
	for e.Ready(t.Context()) != nil { // until the engine has connected again
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	want(t, "a large success", e, keys[0], enginetest.Success(large), engine.ErrTooLarge)
	want(t, "a large fail", e, keys[1], enginetest.Fail("why", large), engine.ErrTooLarge)
	want(t, "a small success", e, keys[2], enginetest.Success(`{}`), errNone)
}

// A worker that does not know the activity fails it. A later callback gets ErrCancelled, not
// ErrConflict, because no callback settled the state.
func TestUnregisteredActivity(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	w := worker.New(f.Client, "old", worker.Options{})
	w.RegisterWorkflow(waitOnce)
	w.RegisterActivityWithOptions(func() error { return nil }, activity.RegisterOptions{Name: "Another"})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	key := f.startOn(t, "old", "State", waitOnce, "State", time.Hour)
	f.untilClosed(t, key)
	want(t, "after the worker failed the activity", e, key, enginetest.Success(`{}`), engine.ErrCancelled)
}

// The payload in the history is the output, byte for byte, in the JSON encoding of Temporal's
// default data converters.
func TestPayload(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	const output = `{ "z":1.0, "a":123456789012345678901234567890 }`
	for _, request := range []callback.Request{enginetest.Success(output), enginetest.Fail("why", output)} {
		key := f.open(t, time.Hour)
		want(t, "callback", e, key, request, errNone)
		f.untilClosed(t, key)
		events := f.GetWorkflowHistory(t.Context(), key.WorkflowID, string(key.RunID), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		found := false
		for events.HasNext() {
			event, err := events.Next()
			if err != nil {
				t.Fatal(err)
			}
			payloads := event.GetActivityTaskCompletedEventAttributes().GetResult()
			if failed := event.GetActivityTaskFailedEventAttributes(); failed != nil {
				info := failed.GetFailure().GetApplicationFailureInfo()
				payloads = info.GetDetails()
				if info.GetType() != flow.FailureType || !info.GetNonRetryable() || failed.GetFailure().GetMessage() != "why" {
					t.Errorf("failure = %v, want a non-retryable %s with message \"why\"", failed.GetFailure(), flow.FailureType)
				}
			}
			if payloads == nil {
				continue
			}
			found = true
			p := payloads.GetPayloads()
			if len(p) != 1 || string(p[0].GetMetadata()["encoding"]) != "json/plain" || string(p[0].GetData()) != output {
				t.Errorf("payloads = %v, want %s as json/plain", p, output)
			}
		}
		if !found {
			t.Errorf("the history has no payload after a callback with result %s", request.Result)
		}
	}
}
