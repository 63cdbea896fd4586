package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// pageBytes bounds the JSON that one page carries, whatever its limit: a page ends early
// rather than fill the memory of both sides.
const pageBytes = 4 << 20

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

// ListOutcomes implements engine.Waits. Its cursors are places in the feed.
func (e *Engine) ListOutcomes(ctx context.Context, projectID, after string, limit int, enough <-chan struct{}) (waits.OutcomePage, error) {
	var place int64
	if after != "" {
		var err error
		if place, err = parseCursor(after); err != nil {
			return waits.OutcomePage{}, err
		}
	}
	for {
		woken, leave := e.hub.subscribe(topic{feed: projectID})
		page, err := e.outcomes(ctx, projectID, place, limit)
		if err != nil || len(page.Outcomes) > 0 || !e.pause(ctx, woken, enough) {
			leave()
			return page, errors.Join(err, e.ended(ctx))
		}
		leave()
	}
}

func (e *Engine) outcomes(ctx context.Context, projectID string, after int64, limit int) (waits.OutcomePage, error) {
	page := waits.OutcomePage{Outcomes: []waits.Wait{}, Next: strconv.FormatInt(after, 10)}
	var last int64
	if err := e.queries.feedLast.QueryRowContext(ctx).Scan(&last); err != nil {
		return page, err
	}
	if after > last {
		return page, fmt.Errorf("cursor %d beyond the end of the feed, %d: %w", after, last, engine.ErrCursor)
	}
	rows, err := e.queries.feedAfter.QueryContext(ctx, projectID, after, limit)
	if err != nil {
		return page, err
	}
	records, _, err := scanPage(rows, limit)
	for _, r := range records {
		page.Outcomes = append(page.Outcomes, r.wait)
		page.Next = strconv.FormatInt(r.seq, 10)
	}
	return page, err
}

func parseCursor(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, engine.ErrCursor
	}
	return n, nil
}

// record is a wait with what orders it.
type record struct {
	wait    waits.Wait
	id, seq int64
}

// scanPage reads up to limit waits, fewer where they are large, and reports whether it
// left some. It closes rows.
func scanPage(rows *sql.Rows, limit int) (records []record, more bool, err error) {
	defer rows.Close()
	size := 0
	for rows.Next() {
		if len(records) == limit || size > pageBytes {
			return records, true, nil
		}
		r, err := scanWait(rows)
		if err != nil {
			return nil, false, err
		}
		records = append(records, r)
		size += len(r.wait.Input)
		if r.wait.Outcome != nil {
			size += len(r.wait.Outcome.Output)
		}
	}
	return records, false, rows.Err()
}

// isDue reports whether a wait is past its deadline and stored as waiting all the same.
func (r *record) isDue(now int64) bool {
	return r.wait.Status == waits.Waiting && r.wait.ExpiresAt.UnixMilli() <= now
}

// expireAt has a wait that is due shown as expired. It may be shown so once Engine.expire
// was called with that time: whatever the writer did before is in what was read since, and
// whatever it does later finds the wait due as well.
func (r *record) expireAt(now int64) {
	if r.isDue(now) {
		r.wait.Status, r.wait.SettledAt = waits.Expired, &r.wait.ExpiresAt
	}
}

func dueOf(records []record, now int64) (due []record) {
	for _, r := range records {
		if r.isDue(now) {
			due = append(due, r)
		}
	}
	return due
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

// scanWait reads the columns of selectWait.
func scanWait(row scanner) (r record, err error) {
	var createdAt, expiresAt int64
	var input, result, reason, output sql.NullString
	var seq, settledAt sql.NullInt64
	w := &r.wait
	err = row.Scan(&r.id, &w.WaitID, &w.ProjectID, &w.WorkflowID, &w.RunID, &w.StateID, &w.ExecutionID, &w.Status,
		&createdAt, &expiresAt, &seq, &input, &result, &reason, &output, &settledAt)
	if err != nil {
		return r, err
	}
	r.seq = seq.Int64
	w.CreatedAt, w.ExpiresAt = instant(createdAt), instant(expiresAt)
	if input.Valid {
		w.Input = json.RawMessage(input.String)
	}
	if result.Valid {
		w.Outcome = &waits.Outcome{Result: callback.Result(result.String), Error: reason.String, Output: json.RawMessage(output.String)}
	}
	if settledAt.Valid {
		at := instant(settledAt.Int64)
		w.SettledAt = &at
	}
	return r, nil
}

func instant(milliseconds int64) time.Time { return time.UnixMilli(milliseconds).UTC() }
