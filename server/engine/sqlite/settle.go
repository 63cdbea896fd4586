package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	selectWaitRow = `SELECT id, wait_id, project_id, execution_id, status, expires_at, seq FROM waits `
	waitRowByKey  = selectWaitRow + `WHERE key = ?`
	waitRowByID   = selectWaitRow + `WHERE project_id = ? AND wait_id = ?`
	waitRowByRow  = selectWaitRow + `WHERE id = ?`
	outcomeOf     = `SELECT result, error, output FROM outcomes WHERE project_id = ? AND seq = ?`
	settleWait    = `UPDATE waits SET status = ?, seq = ? WHERE id = ?`
	appendOutcome = `INSERT INTO outcomes (project_id, seq, wait, settled_at, added_at, result, error, output, caller) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`

	hold      = `INSERT INTO held (key, execution_id, result, error, output, caller, held_at) VALUES (?, ?, ?, ?, ?, ?, ?)`
	heldByKey = `SELECT result, error, output, execution_id, caller FROM held WHERE key = ?`
	unhold    = `DELETE FROM held WHERE key = ?`
)

// sentOutcome is an outcome and the principal that sent it.
type sentOutcome struct {
	waits.Outcome

	principal string
}

// Callback implements engine.Engine.
func (e *Engine) Callback(ctx context.Context, c engine.Callback) (executionID string, err error) {
	sent := sentOutcome{engine.OutcomeOf(c.Request), c.Principal}
	key := digest(c.Key)
	return commit(ctx, e.writer, func(t *tx) (string, error) { return e.callback(t, key, c.RunID, sent) })
}

func (e *Engine) callback(t *tx, key []byte, runID callback.RunID, sent sentOutcome) (executionID string, err error) {
	row, found, err := t.waitByDigest(key)
	switch {
	case err != nil:
		return "", err
	case !found:
		return e.callbackUnknown(t, key, runID, sent)
	}
	stored := engine.Stored{Status: row.status, Deadline: instant(row.expiresAt)}
	if row.status == waits.Success || row.status == waits.Fail {
		settled, err := t.outcome(row)
		if err != nil {
			return "", err
		}
		stored.Same = engine.Same(settled, sent.Outcome)
	}
	now := e.now()
	settle, refusal := engine.Decide(stored, instant(now))
	switch {
	case settle:
		return row.executionID, t.settle(row, waits.Status(sent.Result), &sent, now, now)
	case refusal == nil:
		return row.executionID, nil
	case row.isDue(now):
		// The sweeper has not seen the wait yet. The expiry becomes durable with the
		// refusal, so that a clock that is set back cannot revive the wait.
		if err := t.expire(row, now); err != nil {
			return "", err
		}
	}
	return "", refuse(refusal, "callback of wait %s", row.waitID)
}

// callbackUnknown answers a callback for an unknown state, and holds it if the engine holds
// such callbacks.
func (e *Engine) callbackUnknown(t *tx, key []byte, runID callback.RunID, sent sentOutcome) (executionID string, err error) {
	if !e.options.HoldUnknown {
		_, err := engine.Decide(engine.Stored{}, time.Time{})
		return "", refuse(err, "callback of an unknown state")
	}
	executionID, held, found, err := t.held(key)
	if err != nil {
		return "", err
	}
	if found {
		_, err := engine.Decide(engine.Stored{Status: waits.Status(held.Result), Same: engine.Same(held.Outcome, sent.Outcome)}, time.Time{})
		if err != nil {
			return "", refuse(err, "callback of a state held for execution %s", executionID)
		}
		return executionID, nil
	}
	executionID = engine.ExecutionID(runID)
	return executionID, t.execute(hold, key, executionID, sent.Result, sent.Error, string(sent.Output), sent.principal, e.now())
}

// held returns the callback that is held for key, if there is one.
func (t *tx) held(key []byte) (executionID string, held sentOutcome, found bool, err error) {
	err = execute(t.conn, heldByKey, func(row *sqlite.Stmt) error {
		held, executionID, found = sentOutcome{scanOutcome(row), row.ColumnText(4)}, row.ColumnText(3), true
		return nil
	}, key)
	return executionID, held, found, err
}

// outcome returns the outcome of a settled wait.
func (t *tx) outcome(s waitRow) (outcome waits.Outcome, err error) {
	err = execute(t.conn, outcomeOf, func(row *sqlite.Stmt) error {
		outcome = scanOutcome(row)
		return nil
	}, s.projectID, s.seq)
	return outcome, err
}

func scanOutcome(row *sqlite.Stmt) waits.Outcome {
	return waits.Outcome{Result: callback.Result(row.ColumnText(0)), Error: row.ColumnText(1), Output: text(row, 2)}
}

// settle moves a wait out of waiting as of the time at, and appends it to the feed as of
// now. sent is nil if the wait expired or was cancelled. Like waitByDigest it binds by hand,
// because every callback runs it.
func (t *tx) settle(s waitRow, status waits.Status, sent *sentOutcome, at, now int64) error {
	t.seq++
	update, err := t.conn.Prepare(settleWait)
	if err != nil {
		return err
	}
	update.BindText(1, string(status))
	update.BindInt64(2, t.seq)
	update.BindInt64(3, s.id)
	if _, err := update.Step(); err != nil {
		return err
	}
	insert, err := t.conn.Prepare(appendOutcome)
	if err != nil {
		return err
	}
	insert.BindText(1, s.projectID)
	insert.BindInt64(2, t.seq)
	insert.BindInt64(3, s.id)
	insert.BindInt64(4, at)
	insert.BindInt64(5, now)
	if sent != nil { // a parameter that is not bound is NULL
		insert.BindText(6, string(sent.Result))
		insert.BindText(8, string(sent.Output))
		if sent.Error != "" {
			insert.BindText(7, sent.Error)
		}
		if sent.principal != "" {
			insert.BindText(9, sent.principal)
		}
	}
	if _, err := insert.Step(); err != nil {
		return err
	}
	t.counts[waits.Waiting]--
	t.counts[status]++
	t.ended[status]++
	t.woken = append(t.woken, topic{wait: s.waitID}, topic{feed: s.projectID})
	return nil
}

// expire moves a wait that is due out of waiting, as of its deadline.
func (t *tx) expire(s waitRow, now int64) error {
	return t.settle(s, waits.Expired, nil, s.expiresAt, now)
}

// waitRow has the columns of a wait that a change needs.
type waitRow struct {
	id          int64
	waitID      string
	projectID   string
	executionID string
	status      waits.Status
	expiresAt   int64
	seq         int64
}

// isDue reports whether a waiting wait is past its deadline.
func (s waitRow) isDue(now int64) bool { return s.status == waits.Waiting && s.expiresAt <= now }

// waitByDigest returns the wait with the given key, if there is one.
func (t *tx) waitByDigest(key []byte) (s waitRow, found bool, err error) {
	query, err := t.conn.Prepare(waitRowByKey)
	if err != nil {
		return s, false, err
	}
	query.BindBytes(1, key)
	found, err = query.Step()
	if !found {
		return s, false, err
	}
	s = scanWaitRow(query)
	return s, true, query.Reset()
}

// waitRow returns the wait that the query finds, if it finds one.
func (t *tx) waitRow(query string, arguments ...any) (s waitRow, found bool, err error) {
	err = execute(t.conn, query, func(row *sqlite.Stmt) error {
		s, found = scanWaitRow(row), true
		return nil
	}, arguments...)
	return s, found, err
}

func scanWaitRow(row *sqlite.Stmt) waitRow {
	return waitRow{
		id:          row.ColumnInt64(0),
		waitID:      row.ColumnText(1),
		projectID:   row.ColumnText(2),
		executionID: row.ColumnText(3),
		status:      waits.Status(row.ColumnText(4)),
		expiresAt:   row.ColumnInt64(5),
		seq:         row.ColumnInt64(6),
	}
}
