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

	// The oldest waiting wait. The statement steps from project to project by the index.
	oldestWait = `
WITH RECURSIVE project (id) AS (
  SELECT min(project_id) FROM waits WHERE status = 'waiting'
  UNION ALL
  SELECT (SELECT min(project_id) FROM waits WHERE status = 'waiting' AND project_id > project.id) FROM project WHERE id IS NOT NULL
)
SELECT min((SELECT created_at FROM waits WHERE status = 'waiting' AND project_id = project.id ORDER BY id LIMIT 1))
FROM project WHERE id IS NOT NULL`
)

// nextDeadlines reads the waiting waits among the next deadlines: the share of its time that
// each has used. Settled waits leave their deadlines, so the number of rows is limited.
const nextDeadlines = `
SELECT max(CAST(?1 - w.created_at AS REAL) / max(1, w.expires_at - w.created_at))
FROM (SELECT wait FROM deadlines ORDER BY expires_at, wait LIMIT 1000) d JOIN waits w ON w.id = d.wait
WHERE w.status = 'waiting'`

// Stats describe a file for operators. The time to read them grows with the number of
// projects, not with the number of waits.
type Stats struct {
	// Waits is the number of waits by stored status. A wait past its deadline counts as
	// waiting until the sweeper expires it.
	Waits map[waits.Status]int64
	// Oldest is the age of the oldest waiting wait, or 0 if there is none.
	Oldest time.Duration
	// DeadlineShare is the largest share of its time that a waiting wait has used, among the
	// waits with the next deadlines: 1 at its deadline, and 0 if there is none.
	DeadlineShare float64
	// Queued is the number of changes that wait for the writer; the queue holds at most
	// QueueCapacity.
	Queued, QueueCapacity int
}

// Stats reads the stats. With an error it returns those that need no file.
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
	err = e.readers.query(ctx, nextDeadlines, func(row *sqlite.Stmt) error {
		s.DeadlineShare = max(0, row.ColumnFloat(0))
		return nil
	}, e.now())
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
