package sqlite

import (
	"context"
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	// sweepInterval is how late a deadline is noticed at most when nobody looks; whoever
	// looks sees it at once.
	sweepInterval = 250 * time.Millisecond
	// sweepLength bounds what one sweep changes, so that callbacks do not feel it.
	sweepLength = 64
	// rest is how many times as long as a step took it waits before the next one.
	rest = 4
	// forgetInterval is how often retention looks for what is too old.
	forgetInterval = 10 * time.Second
)

const (
	firstDue     = `SELECT 1 FROM deadlines WHERE expires_at <= ? LIMIT 1`
	allDue       = `SELECT expires_at, wait FROM deadlines WHERE expires_at <= ? ORDER BY expires_at, wait LIMIT ?`
	dropDeadline = `DELETE FROM deadlines WHERE expires_at = ? AND wait = ?`

	// The next project that has outcomes, without walking all of them.
	projectAfter = `SELECT coalesce(min(project_id), '') FROM outcomes WHERE project_id > ?`

	oldest        = `SELECT seq, wait, added_at FROM outcomes WHERE project_id = ? ORDER BY seq LIMIT ?`
	forgetOutcome = `DELETE FROM outcomes WHERE project_id = ? AND seq = ?`
	forgetInput   = `DELETE FROM inputs WHERE wait = ?`
	forgetWait    = `DELETE FROM waits WHERE id = ? RETURNING status`
	forgetHeld    = `DELETE FROM held WHERE key IN (SELECT key FROM held WHERE held_at <= ? ORDER BY held_at LIMIT ?)`
)

// startSweeper expires what is due and forgets what is too old, until the function it
// returns is called.
func (e *Engine) startSweeper() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		sweep, forget := time.NewTicker(sweepInterval), time.NewTicker(forgetInterval)
		defer sweep.Stop()
		defer forget.Stop()
		failing := false
		for {
			var err error
			select {
			case <-ctx.Done():
				return
			case <-sweep.C:
				err = e.expireDue(ctx)
			case <-forget.C:
				err = e.Forget(ctx)
			}
			if err != nil && !failing && ctx.Err() == nil {
				e.options.Logger.Error("expiring and forgetting waits fails; it is tried again until it succeeds", "error", err)
			}
			failing = err != nil
		}
	}()
	return func() error {
		cancel()
		<-done
		return nil
	}
}

// expireDue expires the waits whose deadline has passed, a few in each transaction.
func (e *Engine) expireDue(ctx context.Context) error {
	due := false
	err := e.readers.query(ctx, firstDue, func(*sqlite.Stmt) error {
		due = true
		return nil
	}, e.now())
	if err != nil || !due {
		return err
	}
	return e.inSteps(ctx, func(t *tx) (int, error) { return t.expireDue(e.now()) })
}

// expireDue expires what is due of the waits whose deadlines passed first.
func (t *tx) expireDue(now int64) (int, error) {
	type deadline struct{ expiresAt, wait int64 }
	var deadlines []deadline
	err := execute(t.conn, allDue, func(row *sqlite.Stmt) error {
		deadlines = append(deadlines, deadline{row.ColumnInt64(0), row.ColumnInt64(1)})
		return nil
	}, now, sweepLength)
	if err != nil {
		return 0, err
	}
	for _, d := range deadlines {
		s, found, err := t.state(stateByRow, d.wait)
		if err == nil && found && s.isDue(now) { // else it left waiting before
			err = t.expire(s, now)
		}
		if err == nil {
			err = t.execute(dropDeadline, d.expiresAt, d.wait)
		}
		if err != nil {
			return 0, err
		}
	}
	return len(deadlines), nil
}

// expire has the writer expire waits that are due, as of now. A store that cannot be
// written to does not keep anyone from reading: its failure is none here.
func (e *Engine) expire(ctx context.Context, due []record, now int64) error {
	err := e.writer.do(ctx, func(t *tx) error {
		for _, r := range due {
			s, found, err := t.state(stateByRow, r.id)
			if err == nil && found && s.isDue(now) {
				err = t.expire(s, now)
			}
			if err != nil {
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

// Forget deletes what left waiting longer ago than Options.Retention, and callbacks held
// as long, a few in each transaction. The engine calls it by itself every few seconds.
func (e *Engine) Forget(ctx context.Context) error {
	if e.options.Retention == 0 {
		return nil
	}
	horizon := e.options.Now().Add(-e.options.Retention).UnixMilli()
	err := e.inSteps(ctx, func(t *tx) (int, error) {
		err := t.execute(forgetHeld, horizon, sweepLength)
		return t.conn.Changes(), err
	})
	for project := ""; err == nil; {
		next := ""
		err = e.readers.query(ctx, projectAfter, func(row *sqlite.Stmt) error {
			next = row.ColumnText(0)
			return nil
		}, project)
		if err != nil || next == "" {
			return err
		}
		project = next
		err = e.inSteps(ctx, func(t *tx) (int, error) { return t.forget(project, horizon) })
	}
	return err
}

// forget deletes the oldest outcomes of a project, and the waits they belong to.
func (t *tx) forget(project string, horizon int64) (int, error) {
	type old struct{ seq, wait int64 }
	var olds []old
	err := execute(t.conn, oldest, func(row *sqlite.Stmt) error {
		if row.ColumnInt64(2) > horizon {
			return errEnough
		}
		olds = append(olds, old{row.ColumnInt64(0), row.ColumnInt64(1)})
		return nil
	}, project, sweepLength)
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

// inSteps repeats a change, each time in a transaction among those of the callers and with
// a rest in between, until it does less than a full step.
func (e *Engine) inSteps(ctx context.Context, step func(*tx) (int, error)) error {
	for {
		start := time.Now()
		n, err := commit(ctx, e.writer, step)
		if err != nil || n < sweepLength {
			return err
		}
		select {
		case <-time.After(rest * time.Since(start)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
