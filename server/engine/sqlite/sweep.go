package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	// sweepInterval is how late a deadline is noticed at most when nobody looks; whoever
	// looks sees it at once.
	sweepInterval = 250 * time.Millisecond
	// sweepLength bounds what one sweep changes, so that callbacks do not feel it.
	sweepLength = 128
	// forgetInterval is how often retention looks for what is too old.
	forgetInterval = 10 * time.Second
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
	var due bool
	if err := e.queries.due.QueryRowContext(ctx, e.now()).Scan(&due); err != nil || !due {
		return err
	}
	return e.inSteps(ctx, func(t *tx) (int, error) {
		rows, err := t.commands.due.QueryContext(t.ctx, e.now(), sweepLength)
		if err != nil {
			return 0, err
		}
		defer rows.Close()
		var due []state
		for rows.Next() {
			s, err := scanState(rows)
			if err != nil {
				return 0, err
			}
			due = append(due, s)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return 0, err
		}
		for _, s := range due {
			if err := t.expire(s, e.now()); err != nil {
				return 0, err
			}
		}
		return len(due), nil
	})
}

// expire has the writer expire waits that are due, as of now. A store that cannot be
// written to does not keep anyone from reading: its failure is none here.
func (e *Engine) expire(ctx context.Context, due []record, now int64) error {
	err := e.writer.do(ctx, func(t *tx) error {
		for _, r := range due {
			s, err := scanState(t.commands.stateByRow.QueryRowContext(t.ctx, r.id))
			if err == nil && s.isDue(now) {
				err = t.expire(s, now)
			}
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
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
		result, err := t.commands.forgetHeld.ExecContext(t.ctx, horizon, sweepLength)
		if err != nil {
			return 0, err
		}
		n, err := result.RowsAffected()
		return int(n), err
	})
	for project := ""; err == nil; {
		if err = e.queries.projectAfter.QueryRowContext(ctx, project).Scan(&project); err != nil || project == "" {
			return err
		}
		err = e.inSteps(ctx, func(t *tx) (int, error) { return t.forget(project, horizon) })
	}
	return err
}

// forget deletes the oldest outcomes of a project, and the waits they belong to.
func (t *tx) forget(project string, horizon int64) (int, error) {
	type old struct{ seq, wait int64 }
	rows, err := t.commands.oldest.QueryContext(t.ctx, project, sweepLength)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var olds []old
	for rows.Next() {
		var o old
		var addedAt int64
		if err := rows.Scan(&o.seq, &o.wait, &addedAt); err != nil {
			return 0, err
		}
		if addedAt > horizon {
			break
		}
		olds = append(olds, o)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return 0, err
	}
	for _, o := range olds {
		_, err := t.commands.forgetOutcome.ExecContext(t.ctx, project, o.seq)
		if err == nil {
			_, err = t.commands.forgetInput.ExecContext(t.ctx, o.wait)
		}
		if err == nil {
			_, err = t.commands.forgetWait.ExecContext(t.ctx, o.wait)
		}
		if err != nil {
			return 0, err
		}
	}
	return len(olds), nil
}

// inSteps repeats a change, each time in a transaction of its own among those of the
// callers, until it does less than a full step.
func (e *Engine) inSteps(ctx context.Context, step func(*tx) (int, error)) error {
	for {
		n, err := commit(ctx, e.writer, step)
		if err != nil || n < sweepLength {
			return err
		}
	}
}
