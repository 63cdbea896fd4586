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

func want(t *testing.T, what string, e *temporal.Engine, key engine.Key, request callback.Request, want error) {
	t.Helper()
	id, err := e.Callback(t.Context(), engine.Callback{Key: key, Request: request})
	if !is(err, want) || is(nil, want) != (id == string(key.RunID)) {
		t.Errorf("%s: %q, %v; want %v", what, id, err, want)
	}
}

// What a callback means when the state no longer waits is read from Temporal's history.
func TestAfterwards(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	first, another := enginetest.Success(`{"n":1.0,"big":12345678901234567890}`), enginetest.Success(`{"n":1}`)

	t.Run("the flow has moved on, and then closed", func(t *testing.T) {
		key := f.start(t, "first", waitTwice, "first", "second")
		second := key
		second.StateID = "second"
		want(t, "a state that comes later", e, second, first, engine.ErrNotFound)
		f.untilPending(t, key)
		want(t, "the first callback", e, key, first, errNone)
		f.untilPending(t, second)
		for _, closed := range []string{"moved on", "closed"} {
			want(t, closed+": the same again", e, key, enginetest.Success(`{ "big":12345678901234567890, "n":1.0 }`), errNone)
			want(t, closed+": another", e, key, another, engine.ErrConflict)
			want(t, closed+": a fail", e, key, enginetest.Fail("", string(first.Output)), engine.ErrConflict)
			if closed == "moved on" {
				want(t, "the second state", e, second, enginetest.Fail("why", `{"a":1}`), errNone)
				f.untilClosed(t, key)
			}
		}
		want(t, "the second state again", e, second, enginetest.Fail("why", `{"a":1}`), errNone)
		want(t, "the second state, for another reason", e, second, enginetest.Fail("Why", `{"a":1}`), engine.ErrConflict)
	})

	for name, test := range map[string]struct {
		end  func(key engine.Key) error
		want error
	}{
		"the flow was cancelled":  {func(k engine.Key) error { return f.CancelWorkflow(t.Context(), k.WorkflowID, string(k.RunID)) }, engine.ErrCancelled},
		"the flow was terminated": {func(k engine.Key) error { return f.TerminateWorkflow(t.Context(), k.WorkflowID, string(k.RunID), "") }, engine.ErrCancelled},
		"the flow left the state behind": {func(k engine.Key) error {
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

	t.Run("the flow's own time ran out", func(t *testing.T) {
		started, err := f.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "short", TaskQueue: taskQueue, WorkflowRunTimeout: time.Second}, waitAside, "aside")
		if err != nil {
			t.Fatal(err)
		}
		key := engine.Key{ProjectID: "default", WorkflowID: "short", RunID: callback.RunID(started.GetRunID()), StateID: "aside"}
		f.untilPending(t, key)
		f.untilClosed(t, key)
		want(t, "past the run's timeout", e, key, first, engine.ErrExpired)
	})

	t.Run("ids that Temporal cannot have are not found", func(t *testing.T) {
		key := f.open(t, time.Hour)
		for name, change := range map[string]func(*engine.Key){
			"no UUID":                  func(k *engine.Key) { k.RunID = "run" },
			"a UUID in capitals":       func(k *engine.Key) { k.RunID = callback.RunID(strings.ToUpper(string(k.RunID))) },
			"a UUID in braces":         func(k *engine.Key) { k.RunID = "{" + k.RunID + "}" },
			"another run":              func(k *engine.Key) { k.RunID = "00000000-0000-4000-8000-000000000000" },
			"a long workflow":          func(k *engine.Key) { k.WorkflowID = strings.Repeat("w", 2000) },
			"a long state":             func(k *engine.Key) { k.StateID = callback.StateID(strings.Repeat("s", 2000)) },
			"a workflow beyond ASCII":  func(k *engine.Key) { k.WorkflowID = "订单" },
			"a state beyond ASCII":     func(k *engine.Key) { k.StateID = "订单" },
			"a namespace beyond ASCII": func(k *engine.Key) { k.ProjectID = "订单" },
			"a long namespace":         func(k *engine.Key) { k.ProjectID = strings.Repeat("n", 2000) },
		} {
			other := key
			change(&other)
			want(t, name, e, other, first, engine.ErrNotFound)
			want(t, name+", failed", e, other, enginetest.Fail("", `{}`), engine.ErrNotFound)
		}
		want(t, "the state itself", e, key, first, errNone)
	})

	t.Run("one namespace for all projects", func(t *testing.T) {
		shared, err := temporal.Open("temporal://"+d.address+"/default", temporal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer shared.Close()
		key := f.open(t, time.Hour)
		key.ProjectID = "whatever"
		want(t, "in the namespace of all", shared, key, first, errNone)
	})
}

// A state whose worker has not taken it up yet can be called back with success. Temporal
// cannot fail it as yet: such a callback is refused without a trace, and taken later.
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
	w := idle(worker.Options{LocalActivityWorkerOnly: true}) // it runs workflows only
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
	want(t, "success before it is taken up", e, keys[0], success, errNone)
	want(t, "fail before it is taken up", e, keys[1], fail, engine.ErrUnavailable)
	f.untilPending(t, keys[1])
	if got := f.outcome(t, keys[0]); !engine.Same(got, engine.OutcomeOf(success)) {
		t.Errorf("outcome %+v, want the success", got)
	}
	w.Stop()
	w = idle(worker.Options{})
	defer w.Stop()
	want(t, "fail after it", e, keys[1], fail, errNone)
	if got := f.outcome(t, keys[1]); !engine.Same(got, engine.OutcomeOf(fail)) {
		t.Errorf("outcome %+v, want the fail", got)
	}
}

// While a workflow's task is under way, Temporal holds back what happens to its activities: a
// second callback waits for the history to show the first.
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
		_ = workflow.ExecuteLocalActivity(local, func() error { // holds the task open
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
		t.Errorf("the second callback was answered %v before the history shows the first", err)
	case <-time.After(300 * time.Millisecond): // which only makes the test sharper
	}
	close(release)
	if err := <-second; !errors.Is(err, engine.ErrConflict) {
		t.Errorf("the second callback: %v, want %v", err, engine.ErrConflict)
	}
	if got := f.outcome(t, key); !engine.Same(got, engine.OutcomeOf(first)) {
		t.Errorf("outcome %+v, want the first", got)
	}
}

// Temporal answers a payload beyond its limit (2 MiB, unless it says another) with success,
// and fails the activity; it is refused before.
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
	largest := limit // with what surrounds it
	for ; ; largest-- {
		_, err := e.Callback(t.Context(), engine.Callback{Key: key, Request: enginetest.Success(output(largest))})
		if err == nil {
			break
		}
		if !errors.Is(err, engine.ErrTooLarge) || largest < limit-100 {
			t.Fatalf("%d bytes: %v", largest, err)
		}
	}
	arrived := 0
	if err := f.GetWorkflow(t.Context(), key.WorkflowID, string(key.RunID)).Get(t.Context(), &arrived); err != nil || arrived != largest {
		t.Errorf("of the largest that is taken, %d bytes, %d arrived, %v", largest, arrived, err)
	}
}

// A limit that is lower than the server knows is never answered with success: what exceeds it
// has not reached the flow.
func TestLimitLowered(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	e := openEngine(t, d)
	large := `{"a":"` + strings.Repeat("x", 50_000) + `"}`
	want(t, "before", e, f.open(t, time.Hour), enginetest.Success(large), errNone)
	keys := []engine.Key{f.open(t, time.Hour), f.open(t, time.Hour), f.open(t, time.Hour)}
	d.kill()
	d.flags = append(d.flags, "--dynamic-config-value", "limit.blobSize.error=20000", "--dynamic-config-value", "limit.blobSize.warn=10000")
	d.start(t)
	want(t, "a large success", e, keys[0], enginetest.Success(large), engine.ErrTooLarge)
	want(t, "a large fail", e, keys[1], enginetest.Fail("why", large), engine.ErrTooLarge)
	want(t, "a small success", e, keys[2], enginetest.Success(`{}`), errNone)
}

// What no callback brought is no conflict: a worker that does not know the activity fails it.
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
	want(t, "after a worker failed it", e, key, enginetest.Success(`{}`), engine.ErrCancelled)
}

// What is completed reads as JSON to the default converters of Temporal's SDKs, byte for byte.
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
					t.Errorf("failure = %v", failed.GetFailure())
				}
			}
			if payloads == nil {
				continue
			}
			found = true
			p := payloads.GetPayloads()
			if len(p) != 1 || string(p[0].GetMetadata()["encoding"]) != "json/plain" || string(p[0].GetData()) != output {
				t.Errorf("payloads = %v", p)
			}
		}
		if !found {
			t.Errorf("no payload in the history of a %s", request.Result)
		}
	}
}
