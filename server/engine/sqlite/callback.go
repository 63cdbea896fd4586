package sqlite

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	keyedWait     = `SELECT wait, project, expires_at, execution_id FROM keys WHERE key = ?`
	appendOutcome = `INSERT INTO outcomes (project, seq, wait, status, settled_at, added_at, error, output, caller) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	selectOutcome = `SELECT status, error, output FROM outcomes WHERE project = ? AND seq = ?`
)

// sentOutcome is an outcome and the principal that sent it.
type sentOutcome struct {
	waits.Outcome

	principal string
}

// keyed is what a change needs of the wait of a state.
type keyed struct {
	wait, project int64
	expiresAt     int64
	executionID   string // empty if it is the run id
}

// earlier is the outcome that a state already has: in outcomes, or held.
type earlier struct {
	project, seq int64
	held         *waits.Outcome
}

// Callback implements engine.Engine.
func (e *Engine) Callback(ctx context.Context, c engine.Callback) (executionID string, err error) {
	sent := sentOutcome{engine.OutcomeOf(c.Request), c.Principal}
	key := digest(c.Key)
	type answer struct {
		executionID string
		earlier     earlier
	}
	a, err := commit(ctx, e.writer, func(t *tx) (a answer, err error) {
		a.executionID, a.earlier, err = e.callback(t, key, c.Key, sent)
		return a, err
	})
	if err != nil || a.earlier.seq == 0 && a.earlier.held == nil {
		return a.executionID, err
	}
	// Comparing large outcomes takes long, so the writer leaves it to the caller.
	stored := a.earlier.held
	if stored == nil {
		if stored, err = e.outcome(ctx, c.ProjectID, a.earlier); err != nil {
			return "", err
		}
	}
	if err := judge(*stored, sent.Outcome); err != nil {
		return "", err
	}
	return a.executionID, nil
}

// judge decides on a callback of a settled state.
func judge(stored, sent waits.Outcome) error {
	_, err := engine.Decide(engine.Stored{Status: waits.Status(stored.Result), Same: engine.Same(stored, sent)}, time.Time{})
	if err != nil {
		return refuse(err, "callback of a settled state")
	}
	return nil
}

func (e *Engine) callback(t *tx, key []byte, ids engine.Key, sent sentOutcome) (executionID string, at earlier, err error) {
	k, found, err := t.keyed(key)
	switch {
	case err != nil:
		return "", at, err
	case !found:
		executionID, at.held, err = e.callbackUnknown(t, key, ids, sent)
		return executionID, at, err
	}
	if executionID = k.executionID; executionID == "" {
		executionID = string(ids.RunID)
	}
	x, err := t.entry(k.wait, k.project)
	if err != nil {
		return "", at, err
	}
	switch x.status {
	case success, fail:
		return executionID, earlier{project: k.project, seq: x.seq}, nil
	case waiting, expired, cancelled:
	default: // retention is about to delete its key
		return "", at, refuse(engine.ErrNotFound, "callback of a forgotten state")
	}
	now := e.now()
	settle, refusal := engine.Decide(engine.Stored{Status: x.status.name(), Deadline: instant(k.expiresAt)}, instant(now))
	switch {
	case settle:
		return executionID, at, t.settle(x, ids.WorkflowID, statusOf(waits.Status(sent.Result)), &sent, now)
	case x.status == waiting:
		// The sweeper has not seen the wait yet. The expiry becomes durable with the
		// refusal, so that a clock that is set back cannot revive the wait.
		if err := t.settle(x, ids.WorkflowID, expired, nil, k.expiresAt); err != nil {
			return "", at, err
		}
	}
	return "", at, refuse(refusal, "callback of wait %d", k.wait)
}

// keyed returns the wait with the given key, if there is one.
func (c *conn) keyed(key []byte) (k keyed, found bool, err error) {
	err = c.query(keyedWait, func(row *sqlite3.Stmt) error {
		k, found = keyed{row.ColumnInt64(0), row.ColumnInt64(1), row.ColumnInt64(2), row.ColumnText(3)}, true
		return nil
	}, key)
	return k, found, err
}

// settle moves a wait out of waiting as of the time at, and appends it to the feed. sent is nil if the wait expired or was cancelled.
func (t *tx) settle(x entry, workflowID string, s status, sent *sentOutcome, at int64) error {
	if sent == nil {
		sent = &sentOutcome{}
	}
	seq := t.seq + 1
	err := t.execute(appendOutcome, x.project, seq, x.wait, s, at, t.age.now(), optional(sent.Error), jsonText(sent.Output), optional(sent.principal))
	if err != nil {
		return err
	}
	t.seq = seq
	x.workflow, x.status, x.seq = workflowID, s, seq
	t.note(x)
	t.counts[waiting]--
	t.counts[s]++
	t.ended[s]++
	t.woken = append(t.woken, topic{wait: x.wait}, topic{feed: x.project})
	return nil
}

// outcome reads the outcome of a settled state.
func (e *Engine) outcome(ctx context.Context, projectID string, at earlier) (outcome *waits.Outcome, err error) {
	err = e.readers.read(ctx, projectID, func(c *conn) error {
		return c.query(selectOutcome, func(row *sqlite3.Stmt) error {
			outcome = &waits.Outcome{Result: callback.Result(status(row.ColumnInt(0)).name()), Error: row.ColumnText(1), Output: text(row, 2)}
			return nil
		}, at.project, at.seq)
	})
	if err == nil && outcome == nil {
		err = refuse(engine.ErrNotFound, "callback of a forgotten state")
	}
	return outcome, err
}
