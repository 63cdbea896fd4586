package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// Callback implements engine.Engine.
func (e *Engine) Callback(ctx context.Context, key engine.Key, request callback.Request) (executionID string, err error) {
	outcome := engine.OutcomeOf(request)
	return commit(ctx, e.writer, func(t *tx) (string, error) { return e.callback(t, key, outcome) })
}

func (e *Engine) callback(t *tx, key engine.Key, outcome waits.Outcome) (executionID string, err error) {
	s, err := scanState(t.commands.stateByKey.QueryRowContext(t.ctx, key.ProjectID, key.WorkflowID, key.RunID, key.StateID))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return e.callbackUnknown(t, key, outcome)
	case err != nil:
		return "", err
	}
	now := e.now()
	if s.status == waits.Waiting && !s.isDue(now) {
		return s.executionID, t.settle(s, waits.Status(outcome.Result), &outcome, now, now)
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
	settled, err := scanOutcome(t.commands.outcome.QueryRowContext(t.ctx, s.projectID, s.seq))
	if err != nil {
		return "", err
	}
	if !engine.Same(settled, outcome) {
		return "", refuse(engine.ErrConflict, "callback of wait %s", s.waitID)
	}
	return s.executionID, nil
}

// callbackUnknown answers for a state that nobody waits for.
func (e *Engine) callbackUnknown(t *tx, key engine.Key, outcome waits.Outcome) (executionID string, err error) {
	if !e.options.HoldUnknown {
		return "", refuse(engine.ErrNotFound, "callback of an unknown state")
	}
	executionID, held, err := t.held(key)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return "", err
	case !engine.Same(held, outcome):
		return "", refuse(engine.ErrConflict, "callback of a state held for execution %s", executionID)
	default:
		return executionID, nil
	}
	executionID = e.options.ExecutionID(key.RunID)
	_, err = t.commands.hold.ExecContext(t.ctx, key.ProjectID, key.WorkflowID, key.RunID, key.StateID,
		executionID, outcome.Result, outcome.Error, string(outcome.Output), e.now())
	return executionID, err
}

// held returns the callback that is held for key, sql.ErrNoRows if there is none.
func (t *tx) held(key engine.Key) (executionID string, outcome waits.Outcome, err error) {
	var output string
	err = t.commands.heldByKey.QueryRowContext(t.ctx, key.ProjectID, key.WorkflowID, key.RunID, key.StateID).
		Scan(&executionID, &outcome.Result, &outcome.Error, &output)
	outcome.Output = []byte(output)
	return executionID, outcome, err
}

// settle moves a wait out of waiting, as of the time at, and appends it to the feed now.
// outcome is nil for the expired and the cancelled.
func (t *tx) settle(s state, status waits.Status, outcome *waits.Outcome, at, now int64) error {
	t.seq++
	if _, err := t.commands.settle.ExecContext(t.ctx, status, t.seq, s.id); err != nil {
		return err
	}
	var result, reason, output sql.NullString
	if outcome != nil {
		result = sql.NullString{String: string(outcome.Result), Valid: true}
		reason = sql.NullString{String: outcome.Error, Valid: outcome.Error != ""}
		output = sql.NullString{String: string(outcome.Output), Valid: true}
	}
	if _, err := t.commands.appendOutcome.ExecContext(t.ctx, s.projectID, t.seq, s.id, result, reason, output, at, now); err != nil {
		return err
	}
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
	seq         sql.NullInt64
}

func (s state) isDue(now int64) bool { return s.status == waits.Waiting && s.expiresAt <= now }

// scanner is a row, or the present one of several.
type scanner interface{ Scan(...any) error }

func scanState(row scanner) (s state, err error) {
	err = row.Scan(&s.id, &s.waitID, &s.projectID, &s.executionID, &s.status, &s.expiresAt, &s.seq)
	return s, err
}

func scanOutcome(row scanner) (outcome waits.Outcome, err error) {
	var reason sql.NullString
	var output string
	err = row.Scan(&outcome.Result, &reason, &output)
	outcome.Error, outcome.Output = reason.String, []byte(output)
	return outcome, err
}
