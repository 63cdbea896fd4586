package sqlite

import (
	"context"
	"os"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	// The first chunk of waiting waits of each project, all workflows. The statement steps from
	// project to project by the primary key.
	firstWaiting = `
SELECT p.id, (SELECT min(chunk) FROM lists WHERE project = p.id AND name = '' AND status = 1) FROM projects p`
	bitsOfWaiting = `SELECT waits FROM lists WHERE project = ? AND name = '' AND status = 1 AND chunk = ?`
	createdAt     = `SELECT created_at FROM waits WHERE id = ?`

	// Settled waits leave their deadlines, so the number of rows is limited.
	nextDeadlines = `
SELECT w.id, w.project, w.created_at, w.expires_at
FROM (SELECT wait FROM deadlines ORDER BY expires_at, wait LIMIT 1000) d JOIN waits w ON w.id = d.wait`
)

// Stats describe a file for operators. The time to read them grows with the number of
// projects, not with the number of waits.
type Stats struct {
	// Waits is the number of waits by stored status. A wait past its deadline counts as
	// waiting until the sweeper expires it.
	Waits map[waits.Status]int64
	// Held is the number of callbacks that are held for unknown states.
	Held int64
	// Oldest is the age of the oldest waiting wait, or 0 if there is none.
	Oldest time.Duration
	// DeadlineShare is the largest share of its time that a waiting wait has used, among the
	// waits with the next deadlines: 1 at its deadline, and 0 if there is none.
	DeadlineShare float64
	// Queued is the number of changes that wait for the writer; the queue holds at most
	// QueueCapacity.
	Queued, QueueCapacity int
	// FileBytes is the size of the file, FreeBytes what of it is unused, and LogBytes the
	// size of the write-ahead log.
	FileBytes, FreeBytes, LogBytes int64
}

// Stats reads the stats. With an error it returns those that need no file.
func (e *Engine) Stats(ctx context.Context) (Stats, error) {
	s := Stats{
		Waits:  map[waits.Status]int64{},
		Queued: len(e.writer.queue.Items), QueueCapacity: store.QueueLength,
		FileBytes: sizeOf(e.writer.path), LogBytes: sizeOf(e.writer.path + "-wal"),
	}
	e.catalog.mu.RLock()
	for status := store.Waiting; status <= store.Cancelled; status++ {
		s.Waits[status.Name()] = e.catalog.counts[status]
	}
	e.catalog.mu.RUnlock()
	if err := e.foldFresh(ctx); err != nil && !cannotWrite(err) {
		return s, err
	}
	now := e.now()
	err := e.own.read(ctx, "stats", func(c *conn) error {
		free, err := c.freeBytes()
		if err == nil {
			s.FreeBytes = free
			err = c.query(allHeld, func(row *sqlite3.Stmt) error {
				s.Held = row.ColumnInt64(0)
				return nil
			})
		}
		if err == nil {
			s.DeadlineShare, err = e.deadlineShare(c, now)
		}
		if err == nil {
			s.Oldest, err = c.oldestWaiting(now)
		}
		return err
	})
	return s, err
}

// sizeOf returns the size of a file, or 0 if there is none.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (e *Engine) deadlineShare(c *conn, now int64) (share float64, err error) {
	type next struct{ wait, project, createdAt, expiresAt int64 }
	var all []next
	err = c.query(nextDeadlines, func(row *sqlite3.Stmt) error {
		all = append(all, next{row.ColumnInt64(0), row.ColumnInt64(1), row.ColumnInt64(2), row.ColumnInt64(3)})
		return nil
	})
	for _, n := range all {
		if err != nil {
			return share, err
		}
		x, ok := e.catalog.get(n.wait)
		if !ok {
			x, err = c.folded(n.wait, n.project)
		}
		if x.status == store.Waiting {
			share = max(share, float64(now-n.createdAt)/float64(max(1, n.expiresAt-n.createdAt)))
		}
	}
	return share, err
}

// oldestWaiting returns the age of the oldest waiting wait, as of the last fold.
func (c *conn) oldestWaiting(now int64) (age time.Duration, err error) {
	type place struct{ project, chunk int64 }
	var places []place
	err = c.query(firstWaiting, func(row *sqlite3.Stmt) error {
		if row.ColumnType(1) != sqlite3.NULL {
			places = append(places, place{row.ColumnInt64(0), row.ColumnInt64(1)})
		}
		return nil
	})
	first := int64(0)
	for _, p := range places {
		if err != nil || first != 0 && p.chunk > first/listChunk {
			continue
		}
		err = c.query(bitsOfWaiting, func(row *sqlite3.Stmt) error {
			var bits [listChunk / 8]byte
			unpackBits(bits[:], row.ColumnRawBlob(0))
			for i, b := range bits {
				for bit := range int64(8) {
					if id := p.chunk*listChunk + int64(i)*8 + bit; b&(1<<bit) != 0 && (first == 0 || id < first) {
						first = id
					}
				}
			}
			return nil
		}, p.project, p.chunk)
	}
	if err != nil || first == 0 {
		return 0, err
	}
	err = c.query(createdAt, func(row *sqlite3.Stmt) error {
		age = max(0, time.Duration(now-row.ColumnInt64(0))*time.Millisecond)
		return nil
	}, first)
	return age, err
}
