package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// If the caller's context ends before the writer takes the callback from the queue, the wait
// stays unchanged. After the writer has taken it, Callback returns the real result.
func TestWithdrawnCallbackLeavesNoTrace(t *testing.T) {
	f := newFile(t, sqlite.Options{BusyTimeout: 200 * time.Millisecond})
	const attempts = 20
	var ids []string
	for i := range attempts {
		wait, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 60}, "")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, wait.WaitID)
	}
	release := lockFile(t, f.path)
	others, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for range 3 { // these callers keep the writer blocked on the locked file
		group.Go(func() {
			for others.Err() == nil {
				_, _ = f.Callback(others, engine.Callback{Key: engine.Key{}, Request: enginetest.Success(`{}`)})
			}
		})
	}
	errs := make([]error, attempts)
	var callers sync.WaitGroup
	for i := range attempts { // spread over several of the writer's attempts to lock the file
		callers.Go(func() {
			<-time.After(time.Duration(i) * 25 * time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_, errs[i] = f.Callback(ctx, engine.Callback{Key: engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i))}, Request: enginetest.Success(`{}`)})
		})
	}
	callers.Wait()
	withdrawn := 0
	for _, err := range errs {
		if errors.Is(err, context.DeadlineExceeded) {
			withdrawn++
		}
	}
	release()
	stop()
	group.Wait()
	if withdrawn == 0 {
		t.Errorf("withdrawn callbacks = 0 of %d, want at least 1; errors %v", attempts, errs)
	}
	for i, id := range ids {
		got, err := f.GetWait(t.Context(), "p", id, 0)
		if err != nil || (errs[i] == nil) != (got.Status == waits.Success) {
			t.Errorf("Callback %d: error %v, and GetWait = %+v, %v; want success only without an error", i, errs[i], got, err)
		}
	}
}

// Withdrawn callbacks use no memory, even while the store is blocked.
func TestWithdrawnCallbacksKeepNoMemory(t *testing.T) {
	f := newFile(t, sqlite.Options{BusyTimeout: time.Hour}) // callers must leave before
	release := lockFile(t, f.path)
	ctx, leave := context.WithCancel(t.Context())
	var group sync.WaitGroup
	const callers, size, batch = 800, 200_000, 256 // one batch that the writer has taken stays in memory
	var entered sync.WaitGroup
	entered.Add(callers)
	left := make(chan struct{}, callers)
	for i := range callers {
		group.Go(func() {
			request := enginetest.Success(`{"a":"` + strings.Repeat("x", size) + `"}`)
			entered.Done()
			_, _ = f.Callback(ctx, engine.Callback{Key: engine.Key{StateID: callback.StateID(fmt.Sprint(i))}, Request: request})
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
		t.Errorf("heap after %d callers with %d bytes each returned = %d bytes, want at most %d", callers-batch, size, memory.HeapAlloc, (callers+batch)/2*size)
	}
	release()
	group.Wait()
}

// If the queue is full, Callback returns ErrOverloaded immediately, even while the store is
// blocked. Queued callbacks get their result when the store works again.
func TestFullQueue(t *testing.T) {
	f := newFile(t, sqlite.Options{BusyTimeout: time.Minute})
	key := func(i int) engine.Key {
		return engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i))}
	}
	const settled = 5
	for i := range settled {
		if _, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 3600}, ""); err != nil {
			t.Fatal(err)
		}
	}
	release := lockFile(t, f.path)
	refused := make(chan struct{})
	var once sync.Once
	answers := make(chan error, 1<<16)
	var group sync.WaitGroup
	for i := 0; ; i++ { // until one callback is refused; the lock prevents commits
		select {
		case <-refused:
		default:
			group.Go(func() {
				_, err := f.Callback(t.Context(), engine.Callback{Key: key(i), Request: enginetest.Success(`{}`)})
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
		t.Errorf("results = %v; want some refused, at least 1000 unknown, and some settled", counts)
	}
	for i := range settled { // refused callbacks changed nothing, so each wait can be settled now
		if _, err := f.Callback(t.Context(), engine.Callback{Key: key(i), Request: enginetest.Success(`{}`)}); err != nil {
			t.Errorf("Callback %d after the queue was empty: %v", i, err)
		}
	}
}
