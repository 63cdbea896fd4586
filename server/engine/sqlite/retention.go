package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	// forgetInterval is the time between two runs of retention.
	forgetInterval = 5 * time.Second
	// forgetBatch is the number of waits that a run deletes together. Each table is deleted
	// from in the order of its rows, so that a page is changed once for many of them.
	forgetBatch = 16_384
)

var (
	heldPace      = pace{step: 64, rest: 3}
	retentionPace = pace{step: 256, rest: 0}
)

const (
	// The next project that has outcomes.
	projectAfter = `SELECT coalesce(min(project), 0) FROM outcomes WHERE project > ?`

	oldest        = `SELECT seq, wait, status, added_at FROM outcomes WHERE project = ? ORDER BY seq LIMIT ?`
	waitToForget  = `SELECT p.name, w.workflow_id, w.run_id, w.state_id, w.tags FROM waits w JOIN projects p ON p.id = w.project WHERE w.id = ?`
	raiseFloor    = `UPDATE projects SET floor = max(floor, ?) WHERE id = ?`
	forgetKey     = `DELETE FROM keys WHERE key = ? AND wait = ?`
	forgetWait    = `DELETE FROM waits WHERE id = ?`
	forgetInput   = `DELETE FROM inputs WHERE wait = ?`
	forgetSchema  = `DELETE FROM schemas WHERE wait = ?`
	forgetLinks   = `DELETE FROM links WHERE wait = ?`
	forgetOutcome = `DELETE FROM outcomes WHERE project = ? AND seq = ?`
)

// Forget deletes waits that left waiting before Options.Retention, and callbacks held for as
// long. The engine calls it every few seconds.
func (e *Engine) Forget(ctx context.Context) error {
	if err := e.watchClock(ctx); err != nil || e.options.Retention == 0 {
		return err
	}
	horizon := e.age.now() - e.options.Retention.Milliseconds()
	err := e.inSteps(ctx, heldPace, func(t *tx) (int, error) { return t.forgetHeld(horizon, heldPace.step) })
	if err == nil {
		err = e.fold(ctx) // what is forgotten must be in the lists, to be taken out of them
	}
	for project := int64(0); err == nil; {
		if project, err = e.nextProject(ctx, project); err != nil || project == 0 {
			return err
		}
		for more := true; more && err == nil; {
			var olds []forgotten
			if olds, err = e.oldest(ctx, project, horizon); err == nil {
				err = e.forget(ctx, project, olds)
			}
			more = len(olds) == forgetBatch
		}
	}
	return err
}

// watchClock stores retention's clock if the machine's clock has jumped, and says so.
func (e *Engine) watchClock(ctx context.Context) error {
	jump, stored := e.age.jumped()
	if jump == 0 {
		return nil
	}
	if err := e.writer.do(ctx, func(t *tx) error { return t.storeAge(&e.age) }); err != nil {
		return err
	}
	stored()
	e.options.Logger.Warn("the clock has jumped; retention does not count the jump", "by", jump.Round(time.Second).String())
	return nil
}

// forgotten is a wait that retention deletes.
type forgotten struct {
	entry
	key []byte // nil if the wait is deleted already
}

func (e *Engine) nextProject(ctx context.Context, after int64) (project int64, err error) {
	err = e.own.read(ctx, "retention", func(c *conn) error {
		return c.query(projectAfter, func(row *sqlite3.Stmt) error {
			project = row.ColumnInt64(0)
			return nil
		}, after)
	})
	return project, err
}

// oldest returns the next waits of a project that retention deletes.
func (e *Engine) oldest(ctx context.Context, project, horizon int64) (olds []forgotten, err error) {
	foldedTo := e.catalog.foldedTo()
	err = e.own.read(ctx, "retention", func(c *conn) error {
		return c.query(oldest, func(row *sqlite3.Stmt) error {
			if row.ColumnInt64(3) > horizon || row.ColumnInt64(0) > foldedTo {
				return errStop
			}
			olds = append(olds, forgotten{entry: entry{project: project, seq: row.ColumnInt64(0), wait: row.ColumnInt64(1), status: store.Status(row.ColumnInt(2))}})
			return nil
		}, project, forgetBatch)
	})
	slices.SortFunc(olds, func(a, b forgotten) int { return cmp.Compare(a.wait, b.wait) })
	for step := range slices.Chunk(olds, retentionPace.step) {
		if err == nil {
			err = e.own.read(ctx, "retention", func(c *conn) error { return c.identify(step) })
		}
	}
	return olds, err
}

// identify adds the labels and the keys of waits.
func (c *conn) identify(olds []forgotten) error {
	for i := range olds {
		err := c.query(waitToForget, func(row *sqlite3.Stmt) error {
			l := &labels{row.ColumnText(1), row.ColumnText(2), row.ColumnText(3), tagsFrom(row.ColumnText(4))}
			olds[i].labels = l
			olds[i].key = store.Digest(engine.Key{ProjectID: row.ColumnText(0), WorkflowID: l.workflow, RunID: callback.RunID(l.run), StateID: callback.StateID(l.state)})
			return nil
		}, olds[i].wait)
		if err != nil {
			return err
		}
	}
	return nil
}

// forget deletes waits of a project, which are sorted by row. What is left after a crash is
// deleted by the next run: outcomes go last, and followers cannot see those below the
// floor.
func (e *Engine) forget(ctx context.Context, project int64, olds []forgotten) error {
	if len(olds) == 0 {
		return nil
	}
	known := slices.DeleteFunc(slices.Clone(olds), func(o forgotten) bool { return o.key == nil })
	floor := slices.MaxFunc(olds, func(a, b forgotten) int { return cmp.Compare(a.seq, b.seq) }).seq
	do := func(step change) error { return e.writer.do(ctx, step) }
	err := do(func(t *tx) error { return t.execute(raiseFloor, floor, project) })
	if err == nil {
		slices.SortFunc(known, func(a, b forgotten) int { return bytes.Compare(a.key, b.key) })
		err = forEach(do, func() int { return retentionPace.step }, known, func(t *tx, o forgotten) error { return t.execute(forgetKey, o.key, o.wait) })
	}
	if err == nil {
		var edits edits
		for _, o := range known {
			edits.forget(o.entry)
		}
		err = edits.apply(func() int { return retentionPace.step }, do)
	}
	if err == nil {
		err = e.forgetRows(ctx, olds)
	}
	if err == nil {
		slices.SortFunc(olds, func(a, b forgotten) int { return cmp.Compare(a.seq, b.seq) })
		for step := range slices.Chunk(olds, retentionPace.step) {
			if err == nil {
				err = e.writer.do(ctx, func(t *tx) error { return t.forgetOutcomes(step) })
			}
		}
	}
	return err
}

// forgetRows deletes the rows of waits, and their positions in ended with them: a wait without
// its position would seem to wait.
func (e *Engine) forgetRows(ctx context.Context, olds []forgotten) error {
	for len(olds) > 0 {
		chunk := olds[0].wait / endedChunk
		n := 1
		for n < len(olds) && olds[n].wait/endedChunk == chunk {
			n++
		}
		part := olds[:n]
		olds = olds[n:]
		err := e.writer.do(ctx, func(t *tx) error {
			none := map[int64]int64{}
			for _, o := range part {
				none[o.wait] = 0
				for _, statement := range [...]string{forgetWait, forgetInput, forgetSchema, forgetLinks} {
					if err := t.execute(statement, o.wait); err != nil {
						return err
					}
				}
			}
			return t.editSeqs(chunk, none)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetOutcomes deletes outcomes, and counts their waits no more.
func (t *tx) forgetOutcomes(olds []forgotten) error {
	var changed counts
	for _, o := range olds {
		if err := t.execute(forgetOutcome, o.project, o.seq); err != nil {
			return err
		}
		changed[o.status] -= t.Changes() // none if another run was faster
	}
	for s, by := range changed {
		t.counts[s] += by
	}
	return t.storeCounts(changed)
}
