package sqlite

import (
	"context"
	"errors"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	// sweepInterval is the longest time after a deadline until the wait expires, unless a
	// call reads the wait first.
	sweepInterval = 250 * time.Millisecond
	// forgetInterval is the time between two runs of retention.
	forgetInterval = 10 * time.Second
)

// A pace limits the share of the writer that background work takes: after each step, the
// work rests for a multiple of the time that the step took. Expiry must keep up with
// callbacks, because a settled wait leaves its deadline for the sweeper to delete.
type pace struct{ step, rest int }

var (
	expiryPace    = pace{step: 512, rest: 1}
	retentionPace = pace{step: 64, rest: 3}
)

const (
	firstDue     = `SELECT 1 FROM deadlines WHERE expires_at <= ? LIMIT 1`
	allDue       = `SELECT expires_at, wait FROM deadlines WHERE expires_at <= ? ORDER BY expires_at, wait LIMIT ?`
	dropDeadline = `DELETE FROM deadlines WHERE expires_at = ? AND wait = ?`

	// The next project that has outcomes.
	projectAfter = `SELECT coalesce(min(project_id), '') FROM outcomes WHERE project_id > ?`

	oldest        = `SELECT seq, wait, added_at FROM outcomes WHERE project_id = ? ORDER BY seq LIMIT ?`
	forgetOutcome = `DELETE FROM outcomes WHERE project_id = ? AND seq = ?`
	forgetInput   = `DELETE FROM inputs WHERE wait = ?`
	forgetWait    = `DELETE FROM waits WHERE id = ? RETURNING status`
	forgetHeld    = `DELETE FROM held WHERE key IN (SELECT key FROM held WHERE held_at <= ? ORDER BY held_at LIMIT ?)`
)

// startSweeper expires waits at their deadline and deletes waits after the retention, until
// the returned function is called.
func (e *Engine) startSweeper() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { e.repeat(ctx, sweepInterval, "expiring waits", e.expireDue) })
	running.Go(func() { e.repeat(ctx, forgetInterval, "forgetting waits", e.Forget) })
	return func() error {
		cancel()
		running.Wait()
		return nil
	}
}

// repeat does the work at intervals until ctx ends. Of consecutive failures it logs the
// first.
func (e *Engine) repeat(ctx context.Context, interval time.Duration, what string, work func(context.Context) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := work(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			e.options.Logger.Error(what+" failed; trying again", "error", err)
		}
		failing = err != nil
	}
}

// expireDue expires the waits that are past their deadline, some in each transaction.
func (e *Engine) expireDue(ctx context.Context) error {
	due := false
	err := e.readers.query(ctx, firstDue, func(*sqlite.Stmt) error {
		due = true
		return nil
	}, e.now())
	if err != nil || !due {
		return err
	}
	return e.inSteps(ctx, expiryPace, func(t *tx) (int, error) { return t.expireDue(e.now()) })
}

// expireDue expires the waits whose deadlines passed first.
func (t *tx) expireDue(now int64) (int, error) {
	type deadline struct{ expiresAt, wait int64 }
	var deadlines []deadline
	err := execute(t.conn, allDue, func(row *sqlite.Stmt) error {
		deadlines = append(deadlines, deadline{row.ColumnInt64(0), row.ColumnInt64(1)})
		return nil
	}, now, expiryPace.step)
	if err != nil {
		return 0, err
	}
	for _, d := range deadlines {
		err := t.expireRow(d.wait, now)
		if err == nil {
			err = t.execute(dropDeadline, d.expiresAt, d.wait)
		}
		if err != nil {
			return 0, err
		}
	}
	return len(deadlines), nil
}

// expireRow expires the wait with a row id, unless it has left waiting or was deleted.
func (t *tx) expireRow(id, now int64) error {
	s, found, err := t.waitRow(waitRowByRow, id)
	if err == nil && found && s.isDue(now) {
		err = t.expire(s, now)
	}
	return err
}

// expire has the writer expire waits that are due as of now. It ignores a store that cannot
// be written, so that waits can still be read.
func (e *Engine) expire(ctx context.Context, due []record, now int64) error {
	err := e.writer.do(ctx, func(t *tx) error {
		for _, r := range due {
			if err := t.expireRow(r.id, now); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, engine.ErrUnavailable) {
		return e.ended(ctx)
	}
	return err
}

// Forget deletes waits that left waiting before Options.Retention, and callbacks held for as
// long, some in each transaction. The engine calls it every few seconds.
func (e *Engine) Forget(ctx context.Context) error {
	if e.options.Retention == 0 {
		return nil
	}
	horizon := e.options.Now().Add(-e.options.Retention).UnixMilli()
	err := e.inSteps(ctx, retentionPace, func(t *tx) (int, error) {
		err := t.execute(forgetHeld, horizon, retentionPace.step)
		return t.conn.Changes(), err
	})
	for project := ""; err == nil; {
		err = e.readers.query(ctx, projectAfter, func(row *sqlite.Stmt) error {
			project = row.ColumnText(0)
			return nil
		}, project)
		if err != nil || project == "" {
			return err
		}
		err = e.inSteps(ctx, retentionPace, func(t *tx) (int, error) { return t.forget(project, horizon) })
	}
	return err
}

// forget deletes the oldest outcomes of a project, and their waits.
func (t *tx) forget(project string, horizon int64) (int, error) {
	type old struct{ seq, wait int64 }
	var olds []old
	err := execute(t.conn, oldest, func(row *sqlite.Stmt) error {
		if row.ColumnInt64(2) > horizon {
			return errPageFull
		}
		olds = append(olds, old{row.ColumnInt64(0), row.ColumnInt64(1)})
		return nil
	}, project, retentionPace.step)
	if err != nil {
		return 0, err
	}
	for _, o := range olds {
		err := t.execute(forgetOutcome, project, o.seq)
		if err == nil {
			err = t.execute(forgetInput, o.wait)
		}
		if err == nil {
			err = execute(t.conn, forgetWait, func(row *sqlite.Stmt) error {
				t.counts[waits.Status(row.ColumnText(0))]--
				return nil
			}, o.wait)
		}
		if err != nil {
			return 0, err
		}
	}
	return len(olds), nil
}

// inSteps repeats a change at the given pace, each time among the changes of callers, until
// it does less than a full step.
func (e *Engine) inSteps(ctx context.Context, pace pace, step func(*tx) (int, error)) error {
	for {
		var took time.Duration // in the writer, without the sync
		n, err := commit(ctx, e.writer, func(t *tx) (int, error) {
			start := time.Now()
			defer func() { took = time.Since(start) }()
			return step(t)
		})
		if err != nil || n < pace.step {
			return err
		}
		select {
		case <-time.After(time.Duration(pace.rest) * took):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
