package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	sourceState    = `SELECT floor, (SELECT count(*) FROM waits), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'links'), 0) FROM state`
	sourceProjects = `SELECT name, floor FROM projects ORDER BY id`
	sourceWaits    = `SELECT id FROM waits WHERE id > ? ORDER BY id LIMIT 1000`
	sourceAddedAt  = `SELECT added_at FROM outcomes WHERE project = ? AND seq = ?`
	sourceHeld     = `
SELECT h.id, p.name, h.workflow_id, h.run_id, h.state_id, h.execution_id, h.status, h.error, h.caller, h.held_at, h.output
FROM held h JOIN projects p ON p.id = h.project WHERE h.id > ? ORDER BY h.id LIMIT 100`
	sourceLinks = `SELECT id, digest, wait, allow, recipient, created_at, created_by, expires_at FROM links WHERE id > ? ORDER BY id LIMIT 1000`
)

// sourceBytes limits the JSON of a step.
const sourceBytes = 4 << 20

// source is a file that is copied.
type source struct{ engine *Engine }

// OpenSource opens a file to be copied to another store. No server may use it meanwhile. What was due
// before is expired first; after that, the file does not change.
func OpenSource(ctx context.Context, path string, options Options) (store.Source, func() error, error) {
	now := time.Now()
	options.Now, options.Retention = func() time.Time { return now }, 0
	e, err := Open(ctx, path, options)
	if err != nil {
		return nil, nil, err
	}
	return source{e}, e.Close, nil
}

// Head implements store.Source.
func (s source) Head(ctx context.Context) (head store.Head, err error) {
	e := s.engine
	if err := e.expireDue(ctx); err != nil {
		return head, err
	}
	head = store.Head{Last: e.catalog.last(), LastWait: e.catalog.wait, Epochs: slices.Clone(e.epochs)}
	err = e.own.read(ctx, "copy", func(c *conn) error {
		err := c.query(sourceState, func(row *sqlite3.Stmt) error {
			head.Floor, head.Waits, head.LastLink = row.ColumnInt64(0), row.ColumnInt64(1), row.ColumnInt64(2)
			return nil
		})
		if err != nil {
			return err
		}
		return c.query(sourceProjects, func(row *sqlite3.Stmt) error {
			head.Projects = append(head.Projects, store.CopiedProject{Name: row.ColumnText(0), Floor: row.ColumnInt64(1)})
			return nil
		})
	})
	return head, err
}

// Waits implements store.Source. Waits that retention has deleted in part are left out.
func (s source) Waits(ctx context.Context, after int64) (all []store.CopiedWait, err error) {
	e := s.engine
	err = e.own.read(ctx, "copy", func(c *conn) error {
		for len(all) == 0 {
			var rows []int64
			err := c.query(sourceWaits, func(row *sqlite3.Stmt) error {
				rows = append(rows, row.ColumnInt64(0))
				return nil
			}, after)
			if err != nil || len(rows) == 0 {
				return err
			}
			size := 0
			for _, id := range rows {
				after = id
				r, found, err := e.record(c, waitByRow, id)
				if err != nil {
					return err
				}
				if !found {
					continue
				}
				copied := store.CopiedWait{Row: id, Position: r.seq, Wait: r.wait}
				if r.seq != 0 {
					err = c.query(sourceAddedAt, func(row *sqlite3.Stmt) error {
						copied.AddedAt = instant(row.ColumnInt64(0))
						return nil
					}, r.project, r.seq)
				}
				if err != nil {
					return err
				}
				all = append(all, copied)
				if size += r.size(); size > sourceBytes {
					return nil
				}
			}
		}
		return nil
	})
	return all, err
}

// Held implements store.Source.
func (s source) Held(ctx context.Context, after int64) (all []store.CopiedHeld, err error) {
	err = s.engine.own.read(ctx, "copy", func(c *conn) error {
		return c.query(sourceHeld, func(row *sqlite3.Stmt) error {
			all = append(all, store.CopiedHeld{
				Row:         row.ColumnInt64(0),
				Key:         engine.Key{ProjectID: row.ColumnText(1), WorkflowID: row.ColumnText(2), RunID: callback.RunID(row.ColumnText(3)), StateID: callback.StateID(row.ColumnText(4))},
				ExecutionID: row.ColumnText(5), Principal: row.ColumnText(8), HeldAt: instant(row.ColumnInt64(9)),
				Outcome: waits.Outcome{Result: callback.Result(store.Status(row.ColumnInt(6)).Name()), Error: row.ColumnText(7), Output: text(row, 10)},
			})
			return nil
		}, after)
	})
	return all, err
}

// Links implements store.Source.
func (s source) Links(ctx context.Context, after int64) (all []store.CopiedLink, err error) {
	err = s.engine.own.read(ctx, "copy", func(c *conn) error {
		return c.query(sourceLinks, func(row *sqlite3.Stmt) error {
			l := store.CopiedLink{
				ID: row.ColumnInt64(0), Digest: slices.Clone(row.ColumnRawBlob(1)), Wait: row.ColumnInt64(2), Allow: int16(row.ColumnInt(3)), //nolint:gosec // 1 to 3
				To: row.ColumnText(4), CreatedAt: instant(row.ColumnInt64(5)), CreatedBy: row.ColumnText(6),
			}
			if row.ColumnType(7) != sqlite3.NULL {
				at := instant(row.ColumnInt64(7))
				l.ExpiresAt = &at
			}
			all = append(all, l)
			return nil
		}, after)
	})
	return all, err
}
