package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

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
			t.Fatalf("Open(%s) of a file in use: no error, want one", path)
		}
		if !strings.Contains(err.Error(), "another process") {
			t.Errorf("Open(%s) of a file in use: error %v, want \"another process\"", path, err)
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
			t.Errorf("Open(%s): no error, want %q", path, want)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%s): error %v, want %q", path, err, want)
		}
	}
	if mode := query(t, filepath.Join(folder, "other.db"), "PRAGMA journal_mode"); mode != "delete" {
		t.Errorf("journal mode of the other program's file = %s, want delete", mode)
	}
}

// Waits that expire during downtime appear in the outcomes feed after a restart, even if the
// deadline is older than the retention.
func TestExpiryDuringDowntimeReachesTheFeed(t *testing.T) {
	f := newFile(t, sqlite.Options{Retention: time.Hour})
	wait, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s", TimeoutSeconds: 60}, "")
	if err != nil {
		t.Fatal(err)
	}
	f.advance(t, 24*time.Hour)
	f.reopen(t)
	page, err := f.ListOutcomes(t.Context(), "p", "", 10, time.Minute) // blocks until the sweeper has expired the wait
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := f.ListOutcomes(t.Context(), "p", "", 10, time.Minute)
	if err != nil || len(page.Outcomes) != 1 || len(again.Outcomes) != 1 || !again.Outcomes[0].SettledAt.Equal(wait.ExpiresAt) {
		t.Errorf("ListOutcomes after the downtime = %+v, after Forget = %+v, %v; want the expired wait in both", page, again, err)
	}
}

// While another program locks the file, Callback returns ErrUnavailable and the wait stays
// unchanged. When the lock is released, the engine is ready again.
func TestLockedFile(t *testing.T) {
	f := newFile(t, sqlite.Options{BusyTimeout: 50 * time.Millisecond})
	request := waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s", TimeoutSeconds: 60}
	wait, _, err := f.OpenWait(t.Context(), "p", request, "")
	if err != nil {
		t.Fatal(err)
	}
	release := lockFile(t, f.path)
	key := engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: "s"}
	if _, err := f.Callback(t.Context(), engine.Callback{Key: key, Request: enginetest.Success(`{}`)}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Callback while the file is locked: error %v, want %v", err, engine.ErrUnavailable)
	}
	if err := f.Ready(t.Context()); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Ready while the file is locked: error %v, want %v", err, engine.ErrUnavailable)
	}
	if got, err := f.GetWait(t.Context(), "p", wait.WaitID, 0); err != nil || got.Status != waits.Waiting {
		t.Errorf("GetWait while the file is locked = %+v, %v; want waiting", got, err)
	}
	release()
	for f.Ready(t.Context()) != nil { // it tries once a second
		<-time.After(10 * time.Millisecond)
	}
	if _, err := f.Callback(t.Context(), engine.Callback{Key: key, Request: enginetest.Success(`{}`)}); err != nil {
		t.Errorf("Callback after the lock was released: %v", err)
	}
}

func TestRetentionForgetsSettledWaitsOnly(t *testing.T) {
	f := newFile(t, sqlite.Options{Retention: time.Hour, HoldUnknown: true})
	open := func(project, state string) waits.Wait {
		wait, _, err := f.OpenWait(t.Context(), project, waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(state), TimeoutSeconds: 86400, Input: []byte(`{}`)}, "")
		if err != nil {
			t.Fatalf("OpenWait: %v", err)
		}
		return wait
	}
	settle := func(project, state string) {
		if _, err := f.Callback(t.Context(), engine.Callback{Key: engine.Key{ProjectID: project, WorkflowID: "w", RunID: "r", StateID: callback.StateID(state)}, Request: enginetest.Success(`{}`)}); err != nil {
			t.Fatalf("Callback: %v", err)
		}
	}
	waiting := open("p", "waiting")
	for i := range 300 { // more waits than Forget deletes in one step
		open("p", fmt.Sprint("old ", i))
		settle("p", fmt.Sprint("old ", i))
	}
	open("q", "old")
	settle("q", "old")
	settle("q", "held, and too old")
	before, err := f.ListOutcomes(t.Context(), "p", "", 1000, time.Minute)
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
		page, err := f.ListWaits(t.Context(), project, waits.ListWaitsParams{Limit: &limit}, 0)
		var got []string
		for _, wait := range page.Waits {
			got = append(got, wait.WaitID)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("ListWaits(%s) after Forget = %v, %v; want %v", project, got, err, want)
		}
	}
	if page, err := f.ListOutcomes(t.Context(), "p", before.Next, 10, time.Minute); err != nil || len(page.Outcomes) != 1 || page.Outcomes[0].WaitID != young.WaitID {
		t.Errorf("ListOutcomes with a cursor from before Forget = %+v, %v; want only wait %s", page, err, young.WaitID)
	}
	if wait := open("q", "held, and too old"); wait.Status != waits.Waiting {
		t.Errorf("OpenWait after the held callback was deleted = %+v, want waiting", wait)
	}
	if wait := open("q", "held, and young"); wait.Status != waits.Success {
		t.Errorf("OpenWait with a held callback = %+v, want success", wait)
	}
}

func TestFeedGoesOnWhenRetentionHasEmptiedIt(t *testing.T) {
	f := newFile(t, sqlite.Options{Retention: time.Hour})
	settle := func(state string) {
		_, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(state), TimeoutSeconds: 60}, "")
		if err == nil {
			_, err = f.Callback(t.Context(), engine.Callback{Key: engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: callback.StateID(state)}, Request: enginetest.Success(`{}`)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	settle("old")
	before, err := f.ListOutcomes(t.Context(), "p", "", 10, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	f.advance(t, 2*time.Hour)
	if err := f.Forget(t.Context()); err != nil {
		t.Fatalf("Forget: %v", err)
	}
	f.reopen(t)
	settle("new")
	if page, err := f.ListOutcomes(t.Context(), "p", before.Next, 10, time.Minute); err != nil || len(page.Outcomes) != 1 || page.Outcomes[0].StateID != "new" {
		t.Errorf("ListOutcomes with a cursor from before Forget = %+v, %v; want only state \"new\"", page, err)
	}
}

func TestClosedEngineRefuses(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Callback(t.Context(), engine.Callback{Key: engine.Key{}, Request: enginetest.Success(`{}`)}); err == nil {
		t.Error("Callback of a closed engine: no error, want one")
	}
	if err := f.Ready(t.Context()); err == nil {
		t.Error("Ready of a closed engine: no error, want one")
	}
}
