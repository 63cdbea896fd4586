package sqlite

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/ncruces/go-sqlite3"
)

const (
	// shrinkInterval is the time between two looks at the free space of the file.
	shrinkInterval = 5 * time.Second
	// keptFree is the free space that stays, for what comes next.
	keptFree = 4 << 20
	// logLimit is the size of the write-ahead log that is cut when it is not in use.
	logLimit = 4 << 20
)

// shrinkPace moves some pages in each transaction.
var shrinkPace = pace{step: 128, rest: 4}

// freeBytes returns the unused bytes in the file.
func (c *conn) freeBytes() (free int64, err error) {
	var pages, size int64
	err = c.query("PRAGMA freelist_count", func(row *sqlite3.Stmt) error {
		pages = row.ColumnInt64(0)
		return nil
	})
	if err == nil {
		err = c.query("PRAGMA page_size", func(row *sqlite3.Stmt) error {
			size = row.ColumnInt64(0)
			return nil
		})
	}
	return pages * size, err
}

// shrink returns free space to the file system, in small steps, and cuts a large log.
func (e *Engine) shrink(ctx context.Context) error {
	err := e.inSteps(ctx, shrinkPace, func(t *tx) (int, error) {
		free, err := t.freeBytes()
		if err != nil || free <= keptFree {
			return 0, err
		}
		return shrinkPace.step, t.query("PRAGMA incremental_vacuum(128)", nil)
	})
	if err == nil && sizeOf(e.writer.path+"-wal") > logLimit {
		err = e.writer.checkpoint(ctx)
	}
	return err
}

// checkpoint has the writer move the log into the file and cut it, if no reader is in its way.
func (w *writer) checkpoint(ctx context.Context) error {
	return w.outside(ctx, func(c *conn) error {
		if err := c.BusyTimeout(0); err != nil {
			return err
		}
		_, _, err := c.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE)
		if errors.Is(err, sqlite3.BUSY) {
			err = nil // next time
		}
		return errors.Join(err, c.BusyTimeout(w.busy))
	})
}

// Compact returns the free space of the file at path to the file system. No engine may have the
// file open. It calls progress with the bytes that are left to return.
func Compact(ctx context.Context, path string, progress func(left int64)) (err error) {
	path, err = resolve(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err // lockFile would create it
	}
	file, err := lockFile(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.unlock()) }()
	c, err := connect(path, DefaultBusyTimeout)
	if err != nil {
		return explain(path, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	version, err := c.version()
	if err == nil && version != schemaVersion {
		err = errors.New("it is of another release: start the server once to migrate it")
	}
	for err == nil {
		var left int64
		if left, err = c.freeBytes(); err == nil {
			progress(left)
			if left == 0 {
				break
			}
			err = errors.Join(c.query("PRAGMA incremental_vacuum(2048)", nil), ctx.Err())
		}
	}
	if err == nil {
		_, _, err = c.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE)
	}
	if err != nil {
		return explain(path, err)
	}
	return nil
}
