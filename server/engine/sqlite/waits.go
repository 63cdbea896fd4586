package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	insertKey  = `INSERT INTO keys (key, wait, project, expires_at, execution_id, typed) VALUES (?, ?, ?, ?, ?, ?)`
	insertWait = `INSERT INTO waits (id, wait_id, project, workflow_id, run_id, state_id, execution_id, created_at, expires_at, title, tags, opened_by)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertDeadline = `INSERT OR IGNORE INTO deadlines (expires_at, wait) VALUES (?, ?)`
	insertInput    = `INSERT INTO inputs (wait, input) VALUES (?, ?)`
	insertSchema   = `INSERT INTO schemas (wait, schema) VALUES (?, ?)`
	waitToChange   = `SELECT id, expires_at, workflow_id, run_id, state_id FROM waits WHERE wait_id = ? AND project = ?`
	moveDeadline   = `UPDATE waits SET expires_at = ? WHERE id = ?`
	moveKey        = `UPDATE keys SET expires_at = ? WHERE key = ?`
)

// OpenWait implements engine.Opener.
func (e *Engine) OpenWait(ctx context.Context, projectID string, request waits.OpenWaitRequest, principal string) (_ waits.Wait, opened bool, _ error) {
	if request.OutputSchema != nil && e.options.Judge == nil {
		return waits.Wait{}, false, fmt.Errorf("output_schema without Options.Judge: %w", errors.ErrUnsupported)
	}
	key := store.Digest(engine.Key{ProjectID: projectID, WorkflowID: request.WorkflowID, RunID: request.RunID, StateID: request.StateID})
	type answer struct {
		wait  waits.Wait
		known int64 // the row of a wait that is open already
	}
	for {
		a, err := commit(ctx, e.writer, func(t *tx) (a answer, err error) {
			a.wait, a.known, err = e.openWait(t, key, projectID, request, principal)
			return a, err
		})
		if err != nil || a.known == 0 {
			return a.wait, err == nil, err
		}
		// Reading a large wait takes long, so the writer leaves it to the caller.
		found := false
		var r record
		err = e.readers.read(ctx, projectID, func(c *conn) (err error) {
			r, found, err = e.record(c, waitByRow, a.known)
			return err
		})
		if err != nil || found { // else retention has deleted it
			r.wait.Differs = engine.Differs(request, r.wait)
			return r.wait, false, err
		}
	}
}

// openWait opens a wait, or returns the row of the wait that the state already has.
func (e *Engine) openWait(t *tx, key []byte, projectID string, request waits.OpenWaitRequest, principal string) (wait waits.Wait, known int64, err error) {
	now := e.now()
	k, found, err := t.keyed(key)
	if err != nil {
		return wait, 0, err
	}
	if found {
		return wait, k.wait, t.reopen(k, now)
	}
	held, isHeld, err := t.held(key)
	if err != nil {
		return wait, 0, err
	}
	project, err := e.projectFor(t, projectID)
	if err != nil {
		return wait, 0, err
	}
	executionID := held.executionID
	if !isHeld {
		if executionID = request.ExecutionID; executionID == "" {
			executionID = engine.ExecutionID(request.RunID)
		}
	}
	wait = waits.Wait{
		WaitID: e.options.NewID(), ProjectID: projectID, WorkflowID: request.WorkflowID, RunID: request.RunID, StateID: request.StateID,
		ExecutionID: executionID, Status: waits.Waiting, Title: request.Title, Tags: request.Tags, Input: request.Input, OutputSchema: request.OutputSchema,
		OpenedBy: principal, CreatedAt: instant(now), ExpiresAt: instant(now + int64(request.TimeoutSeconds)*1000),
	}
	x := entry{wait: t.wait + 1, project: project, labels: labelsOf(&wait), opened: true, status: store.Waiting}
	if err := t.insert(key, x, &wait); err != nil {
		return wait, 0, err
	}
	if !isHeld {
		return wait, 0, nil
	}
	err = t.settle(x, store.StatusOf(waits.Status(held.sent.Result)), &held.sent, now)
	if err == nil {
		err = t.unhold(key, held.project)
	}
	at := instant(now)
	wait.Status, wait.Outcome, wait.SettledAt, wait.SettledBy = waits.Status(held.sent.Result), &held.sent.Outcome, &at, held.sent.principal
	return wait, 0, err
}

// insert stores a new wait.
func (t *tx) insert(key []byte, x entry, wait *waits.Wait) error {
	createdAt, expiresAt := wait.CreatedAt.UnixMilli(), wait.ExpiresAt.UnixMilli()
	executionID := optional(wait.ExecutionID)
	if wait.ExecutionID == string(wait.RunID) {
		executionID = ""
	}
	typed := 0
	if wait.OutputSchema != nil {
		typed = 1
	}
	err := t.execute(insertKey, key, x.wait, x.project, expiresAt, executionID, typed)
	if err == nil {
		err = t.execute(insertWait, x.wait, wait.WaitID, x.project, wait.WorkflowID, string(wait.RunID), string(wait.StateID), executionID, createdAt, expiresAt,
			optional(wait.Title), tagsText(wait.Tags), optional(wait.OpenedBy))
	}
	if err == nil {
		err = t.execute(insertDeadline, expiresAt, x.wait)
	}
	if err == nil && wait.Input != nil {
		err = t.execute(insertInput, x.wait, jsonText(wait.Input))
	}
	if err == nil && wait.OutputSchema != nil {
		err = t.execute(insertSchema, x.wait, jsonText(wait.OutputSchema))
	}
	if err != nil {
		return err
	}
	t.wait = x.wait
	t.note(x)
	t.counts[store.Waiting]++
	t.woken = append(t.woken, topic{opened: x.project})
	return nil
}

// reopen expires the wait of a key that is opened again, if it is due.
func (t *tx) reopen(k keyed, now int64) error {
	if k.expiresAt > now {
		return nil
	}
	x, err := t.entry(k.wait, k.project)
	if err != nil || x.status != store.Waiting {
		return err
	}
	return t.settle(x, store.Expired, nil, k.expiresAt)
}

// changing is a wait that a caller changes.
type changing struct {
	entry
	key       engine.Key
	expiresAt int64
}

// changing returns a wait as of now: one that is due expires.
func (e *Engine) changing(t *tx, projectID, waitID string) (w changing, err error) {
	project, err := e.projectOf(t.conn, projectID)
	if err != nil {
		return w, err
	}
	found := false
	err = t.query(waitToChange, func(row *sqlite3.Stmt) error {
		found = true
		w.wait, w.expiresAt = row.ColumnInt64(0), row.ColumnInt64(1)
		w.key = engine.Key{ProjectID: projectID, WorkflowID: row.ColumnText(2), RunID: callback.RunID(row.ColumnText(3)), StateID: callback.StateID(row.ColumnText(4))}
		return nil
	}, waitID, project)
	switch {
	case err != nil:
		return w, err
	case !found:
		return w, store.Refuse(engine.ErrNotFound, "wait %s", waitID)
	}
	w.entry, err = t.entry(w.wait, project)
	if err == nil && w.status == store.Waiting && w.expiresAt <= e.now() {
		err = t.settle(w.entry, store.Expired, nil, w.expiresAt)
		w.entry = t.entries[w.wait]
	}
	return w, err
}

// CancelWait implements engine.Opener.
func (e *Engine) CancelWait(ctx context.Context, projectID, waitID, reason, principal string) error {
	return e.writer.do(ctx, func(t *tx) error {
		w, err := e.changing(t, projectID, waitID)
		if err != nil || w.status != store.Waiting {
			return err
		}
		return t.settle(w.entry, store.Cancelled, &sentOutcome{waits.Outcome{Error: reason}, principal}, e.now())
	})
}

// ChangeWait implements engine.Opener.
func (e *Engine) ChangeWait(ctx context.Context, projectID, waitID string, request waits.ChangeWaitRequest) (waits.Wait, error) {
	err := e.writer.do(ctx, func(t *tx) error {
		w, err := e.changing(t, projectID, waitID)
		switch {
		case err != nil:
			return err
		case w.status != store.Waiting:
			return store.Refuse(engine.ErrNotWaiting, "wait %s", waitID)
		}
		expiresAt := e.now() + int64(request.TimeoutSeconds)*1000
		if expiresAt == w.expiresAt {
			return nil
		}
		err = t.execute(moveDeadline, expiresAt, w.wait)
		if err == nil {
			err = t.execute(moveKey, expiresAt, store.Digest(w.key))
		}
		if err == nil {
			err = t.execute(dropDeadline, w.expiresAt, w.wait)
		}
		if err == nil {
			err = t.execute(insertDeadline, expiresAt, w.wait)
		}
		return err
	})
	if err != nil {
		return waits.Wait{}, err
	}
	return e.GetWait(ctx, projectID, waitID, 0)
}

// GetWait implements engine.Reader. While it blocks it keeps little on its stack, because there
// may be many such calls.
func (e *Engine) GetWait(ctx context.Context, projectID, waitID string, wait time.Duration) (waits.Wait, error) {
	r, err := e.wait(ctx, projectID, waitID)
	if err != nil {
		return waits.Wait{}, errors.Join(err, e.ended(ctx))
	}
	if r.wait.Status == waits.Waiting && wait > 0 {
		if err := e.await(ctx, projectID, &entry{wait: r.entry.wait, project: r.project}, wait); err != nil {
			return r.wait, err
		}
		if r, err = e.wait(ctx, projectID, waitID); err != nil {
			return waits.Wait{}, err
		}
	}
	return r.wait, e.ended(ctx)
}

// await blocks until a wait has left waiting, or for at most the given time.
func (e *Engine) await(ctx context.Context, projectID string, known *entry, wait time.Duration) error {
	timeout, stop := store.TimeoutAfter(wait)
	defer stop()
	woken, leave := e.hub.Subscribe(topic{wait: known.wait})
	defer leave()
	isWaiting, err := e.isWaiting(ctx, projectID, known) // it may have left waiting before the subscription
	if err == nil && isWaiting {
		store.Pause(ctx, woken, timeout, e.closed)
	}
	return errors.Join(err, e.ended(ctx))
}

// isWaiting reports whether a wait is waiting now.
func (e *Engine) isWaiting(ctx context.Context, projectID string, known *entry) (bool, error) {
	x, ok := e.catalog.get(known.wait)
	if ok {
		return x.status == store.Waiting, nil
	}
	err := e.readers.read(ctx, projectID, func(c *conn) (err error) {
		x, err = c.folded(known.wait, known.project)
		return err
	})
	return x.status == store.Waiting, err
}

// wait reads a wait as it is now.
func (e *Engine) wait(ctx context.Context, projectID, waitID string) (*record, error) {
	now := e.now()
	for isExpired := false; ; isExpired = true {
		var r record
		found := false
		err := e.readers.read(ctx, projectID, func(c *conn) error {
			project, err := e.knownProject(c, projectID)
			if err == nil && project != 0 {
				r, found, err = e.record(c, waitByID, waitID, project)
			}
			return err
		})
		switch {
		case err != nil:
			return nil, err
		case !found:
			return nil, fmt.Errorf("wait %s: %w", waitID, engine.ErrNotFound)
		case isExpired || !r.isDue(now):
			r.showExpired(now)
			return &r, nil
		}
		if err := e.expire(ctx, []record{r}, now); err != nil {
			return nil, err
		}
	}
}

// ended returns why a call must end, or nil if the engine is open and ctx has not ended.
func (e *Engine) ended(ctx context.Context) error {
	select {
	case <-e.closed:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}
