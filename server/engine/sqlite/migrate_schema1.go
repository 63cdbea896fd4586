package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/flowcallback/flowcallback/server/engine/store"
	"github.com/gofrs/flock"
	"github.com/ncruces/go-sqlite3"
)

// migrateSchema1 copies a file with schema 1 into a new one, which then takes its place: wholly
// or not at all. The old file is kept beside it.
func migrateSchema1(ctx context.Context, file *lockedFile, options Options) (_ *lockedFile, err error) {
	earlier := flock.New(file.path + ".lock") // the lock of the releases with schema 1
	if locked, err := earlier.TryLock(); err != nil || !locked {
		return file, errors.Join(err, errors.New("it is open in another process, of an earlier release: stop that one"))
	}
	defer func() { err = errors.Join(err, earlier.Close(), remove(file.path+".lock")) }()
	size := sizeOf(file.path) + sizeOf(file.path+"-wal")
	if free, ok := freeSpace(filepath.Dir(file.path)); ok && free < 2*size {
		return file, fmt.Errorf("migrating it to the schema of this release takes %d MiB of disk, but %d MiB are free: free some, or run the earlier release", 2*size>>20, free>>20)
	}
	target, kept := file.path+".migrating", file.path+".schema1"
	logger := options.Logger.With("file", file.path)
	logger.Info("migrating the file to the schema of this release; do not stop the server. A stop is harmless, but then it begins again", "bytes", size)
	if err := remove(target); err != nil {
		return file, err
	}
	next, err := lockFile(target)
	if err != nil {
		return file, err
	}
	if err := fill(ctx, file.path, target, options.BusyTimeout, logger); err != nil {
		return file, errors.Join(ctx.Err(), fmt.Errorf("migrating: %w", err), next.unlock(), remove(target), remove(target+"-wal"), remove(target+"-shm"))
	}
	if exists(file.path+"-wal") || exists(file.path+"-shm") { // the last connection deletes them
		return file, errors.Join(errors.New("another program has it open: close that one"), next.unlock(), remove(target))
	}
	if err := os.Link(file.path, kept); err != nil {
		logger.Warn("the file of before cannot be kept", "error", err)
	} else {
		logger.Info("the file of before is kept; delete it when you do not need the earlier release any more", "kept", kept)
	}
	if err := os.Rename(target, file.path); err != nil {
		return file, errors.Join(err, next.unlock())
	}
	next.path = file.path
	logger.Info("migrated")
	return next, errors.Join(file.unlock(), syncFile(filepath.Dir(file.path)))
}

// fill makes the file at target, with what the file at path has.
func fill(ctx context.Context, path, target string, busy time.Duration, logger *slog.Logger) (err error) {
	c, err := connect(target, busy, "synchronous = OFF", "cache_size = -65536")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(), syncFile(target)) }()
	if err := c.create(); err != nil {
		return err
	}
	c.SetInterrupt(ctx)
	defer c.SetInterrupt(context.Background())
	if err := c.execute("ATTACH ? AS old", path); err != nil {
		return err
	}
	t := &tx{conn: c}
	for _, step := range []struct{ what, statement string }{
		{"projects", `INSERT INTO projects (name) SELECT project_id FROM (SELECT project_id, min(id) AS first FROM old.waits GROUP BY project_id) ORDER BY first`},
		{"waits", `INSERT INTO waits (id, wait_id, project, workflow_id, run_id, state_id, execution_id, created_at, expires_at) SELECT w.id, w.wait_id, p.id, w.workflow_id, w.run_id, w.state_id, nullif(w.execution_id, w.run_id), w.created_at, w.expires_at FROM old.waits w JOIN projects p ON p.name = w.project_id ORDER BY w.id`},
		{"keys", `INSERT INTO keys (key, wait, project, expires_at, execution_id) SELECT w.key, w.id, p.id, w.expires_at, nullif(w.execution_id, w.run_id) FROM old.waits w JOIN projects p ON p.name = w.project_id ORDER BY w.key`},
		{"inputs", `INSERT INTO inputs SELECT wait, input FROM old.inputs ORDER BY wait`},
		{"deadlines", `INSERT INTO deadlines SELECT expires_at, wait FROM old.deadlines ORDER BY 1, 2`},
		{"outcomes", `INSERT INTO outcomes SELECT p.id, o.seq, o.wait, CASE w.status WHEN 'success' THEN 2 WHEN 'fail' THEN 3 WHEN 'expired' THEN 4 ELSE 5 END, o.settled_at, o.added_at, nullif(o.error, ''), o.output, nullif(o.caller, '')
			FROM old.outcomes o JOIN old.waits w ON w.id = o.wait JOIN projects p ON p.name = o.project_id ORDER BY 1, 2`},
		// Schema 1 did not store what a callback was held for, except in the key. The project
		// without a name has them until they are handed over, or forgotten.
		{"held callbacks", `INSERT INTO projects (name, held) SELECT '', count(*) FROM old.held HAVING count(*) > 0`},
		{"", `INSERT INTO held (key, project, workflow_id, run_id, state_id, execution_id, status, error, output, caller, held_at, added_at)
			SELECT h.key, p.id, '', '', '', h.execution_id, CASE h.result WHEN 'success' THEN 2 ELSE 3 END, nullif(h.error, ''), h.output, nullif(h.caller, ''), h.held_at, h.held_at FROM old.held h JOIN projects p ON p.name = '' ORDER BY h.held_at`},
		{"", `INSERT INTO epochs (id, first) VALUES ('', 0)`},
		{"", `UPDATE state SET opened = coalesce((SELECT seq FROM old.sqlite_sequence WHERE name = 'waits'), 0), settled = (SELECT last FROM old.feed)`},
	} {
		if step.what != "" {
			logger.Info("migrating", "part", step.what)
		}
		if err := t.transact(func() error { return t.execute(step.statement) }); err != nil {
			return err
		}
	}
	if err := t.findFloors(); err != nil {
		return err
	}
	if err := t.foldOld(logger); err != nil {
		return err
	}
	if err := c.compare(); err != nil {
		return err
	}
	for _, end := range []string{"PRAGMA old.wal_checkpoint(TRUNCATE)", "DETACH old", "PRAGMA main.wal_checkpoint(TRUNCATE)"} {
		if err := c.query(end, nil); err != nil {
			return err
		}
	}
	return nil
}

// findFloors finds out what retention has deleted: positions are dense over all projects, so one
// that is missing was deleted. A project may have lost any that is missing before its first
// outcome; one without outcomes, any at all, also if nothing else is left of it.
func (t *tx) findFloors() error {
	floors := map[int64]int64{}
	var missing, previous int64
	err := t.query(`SELECT project, seq FROM outcomes ORDER BY seq`, func(row *sqlite3.Stmt) error {
		project, seq := row.ColumnInt64(0), row.ColumnInt64(1)
		if seq != previous+1 {
			missing = seq - 1
		}
		if _, known := floors[project]; !known {
			floors[project] = missing
		}
		previous = seq
		return nil
	})
	if err != nil {
		return err
	}
	return t.transact(func() error {
		err := t.query(`SELECT last FROM old.feed`, func(row *sqlite3.Stmt) error {
			if row.ColumnInt64(0) > previous {
				missing = row.ColumnInt64(0)
			}
			return nil
		})
		if err == nil {
			err = t.execute(`UPDATE state SET floor = ?`, missing)
		}
		if err == nil {
			err = t.execute(`UPDATE projects SET floor = ?`, missing)
		}
		for project, floor := range floors {
			if err == nil {
				err = t.execute(`UPDATE projects SET floor = ? WHERE id = ?`, floor, project)
			}
		}
		return err
	})
}

// foldOld builds ended, lists and counts from all waits.
func (t *tx) foldOld(logger *slog.Logger) error {
	var changed counts
	for after, n := int64(0), catalogLimit; n == catalogLimit; {
		n = 0
		var edits edits
		err := t.query(`SELECT w.id, w.project, w.workflow_id, w.run_id, w.state_id, coalesce(o.seq, 0), CASE w2.status WHEN 'waiting' THEN 1 WHEN 'success' THEN 2 WHEN 'fail' THEN 3 WHEN 'expired' THEN 4 ELSE 5 END
			FROM waits w JOIN old.waits w2 ON w2.id = w.id LEFT JOIN old.outcomes o ON o.project_id = w2.project_id AND o.seq = w2.seq WHERE w.id > ? ORDER BY w.id LIMIT ?`, func(row *sqlite3.Stmt) error {
			x := entry{wait: row.ColumnInt64(0), project: row.ColumnInt64(1), seq: row.ColumnInt64(5), status: store.Status(row.ColumnInt(6)), opened: true}
			x.labels = &labels{workflow: row.ColumnText(2), run: row.ColumnText(3), state: row.ColumnText(4)}
			edits.fold(x)
			changed.add(x)
			after = x.wait
			n++
			return nil
		}, after, catalogLimit)
		if err == nil {
			err = edits.apply(func() int { return foldAlone }, func(step change) error { return t.transact(func() error { return step(t) }) })
		}
		if err != nil {
			return err
		}
		logger.Info("migrating", "part", "lists", "waits", after)
	}
	return t.transact(func() error { return t.storeCounts(changed) })
}

// compare returns an error if the new file lacks rows of the old one.
func (c *conn) compare() error {
	for _, table := range []string{"waits", "inputs", "deadlines", "outcomes", "held"} {
		err := c.query(fmt.Sprintf(`SELECT (SELECT count(*) FROM old.%s), (SELECT count(*) FROM main.%s)`, table, table), func(row *sqlite3.Stmt) error {
			if row.ColumnInt64(0) != row.ColumnInt64(1) {
				return fmt.Errorf("the new file has %d %s, the old one %d", row.ColumnInt64(1), table, row.ColumnInt64(0))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// syncFile syncs a file or a folder.
func syncFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// remove deletes a file that may not exist.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
