package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

func TestCallbacks(t *testing.T) {
	enginetest.Callbacks(t, func(t *testing.T) *enginetest.Subject {
		f := newFile(t, sqlite.Options{})
		var states atomic.Int64
		ids := sync.Map{} // of the waits, by key
		s := &enginetest.Subject{Engine: f.Engine, Advance: f.advance}
		s.Open = func(t *testing.T, timeout time.Duration) engine.Key {
			key := engine.Key{ProjectID: "Project", WorkflowID: "Workflow", RunID: "Run", StateID: fmt.Sprint("State ", states.Add(1))}
			wait, _, err := f.OpenWait(t.Context(), key.ProjectID, waits.OpenWaitRequest{
				WorkflowID: key.WorkflowID, RunID: key.RunID, StateID: key.StateID, TimeoutSeconds: int(timeout / time.Second),
			})
			if err != nil {
				t.Fatalf("OpenWait: %v", err)
			}
			ids.Store(key, wait.WaitID)
			return key
		}
		id := func(key engine.Key) string { id, _ := ids.Load(key); return id.(string) }
		s.Cancel = func(t *testing.T, key engine.Key) {
			if err := f.CancelWait(t.Context(), key.ProjectID, id(key)); err != nil {
				t.Fatalf("CancelWait: %v", err)
			}
		}
		s.Outcome = func(t *testing.T, key engine.Key) waits.Outcome {
			wait, err := f.GetWait(t.Context(), key.ProjectID, id(key), nil)
			if err != nil || wait.Outcome == nil {
				t.Fatalf("GetWait = %+v, %v; want an outcome", wait, err)
			}
			return *wait.Outcome
		}
		s.Reopen = func(t *testing.T) { f.reopen(t); s.Engine = f.Engine }
		return s
	})
}

func TestWaits(t *testing.T) {
	enginetest.Waits(t, func(t *testing.T) *enginetest.KeeperSubject {
		f := newFile(t, sqlite.Options{})
		s := &enginetest.KeeperSubject{Engine: f.Engine, Advance: f.advance}
		s.Reopen = func(t *testing.T) { f.reopen(t); s.Engine = f.Engine }
		return s
	})
}

// file is an engine on a file of its own, with a clock that the test sets.
type file struct {
	*sqlite.Engine
	path    string
	options sqlite.Options
	ahead   atomic.Int64 // of the real time, in nanoseconds
}

func newFile(t *testing.T, options sqlite.Options) *file {
	t.Helper()
	f := &file{path: filepath.Join(t.TempDir(), "waits ?&%20#.db"), options: options}
	f.options.Now = func() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }
	f.open(t)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return f
}

func (f *file) open(t *testing.T) {
	t.Helper()
	var err error
	if f.Engine, err = sqlite.Open(t.Context(), f.path, f.options); err != nil {
		t.Fatalf("Open(%s): %v", f.path, err)
	}
}

func (f *file) reopen(t *testing.T) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	f.open(t)
}

func (f *file) advance(_ *testing.T, d time.Duration) { f.ahead.Add(int64(d)) }

func TestFileInUseIsRefused(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(f.path, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{f.path, link} {
		second, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err == nil {
			second.Close()
			t.Fatalf("Open(%s) of a file in use succeeded", path)
		}
		if !strings.Contains(err.Error(), "another process") {
			t.Errorf("Open(%s) of a file in use: %v; want it to name the cause", path, err)
		}
	}
}

func TestForeignFilesAreRefused(t *testing.T) {
	folder := t.TempDir()
	garbage := filepath.Join(folder, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		garbage:                             "restore a backup",
		filepath.Join(folder, "no", "x.db"): "no such file or directory",
		otherProgram(t, folder):             "another program's",
		newerRelease(t, folder):             "newer release",
	} {
		e, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err == nil {
			e.Close()
			t.Errorf("Open(%s) succeeded", path)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%s): %v; want it to say %q", path, err, want)
		}
	}
	if mode := query(t, filepath.Join(folder, "other.db"), "PRAGMA journal_mode"); mode != "delete" {
		t.Errorf("the other program's file was changed: its journal mode is %s", mode)
	}
}

// What expires while nobody serves is in the feed afterwards, however long ago its deadline.
func TestExpiryDuringDowntimeReachesTheFeed(t *testing.T) {
	f := newFile(t, sqlite.Options{Retention: time.Hour})
	wait, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s", TimeoutSeconds: 60})
	if err != nil {
		t.Fatal(err)
	}
	f.advance(t, 24*time.Hour)
	f.reopen(t)
	page, err := f.ListOutcomes(t.Context(), "p", "", 10, nil) // blocks until it is swept
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := f.ListOutcomes(t.Context(), "p", "", 10, nil)
	if err != nil || len(page.Outcomes) != 1 || len(again.Outcomes) != 1 || !again.Outcomes[0].SettledAt.Equal(wait.ExpiresAt) {
		t.Errorf("feed after the downtime = %+v, and after Forget %+v, %v; want the expired wait in both", page, again, err)
	}
}

// Where another program holds the file, callbacks are refused as unavailable, without a
// trace, and the engine is ready again when it lets go.
func TestLockedFile(t *testing.T) {
	f := newFile(t, sqlite.Options{BusyTimeout: 50 * time.Millisecond})
	request := waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s", TimeoutSeconds: 60}
	wait, _, err := f.OpenWait(t.Context(), "p", request)
	if err != nil {
		t.Fatal(err)
	}
	release := lockFile(t, f.path)
	key := engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: "s"}
	if _, err := f.Callback(t.Context(), key, enginetest.Success(`{}`)); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Callback while the file is locked: %v, want %v", err, engine.ErrUnavailable)
	}
	if err := f.Ready(t.Context()); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Ready while the file is locked: %v, want %v", err, engine.ErrUnavailable)
	}
	if got, err := f.GetWait(t.Context(), "p", wait.WaitID, closedChannel()); err != nil || got.Status != waits.Waiting {
		t.Errorf("GetWait while the file is locked = %+v, %v; want it waiting", got, err)
	}
	release()
	if err := f.Ready(t.Context()); err != nil {
		t.Errorf("Ready after it was unlocked: %v", err)
	}
	if _, err := f.Callback(t.Context(), key, enginetest.Success(`{}`)); err != nil {
		t.Errorf("Callback after it was unlocked: %v", err)
	}
}

// A callback whose caller left before the writer took it leaves no trace; one that was taken
// is answered truly.
func TestWithdrawnCallbackLeavesNoTrace(t *testing.T) {
	f := newFile(t, sqlite.Options{BusyTimeout: 200 * time.Millisecond})
	const attempts = 20
	var ids []string
	for i := range attempts {
		wait, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: fmt.Sprint(i), TimeoutSeconds: 60})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, wait.WaitID)
	}
	release := lockFile(t, f.path)
	others, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for range 3 { // others keep the writer busy with a file that is locked
		group.Go(func() {
			for others.Err() == nil {
				_, _ = f.Callback(others, engine.Key{}, enginetest.Success(`{}`))
			}
		})
	}
	withdrawn := 0
	errs := make([]error, attempts)
	for i := range attempts {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, errs[i] = f.Callback(ctx, engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: fmt.Sprint(i)}, enginetest.Success(`{}`))
		cancel()
		if errors.Is(errs[i], context.DeadlineExceeded) {
			withdrawn++
		}
	}
	release()
	stop()
	group.Wait()
	if withdrawn == 0 {
		t.Errorf("none of %d callbacks was withdrawn: %v", attempts, errs)
	}
	for i, id := range ids {
		got, err := f.GetWait(t.Context(), "p", id, closedChannel())
		if err != nil || (errs[i] == nil) != (got.Status == waits.Success) {
			t.Errorf("callback %d: %v, and then the wait is %+v, %v", i, errs[i], got, err)
		}
	}
}

func TestHeldCallbackIsHandedOver(t *testing.T) {
	f := newFile(t, sqlite.Options{HoldUnknown: true, ExecutionID: func(runID string) string { return "of " + runID }})
	key := engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: "s"}
	request := enginetest.Success(`{"early":true}`)
	for range 2 {
		if id, err := f.Callback(t.Context(), key, request); id != "of r" || err != nil {
			t.Fatalf("Callback of an unknown state = %q, %v; want it held", id, err)
		}
	}
	if id, err := f.Callback(t.Context(), key, enginetest.Success(`{}`)); err == nil {
		t.Errorf("another Callback of a held state = %q, want a conflict", id)
	}
	f.reopen(t)
	wait, opened, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s", TimeoutSeconds: 60, ExecutionID: "mine"})
	if err != nil || !opened || wait.Status != waits.Success || wait.ExecutionID != "of r" || string(wait.Outcome.Output) != `{"early":true}` {
		t.Errorf("OpenWait of a held state = %+v, %t, %v", wait, opened, err)
	}
	if id, err := f.Callback(t.Context(), key, request); id != "of r" || err != nil {
		t.Errorf("Callback after the hand-over = %q, %v; want the same answer", id, err)
	}
	page, err := f.ListOutcomes(t.Context(), "p", "", 10, nil)
	if err != nil || len(page.Outcomes) != 1 {
		t.Errorf("feed after the hand-over = %+v, %v; want it once", page, err)
	}
}

func TestRetentionForgetsSettledWaitsOnly(t *testing.T) {
	f := newFile(t, sqlite.Options{Retention: time.Hour, HoldUnknown: true})
	open := func(project, state string) waits.Wait {
		wait, _, err := f.OpenWait(t.Context(), project, waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: state, TimeoutSeconds: 86400, Input: []byte(`{}`)})
		if err != nil {
			t.Fatalf("OpenWait: %v", err)
		}
		return wait
	}
	settle := func(project, state string) {
		if _, err := f.Callback(t.Context(), engine.Key{ProjectID: project, WorkflowID: "w", RunID: "r", StateID: state}, enginetest.Success(`{}`)); err != nil {
			t.Fatalf("Callback: %v", err)
		}
	}
	waiting := open("p", "waiting")
	for i := range 300 { // more than one step deletes
		open("p", fmt.Sprint("old ", i))
		settle("p", fmt.Sprint("old ", i))
	}
	open("q", "old")
	settle("q", "old")
	settle("q", "held, and too old")
	before, err := f.ListOutcomes(t.Context(), "p", "", 1000, nil)
	if err != nil {
		t.Fatalf("ListOutcomes: %v", err)
	}
	f.advance(t, 50*time.Minute)
	young := open("p", "young")
	settle("p", "young")
	settle("q", "held, and young")
	f.advance(t, 20*time.Minute)
	if err := f.Forget(t.Context()); err != nil {
		t.Fatalf("Forget: %v", err)
	}

	limit := 1000
	for project, want := range map[string][]string{"p": {young.WaitID, waiting.WaitID}, "q": nil} {
		page, err := f.ListWaits(t.Context(), project, waits.ListWaitsParams{Limit: &limit})
		var got []string
		for _, wait := range page.Waits {
			got = append(got, wait.WaitID)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("ListWaits(%s) after Forget = %v, %v; want %v", project, got, err, want)
		}
	}
	if page, err := f.ListOutcomes(t.Context(), "p", before.Next, 10, nil); err != nil || len(page.Outcomes) != 1 || page.Outcomes[0].WaitID != young.WaitID {
		t.Errorf("ListOutcomes with a cursor from before = %+v, %v; want %s", page, err, young.WaitID)
	}
	if wait := open("q", "held, and too old"); wait.Status != waits.Waiting {
		t.Errorf("OpenWait of what was held too long = %+v, want it waiting", wait)
	}
	if wait := open("q", "held, and young"); wait.Status != waits.Success {
		t.Errorf("OpenWait of what is held = %+v, want it settled", wait)
	}
}

func TestFeedGoesOnWhenRetentionHasEmptiedIt(t *testing.T) {
	f := newFile(t, sqlite.Options{Retention: time.Hour})
	settle := func(state string) {
		_, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: state, TimeoutSeconds: 60})
		if err == nil {
			_, err = f.Callback(t.Context(), engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: state}, enginetest.Success(`{}`))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	settle("old")
	before, err := f.ListOutcomes(t.Context(), "p", "", 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.advance(t, 2*time.Hour)
	if err := f.Forget(t.Context()); err != nil {
		t.Fatalf("Forget: %v", err)
	}
	f.reopen(t)
	settle("new")
	if page, err := f.ListOutcomes(t.Context(), "p", before.Next, 10, nil); err != nil || len(page.Outcomes) != 1 || page.Outcomes[0].StateID != "new" {
		t.Errorf("ListOutcomes with a cursor from before = %+v, %v; want the new one", page, err)
	}
}

// A clock that is set back revives nothing, and one that is set forward loses nothing that
// was settled: deadlines are instants, and what has expired stays so.
func TestClockSetBackAndForward(t *testing.T) {
	f := newFile(t, sqlite.Options{Retention: 24 * time.Hour})
	open := func(state string, timeout time.Duration) string {
		wait, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: state, TimeoutSeconds: int(timeout / time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		return wait.WaitID
	}
	callback := func(state string) error {
		_, err := f.Callback(t.Context(), engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: state}, enginetest.Success(`{}`))
		return err
	}
	status := func(id string) waits.Status {
		wait, err := f.GetWait(t.Context(), "p", id, closedChannel())
		if err != nil {
			t.Fatal(err)
		}
		return wait.Status
	}
	short, long, untouched := open("short", time.Hour), open("long", 100*time.Hour), open("untouched", 2*time.Hour)

	f.advance(t, -50*time.Hour) // back: nothing is due, and what is settled now is in order
	if err := callback("long"); err != nil || status(short) != waits.Waiting {
		t.Errorf("after the clock went back: Callback %v, the other wait is %s", err, status(short))
	}
	f.advance(t, 51*time.Hour) // forward beyond the first deadline
	if err := callback("short"); !errors.Is(err, engine.ErrExpired) || status(short) != waits.Expired {
		t.Errorf("past the deadline: Callback %v, and the wait is %s", err, status(short))
	}
	f.advance(t, -51*time.Hour) // and back again
	if err := callback("short"); !errors.Is(err, engine.ErrExpired) || status(short) != waits.Expired {
		t.Errorf("after the clock went back, what had expired: Callback %v, and it is %s", err, status(short))
	}
	f.reopen(t)
	f.advance(t, 50*time.Hour) // as it was
	if status(untouched) != waits.Waiting || status(long) != waits.Success {
		t.Errorf("with the clock right again: %s and %s, want waiting and success", status(untouched), status(long))
	}
	if err := callback("untouched"); err != nil {
		t.Errorf("Callback with the clock right again: %v", err)
	}
	page, err := f.ListOutcomes(t.Context(), "p", "", 10, closedChannel())
	if err != nil || len(page.Outcomes) != 3 || page.Outcomes[0].WaitID != long || page.Outcomes[1].WaitID != short || page.Outcomes[2].WaitID != untouched {
		t.Errorf("feed = %+v, %v; want the order in which they were settled", page, err)
	}
}

// A poll that ends past the deadline says so, whether the sweeper has come by or not.
func TestPollEndsPastTheDeadline(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	for i := range 10 {
		wait, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: fmt.Sprint(i), TimeoutSeconds: 3600})
		if err != nil {
			t.Fatal(err)
		}
		enough, status := make(chan struct{}), make(chan waits.Status, 1)
		go func() {
			got, err := f.GetWait(t.Context(), "p", wait.WaitID, enough)
			if err != nil {
				t.Errorf("GetWait: %v", err)
			}
			status <- got.Status
		}()
		f.advance(t, 2*time.Hour)
		close(enough)
		if got := <-status; got != waits.Expired {
			t.Errorf("a poll that ended past the deadline said %s", got)
		}
	}
}

// What callers withdraw keeps no memory, however long the store is stuck.
func TestWithdrawnCallbacksKeepNoMemory(t *testing.T) {
	f := newFile(t, sqlite.Options{BusyTimeout: time.Minute})
	release := lockFile(t, f.path)
	ctx, leave := context.WithCancel(t.Context())
	var group sync.WaitGroup
	const callers, size, batch = 800, 200_000, 256 // a batch, if the writer has taken one, stays
	var entered sync.WaitGroup
	entered.Add(callers)
	left := make(chan struct{}, callers)
	for i := range callers {
		group.Go(func() {
			request := enginetest.Success(`{"a":"` + strings.Repeat("x", size) + `"}`)
			entered.Done()
			_, _ = f.Callback(ctx, engine.Key{StateID: fmt.Sprint(i)}, request)
			left <- struct{}{}
		})
	}
	entered.Wait()
	leave()
	for range callers - batch {
		<-left
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if memory.HeapAlloc > (callers+batch)/2*size {
		t.Errorf("%d bytes are kept after %d callers of %d bytes have left", memory.HeapAlloc, callers-batch, size)
	}
	release()
	group.Wait()
}

// Beyond the bounded queue, callbacks are refused at once, whatever the store does; what was
// queued is answered when it works again.
func TestFullQueue(t *testing.T) {
	f := newFile(t, sqlite.Options{BusyTimeout: time.Minute})
	key := func(i int) engine.Key {
		return engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: fmt.Sprint(i)}
	}
	const settled = 5
	for i := range settled {
		if _, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: fmt.Sprint(i), TimeoutSeconds: 3600}); err != nil {
			t.Fatal(err)
		}
	}
	release := lockFile(t, f.path)
	refused := make(chan struct{})
	var once sync.Once
	answers := make(chan error, 1<<16)
	var group sync.WaitGroup
	for i := 0; ; i++ { // until one is refused, while none can be committed
		select {
		case <-refused:
		default:
			group.Go(func() {
				_, err := f.Callback(t.Context(), key(i), enginetest.Success(`{}`))
				if errors.Is(err, engine.ErrOverloaded) {
					once.Do(func() { close(refused) })
				}
				answers <- err
			})
			if len(answers) < cap(answers) {
				continue
			}
		}
		break
	}
	<-refused
	release()
	group.Wait()
	close(answers)
	counts := map[string]int{}
	for err := range answers {
		switch {
		case err == nil:
			counts["settled"]++
		case errors.Is(err, engine.ErrNotFound):
			counts["unknown"]++
		case errors.Is(err, engine.ErrOverloaded):
			counts["refused"]++
		default:
			t.Errorf("Callback: %v", err)
		}
	}
	if counts["refused"] == 0 || counts["unknown"] < 1000 || counts["settled"] == 0 {
		t.Errorf("answers: %v; want some refused, and the queued ones answered", counts)
	}
	for i := range settled { // a refused one left no trace, and all can be settled now
		if _, err := f.Callback(t.Context(), key(i), enginetest.Success(`{}`)); err != nil {
			t.Errorf("Callback %d afterwards: %v", i, err)
		}
	}
}

func TestClosedEngineRefuses(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Callback(t.Context(), engine.Key{}, enginetest.Success(`{}`)); err == nil {
		t.Error("Callback of a closed engine succeeded")
	}
	if err := f.Ready(t.Context()); err == nil {
		t.Error("Ready of a closed engine succeeded")
	}
}
