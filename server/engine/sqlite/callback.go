package sqlite

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	keyedWait     = `SELECT wait, project, expires_at, execution_id, typed FROM keys WHERE key = ?`
	selectSchema  = `SELECT schema FROM schemas WHERE wait = ?`
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
	typed         bool   // has a schema for outputs
}

// earlier is the outcome that a state already has: in outcomes, or held.
type earlier struct {
	project, seq int64
	held         *waits.Outcome
}

// answer is what the writer says of a callback.
type answer struct {
	executionID string
	earlier     earlier // of a settled state
	typed       int64   // the waiting wait whose schema the caller must judge the output by
}

// Callback implements engine.Engine.
func (e *Engine) Callback(ctx context.Context, c engine.Callback) (executionID string, err error) {
	sent := sentOutcome{engine.OutcomeOf(c.Request), c.Principal}
	key := store.Digest(c.Key)
	a, err := e.settleKey(ctx, key, c, sent, 0)
	for err == nil && a.typed != 0 { // again if the key has another wait in the meantime
		// Judging takes long, so the writer leaves it to the caller.
		if err = e.judgeOutput(ctx, c.ProjectID, a.typed, sent.Output); err == nil {
			a, err = e.settleKey(ctx, key, c, sent, a.typed)
		}
	}
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

// settleKey has the writer settle the state with a key. A waiting wait with a schema is only
// returned, unless it is the one that the output was judged for.
func (e *Engine) settleKey(ctx context.Context, key []byte, c engine.Callback, sent sentOutcome, judged int64) (answer, error) {
	return commit(ctx, e.writer, func(t *tx) (answer, error) {
		if c.Link != nil {
			if err := e.checkLink(t, *c.Link, key); err != nil {
				return answer{}, err
			}
		}
		return e.callback(t, key, c.Key, sent, judged)
	})
}

// judgeOutput returns an engine.OutputError if an output breaks the schema of a wait.
func (e *Engine) judgeOutput(ctx context.Context, projectID string, wait int64, output []byte) error {
	var schema []byte
	err := e.readers.read(ctx, projectID, func(c *conn) error {
		return c.query(selectSchema, func(row *sqlite3.Stmt) error {
			schema = text(row, 0)
			return nil
		}, wait)
	})
	if err != nil || schema == nil { // retention has deleted it, and the writer will say so
		return err
	}
	return e.options.Judge(schema, output)
}

// judge decides on a callback of a settled state.
func judge(stored, sent waits.Outcome) error {
	_, err := engine.Decide(engine.Stored{Status: waits.Status(stored.Result), Same: engine.Same(stored, sent)}, time.Time{})
	if err != nil {
		return store.Refuse(err, "callback of a settled state")
	}
	return nil
}

func (e *Engine) callback(t *tx, key []byte, ids engine.Key, sent sentOutcome, judged int64) (a answer, err error) {
	k, found, err := t.keyed(key)
	switch {
	case err != nil:
		return a, err
	case !found:
		a.executionID, a.earlier.held, err = e.callbackUnknown(t, key, ids, sent)
		return a, err
	}
	if a.executionID = k.executionID; a.executionID == "" {
		a.executionID = string(ids.RunID)
	}
	x, err := t.entry(k.wait, k.project)
	if err != nil {
		return a, err
	}
	switch x.status {
	case store.Success, store.Fail:
		a.earlier = earlier{project: k.project, seq: x.seq}
		return a, nil
	case store.Waiting, store.Expired, store.Cancelled:
	default: // retention is about to delete its key
		return a, store.Refuse(engine.ErrNotFound, "callback of a forgotten state")
	}
	now := e.now()
	settle, refusal := engine.Decide(engine.Stored{Status: x.status.Name(), Deadline: instant(k.expiresAt)}, instant(now))
	switch {
	case settle && k.typed && sent.Result == callback.Success && judged != k.wait: // a fail is not judged
		a.typed = k.wait
		return a, nil
	case settle:
		return a, t.settle(x, store.StatusOf(waits.Status(sent.Result)), &sent, now)
	case x.status == store.Waiting:
		// The sweeper has not seen the wait yet. The expiry becomes durable with the
		// refusal, so that a clock that is set back cannot revive the wait.
		if err := t.settle(x, store.Expired, nil, k.expiresAt); err != nil {
			return a, err
		}
	}
	return a, store.Refuse(refusal, "callback of wait %d", k.wait)
}

// keyed returns the wait with the given key, if there is one.
func (c *conn) keyed(key []byte) (k keyed, found bool, err error) {
	err = c.query(keyedWait, func(row *sqlite3.Stmt) error {
		k, found = keyed{row.ColumnInt64(0), row.ColumnInt64(1), row.ColumnInt64(2), row.ColumnText(3), row.ColumnInt(4) == 1}, true
		return nil
	}, key)
	return k, found, err
}

// settle moves a wait out of waiting as of the time at, and appends it to the feed. sent is nil if
// the wait expired; of a cancelled one it has the reason and the principal.
func (t *tx) settle(x entry, s store.Status, sent *sentOutcome, at int64) error {
	if sent == nil {
		sent = &sentOutcome{}
	}
	seq := t.seq + 1
	err := t.execute(appendOutcome, x.project, seq, x.wait, s, at, t.age.now(), optional(sent.Error), jsonText(sent.Output), optional(sent.principal))
	if err != nil {
		return err
	}
	t.seq = seq
	x.status, x.seq = s, seq
	t.note(x)
	t.counts[store.Waiting]--
	t.counts[s]++
	t.ended[s]++
	t.woken = append(t.woken, topic{wait: x.wait}, topic{feed: x.project})
	return nil
}

// outcome reads the outcome of a settled state.
func (e *Engine) outcome(ctx context.Context, projectID string, at earlier) (outcome *waits.Outcome, err error) {
	err = e.readers.read(ctx, projectID, func(c *conn) error {
		return c.query(selectOutcome, func(row *sqlite3.Stmt) error {
			outcome = &waits.Outcome{Result: callback.Result(store.Status(row.ColumnInt(0)).Name()), Error: row.ColumnText(1), Output: text(row, 2)}
			return nil
		}, at.project, at.seq)
	})
	if err == nil && outcome == nil {
		err = store.Refuse(engine.ErrNotFound, "callback of a forgotten state")
	}
	return outcome, err
}
