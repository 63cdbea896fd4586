package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// OpenWait implements engine.Waits.
func (e *Engine) OpenWait(ctx context.Context, projectID string, request waits.OpenWaitRequest) (wait waits.Wait, opened bool, err error) {
	key := engine.Key{ProjectID: projectID, WorkflowID: request.WorkflowID, RunID: request.RunID, StateID: request.StateID}
	type answer struct {
		wait   waits.Wait
		opened bool
	}
	a, err := commit(ctx, e.writer, func(t *tx) (a answer, err error) {
		a.wait, a.opened, err = e.openWait(t, key, request)
		return a, err
	})
	return a.wait, a.opened, err
}

func (e *Engine) openWait(t *tx, key engine.Key, request waits.OpenWaitRequest) (wait waits.Wait, opened bool, err error) {
	now := e.now()
	known, err := scanState(t.commands.stateByKey.QueryRowContext(t.ctx, key.ProjectID, key.WorkflowID, key.RunID, key.StateID))
	switch {
	case err == nil:
		if known.isDue(now) {
			err = t.expire(known, now)
		}
		if err == nil {
			wait, err = e.waitByKey(t, key)
		}
		return wait, false, err
	case !errors.Is(err, sql.ErrNoRows):
		return wait, false, err
	}
	executionID, held, err := t.held(key)
	isHeld := err == nil
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return wait, false, err
	}
	if !isHeld {
		if executionID = request.ExecutionID; executionID == "" {
			executionID = e.options.ExecutionID(key.RunID)
		}
	}
	s := state{waitID: e.options.NewID(), projectID: key.ProjectID}
	result, err := t.commands.insertWait.ExecContext(t.ctx, s.waitID, key.ProjectID, key.WorkflowID, key.RunID, key.StateID,
		executionID, now, now+int64(request.TimeoutSeconds)*1000)
	if err != nil {
		return wait, false, err
	}
	if s.id, err = result.LastInsertId(); err != nil {
		return wait, false, err
	}
	if request.Input != nil {
		if _, err := t.commands.insertInput.ExecContext(t.ctx, s.id, string(request.Input)); err != nil {
			return wait, false, err
		}
	}
	if isHeld {
		if err := t.settle(s, waits.Status(held.Result), &held, now, now); err != nil {
			return wait, false, err
		}
		if _, err := t.commands.unhold.ExecContext(t.ctx, key.ProjectID, key.WorkflowID, key.RunID, key.StateID); err != nil {
			return wait, false, err
		}
	}
	wait, err = e.waitByKey(t, key)
	return wait, true, err
}

func (e *Engine) waitByKey(t *tx, key engine.Key) (waits.Wait, error) {
	r, err := scanWait(t.commands.waitByKey.QueryRowContext(t.ctx, key.ProjectID, key.WorkflowID, key.RunID, key.StateID))
	return r.wait, err
}

// GetWait implements engine.Waits.
func (e *Engine) GetWait(ctx context.Context, projectID, waitID string, enough <-chan struct{}) (waits.Wait, error) {
	for {
		woken, leave := e.hub.subscribe(topic{wait: waitID})
		wait, err := e.wait(ctx, projectID, waitID)
		if err != nil || wait.Status != waits.Waiting || !e.pause(ctx, woken, enough) {
			leave()
			return wait, errors.Join(err, e.ended(ctx))
		}
		leave()
	}
}

// wait reads one wait as it stands.
func (e *Engine) wait(ctx context.Context, projectID, waitID string) (waits.Wait, error) {
	now := e.now()
	for expired := false; ; expired = true {
		r, err := scanWait(e.queries.waitByID.QueryRowContext(ctx, projectID, waitID))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return r.wait, fmt.Errorf("wait %s: %w", waitID, engine.ErrNotFound)
		case err != nil:
			return r.wait, err
		case expired || !r.isDue(now):
			r.expireAt(now)
			return r.wait, nil
		}
		if err := e.expire(ctx, []record{r}, now); err != nil {
			return r.wait, err
		}
	}
}

// pause blocks until there may be news (true), or it has lasted long enough or the engine
// is closed (false).
func (e *Engine) pause(ctx context.Context, woken, enough <-chan struct{}) bool {
	select {
	case <-enough:
		return false
	default:
	}
	select {
	case <-woken:
		return true
	case <-enough:
		return false
	case <-e.closed:
		return false
	case <-ctx.Done():
		return false
	}
}

// ended returns why no more is to be expected, nil if the engine is open and ctx goes on.
func (e *Engine) ended(ctx context.Context) error {
	select {
	case <-e.closed:
		return fmt.Errorf("closed: %w", engine.ErrUnavailable)
	default:
		return ctx.Err()
	}
}

// ListWaits implements engine.Waits. Its cursors are the ids of rows.
func (e *Engine) ListWaits(ctx context.Context, projectID string, params waits.ListWaitsParams) (waits.WaitPage, error) {
	page := waits.WaitPage{Waits: []waits.Wait{}}
	before := int64(math.MaxInt64)
	if params.Cursor != nil {
		var err error
		if before, err = parseCursor(*params.Cursor); err != nil {
			return page, err
		}
	}
	var status waits.Status
	if params.Status != nil {
		status = *params.Status
	}
	var workflowID string
	if params.WorkflowID != nil {
		workflowID = *params.WorkflowID
	}
	limit := 1
	if params.Limit != nil {
		limit = *params.Limit
	}
	query := e.queries.listWaits
	if status == waits.Waiting {
		query = e.queries.listWaiting
	}
	now := e.now()
	read := func() ([]record, bool, error) {
		rows, err := query.QueryContext(ctx, projectID, before, status, workflowID, now, limit+1)
		if err != nil {
			return nil, false, err
		}
		return scanPage(rows, limit)
	}
	records, more, err := read()
	if due := dueOf(records, now); err == nil && len(due) > 0 {
		if err = e.expire(ctx, due, now); err == nil {
			records, more, err = read()
		}
	}
	if err != nil {
		return page, errors.Join(err, e.ended(ctx))
	}
	for _, r := range records {
		r.expireAt(now)
		page.Waits = append(page.Waits, r.wait)
	}
	if more {
		cursor := strconv.FormatInt(records[len(records)-1].id, 10)
		page.NextCursor = &cursor
	}
	return page, err
}

// CancelWait implements engine.Waits.
func (e *Engine) CancelWait(ctx context.Context, projectID, waitID string) error {
	return e.writer.do(ctx, func(t *tx) error {
		s, err := scanState(t.commands.stateByID.QueryRowContext(t.ctx, projectID, waitID))
		now := e.now()
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return refuse(engine.ErrNotFound, "wait %s", waitID)
		case err != nil:
			return err
		case s.status != waits.Waiting:
			return nil
		case s.isDue(now):
			return t.expire(s, now)
		default:
			return t.settle(s, waits.Cancelled, nil, now, now)
		}
	})
}
