package sqlite_test

import (
	"database/sql"
	"net/url"
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

// query returns what a query answers with.
func query(t *testing.T, path, text string) (value string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(text).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// lockFile keeps everyone from writing to a file until release is called.
func lockFile(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := db.Exec("ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func closedChannel() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
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
