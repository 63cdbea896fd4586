package sqlite

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// migrations are the steps of the schema in the order of their names. A released step is
// never changed; changes are new steps.
//
//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks the file as this engine's (PRAGMA application_id): "FlCb".
const applicationID = 0x466c4362

// migrate runs the steps that the file lacks, each in a transaction. PRAGMA user_version
// counts the steps.
func migrate(conn *sqlite.Conn) error {
	version, err := versionOf(conn)
	if err != nil {
		return err
	}
	steps, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return err
	}
	if version > len(steps) {
		return fmt.Errorf("it was written by a newer release (schema %d, this one knows %d): run that release, or restore a backup made before it", version, len(steps))
	}
	// The file is this engine's or empty, so it may be written. It keeps the journal mode.
	if err := sqlitex.ExecuteTransient(conn, "PRAGMA journal_mode = WAL", nil); err != nil {
		return err
	}
	for i := version; i < len(steps); i++ {
		if err := step(conn, steps[i].Name(), i+1); err != nil {
			return fmt.Errorf("migration %s: %w", steps[i].Name(), err)
		}
	}
	return nil
}

// versionOf returns how many steps the file has. The error says if it belongs to another
// program.
func versionOf(conn *sqlite.Conn) (version int, err error) {
	var owner, tables int
	for query, value := range map[string]*int{
		"PRAGMA application_id":              &owner,
		"PRAGMA user_version":                &version,
		"SELECT count(*) FROM sqlite_schema": &tables,
	} {
		err := sqlitex.ExecuteTransient(conn, query, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
			*value = row.ColumnInt(0)
			return nil
		}})
		if err != nil {
			return 0, err
		}
	}
	if owner != applicationID && (owner != 0 || tables != 0) {
		return 0, errors.New("it is another program's SQLite file: name another one")
	}
	return version, nil
}

func step(conn *sqlite.Conn, name string, version int) error {
	script, err := migrations.ReadFile("migrations/" + name)
	if err != nil {
		return err
	}
	// ExecuteScript runs the script in one transaction.
	return sqlitex.ExecuteScript(conn, fmt.Sprintf("%s\nPRAGMA user_version = %d; PRAGMA application_id = %d;", script, version, applicationID), nil)
}
