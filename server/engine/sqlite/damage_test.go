package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// pageSize is SQLite's default.
const pageSize = 4096

// filled returns the path of a closed file with n waits, half of them settled.
func filled(t *testing.T, n int) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "waits.db")
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		request := waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 3600, Input: []byte(`{}`)}
		_, _, err := e.OpenWait(t.Context(), "p", request, "")
		if err == nil && i%2 == 0 {
			_, err = e.Callback(t.Context(), engine.Callback{Key: engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i))}, Request: enginetest.Success(`{}`)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// damage overwrites a page of a file.
func damage(t *testing.T, path string, page int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte(strings.Repeat("damage", pageSize)[:pageSize]), (page-1)*pageSize); err != nil {
		t.Fatal(err)
	}
}

// roots returns the first page of each table and index of a file.
func roots(t *testing.T, path string) map[string]int64 {
	t.Helper()
	pages := map[string]int64{}
	rows(t, path, "SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0", func(row *sqlite3.Stmt) { pages[row.ColumnText(0)] = row.ColumnInt64(1) })
	if len(pages) < 5 {
		t.Fatalf("root pages = %v; want at least 5", pages)
	}
	return pages
}

// Open and Check refuse a file if any table or index is damaged. The error says what to do.
func TestDamagedFilesAreRefused(t *testing.T) {
	whole := filled(t, 300)
	if err := sqlite.Check(t.Context(), whole); err != nil {
		t.Fatalf("Check of an undamaged file: %v", err)
	}
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, page := range roots(t, whole) {
		path := filepath.Join(t.TempDir(), "waits.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		damage(t, path, page)
		e, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err == nil {
			e.Close()
			t.Errorf("Open of a file with damaged %s: no error, want one", name)
		} else if !strings.Contains(err.Error(), "restore a backup") || !strings.Contains(err.Error(), path) {
			t.Errorf("Open of a file with damaged %s: error %v, want the path and \"restore a backup\"", name, err)
		}
		if err := sqlite.Check(t.Context(), path); err == nil || !strings.Contains(err.Error(), "restore a backup") {
			t.Errorf("Check of a file with damaged %s: error %v, want \"restore a backup\"", name, err)
		}
	}
}

// If the file is damaged while in use, only calls that read the damaged pages fail.
func TestDamageWhileServing(t *testing.T) {
	path := filled(t, 300)
	outcomes := roots(t, path)["outcomes"]
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	damage(t, path, outcomes) // no connection has read this page yet
	if _, err := e.ListOutcomes(t.Context(), "p", "", 10, 0); err == nil || !strings.Contains(err.Error(), "restore a backup") {
		t.Errorf("ListOutcomes with damaged outcomes: error %v, want \"restore a backup\"", err)
	}
	if _, err := e.Callback(t.Context(), engine.Callback{Key: engine.Key{}, Request: enginetest.Success(`{}`)}); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("Callback that does not read the damaged page: error %v, want %v", err, engine.ErrNotFound)
	}
}

func TestCheckOfNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no.db")
	if err := sqlite.Check(t.Context(), path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Check of a missing file: error %v, want %v", err, os.ErrNotExist)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sqlite.Check(ctx, filled(t, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Check with a cancelled context: error %v, want %v", err, context.Canceled)
	}
}
