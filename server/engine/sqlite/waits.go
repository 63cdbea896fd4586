package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	insertWait = `INSERT INTO waits (key, wait_id, project_id, workflow_id, run_id, state_id, execution_id, status, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?)`
	insertDeadline = `INSERT INTO deadlines (expires_at, wait) VALUES (?, ?)`
	insertInput    = `INSERT INTO inputs (wait, input) VALUES (?, ?)`

	waitByKey = selectWait + `WHERE w.id = (SELECT id FROM waits WHERE key = ?)`
	waitByID  = selectWait + `WHERE w.id = (SELECT id FROM waits WHERE project_id = ? AND wait_id = ?)`
)

// Parts of the statements that list waits. ?3 is the status. ?5 is the present: a wait past
// its deadline is expired, even if the sweeper has not seen it yet. Waiting waits have an
// index of their own.
const (
	ofProject  = `w.project_id = ?1 AND (?4 = '' OR w.workflow_id = ?4)`
	inStatus   = ` AND (?3 = '' OR w.status = ?3 OR (?3 = 'expired' AND w.status = 'waiting' AND w.expires_at <= ?5))`
	stillWaits = ` AND ?3 = w.status AND w.status = 'waiting' AND w.expires_at > ?5`
	newest     = ` AND w.id < ?2 ORDER BY w.id DESC LIMIT ?6`
	oldestOnly = ` AND w.id > ?2 ORDER BY w.id LIMIT ?6`
)

// listQuery returns the statement that lists waits with a status (empty: any).
func listQuery(status waits.Status, oldestFirst bool) string {
	filter, order := inStatus, newest
	if status == waits.Waiting {
		filter = stillWaits
	}
	if oldestFirst {
		order = oldestOnly
	}
	return selectWait + `WHERE ` + ofProject + filter + order
}

// OpenWait implements engine.Opener.
func (e *Engine) OpenWait(ctx context.Context, projectID string, request waits.OpenWaitRequest) (wait waits.Wait, opened bool, err error) {
	id := digest(engine.Key{ProjectID: projectID, WorkflowID: request.WorkflowID, RunID: request.RunID, StateID: request.StateID})
	type answer struct {
		wait   waits.Wait
		opened bool
	}
	a, err := commit(ctx, e.writer, func(t *tx) (a answer, err error) {
		a.wait, a.opened, err = e.openWait(t, id, projectID, request)
		return a, err
	})
	return a.wait, a.opened, err
}

func (e *Engine) openWait(t *tx, key []byte, projectID string, request waits.OpenWaitRequest) (wait waits.Wait, opened bool, err error) {
	now := e.now()
	known, found, err := t.waitByDigest(key)
	if err == nil && found && known.isDue(now) {
		err = t.expire(known, now)
	}
	if err == nil && found {
		wait, err = t.waitByKey(key)
	}
	if err != nil || found {
		return wait, false, err
	}
	executionID, held, isHeld, err := t.held(key)
	if err != nil {
		return wait, false, err
	}
	if !isHeld {
		if executionID = request.ExecutionID; executionID == "" {
			executionID = engine.ExecutionID(request.RunID)
		}
	}
	s := waitRow{waitID: e.options.NewID(), projectID: projectID, expiresAt: now + int64(request.TimeoutSeconds)*1000}
	err = t.execute(insertWait, key, s.waitID, projectID, request.WorkflowID, request.RunID, request.StateID, executionID, now, s.expiresAt)
	s.id = t.conn.LastInsertRowID()
	t.counts[waits.Waiting]++
	if err == nil {
		err = t.execute(insertDeadline, s.expiresAt, s.id)
	}
	if err == nil && request.Input != nil {
		err = t.execute(insertInput, s.id, string(request.Input))
	}
	if err == nil && isHeld {
		err = t.settle(s, waits.Status(held.Result), &held, now, now)
	}
	if err == nil && isHeld {
		err = t.execute(unhold, key)
	}
	if err == nil {
		wait, err = t.waitByKey(key)
	}
	return wait, true, err
}

func (t *tx) waitByKey(key []byte) (wait waits.Wait, err error) {
	err = execute(t.conn, waitByKey, func(row *sqlite.Stmt) error {
		wait = scanWait(row).wait
		return nil
	}, key)
	return wait, err
}

// GetWait implements engine.Reader.
func (e *Engine) GetWait(ctx context.Context, projectID, waitID string, wait time.Duration) (waits.Wait, error) {
	timeout, stop := timeoutAfter(wait)
	defer stop()
	for {
		woken, leave := e.hub.subscribe(topic{wait: waitID})
		found, err := e.wait(ctx, projectID, waitID)
		if err != nil || found.Status != waits.Waiting || wait <= 0 {
			leave()
			return found, errors.Join(err, e.ended(ctx))
		}
		news := e.pause(ctx, woken, timeout)
		leave()
		if err := e.ended(ctx); err != nil {
			return found, err
		}
		if !news { // the deadline may have passed in the meantime
			return e.wait(ctx, projectID, waitID)
		}
	}
}

// timeoutAfter returns a channel that receives after d, or that is closed if d is 0.
func timeoutAfter(d time.Duration) (timeout <-chan time.Time, stop func()) {
	if d <= 0 {
		closed := make(chan time.Time)
		close(closed)
		return closed, func() {}
	}
	timer := time.NewTimer(d)
	return timer.C, func() { timer.Stop() }
}

// wait reads a wait as it is now.
func (e *Engine) wait(ctx context.Context, projectID, waitID string) (waits.Wait, error) {
	now := e.now()
	for expired := false; ; expired = true {
		var r record
		found := false
		err := e.readers.query(ctx, waitByID, func(row *sqlite.Stmt) error {
			r, found = scanWait(row), true
			return nil
		}, projectID, waitID)
		switch {
		case err != nil:
			return r.wait, err
		case !found:
			return r.wait, fmt.Errorf("wait %s: %w", waitID, engine.ErrNotFound)
		case expired || !r.isDue(now):
			r.showExpired(now)
			return r.wait, nil
		}
		if err := e.expire(ctx, []record{r}, now); err != nil {
			return r.wait, err
		}
	}
}

// pause blocks until there may be news (true), or until the timeout, the end of ctx or the
// end of the engine (false).
func (e *Engine) pause(ctx context.Context, woken <-chan struct{}, timeout <-chan time.Time) bool {
	select {
	case <-timeout:
		return false
	default:
	}
	select {
	case <-woken:
		return true
	case <-timeout:
		return false
	case <-e.closed:
		return false
	case <-ctx.Done():
		return false
	}
}

// ended returns why a call must end, or nil if the engine is open and ctx has not ended.
func (e *Engine) ended(ctx context.Context) error {
	select {
	case <-e.closed:
		return fmt.Errorf("closed: %w", engine.ErrUnavailable)
	default:
		return ctx.Err()
	}
}

// ListWaits implements engine.Reader. Its cursors are row ids.
func (e *Engine) ListWaits(ctx context.Context, projectID string, params waits.ListWaitsParams) (waits.WaitPage, error) {
	answer := waits.WaitPage{Waits: []waits.Wait{}}
	oldestFirst := params.Order != nil && *params.Order == waits.Oldest
	from := int64(math.MaxInt64)
	if oldestFirst {
		from = 0
	}
	if params.Cursor != nil {
		var err error
		if from, err = parseCursor(*params.Cursor); err != nil {
			return answer, err
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
	query := listQuery(status, oldestFirst)
	now := e.now()
	read := func() (page, error) {
		found := page{limit: limit}
		err := e.readers.query(ctx, query, found.add, projectID, from, status, workflowID, now, limit+1)
		return found, err
	}
	found, err := read()
	if due := found.due(now); err == nil && len(due) > 0 {
		if err = e.expire(ctx, due, now); err == nil {
			found, err = read()
		}
	}
	if err != nil {
		return answer, errors.Join(err, e.ended(ctx))
	}
	for _, r := range found.records {
		r.showExpired(now)
		answer.Waits = append(answer.Waits, r.wait)
	}
	if found.more {
		cursor := strconv.FormatInt(found.records[len(found.records)-1].id, 10)
		answer.NextCursor = &cursor
	}
	return answer, nil
}

// CancelWait implements engine.Opener.
func (e *Engine) CancelWait(ctx context.Context, projectID, waitID string) error {
	return e.writer.do(ctx, func(t *tx) error {
		s, found, err := t.waitRow(waitRowByID, projectID, waitID)
		now := e.now()
		switch {
		case err != nil:
			return err
		case !found:
			return refuse(engine.ErrNotFound, "wait %s", waitID)
		case s.status != waits.Waiting:
			return nil
		case s.isDue(now):
			return t.expire(s, now)
		default:
			return t.settle(s, waits.Cancelled, nil, now, now)
		}
	})
}
