package sqlite

import (
	"context"

	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	selectState   = `SELECT id, wait_id, project_id, execution_id, status, expires_at, seq FROM waits `
	stateByKey    = selectState + `WHERE key = ?`
	stateByID     = selectState + `WHERE project_id = ? AND wait_id = ?`
	stateByRow    = selectState + `WHERE id = ?`
	outcomeOf     = `SELECT result, error, output FROM outcomes WHERE project_id = ? AND seq = ?`
	settleWait    = `UPDATE waits SET status = ?, seq = ? WHERE id = ?`
	appendOutcome = `INSERT INTO outcomes (project_id, seq, wait, settled_at, added_at, result, error, output, caller) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`

	hold      = `INSERT INTO held (key, execution_id, result, error, output, caller, held_at) VALUES (?, ?, ?, ?, ?, ?, ?)`
	heldByKey = `SELECT result, error, output, execution_id, caller FROM held WHERE key = ?`
	unhold    = `DELETE FROM held WHERE key = ?`
)

// brought is an outcome and who brings it.
type brought struct {
	waits.Outcome

	caller string
}

// Callback implements engine.Engine.
func (e *Engine) Callback(ctx context.Context, key engine.Key, request callback.Request) (executionID string, err error) {
	brought := brought{engine.OutcomeOf(request), engine.CallerOf(ctx)}
	id := digest(key)
	return commit(ctx, e.writer, func(t *tx) (string, error) { return e.callback(t, id, key.RunID, brought) })
}

func (e *Engine) callback(t *tx, key []byte, runID string, brought brought) (executionID string, err error) {
	s, found, err := t.stateByKey(key)
	switch {
	case err != nil:
		return "", err
	case !found:
		return e.callbackUnknown(t, key, runID, brought)
	}
	now := e.now()
	if s.status == waits.Waiting && !s.isDue(now) {
		return s.executionID, t.settle(s, waits.Status(brought.Result), &brought, now, now)
	}
	switch s.status {
	case waits.Waiting:
		// The sweeper has not come by yet. That it is expired now is durable with the
		// refusal, so that a clock set back cannot revive it.
		if err := t.expire(s, now); err != nil {
			return "", err
		}
		return "", refuse(engine.ErrExpired, "callback of wait %s", s.waitID)
	case waits.Expired:
		return "", refuse(engine.ErrExpired, "callback of wait %s", s.waitID)
	case waits.Cancelled:
		return "", refuse(engine.ErrCancelled, "callback of wait %s", s.waitID)
	}
	settled, err := t.outcome(s)
	if err != nil {
		return "", err
	}
	if !engine.Same(settled, brought.Outcome) {
		return "", refuse(engine.ErrConflict, "callback of wait %s", s.waitID)
	}
	return s.executionID, nil
}

// callbackUnknown answers for a state that nobody waits for.
func (e *Engine) callbackUnknown(t *tx, key []byte, runID string, brought brought) (executionID string, err error) {
	if !e.options.HoldUnknown {
		return "", refuse(engine.ErrNotFound, "callback of an unknown state")
	}
	executionID, held, found, err := t.held(key)
	switch {
	case err != nil:
		return "", err
	case found && !engine.Same(held.Outcome, brought.Outcome):
		return "", refuse(engine.ErrConflict, "callback of a state held for execution %s", executionID)
	case found:
		return executionID, nil
	}
	executionID = e.options.ExecutionID(runID)
	return executionID, t.execute(hold, key, executionID, brought.Result, brought.Error, string(brought.Output), brought.caller, e.now())
}

// held returns the callback that is held for key, if there is one.
func (t *tx) held(key []byte) (executionID string, held brought, found bool, err error) {
	err = execute(t.conn, heldByKey, func(row *sqlite.Stmt) error {
		held, executionID, found = brought{scanOutcome(row), row.ColumnText(4)}, row.ColumnText(3), true
		return nil
	}, key)
	return executionID, held, found, err
}

// outcome returns what settled s.
func (t *tx) outcome(s state) (outcome waits.Outcome, err error) {
	err = execute(t.conn, outcomeOf, func(row *sqlite.Stmt) error {
		outcome = scanOutcome(row)
		return nil
	}, s.projectID, s.seq)
	return outcome, err
}

func scanOutcome(row *sqlite.Stmt) waits.Outcome {
	return waits.Outcome{Result: callback.Result(row.ColumnText(0)), Error: row.ColumnText(1), Output: text(row, 2)}
}

// settle moves a wait out of waiting, as of the time at, and appends it to the feed now.
// brought is nil for the expired and the cancelled. Like stateByKey it binds by hand: every
// callback passes here.
func (t *tx) settle(s state, status waits.Status, brought *brought, at, now int64) error {
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
	if brought != nil { // what is not bound is NULL
		insert.BindText(6, string(brought.Result))
		insert.BindText(8, string(brought.Output))
		if brought.Error != "" {
			insert.BindText(7, brought.Error)
		}
		if brought.caller != "" {
			insert.BindText(9, brought.caller)
		}
	}
	if _, err := insert.Step(); err != nil {
		return err
	}
	t.counts[waits.Waiting]--
	t.counts[status]++
	t.woken = append(t.woken, topic{wait: s.waitID}, topic{feed: s.projectID})
	return nil
}

// expire moves a wait that is due out of waiting, as of its deadline.
func (t *tx) expire(s state, now int64) error {
	return t.settle(s, waits.Expired, nil, s.expiresAt, now)
}

// state is what deciding over a wait needs of its row.
type state struct {
	id          int64
	waitID      string
	projectID   string
	executionID string
	status      waits.Status
	expiresAt   int64
	seq         int64
}

func (s state) isDue(now int64) bool { return s.status == waits.Waiting && s.expiresAt <= now }

// stateByKey returns the state of the wait under key, if there is one.
func (t *tx) stateByKey(key []byte) (s state, found bool, err error) {
	query, err := t.conn.Prepare(stateByKey)
	if err != nil {
		return s, false, err
	}
	query.BindBytes(1, key)
	found, err = query.Step()
	if !found {
		return s, false, err
	}
	s = scanState(query)
	return s, true, query.Reset()
}

// state returns the state of the wait that the query finds, if it finds one.
func (t *tx) state(query string, arguments ...any) (s state, found bool, err error) {
	err = execute(t.conn, query, func(row *sqlite.Stmt) error {
		s, found = scanState(row), true
		return nil
	}, arguments...)
	return s, found, err
}

func scanState(row *sqlite.Stmt) state {
	return state{
		id:          row.ColumnInt64(0),
		waitID:      row.ColumnText(1),
		projectID:   row.ColumnText(2),
		executionID: row.ColumnText(3),
		status:      waits.Status(row.ColumnText(4)),
		expiresAt:   row.ColumnInt64(5),
		seq:         row.ColumnInt64(6),
	}
}
