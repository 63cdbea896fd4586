package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	settleAll     = `SELECT * FROM flowcallback.settle($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	selectSchema  = `SELECT output_schema FROM flowcallback.waits WHERE id = $1`
	selectOutcome = `
SELECT coalesce(o.status, h.status), coalesce(o.error, h.error), coalesce(o.output, h.output)
FROM flowcallback.waits w
LEFT JOIN flowcallback.outcomes o ON o.project = w.project AND o.status IN (2, 3) AND o.wait = w.id
LEFT JOIN flowcallback.held h ON h.wait = w.id
WHERE w.id = $1`
	// A commit that changes nothing, to which the rules of durability apply.
	touch = `SELECT pg_logical_emit_message(true, 'flowcallback', '')`
)

// A settling moves a wait out of waiting: for a callback, a cancel, or its deadline.
type settling struct {
	key     []byte
	project string
	want    int64 // the row of the only wait that may be moved; 0: whichever has the key
	status  store.Status
	error   []byte
	output  []byte
	caller  []byte
	judged  int64 // the row of the wait by whose schema the output was judged; 0: it was not
	link    []byte

	found found
}

// found is what the database says of a settling (functions.sql).
type found struct {
	wait        int64 // 0: the key is unknown
	settled     bool
	pending     bool
	status      store.Status
	same        bool
	executionID string
	linked      int64
	linkIsOver  bool
}

// Callback implements engine.Engine.
func (e *Engine) Callback(ctx context.Context, c engine.Callback) (executionID string, err error) {
	sent := engine.OutcomeOf(c.Request)
	s := &settling{
		key: store.Digest(c.Key), project: c.ProjectID, status: store.StatusOf(waits.Status(sent.Result)),
		error: optional(sent.Error), output: sent.Output, caller: optional(c.Principal),
	}
	if c.Link != nil {
		s.link = c.Link[:]
	}
	for {
		if err := e.settles.do(ctx, s); err != nil {
			return "", err
		}
		f := s.found
		switch {
		case c.Link != nil && f.linkIsOver:
			return "", store.Refuse(engine.ErrExpired, "callback by a link")
		case c.Link != nil && (f.linked == 0 || f.linked != f.wait):
			return "", store.Refuse(engine.ErrNotFound, "callback by a link")
		case f.settled && f.status == s.status:
			return f.executionID, nil
		case f.pending:
			// It has a schema that the output was not judged by, or it was opened at this moment.
			if err := e.judge(ctx, c.ProjectID, f.wait, sent.Output); err != nil {
				return "", err
			}
			again := *s
			again.judged = f.wait
			s = &again
		case f.wait == 0 && e.options.HoldUnknown:
			executionID, isKnown, err := e.hold(ctx, s, c.Key)
			if err != nil || !isKnown {
				return executionID, err
			}
		default:
			again, err := e.decide(ctx, s, sent)
			switch {
			case err != nil:
				return "", err
			case !again:
				return f.executionID, nil
			}
			next := *s
			s = &next
		}
	}
}

// judge returns an engine.OutputError if an output breaks the schema of a wait.
func (e *Engine) judge(ctx context.Context, projectID string, wait int64, output []byte) error {
	var schema []byte
	err := e.read(ctx, projectID, func(ctx context.Context, c *pgxpool.Conn) error {
		err := c.QueryRow(ctx, selectSchema, wait).Scan(&schema)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case schema == nil: // it has none, or retention has deleted it, and the next attempt will say so
		return nil
	case e.options.Judge == nil:
		return fmt.Errorf("output_schema without Options.Judge: %w", errors.ErrUnsupported)
	}
	return e.options.Judge(schema, output)
}

// decide answers a callback of a state that does not wait. again means that the state has changed: a
// held callback was handed over, or retention has deleted the wait.
func (e *Engine) decide(ctx context.Context, s *settling, sent waits.Outcome) (again bool, err error) {
	f := s.found
	stored := engine.Stored{Same: f.same}
	if f.wait != 0 {
		stored.Status = f.status.Name()
	}
	if (f.status == store.Success || f.status == store.Fail) && !f.same {
		var at store.Status
		var text, output []byte
		err := e.read(ctx, s.project, func(ctx context.Context, c *pgxpool.Conn) error {
			return c.QueryRow(ctx, selectOutcome, f.wait).Scan(&at, &text, &output)
		})
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return true, nil
		case err != nil:
			return false, err
		default:
			stored.Same = engine.Same(sent, waits.Outcome{Result: callback.Result(at.Name()), Error: string(text), Output: output})
		}
		if stored.Same {
			if err := e.touch(ctx); err != nil {
				return false, err
			}
		}
	}
	if _, err := engine.Decide(stored, time.Time{}); err != nil {
		return false, store.Refuse(err, "callback of a state that does not wait")
	}
	return false, nil
}

// settle runs a batch of settlings.
func (e *Engine) settle(ctx context.Context, c *pgx.Conn, batch []*store.Item[*settling]) ([]error, error) {
	n := len(batch)
	keys, errs, outputs, callers, links := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	wants, judged, statuses := make([]*int64, n), make([]*int64, n), make([]int16, n)
	for i, item := range batch {
		s := item.Change
		keys[i], errs[i], outputs[i], callers[i], links[i], statuses[i] = s.key, s.error, s.output, s.caller, s.link, int16(s.status)
		if s.want != 0 {
			wants[i] = &s.want
		}
		if s.judged != 0 {
			judged[i] = &s.judged
		}
	}
	rows, err := c.Query(ctx, settleAll, e.ahead(), keys, wants, statuses, errs, outputs, callers, judged, links)
	if err != nil {
		return nil, err
	}
	committed, repeated := false, false
	all := make([]found, n)
	for rows.Next() {
		var i int64
		var wait, linked *int64
		var settled, pending bool
		var status *int16
		var same, over *bool
		var execution []byte
		if err := rows.Scan(&i, &wait, &settled, &pending, &status, &same, &execution, &linked, &over); err != nil {
			return nil, err
		}
		f := found{wait: or(wait), settled: settled, pending: pending, same: or(same), executionID: string(execution), linked: or(linked), linkIsOver: or(over), status: store.Status(or(status))}
		committed, repeated = committed || settled, repeated || f.same || !settled && batch[i-1].Change.status == store.Cancelled
		all[i-1] = f
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if repeated && !committed { // else the commit has waited for what it found, too
		if _, err := c.Exec(ctx, touch); err != nil {
			return nil, err
		}
	}
	for i, item := range batch {
		item.Change.found = all[i]
		if all[i].settled {
			e.metrics.ended(all[i].status)
			e.wake(topic{project: item.Change.project, wait: all[i].wait}, topic{project: item.Change.project})
		}
	}
	if committed {
		e.poller.tell()
	}
	return make([]error, n), nil
}

// or returns what a pointer points to, or the zero value.
func or[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

// optional returns the stored form of a text: NULL if it is empty.
func optional(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}
