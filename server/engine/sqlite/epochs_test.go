package sqlite_test

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// settled opens and settles waits, and returns the cursor after them.
func settled(t *testing.T, e *sqlite.Engine, project string, states ...string) (cursor string) {
	t.Helper()
	for _, state := range states {
		_, _, err := e.OpenWait(t.Context(), project, waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(state), TimeoutSeconds: 3600}, "")
		if err == nil {
			_, err = e.Callback(t.Context(), engine.Callback{Key: engine.Key{ProjectID: project, WorkflowID: "w", RunID: "r", StateID: callback.StateID(state)}, Request: enginetest.Success(`{}`)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	page, err := e.ListOutcomes(t.Context(), project, "", 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	return page.Next
}

func wantGone(t *testing.T, e *sqlite.Engine, project, cursor string) {
	t.Helper()
	_, err := e.ListOutcomes(t.Context(), project, cursor, 10, 0)
	gone := new(engine.CursorGoneError)
	if !errors.As(err, &gone) {
		t.Errorf("ListOutcomes(%q): %v, want a CursorGoneError", cursor, err)
	} else if _, err := e.ListOutcomes(t.Context(), project, gone.Oldest, 10, 0); err != nil {
		t.Errorf("ListOutcomes(%q), which the refusal names: %v", gone.Oldest, err)
	}
}

// After a backup was restored, a cursor of what came after it is refused, also when as many
// outcomes were settled again. A cursor of what was before it continues.
func TestCursorsAfterARestore(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	early := settled(t, f.Engine, "p", "a1", "a2")
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := sqlite.Backup(t.Context(), f.path, backup); err != nil {
		t.Fatal(err)
	}
	late := settled(t, f.Engine, "p", "b3", "b4")
	f.reopen(t)
	later := settled(t, f.Engine, "p", "c5")

	restored, err := sqlite.Open(t.Context(), backup, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	for range 2 {
		for _, cursor := range []string{late, later} {
			if _, err := restored.ListOutcomes(t.Context(), "p", cursor, 10, 0); !errors.Is(err, engine.ErrCursorForeign) {
				t.Errorf("ListOutcomes(%q) after the restore: %v, want %v", cursor, err, engine.ErrCursorForeign)
			}
		}
		settled(t, restored, "p", "d3", "d4", "d5", "d6") // past the old positions
	}
	page, err := restored.ListOutcomes(t.Context(), "p", early, 1, 0)
	if err != nil || len(page.Outcomes) != 1 || page.Outcomes[0].StateID != "d3" {
		t.Errorf("ListOutcomes with a cursor from before the backup = %+v, %v; want d3", page, err)
	}
	for _, cursor := range []string{early, late, later} { // the original goes on
		if _, err := f.ListOutcomes(t.Context(), "p", cursor, 10, 0); err != nil {
			t.Errorf("ListOutcomes(%q) of the original: %v", cursor, err)
		}
	}
}

// A cursor behind what retention has deleted is refused, and one of a project that lost nothing
// is not.
func TestCursorsBehindRetention(t *testing.T) {
	f := newFile(t, sqlite.Options{Retention: time.Hour})
	quiet, err := f.ListOutcomes(t.Context(), "quiet", "", 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	first := settled(t, f.Engine, "p", "r1")
	last := settled(t, f.Engine, "p", "r2", "r3")
	f.advance(t, 2*time.Hour)
	if err := f.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, f.Engine, "p", "r4")
	wantGone(t, f.Engine, "p", first)
	f.reopen(t)
	wantGone(t, f.Engine, "p", first)
	if page, err := f.ListOutcomes(t.Context(), "p", last, 10, 0); err != nil || len(page.Outcomes) != 1 {
		t.Errorf("ListOutcomes after everything that was deleted = %+v, %v; want r4", page, err)
	}
	settled(t, f.Engine, "quiet", "q")
	if page, err := f.ListOutcomes(t.Context(), "quiet", quiet.Next, 10, 0); err != nil || len(page.Outcomes) != 1 {
		t.Errorf("ListOutcomes of a project that lost nothing = %+v, %v; want q", page, err)
	}
}

// A reader of the file sees a commit a little before the rest of the engine. The feed does not show
// it then, because its cursor would be ahead of the engine, and GetWait would still say waiting.
func TestFeedIsNotAheadOfTheEngine(t *testing.T) {
	var f *file
	var armed, looked atomic.Bool
	f = newFile(t, sqlite.Options{Committed: func(int, time.Duration) {
		if !armed.Load() {
			return
		}
		page, err := f.ListOutcomes(t.Context(), "p", "", 10, 0)
		looked.Store(true)
		if err != nil || len(page.Outcomes) > 0 {
			t.Errorf("ListOutcomes between a commit and its answer = %+v, %v; want none", page, err)
		}
	}})
	openState(t, f.Engine, "s", "")
	armed.Store(true)
	if _, err := f.Callback(t.Context(), engine.Callback{Key: keyOf("s"), Request: enginetest.Success(`{}`)}); err != nil || !looked.Load() {
		t.Fatalf("Callback: %v; looked at the feed: %t", err, looked.Load())
	}
	armed.Store(false)
	if page, err := f.ListOutcomes(t.Context(), "p", "", 10, 0); err != nil || len(page.Outcomes) != 1 {
		t.Errorf("ListOutcomes after the answer = %+v, %v; want one", page, err)
	}
}

// While the store cannot be written, its lists can be read.
func TestListsOfALockedFile(t *testing.T) {
	f := newFile(t, sqlite.Options{BusyTimeout: 50 * time.Millisecond})
	openState(t, f.Engine, "s", "")
	if _, err := f.ListWaits(t.Context(), "p", waits.ListWaitsParams{}, 0); err != nil { // folds
		t.Fatal(err)
	}
	openState(t, f.Engine, "not folded", "")
	defer lockFile(t, f.path)()
	if page, err := f.ListWaits(t.Context(), "p", waits.ListWaitsParams{}, 0); err != nil || len(page.Waits) != 1 {
		t.Errorf("ListWaits of a locked file = %+v, %v; want a wait", page, err)
	}
}

// A restored backup is used as the original was: its readers do not block callbacks.
func TestRestoredBackupIsInWALMode(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	settled(t, f.Engine, "p", "s")
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := sqlite.Backup(t.Context(), f.path, backup); err != nil {
		t.Fatal(err)
	}
	e, err := sqlite.Open(t.Context(), backup, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if mode := query(t, backup, "PRAGMA journal_mode"); mode != "wal" {
		t.Errorf("journal mode of a restored backup = %s, want wal", mode)
	}
}

// Starts that are followed by no outcome leave no epoch behind, and cursors stay valid.
func TestIdleStartsLeaveNoEpochs(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	first, err := f.ListOutcomes(t.Context(), "p", "", 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.reopen(t)
	after := settled(t, f.Engine, "p", "s")
	for range 5 {
		f.reopen(t)
	}
	if n := query(t, f.path, `SELECT count(*) FROM epochs`); n != "3" {
		t.Errorf("the file has %s epochs after 7 starts, want 3: the first, that of the outcome, and the last", n)
	}
	for cursor, want := range map[string]int{first.Next: 1, after: 0} {
		if page, err := f.ListOutcomes(t.Context(), "p", cursor, 10, 0); err != nil || len(page.Outcomes) != want {
			t.Errorf("ListOutcomes after %s = %+v, %v; want %d outcomes", cursor, page, err, want)
		}
	}
}
