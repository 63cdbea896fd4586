package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	openAll  = `SELECT * FROM flowcallback.open($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`
	handOver = `SELECT flowcallback.hand_over($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
	moveOne  = `SELECT flowcallback.move($1, $2, $3, $4)`
)

// An opening opens a wait.
type opening struct {
	key       []byte
	request   waits.OpenWaitRequest
	projectID string
	waitID    string
	principal string
	execution string

	wait      int64 // its row; 0: the key is known
	createdAt time.Time
}

// OpenWait implements engine.Opener.
func (e *Engine) OpenWait(ctx context.Context, projectID string, request waits.OpenWaitRequest, principal string) (wait waits.Wait, opened bool, err error) {
	if request.OutputSchema != nil && e.options.Judge == nil {
		return wait, false, fmt.Errorf("output_schema without Options.Judge: %w", errors.ErrUnsupported)
	}
	o := &opening{
		key:     store.Digest(engine.Key{ProjectID: projectID, WorkflowID: request.WorkflowID, RunID: request.RunID, StateID: request.StateID}),
		request: request, projectID: projectID, waitID: newWaitID(), principal: principal, execution: request.ExecutionID,
	}
	if o.execution == "" {
		o.execution = engine.ExecutionID(request.RunID)
	}
	for {
		if err := e.opens.do(ctx, o); err != nil {
			return wait, false, err
		}
		if o.wait != 0 {
			return o.opened(), true, nil
		}
		r, err := e.wait(ctx, projectID, byKey, o.key)
		switch {
		case errors.Is(err, engine.ErrNotFound):
			// A callback is held for it, or retention has just deleted it.
			if err := e.handOver(ctx, o); err != nil {
				return wait, false, err
			}
		case err != nil:
			return wait, false, err
		case r.wait.WaitID == o.waitID: // the answer to an attempt was lost, or the callback was held
			return r.wait, true, nil
		default:
			r.wait.Differs = engine.Differs(request, r.wait)
			return r.wait, false, nil
		}
		again := *o
		o = &again
	}
}

// opened returns the wait that was opened.
func (o *opening) opened() waits.Wait {
	r := o.request
	return waits.Wait{
		WaitID: o.waitID, ProjectID: o.projectID, WorkflowID: r.WorkflowID, RunID: r.RunID, StateID: r.StateID, ExecutionID: o.execution,
		Status: waits.Waiting, Title: r.Title, Tags: r.Tags, Input: r.Input, OutputSchema: r.OutputSchema, OpenedBy: o.principal,
		CreatedAt: o.createdAt.UTC(), ExpiresAt: o.createdAt.UTC().Add(time.Duration(r.TimeoutSeconds) * time.Second),
	}
}

// open runs a batch of openings.
func (e *Engine) open(ctx context.Context, c *pgx.Conn, batch []*store.Item[*opening]) ([]error, error) {
	n := len(batch)
	var columns [12][][]byte // in the order of the function's arguments, without the timeouts
	for i := range columns {
		columns[i] = make([][]byte, n)
	}
	timeouts := make([]int64, n)
	var ns []int64
	var tags [][]byte
	for i, item := range batch {
		o := item.Change
		for j, value := range o.values() {
			columns[j][i] = value
		}
		timeouts[i] = int64(o.request.TimeoutSeconds)
		for _, tag := range o.request.Tags {
			ns, tags = append(ns, int64(i+1)), append(tags, []byte(tag))
		}
	}
	arguments := []any{e.ahead()}
	for i, column := range columns {
		if i == 7 {
			arguments = append(arguments, timeouts)
		}
		arguments = append(arguments, column)
	}
	rows, err := c.Query(ctx, openAll, append(arguments, ns, tags)...)
	if err != nil {
		return nil, err
	}
	type row struct {
		wait int64
		at   time.Time
	}
	all := make([]row, n)
	for rows.Next() {
		var i int64
		var r row
		if err := rows.Scan(&i, &r.wait, &r.at); err != nil {
			return nil, err
		}
		all[i-1] = r
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i, item := range batch {
		o := item.Change
		o.wait, o.createdAt = all[i].wait, all[i].at
		if o.wait != 0 {
			e.wake(topic{project: o.projectID, opened: true})
		}
	}
	e.poller.tell()
	return make([]error, n), nil
}

// values returns the columns of a wait, in the order of the arguments of flowcallback.open.
func (o *opening) values() [12][]byte {
	r := o.request
	return [12][]byte{
		o.key, []byte(o.projectID), []byte(o.waitID), []byte(r.WorkflowID), []byte(r.RunID), []byte(r.StateID), []byte(o.execution),
		optional(r.Title), tagsText(r.Tags), optional(o.principal), r.Input, r.OutputSchema,
	}
}

// handOver opens a wait whose callback is held. It does nothing if there is none.
func (e *Engine) handOver(ctx context.Context, o *opening) error {
	v := o.values()
	tags := [][]byte{}
	for _, tag := range o.request.Tags {
		tags = append(tags, []byte(tag))
	}
	var done bool
	err := e.changes.do(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, handOver, e.ahead(), v[0], v[1], v[2], v[3], v[4], v[5], int64(o.request.TimeoutSeconds), v[7], v[8], v[9], v[10], v[11], tags).Scan(&done)
	})
	if err == nil && done {
		e.wake(topic{project: o.projectID, opened: true}, topic{project: o.projectID})
		e.poller.tell()
	}
	return err
}

// The answers of flowcallback.move.
const (
	moveUnknown = iota
	moveEnded
	moveDue
)

// ChangeWait implements engine.Opener.
func (e *Engine) ChangeWait(ctx context.Context, projectID, waitID string, request waits.ChangeWaitRequest) (waits.Wait, error) {
	var answer int
	err := e.changes.do(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, moveOne, e.ahead(), []byte(projectID), []byte(waitID), int64(request.TimeoutSeconds)).Scan(&answer)
	})
	switch {
	case err != nil:
		return waits.Wait{}, err
	case answer == moveUnknown:
		return waits.Wait{}, store.Refuse(engine.ErrNotFound, "wait %s", waitID)
	case answer == moveEnded:
		return waits.Wait{}, store.Refuse(engine.ErrNotWaiting, "wait %s", waitID)
	}
	r, err := e.wait(ctx, projectID, byID, []byte(waitID)) // expires it, if it is due
	if err == nil && answer == moveDue {
		err = store.Refuse(engine.ErrNotWaiting, "wait %s", waitID)
	}
	return r.wait, err
}

// CancelWait implements engine.Opener.
func (e *Engine) CancelWait(ctx context.Context, projectID, waitID, reason, principal string) error {
	r, err := e.wait(ctx, projectID, byID, []byte(waitID))
	if err != nil {
		return err
	}
	if r.wait.Status != waits.Waiting {
		return e.touch(ctx)
	}
	return e.settles.do(ctx, &settling{key: r.key, project: projectID, want: r.id, status: store.Cancelled, error: optional(reason), caller: optional(principal)})
}

// GetWait implements engine.Reader.
func (e *Engine) GetWait(ctx context.Context, projectID, waitID string, wait time.Duration) (waits.Wait, error) {
	r, err := e.wait(ctx, projectID, byID, []byte(waitID))
	if err != nil || r.wait.Status != waits.Waiting || wait <= 0 {
		return r.wait, err
	}
	err = e.longPoll(ctx, topic{project: projectID, wait: r.id}, wait, func() (isDone bool, err error) {
		r, err = e.wait(ctx, projectID, byID, []byte(waitID)) // it may have left waiting before the subscription
		return r.wait.Status != waits.Waiting, err
	})
	return r.wait, err
}

// wait reads a wait as it is now. If it is due, it expires.
func (e *Engine) wait(ctx context.Context, projectID, which string, id []byte) (record, error) {
	for {
		found, err := e.records(ctx, projectID, which, id)
		if err != nil {
			return record{}, err
		}
		if len(found) == 0 {
			return record{}, store.Refuse(engine.ErrNotFound, "wait")
		}
		r := found[0]
		if !r.due {
			return r, nil
		}
		if err := e.expire(ctx, projectID, found); err != nil {
			if !cannotWrite(err) {
				return record{}, err
			}
			r.showExpired()
			return r, e.ended(ctx)
		}
	}
}
