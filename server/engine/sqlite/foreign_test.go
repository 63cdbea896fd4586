package sqlite_test

import (
	"path/filepath"
	"testing"

	driver "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

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
func connect(t *testing.T, path string) *driver.Conn {
	t.Helper()
	conn, err := driver.OpenConn(path, driver.OpenReadWrite|driver.OpenCreate)
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

// query returns the first column of the query's last row.
func query(t *testing.T, path, text string) (value string) {
	t.Helper()
	err := sqlitex.ExecuteTransient(connect(t, path), text, &sqlitex.ExecOptions{ResultFunc: func(row *driver.Stmt) error {
		value = row.ColumnText(0)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// lockFile holds the write lock of the file until release is called.
func lockFile(t *testing.T, path string) (release func()) {
	t.Helper()
	conn := connect(t, path)
	if err := sqlitex.ExecuteTransient(conn, "BEGIN IMMEDIATE", nil); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := sqlitex.ExecuteTransient(conn, "ROLLBACK", nil); err != nil {
			t.Error(err)
		}
	}
}

func execute(t *testing.T, path, command string) {
	t.Helper()
	if err := sqlitex.ExecuteTransient(connect(t, path), command, nil); err != nil {
		t.Fatal(err)
	}
}
