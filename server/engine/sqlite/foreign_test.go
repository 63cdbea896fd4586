package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// otherProgram makes a SQLite file that is not ours.
func otherProgram(t *testing.T, folder string) (path string) {
	path = filepath.Join(folder, "other.db")
	execute(t, path, "CREATE TABLE theirs (a)")
	return path
}

// newerRelease makes a file as a release with another migration would leave it.
func newerRelease(t *testing.T, folder string) (path string) {
	path = filepath.Join(folder, "newer.db")
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, path, "PRAGMA user_version = 4711")
	return path
}

func execute(t *testing.T, path, command string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(command); err != nil {
		t.Fatal(err)
	}
}
