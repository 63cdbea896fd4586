package sqlite_test

import (
	"errors"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// otherProgram creates a SQLite file of another program.
func otherProgram(t *testing.T, folder string) (path string) {
	path = filepath.Join(folder, "other.db")
	execute(t, path, "CREATE TABLE theirs (a)")
	return path
}

// newerRelease creates a file with the schema version of a newer release.
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

// connect opens the file with the SQLite driver, without the engine.
func connect(t *testing.T, path string) *sqlite3.Conn {
	t.Helper()
	location := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "vfs=flowcallback"}
	conn, err := sqlite3.Open(location.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// rows calls row with each row of a query.
func rows(t *testing.T, path, text string, row func(*sqlite3.Stmt)) {
	t.Helper()
	statement, _, err := connect(t, path).Prepare(text)
	if err != nil {
		t.Fatal(err)
	}
	for statement.Step() {
		row(statement)
	}
	if err := errors.Join(statement.Err(), statement.Close()); err != nil {
		t.Fatal(err)
	}
}

// query returns the first column of the query's last row.
func query(t *testing.T, path, text string) (value string) {
	t.Helper()
	rows(t, path, text, func(row *sqlite3.Stmt) { value = row.ColumnText(0) })
	return value
}

// lockFile holds the write lock of the file until release is called.
func lockFile(t *testing.T, path string) (release func()) {
	t.Helper()
	conn := connect(t, path)
	if err := conn.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := conn.Exec("ROLLBACK"); err != nil {
			t.Error(err)
		}
	}
}

// execute runs a command over a connection of its own.
func execute(t *testing.T, path, command string) {
	t.Helper()
	conn, err := sqlite3.Open((&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "vfs=flowcallback"}).String())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.Exec(command), conn.Close()); err != nil {
		t.Fatal(err)
	}
}
