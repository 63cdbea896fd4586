package sqlite_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

func settle(t *testing.T, f *file, state string) {
	t.Helper()
	if _, err := f.Callback(t.Context(), engine.Callback{Key: keyOf(state), Request: enginetest.Success(`{}`)}); err != nil {
		t.Error(err)
	}
}

// Waits that are settled right behind the last step of a fold are counted once.
func TestCountsOfWaitsSettledBehindAFold(t *testing.T) {
	const n = 100
	var hook atomic.Pointer[func()]
	f := newFile(t, sqlite.Options{Committed: func(int, time.Duration) {
		if h := hook.Load(); h != nil {
			(*h)()
		}
	}})
	for round := range 10 {
		for i := range n {
			openState(t, f.Engine, fmt.Sprint(round, "-", i), "")
		}
		var group sync.WaitGroup
		steps := 0
		queue := func() {
			if steps++; steps != 2 { // the lists, and then the counts and the marks
				return
			}
			for i := range n {
				group.Go(func() { settle(t, f, fmt.Sprint(round, "-", i)) })
			}
			<-time.After(20 * time.Millisecond) // they are queued
		}
		hook.Store(&queue)
		if _, err := f.ListWaits(t.Context(), "p", waits.ListWaitsParams{}, 0); err != nil {
			t.Fatal(err)
		}
		hook.Store(nil)
		group.Wait()
	}
	if _, err := f.Stats(t.Context()); err != nil { // folds
		t.Fatal(err)
	}
	f.reopen(t)
	if stats, err := f.Stats(t.Context()); err != nil || stats.Waits[waits.Waiting] != 0 || stats.Waits[waits.Success] != 10*n {
		t.Errorf("counts = %v, %v; want %d success", stats.Waits, err, 10*n)
	}
}

// While retention deletes a settled wait, it is shown as settled or not at all, and settles are
// counted beside it.
func TestReadersBesideRetention(t *testing.T) {
	const n = 2000
	registry := prometheus.NewRegistry()
	f := newFile(t, sqlite.Options{Retention: time.Minute, Metrics: registry})
	ids := make([]string, n)
	forAll(n, func(i int) {
		ids[i] = openState(t, f.Engine, fmt.Sprint(i), "").WaitID
		settle(t, f, fmt.Sprint(i))
	})
	forAll(n, func(i int) { openState(t, f.Engine, fmt.Sprint("new ", i), "") })
	f.advance(t, 30*time.Minute) // the deadlines are an hour away
	var group sync.WaitGroup
	var done atomic.Bool
	for range 3 {
		group.Go(func() {
			for at := 0; !done.Load() && at < n; {
				switch wait, err := f.GetWait(t.Context(), "p", ids[at], 0); {
				case errors.Is(err, engine.ErrNotFound):
					at++ // follow the deletion
				case err != nil || wait.Status != waits.Success:
					t.Errorf("GetWait while retention deletes = %s, %v; want success or not found", wait.Status, err)
					return
				}
			}
		})
	}
	group.Go(func() { forAll(n, func(i int) { settle(t, f, fmt.Sprint("new ", i)) }) })
	if err := f.Forget(t.Context()); err != nil {
		t.Error(err)
	}
	done.Store(true)
	group.Wait()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "flowcallback_waits_ended_total" && strings.Contains(metric.String(), "success") && metric.GetCounter().GetValue() != 2*n {
				t.Errorf("%s of success = %v, want %d", family.GetName(), metric.GetCounter().GetValue(), 2*n)
			}
		}
	}
}

// If folds fail and the changes of callers wait for one, the engine is not ready, and the changes
// are refused.
func TestFoldThatFails(t *testing.T) {
	options := sqlite.Options{Logger: slog.New(slog.DiscardHandler)}
	options.SetCatalogLimit(4096)
	f := newFile(t, options)
	execute(t, f.path, `CREATE TRIGGER broken BEFORE INSERT ON lists BEGIN SELECT RAISE(FAIL, 'broken'); END`)
	var opened atomic.Int64
	var running sync.WaitGroup
	for range 256 {
		running.Go(func() {
			for {
				request := waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(opened.Add(1))), TimeoutSeconds: 3600}
				if _, _, err := f.OpenWait(t.Context(), "p", request, ""); err != nil {
					if !errors.Is(err, engine.ErrUnavailable) {
						t.Errorf("OpenWait: %v, want %v", err, engine.ErrUnavailable)
					}
					return
				}
			}
		})
	}
	running.Wait()
	if err := f.Ready(t.Context()); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Ready while changes wait for a fold that fails: %v, want %v", err, engine.ErrUnavailable)
	}
	execute(t, f.path, `DROP TRIGGER broken`)
	settle(t, f, "1")
	if err := f.Ready(t.Context()); err != nil {
		t.Errorf("Ready after a fold that succeeds: %v", err)
	}
}

// An output is judged by the schema of the wait that it settles, also if that wait has come into the
// place of another one while the output was judged.
func TestOutputIsJudgedForItsWait(t *testing.T) {
	const loose, strict = `{"type":"object"}`, `{"type":"object","required":["n"]}`
	var f *file
	first := ""
	replace := sync.OnceFunc(func() {
		if err := f.CancelWait(t.Context(), "p", first, "", ""); err != nil {
			t.Error(err)
		}
		f.advance(t, 2*time.Hour)
		if err := f.Forget(t.Context()); err != nil {
			t.Error(err)
		}
		openTyped(t, f, strict)
	})
	f = newFile(t, sqlite.Options{Retention: time.Hour, Judge: func(schema, _ []byte) error {
		if string(schema) == strict {
			return &engine.OutputError{Rule: "n is missing"}
		}
		replace()
		return nil
	}})
	first = openTyped(t, f, loose)
	_, err := f.Callback(t.Context(), engine.Callback{Key: keyOf("s"), Request: enginetest.Success(`{}`)})
	var refused *engine.OutputError
	if !errors.As(err, &refused) {
		t.Errorf("Callback with an output that the new wait refuses: %v, want an OutputError", err)
	}
}

func openTyped(t *testing.T, f *file, schema string) (waitID string) {
	t.Helper()
	wait, opened, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s", TimeoutSeconds: 86400, OutputSchema: []byte(schema)}, "")
	if err != nil || !opened {
		t.Errorf("OpenWait: opened %t, %v; want true", opened, err)
	}
	return wait.WaitID
}

// A follower that reads while a fold has put some waits into their sets and others not yet passes
// none of these.
func TestFollowerInAFold(t *testing.T) {
	f := newFile(t, sqlite.Options{Logger: slog.New(slog.DiscardHandler)})
	execute(t, f.path, `CREATE TRIGGER half BEFORE INSERT ON lists WHEN NEW.name = 'wflow z' BEGIN SELECT RAISE(FAIL, 'half'); END`)
	flows := []string{"flow z"} // the last set, of the first wait
	for i := range 300 {
		flows = append(flows, fmt.Sprint("flow ", i))
	}
	for _, flow := range flows {
		if _, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: flow, RunID: "r", StateID: "s", TimeoutSeconds: 3600}, ""); err != nil {
			t.Fatal(err)
		}
	}
	params := waits.ListWaitsParams{WorkflowPrefix: new("flow"), Order: new(waits.Oldest), Limit: new(1000)}
	var seen []string
	next := func() {
		t.Helper()
		page, err := f.ListWaits(t.Context(), "p", params, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, wait := range page.Waits {
			seen = append(seen, wait.WorkflowID)
		}
		params.Cursor = page.NextCursor
	}
	next() // the fold stops in the middle
	if n := query(t, f.path, `SELECT count(*) > 0 FROM lists WHERE name >= 'w'`); n != "1" {
		t.Fatal("the fold has not come to the workflows")
	}
	execute(t, f.path, `DROP TRIGGER half`)
	next()
	if !slices.Equal(seen, flows) {
		t.Errorf("the follower saw %d waits, beginning with %q; want all %d in the order of opening", len(seen), seen[:min(3, len(seen))], len(flows))
	}
}

// Followers of opened waits miss none while folds run, whatever sets the filter reads.
func TestFollowersBesideFolds(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	const flows, opens, openers = 200, 3000, 8
	var opened atomic.Int64
	var opening, following sync.WaitGroup
	for range openers {
		opening.Go(func() {
			for i := opened.Add(1); i <= opens; i = opened.Add(1) {
				request := waits.OpenWaitRequest{WorkflowID: fmt.Sprint("flow ", i%flows), RunID: "r", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 3600, Tags: []string{"tag"}}
				if _, _, err := f.OpenWait(t.Context(), "p", request, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	prefix := waits.ListWaitsParams{WorkflowPrefix: new("flow")}
	for _, filter := range []waits.ListWaitsParams{prefix, prefix, {Tag: new("tag")}, {}} {
		following.Go(func() {
			filter.Order, filter.Limit = new(waits.Oldest), new(100)
			seen := map[string]bool{}
			for len(seen) < opens {
				page, err := f.ListWaits(t.Context(), "p", filter, 2*time.Second)
				if err != nil {
					t.Error(err)
					return
				}
				for _, wait := range page.Waits {
					if seen[wait.WaitID] {
						t.Errorf("wait %s came twice", wait.WaitID)
					}
					seen[wait.WaitID] = true
				}
				if len(page.Waits) == 0 && opened.Load() >= opens+openers {
					t.Errorf("a follower saw %d of %d waits", len(seen), opens)
					return
				}
				filter.Cursor = page.NextCursor
			}
		})
	}
	opening.Wait()
	following.Wait()
}

// A list without a filter has every wait, also those that are settled while it is read.
func TestListsBesideSettles(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	const all, senders = 4000, 2
	forAll(all, func(i int) {
		request := waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 86400}
		if _, _, err := f.OpenWait(t.Context(), "p", request, ""); err != nil {
			t.Error(err)
		}
	})
	var next atomic.Int64
	var settling sync.WaitGroup
	for range senders {
		settling.Go(func() {
			for i := next.Add(1) - 1; i < all; i = next.Add(1) - 1 {
				settle(t, f, fmt.Sprint(i))
			}
		})
	}
	for reading := 0; next.Load() < all || reading < 2; reading++ {
		for _, order := range []waits.Order{waits.Newest, waits.Oldest, waits.Deadline} {
			params := waits.ListWaitsParams{Order: &order, Limit: new(1000)}
			seen := map[string]bool{}
			for range all {
				page, err := f.ListWaits(t.Context(), "p", params, 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, wait := range page.Waits {
					seen[wait.WaitID] = true
				}
				if page.NextCursor == nil || params.Cursor != nil && *params.Cursor == *page.NextCursor {
					break
				}
				params.Cursor = page.NextCursor
			}
			if len(seen) != all {
				t.Fatalf("order %s: the list has %d waits, want %d", order, len(seen), all)
			}
		}
	}
	settling.Wait()
}

// A deadline that is moved leaves nothing behind.
func TestMovedDeadlinesLeaveNoRows(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	wait := openState(t, f.Engine, "s", "")
	for i := range 50 {
		if _, err := f.ChangeWait(t.Context(), "p", wait.WaitID, waits.ChangeWaitRequest{TimeoutSeconds: 1000 + i}); err != nil {
			t.Fatal(err)
		}
	}
	if n := query(t, f.path, "SELECT count(*) FROM deadlines"); n != "1" {
		t.Errorf("one wait has %s deadlines, want 1", n)
	}
}
