package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

// sweepInterval is the longest time after a deadline until the wait expires, unless a call
// reads the wait first.
const sweepInterval = 250 * time.Millisecond

// expiryPace lets expiry keep up with callbacks: a settled wait leaves its deadline for the
// sweeper to delete.
var expiryPace = pace{step: 512, rest: 1}

const (
	firstDue     = `SELECT 1 FROM deadlines WHERE expires_at <= ? LIMIT 1`
	allDue       = `SELECT expires_at, wait FROM deadlines WHERE expires_at <= ? ORDER BY expires_at, wait LIMIT ?`
	dropDeadline = `DELETE FROM deadlines WHERE expires_at = ? AND wait = ?`
	waitToExpire = `SELECT project, expires_at FROM waits WHERE id = ?`
)

// expireDue expires the waits that are past their deadline, some in each transaction.
func (e *Engine) expireDue(ctx context.Context) error {
	select { // one sweep serves all who wait for it
	case e.sweeping <- struct{}{}:
		defer func() { <-e.sweeping }()
	case <-ctx.Done():
		return ctx.Err()
	}
	due := false
	err := e.own.read(ctx, "deadlines", func(c *conn) error {
		return c.query(firstDue, func(*sqlite3.Stmt) error {
			due = true
			return nil
		}, e.now())
	})
	if err != nil || !due {
		return err
	}
	return e.inSteps(ctx, expiryPace, func(t *tx) (int, error) { return t.expireDue(e.now()) })
}

// expireDue expires the waits whose deadlines passed first.
func (t *tx) expireDue(now int64) (int, error) {
	type deadline struct{ expiresAt, wait int64 }
	var deadlines []deadline
	err := t.query(allDue, func(row *sqlite3.Stmt) error {
		deadlines = append(deadlines, deadline{row.ColumnInt64(0), row.ColumnInt64(1)})
		return nil
	}, now, expiryPace.step)
	if err != nil {
		return 0, err
	}
	for _, d := range deadlines {
		err := t.expire(d.wait, now)
		if err == nil {
			err = t.execute(dropDeadline, d.expiresAt, d.wait)
		}
		if err != nil {
			return 0, err
		}
	}
	return len(deadlines), nil
}

// expire expires a wait that is due, as of its deadline, unless it has left waiting or was
// deleted.
func (t *tx) expire(wait, now int64) error {
	x := entry{wait: wait}
	found, expiresAt := false, int64(0)
	err := t.query(waitToExpire, func(row *sqlite3.Stmt) error {
		x.project, expiresAt, found = row.ColumnInt64(0), row.ColumnInt64(1), true
		return nil
	}, wait)
	if err != nil || !found || expiresAt > now {
		return err
	}
	known, err := t.entry(wait, x.project)
	if err != nil || known.status != store.Waiting {
		return err
	}
	return t.settle(known, store.Expired, nil, expiresAt)
}

// cannotWrite reports whether a change was refused because the store cannot take it now. Waits
// can still be read.
func cannotWrite(err error) bool {
	return errors.Is(err, engine.ErrUnavailable) || errors.Is(err, engine.ErrOverloaded)
}

// expire has the writer expire waits that are due as of now, if it can.
func (e *Engine) expire(ctx context.Context, due []record, now int64) error {
	err := e.writer.do(ctx, func(t *tx) error {
		for _, r := range due {
			if err := t.expire(r.entry.wait, now); err != nil {
				return err
			}
		}
		return nil
	})
	if cannotWrite(err) {
		return e.ended(ctx)
	}
	return err
}
