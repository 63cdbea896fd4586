package sqlite

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/flowcallback/flowcallback/server/engine/store"
	"github.com/ncruces/go-sqlite3"
)

var (
	//go:embed schema.sql
	schema string
	//go:embed schema2to3.sql
	schema2to3 string
)

const (
	// applicationID marks the file as this engine's (PRAGMA application_id): "FlCb".
	applicationID = 0x466c4362
	// schemaVersion is the version of schema.sql (PRAGMA user_version).
	schemaVersion = 3
)

// migrate creates the tables of an empty file, and migrates the file of an earlier release. It
// returns the lock of the file, which migration may replace.
func migrate(ctx context.Context, file *lockedFile, options Options) (*lockedFile, error) {
	c, err := connect(file.path, options.BusyTimeout)
	if err != nil {
		return file, err
	}
	version, err := c.version()
	switch {
	case err != nil:
	case version == 0:
		err = c.create()
	case version == 2:
		options.Logger.Info("migrating the file to the schema of this release", "file", file.path)
		err = c.upgrade2()
	}
	if err = errors.Join(err, c.Close()); err != nil {
		return file, err
	}
	switch {
	case version == 1:
		return migrateSchema1(ctx, file, options)
	case version > schemaVersion:
		return file, fmt.Errorf("it was written by a newer release (schema %d, this one knows %d): run that release, or restore a backup made before it", version, schemaVersion)
	}
	return file, nil
}

// create makes the tables of an empty file.
func (c *conn) create() error {
	for _, prepare := range []func() error{
		func() error { return c.EnableChecksums("main") },
		func() error { return c.Exec("PRAGMA auto_vacuum = INCREMENTAL") },
		func() error { return c.Exec("VACUUM") }, // so that auto_vacuum takes effect
		func() error { return c.Exec("PRAGMA journal_mode = WAL") },
		func() error {
			return c.Exec(fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT", schema, schemaVersion, applicationID))
		},
	} {
		if err := prepare(); err != nil {
			return err
		}
	}
	return nil
}

// upgrade2 changes the tables of schema 2, in one transaction.
func (c *conn) upgrade2() error {
	t := &tx{conn: c}
	return t.transact(func() error {
		if err := c.Exec(schema2to3); err != nil {
			return err
		}
		if err := t.listIDs(); err != nil {
			return err
		}
		return c.Exec(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
	})
}

// listIDs fills the lists of runs and states, of the waits that are folded.
func (t *tx) listIDs() error {
	for after, n := int64(0), catalogLimit; n == catalogLimit; {
		n = 0
		var edits edits
		err := t.query(`SELECT id, project, run_id, state_id FROM waits WHERE id > ? AND id <= (SELECT opened FROM state) ORDER BY id LIMIT ?`, func(row *sqlite3.Stmt) error {
			after = row.ColumnInt64(0)
			n++
			for _, name := range [...]string{ofRun + row.ColumnText(2), ofState + row.ColumnText(3)} {
				edits.bit(row.ColumnInt64(1), name, store.AnyStatus, after, true)
			}
			return nil
		}, after, catalogLimit)
		if err == nil {
			err = edits.apply(func() int { return foldAlone }, func(step change) error { return step(t) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// version returns the version of the schema, or 0 if the file is empty. The error says if it
// belongs to another program.
func (c *conn) version() (version int, err error) {
	var owner, tables int
	for query, value := range map[string]*int{
		"PRAGMA application_id":              &owner,
		"PRAGMA user_version":                &version,
		"SELECT count(*) FROM sqlite_schema": &tables,
	} {
		err := c.query(query, func(row *sqlite3.Stmt) error {
			*value = row.ColumnInt(0)
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	if owner != applicationID && (owner != 0 || tables != 0) {
		return 0, errors.New("it is another program's SQLite file: name another one")
	}
	return version, nil
}
