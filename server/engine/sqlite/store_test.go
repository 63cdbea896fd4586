package sqlite_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
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

func keyOf(state string) engine.Key {
	return engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: callback.StateID(state)}
}

func openState(t *testing.T, e *sqlite.Engine, state, input string) waits.Wait {
	t.Helper()
	request := waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(state), TimeoutSeconds: 3600}
	if input != "" {
		request.Input = []byte(input)
	}
	wait, _, err := e.OpenWait(t.Context(), "p", request, "")
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// A file is one file by whatever name it is reached.
func TestHardLinkIsTheSameFile(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	link := filepath.Join(t.TempDir(), "hard.db")
	if err := os.Link(f.path, link); err != nil {
		t.Fatal(err)
	}
	if e, err := sqlite.Open(t.Context(), link, sqlite.Options{}); err == nil {
		e.Close()
		t.Error("Open of a hard link to a file in use: no error, want one")
	}
}

// If the file is removed or replaced under a running engine, no change is answered with success,
// because the next start would not have it. When the file is back, the engine goes on.
func TestReplacedFileIsNoticed(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	openState(t, f.Engine, "s", "")
	moved := f.path + ".moved"
	for name, replace := range map[string]func() error{
		"removed":  func() error { return nil },
		"replaced": func() error { return os.WriteFile(f.path, nil, 0o600) },
	} {
		if err := os.Rename(f.path, moved); err != nil {
			t.Fatal(err)
		}
		if err := replace(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Callback(t.Context(), engine.Callback{Key: keyOf("s"), Request: enginetest.Success(`{}`)}); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("%s: Callback: %v, want %v", name, err, engine.ErrUnavailable)
		}
		if err := f.Ready(t.Context()); !errors.Is(err, engine.ErrUnavailable) && err == nil {
			t.Errorf("%s: Ready: %v, want %v", name, err, engine.ErrUnavailable)
		}
		if err := os.Rename(moved, f.path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Callback(t.Context(), engine.Callback{Key: keyOf("s"), Request: enginetest.Success(`{}`)}); err != nil {
		t.Errorf("Callback after the file is back: %v", err)
	}
}

// The file, its log and a backup are for their owner only.
func TestFilesArePrivate(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	openState(t, f.Engine, "s", "")
	backup := filepath.Join(t.TempDir(), "backup.db")
	yours := backup + ".partial"
	if err := os.WriteFile(yours, []byte("yours"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Backup(t.Context(), f.path, backup); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{f.path, f.path + "-wal", backup} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of %s = %v, %v; want 0600", path, info.Mode(), err)
		}
	}
	if data, err := os.ReadFile(yours); err != nil || string(data) != "yours" {
		t.Errorf("%s was changed by the backup: %q, %v", yours, data, err)
	}
}

// What retention forgets is in the file no more, and the file shrinks.
func TestForgottenPayloadsAreGone(t *testing.T) {
	f := newFile(t, sqlite.Options{Retention: time.Hour})
	const secret = "a payload that must not stay"
	for i := range 200 {
		openState(t, f.Engine, fmt.Sprint(i), `{"secret":"`+secret+`"}`)
		if _, err := f.Callback(t.Context(), engine.Callback{Key: keyOf(fmt.Sprint(i)), Request: enginetest.Success(`{"secret":"` + secret + strings.Repeat("x", i*20) + `"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	f.advance(t, 2*time.Hour)
	if err := f.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil { // moves the log into the file
		t.Fatal(err)
	}
	if err := sqlite.Compact(t.Context(), f.path, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(f.path)
	if err != nil || bytes.Contains(data, []byte(secret)) {
		t.Errorf("the file of %d bytes still has a payload: %v", len(data), err)
	}
	if len(data) > 200<<10 {
		t.Errorf("the file has %d bytes after everything was forgotten, want at most 200 KiB", len(data))
	}
	f.open(t)
	if page, err := f.ListWaits(t.Context(), "p", waits.ListWaitsParams{}, 0); err != nil || len(page.Waits) != 0 {
		t.Errorf("ListWaits after everything was forgotten = %+v, %v; want none", page, err)
	}
	if stats, err := f.Stats(t.Context()); err != nil || stats.Waits[waits.Success] != 0 || stats.Waits[waits.Waiting] != 0 {
		t.Errorf("Stats after everything was forgotten = %+v, %v; want no waits", stats, err)
	}
}

// If the clock jumps ahead, retention deletes nothing because of it, and says so once.
func TestRetentionWaitsOutAJump(t *testing.T) {
	var log bytes.Buffer
	jump := time.Duration(0)
	path := filepath.Join(t.TempDir(), "waits.db")
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{
		Retention: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Now: func() time.Time { return time.Now().Add(jump) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	settled(t, e, "p", "s")
	jump = 24 * time.Hour
	for range 2 {
		if err := e.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if page, err := e.ListWaits(t.Context(), "p", waits.ListWaitsParams{}, 0); err != nil || len(page.Waits) != 1 {
		t.Errorf("ListWaits after a jump of the clock = %+v, %v; want the wait", page, err)
	}
	if n := strings.Count(log.String(), "clock has jumped"); n != 1 {
		t.Errorf("the log says %d times that the clock has jumped, want once:\n%s", n, log.String())
	}
}

// A change that cannot be stored fails alone. The rest of its batch commits together.
func TestFailingChangeCostsOneCommit(t *testing.T) {
	var mu sync.Mutex
	var commits []int
	f := newFile(t, sqlite.Options{
		NewID:     func() string { return "always the same" },
		Committed: func(changes int, _ time.Duration) { mu.Lock(); defer mu.Unlock(); commits = append(commits, changes) },
	})
	openState(t, f.Engine, "first", "")
	release := lockFile(t, f.path) // so that the changes queue
	var group sync.WaitGroup
	errs := make(chan error, 100)
	const callers = 60
	for i := range callers {
		group.Go(func() {
			if i == 30 { // its wait id exists, which fails in the store
				_, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "second", TimeoutSeconds: 60}, "")
				errs <- err
				return
			}
			_, err := f.Callback(t.Context(), engine.Callback{Key: keyOf("first"), Request: enginetest.Success(`{}`)})
			errs <- err
		})
	}
	<-time.After(200 * time.Millisecond)
	mu.Lock()
	commits = nil
	mu.Unlock()
	release()
	group.Wait()
	failed := 0
	for range callers {
		if err := <-errs; err != nil {
			failed++
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if failed != 1 || len(commits) > 10 {
		t.Errorf("%d changes failed, in commits of %v; want 1, in few commits", failed, commits)
	}
}

// A person can read every wait with its status.
func TestViewForPeople(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	settled(t, f.Engine, "p", "one", "two")
	openState(t, f.Engine, "three", "")
	if got := query(t, f.path, "SELECT group_concat(state_id || ' ' || status, ', ') FROM (SELECT * FROM everything ORDER BY created_at, wait_id)"); got != "one success, two success, three waiting" {
		t.Errorf("the view has %q", got)
	}
}

// Whatever page is damaged, the engine refuses or answers right, never with other content.
func TestEveryPageIsProtected(t *testing.T) {
	whole := filled(t, 60)
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) (got string, err error) {
		e, err := sqlite.Open(t.Context(), path, sqlite.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return "", err
		}
		defer e.Close()
		limit := 100
		page, err := e.ListWaits(t.Context(), "p", waits.ListWaitsParams{Limit: &limit}, 0)
		if err != nil {
			return "", err
		}
		for _, w := range page.Waits {
			got += fmt.Sprintf("%s %s %s %v;", w.WaitID, w.StateID, w.Status, w.Outcome)
		}
		feed, err := e.ListOutcomes(t.Context(), "p", "", 100, 0)
		for _, w := range feed.Outcomes {
			got += string(w.StateID) + ";"
		}
		return got, err
	}
	want, err := read(whole)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for offset := 100; offset < len(content); offset += 1111 { // beyond the header; every page
		path := filepath.Join(t.TempDir(), "waits.db")
		flipped := bytes.Clone(content)
		flipped[offset] ^= 1 << (offset % 8)
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := read(path)
		switch {
		case err != nil:
			refused++
		case got != want:
			t.Errorf("with a flipped bit at %d: got\n%s\nwant\n%s", offset, got, want)
		}
	}
	if refused == 0 {
		t.Error("no flipped bit was noticed")
	}
}

// A crash at any time of a fold loses nothing, and the lists are right after the start.
func TestCrashInAFold(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	const n = 300
	for i := range n {
		openState(t, f.Engine, fmt.Sprint(i), "")
	}
	list := func() { _, _ = f.ListWaits(t.Context(), "p", waits.ListWaitsParams{}, 0) } // folds
	list()
	for i := 0; i < n; i += 2 {
		if _, err := f.Callback(t.Context(), engine.Callback{Key: keyOf(fmt.Sprint(i)), Request: enginetest.Success(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	for step := range 8 { // crash after each step
		c := &crasher{skip: step}
		f.options.Committed = c.committed
		f.reopen(t)
		c.crash(t, f, list)
		f.options.Committed = nil
		f.open(t)
		for status, want := range map[waits.Status]int{waits.Waiting: n / 2, waits.Success: n / 2, waits.Fail: 0} {
			page, err := f.ListWaits(t.Context(), "p", waits.ListWaitsParams{Status: &status, Limit: new(1000)}, 0)
			if err != nil || len(page.Waits) != want {
				t.Errorf("step %d: %d waits are %s, %v; want %d", step, len(page.Waits), status, err, want)
			}
		}
		if stats, err := f.Stats(t.Context()); err != nil || stats.Waits[waits.Success] != n/2 || stats.Waits[waits.Waiting] != n/2 {
			t.Errorf("step %d: Stats = %v, %v; want %d waiting and success", step, stats.Waits, err, n/2)
		}
		for i := range 3 { // another fold to interrupt
			state := fmt.Sprint("more ", step, i)
			openState(t, f.Engine, state, "")
			if err := f.CancelWait(t.Context(), "p", openState(t, f.Engine, state, "").WaitID, "", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// If the log was cut, as by a disk that did not sync, the engine has a past state: no outcome is
// another, and the feed is the beginning of what it was.
func TestCutLog(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	for i := range 40 {
		settled(t, f.Engine, "p", fmt.Sprint(i))
	}
	feed := func(e *sqlite.Engine) string {
		page, err := e.ListOutcomes(t.Context(), "p", "", 1000, 0)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, w := range page.Outcomes {
			fmt.Fprintf(&got, "%s %s %s;", w.WaitID, w.StateID, w.Outcome.Output)
		}
		return got.String()
	}
	whole := feed(f.Engine)
	file, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(f.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	shorter := 0
	for range 40 {
		path := filepath.Join(t.TempDir(), "waits.db")
		for name, data := range map[string][]byte{path: file, path + "-wal": log[:rand.IntN(len(log))]} {
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		e, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatalf("Open with a cut log: %v", err)
		}
		got := feed(e)
		if !strings.HasPrefix(whole, got) {
			t.Errorf("with a cut log the feed is\n%s\nwant the beginning of\n%s", got, whole)
		}
		if len(got) < len(whole) {
			shorter++
		}
		settled(t, e, "p", "after the cut")
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if shorter == 0 {
		t.Error("no cut lost anything, so the test shows nothing")
	}
}

// A log that has grown behind a reader of another program is cut when the reader has left.
func TestLogIsCutWhenAReaderHasLeft(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	openState(t, f.Engine, "before", "")
	reader := connect(t, f.path)
	if err := reader.Exec("BEGIN; SELECT count(*) FROM waits"); err != nil {
		t.Fatal(err)
	}
	const limit = 8 << 20
	size := func() int64 {
		info, err := os.Stat(f.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	input := `"` + strings.Repeat("x", 1<<20) + `"`
	for i := 0; size() <= limit; i++ {
		openState(t, f.Engine, fmt.Sprint(i), input)
	}
	if _, err := f.ListWaits(t.Context(), "p", waits.ListWaitsParams{}, 0); err != nil { // folds, so that nothing is left to write
		t.Fatal(err)
	}
	if err := reader.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); size() > limit; <-time.After(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log has %d bytes a minute after the reader has left, want at most %d", size(), limit)
		}
	}
}
