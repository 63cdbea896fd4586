package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/gen/waits"
)

const (
	countWaits = `INSERT INTO counts (status, waits) VALUES (?, ?) ON CONFLICT (status) DO UPDATE SET waits = waits + excluded.waits`
	allCounts  = `SELECT status, waits FROM counts`

	// The oldest wait of each project that has one, going from project to project by the
	// index rather than through it.
	oldestWait = `
WITH RECURSIVE project (id) AS (
  SELECT min(project_id) FROM waits WHERE status = 'waiting'
  UNION ALL
  SELECT (SELECT min(project_id) FROM waits WHERE status = 'waiting' AND project_id > project.id) FROM project WHERE id IS NOT NULL
)
SELECT min((SELECT created_at FROM waits WHERE status = 'waiting' AND project_id = project.id ORDER BY id LIMIT 1))
FROM project WHERE id IS NOT NULL`
)

// Stats are what an operator wants to know of a file. Reading them takes no longer the more
// waits there are; it does with the number of projects.
type Stats struct {
	// Waits are how many there are of each status, stored as such: one past its deadline
	// counts as waiting for the moment until the sweeper comes by.
	Waits map[waits.Status]int64
	// Oldest is for how long the oldest wait has waited, 0 if none does.
	Oldest time.Duration
	// Queued are the changes that wait for the writer now, of QueueCapacity at most.
	Queued, QueueCapacity int
}

// Stats reads the stats. Where the file cannot be read, what needs no reading is there.
func (e *Engine) Stats(ctx context.Context) (Stats, error) {
	s := Stats{
		Waits:  map[waits.Status]int64{waits.Waiting: 0, waits.Success: 0, waits.Fail: 0, waits.Expired: 0, waits.Cancelled: 0},
		Queued: len(e.writer.queue), QueueCapacity: queueLength,
	}
	err := e.readers.query(ctx, allCounts, func(row *sqlite.Stmt) error {
		s.Waits[waits.Status(row.ColumnText(0))] = row.ColumnInt64(1)
		return nil
	})
	if err != nil {
		return s, err
	}
	err = e.readers.query(ctx, oldestWait, func(row *sqlite.Stmt) error {
		if !row.ColumnIsNull(0) {
			s.Oldest = max(0, time.Duration(e.now()-row.ColumnInt64(0))*time.Millisecond)
		}
		return nil
	})
	return s, err
}
