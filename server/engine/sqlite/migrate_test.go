package sqlite_test

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// schema1 returns a copy of a file that the last release with schema 1 has written.
func schema1(t *testing.T) (path string) { return fixture(t, "testdata/schema1.sqlite") }

func fixture(t *testing.T, name string) (path string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "waits.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// afterFixture is a clock shortly after the fixture was written.
func afterFixture() time.Time { return time.Date(2026, 11, 20, 10, 5, 0, 0, time.UTC) }

func TestMigrationKeepsEverything(t *testing.T) {
	path := schema1(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{HoldUnknown: true, Now: afterFixture, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	limit := 100
	list := func(project string, params waits.ListWaitsParams) map[string]string {
		params.Limit = &limit
		page, err := e.ListWaits(t.Context(), project, params, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, w := range page.Waits {
			text := fmt.Sprintf("%s %s input %s by %q", w.Status, w.ExecutionID, w.Input, w.SettledBy)
			if w.Outcome != nil {
				text += fmt.Sprintf(" %q %s", w.Outcome.Error, w.Outcome.Output)
			}
			got[string(w.StateID)] = text
		}
		return got
	}
	shop := map[string]string{
		"approved":        `success run input {"order":4711} by "order-service" "" {"amount":129.90}`,
		"rejected":        `fail run input  by "" "too expensive" {}`,
		"cancelled":       `cancelled run input  by ""`,
		"other execution": `waiting execution input  by ""`,
	}
	if got := list("shop", waits.ListWaitsParams{}); !maps.Equal(got, shop) {
		t.Errorf("waits of shop = %v, want %v", got, shop)
	}
	if got := list("bank", waits.ListWaitsParams{Status: new(waits.Waiting), WorkflowID: new("order-approval")}); len(got) != 1 || got["waiting"] == "" {
		t.Errorf("waiting waits of bank = %v, want one", got)
	}
	key := func(state string) engine.Key {
		return engine.Key{ProjectID: "shop", WorkflowID: "order-approval", RunID: "run", StateID: callback.StateID(state)}
	}
	if id, err := e.Callback(t.Context(), engine.Callback{Key: key("approved"), Request: enginetest.Success(`{"amount":129.90}`)}); id != "run" || err != nil {
		t.Errorf("repeated callback = %q, %v; want run", id, err)
	}
	if id, err := e.Callback(t.Context(), engine.Callback{Key: key("other execution"), Request: enginetest.Success(`{}`)}); id != "execution" || err != nil {
		t.Errorf("callback of the waiting wait = %q, %v; want execution", id, err)
	}
	wait, _, err := e.OpenWait(t.Context(), "shop", waits.OpenWaitRequest{WorkflowID: "order-approval", RunID: "run", StateID: "held", TimeoutSeconds: 60}, "")
	if err != nil || wait.Status != waits.Success || wait.SettledBy != "early-bird" {
		t.Errorf("OpenWait of a held state = %+v, %v; want success by early-bird", wait, err)
	}

	// A cursor of before continues; one behind what retention had deleted is refused.
	page, err := e.ListOutcomes(t.Context(), "shop", "3", 10, 0)
	var states []string
	for _, w := range page.Outcomes {
		states = append(states, string(w.StateID))
	}
	if want := "cancelled other execution held"; err != nil || strings.Join(states, " ") != want {
		t.Errorf("feed after an old cursor = %v, %v; want %s", states, err, want)
	}
	wantGone(t, e, "shop", "0")

	kept, err := os.ReadFile(path + ".schema1")
	if err != nil || string(kept) != string(before) {
		t.Errorf("the file of before is not kept as it was: %v", err)
	}
	if _, err := os.Stat(path + ".migrating"); err == nil {
		t.Error("the file .migrating was left")
	}
	if err := sqlite.Check(t.Context(), path); err != nil {
		t.Errorf("Check after the migration: %v", err)
	}
}

// A migration that was interrupted begins again, and one whose file is in use does not begin.
func TestMigrationIsWholeOrNot(t *testing.T) {
	path := schema1(t)
	if err := os.WriteFile(path+".migrating", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	earlier := flock.New(path + ".lock")
	if _, err := earlier.TryLock(); err != nil {
		t.Fatal(err)
	}
	if e, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: afterFixture, Logger: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "earlier release") {
		t.Fatalf("Open of a file in use by an earlier release: %v, %v; want an error", e, err)
	}
	if err := earlier.Unlock(); err != nil {
		t.Fatal(err)
	}
	person, err := sqlite3.Open("file:" + path + "?vfs=flowcallback") // with a program of their own
	if err == nil {
		err = person.Exec("SELECT * FROM waits")
	}
	if err != nil {
		t.Fatal(err)
	}
	if e, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: afterFixture, Logger: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Fatalf("Open of a file that another program has open: %v, %v; want an error", e, err)
	}
	if err := person.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: afterFixture, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// What retention had deleted before the migration is found by the positions that are missing: a
// project that lost outcomes refuses old cursors, also if nothing is left of it, and one that lost
// nothing does not.
func TestMigrationFindsWhatRetentionHadDeleted(t *testing.T) {
	migrated := func(changes string) *sqlite.Engine {
		path := schema1(t)
		execute(t, path, changes)
		e, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: afterFixture, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return e
	}
	e := migrated("SELECT 1")
	if page, err := e.ListOutcomes(t.Context(), "bank", "3", 10, 0); err != nil || len(page.Outcomes) != 1 {
		t.Errorf("feed of a project that lost nothing = %+v, %v; want its outcome", page, err)
	}
	wantGone(t, e, "shop", "0")

	e = migrated("DELETE FROM inputs; DELETE FROM deadlines; DELETE FROM outcomes WHERE project_id = 'shop'; DELETE FROM waits WHERE project_id = 'shop'")
	settled(t, e, "shop", "new")
	wantGone(t, e, "shop", "2")
	first, err := e.ListOutcomes(t.Context(), "brand-new", "", 10, 0) // of a project that is opened later
	if err != nil {
		t.Fatal(err)
	}
	settled(t, e, "brand-new", "s")
	if page, err := e.ListOutcomes(t.Context(), "brand-new", first.Next, 10, 0); err != nil || len(page.Outcomes) != 1 {
		t.Errorf("feed of a new project = %+v, %v; want its outcome", page, err)
	}

	e = migrated(`INSERT INTO waits (key, wait_id, project_id, workflow_id, run_id, state_id, execution_id, status, created_at, expires_at, seq) VALUES (zeroblob(32), 'zoo', 'zoo', 'w', 'r', 's', 'r', 'cancelled', 1, 1, 1);
		INSERT INTO outcomes (project_id, seq, wait, settled_at, added_at) SELECT 'zoo', 1, id, 1, 1 FROM waits WHERE wait_id = 'zoo';
		DELETE FROM outcomes WHERE seq = 2; DELETE FROM inputs WHERE wait = 2; DELETE FROM deadlines WHERE wait = 2; DELETE FROM waits WHERE id = 2`)
	wantGone(t, e, "shop", "1")
}

// A held callback of schema 1 is counted where it is, and no more after the hand-over.
func TestMigratedHeldCallbacksAreCounted(t *testing.T) {
	e, err := sqlite.Open(t.Context(), schema1(t), sqlite.Options{HoldUnknown: true, Now: afterFixture, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, want := range []int64{1, 0} {
		if stats, err := e.Stats(t.Context()); err != nil || stats.Held != want {
			t.Errorf("Stats.Held = %d, %v; want %d", stats.Held, err, want)
		}
		if _, _, err := e.OpenWait(t.Context(), "shop", waits.OpenWaitRequest{WorkflowID: "order-approval", RunID: "run", StateID: "held", TimeoutSeconds: 60}, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// A file with schema 2 is migrated in place. Its held callbacks keep their ids, and an id that was
// used is not given again.
func TestMigrationFromSchema2(t *testing.T) {
	path := fixture(t, "testdata/schema2.sqlite")
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{HoldUnknown: true, Now: afterFixture, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	list := func() waits.HeldPage {
		t.Helper()
		page, err := e.ListHeld(t.Context(), "shop", waits.ListHeldParams{Limit: new(10)})
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	want := waits.HeldCallback{
		HeldID: "2", WorkflowID: "order-approval", RunID: "run", StateID: "held later", ExecutionID: "run", Result: "success", OutputBytes: len(`{"amount":1.10}`),
		SentBy: "worker", HeldAt: afterFixture(),
	}
	if page := list(); len(page.Held) != 1 || page.Held[0] != want {
		t.Fatalf("ListHeld = %+v, want %+v", page, want)
	}
	if err := e.DropHeld(t.Context(), "shop", "2"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Callback(t.Context(), engine.Callback{Key: engine.Key{ProjectID: "shop", WorkflowID: "w", RunID: "r", StateID: "s"}, Request: enginetest.Success(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if page := list(); len(page.Held) != 1 || page.Held[0].HeldID != "3" {
		t.Errorf("ListHeld after another callback = %+v, want one with the id 3", page)
	}
	wait, _, err := e.OpenWait(t.Context(), "shop", waits.OpenWaitRequest{WorkflowID: "order-approval", RunID: "run", StateID: "approved", TimeoutSeconds: 60}, "")
	if err != nil || wait.Status != waits.Success || string(wait.Outcome.Output) != `{"amount":129.90}` {
		t.Errorf("OpenWait of a settled state = %+v, %v; want its outcome", wait, err)
	}
}

// The id of a held callback that was dropped is not given again after the migration.
func TestMigrationDoesNotReuseHeldIDs(t *testing.T) {
	path := fixture(t, "testdata/schema2.sqlite")
	execute(t, path, "DELETE FROM held; UPDATE projects SET held = 0")
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{HoldUnknown: true, Now: afterFixture, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Callback(t.Context(), engine.Callback{Key: engine.Key{ProjectID: "shop", WorkflowID: "w", RunID: "r", StateID: "s"}, Request: enginetest.Success(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if page, err := e.ListHeld(t.Context(), "shop", waits.ListHeldParams{Limit: new(10)}); err != nil || len(page.Held) != 1 || page.Held[0].HeldID != "3" {
		t.Errorf("ListHeld = %+v, %v; want one with the id 3", page, err)
	}
}

// Workflows whose ids begin with each other migrate.
func TestMigrationOfSimilarWorkflows(t *testing.T) {
	path := fixture(t, "testdata/schema2.sqlite")
	execute(t, path, "INSERT INTO lists SELECT project, 'w' || workflow_id, status, chunk, waits FROM lists WHERE workflow_id <> ''")
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: afterFixture, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, workflow := range []string{"order-approval", "worder-approval"} {
		if page, err := e.ListWaits(t.Context(), "shop", waits.ListWaitsParams{WorkflowID: &workflow, Limit: new(100)}, 0); err != nil || len(page.Waits) != 4 {
			t.Errorf("ListWaits of %s = %d waits, %v; want 4", workflow, len(page.Waits), err)
		}
	}
}
