package sqlite

import (
	"context"
	"database/sql"
)

// preparer is what statements are prepared on: a pool or one connection.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// columns of a wait as scanWait reads them.
const selectWait = `
SELECT w.id, w.wait_id, w.project_id, w.workflow_id, w.run_id, w.state_id, w.execution_id, w.status,
       w.created_at, w.expires_at, w.seq, i.input, o.result, o.error, o.output, o.settled_at
FROM waits w
LEFT JOIN inputs   i ON i.wait = w.id
LEFT JOIN outcomes o ON o.project_id = w.project_id AND o.seq = w.seq
`

// queries are the readers' statements.
type queries struct {
	waitByID, listWaits, listWaiting, feedLast, feedAfter, due, projectAfter *sql.Stmt
}

func prepareQueries(ctx context.Context, on preparer) (*queries, error) {
	q := &queries{}
	return q, prepareAll(ctx, on, map[**sql.Stmt]string{
		&q.waitByID: selectWait + `WHERE w.project_id = ? AND w.wait_id = ?`,

		// ?3 is the status and ?5 the present: a wait past its deadline does not wait,
		// whether the sweeper has come by or not.
		&q.listWaits: selectWait + `
			WHERE w.project_id = ?1 AND w.id < ?2
			  AND (?3 = '' OR w.status = ?3 OR (?3 = 'expired' AND w.status = 'waiting' AND w.expires_at <= ?5))
			  AND (?4 = '' OR w.workflow_id = ?4)
			ORDER BY w.id DESC LIMIT ?6`,
		&q.listWaiting: selectWait + `
			WHERE w.project_id = ?1 AND w.id < ?2 AND w.status = 'waiting' AND w.expires_at > ?5
			  AND (?4 = '' OR w.workflow_id = ?4)
			ORDER BY w.id DESC LIMIT ?6`,

		&q.feedLast: `SELECT last FROM feed`,
		&q.feedAfter: `
			SELECT w.id, w.wait_id, w.project_id, w.workflow_id, w.run_id, w.state_id, w.execution_id, w.status,
			       w.created_at, w.expires_at, o.seq, i.input, o.result, o.error, o.output, o.settled_at
			FROM outcomes o
			JOIN waits w ON w.id = o.wait
			LEFT JOIN inputs i ON i.wait = w.id
			WHERE o.project_id = ? AND o.seq > ? ORDER BY o.seq LIMIT ?`,

		// The next project that has outcomes, without walking all of them.
		&q.projectAfter: `SELECT coalesce(min(project_id), '') FROM outcomes WHERE project_id > ?`,

		&q.due: `SELECT EXISTS (SELECT 1 FROM waits WHERE status = 'waiting' AND expires_at <= ?)`,
	})
}

// commands are the writer's statements.
type commands struct {
	stateByKey, stateByID, stateByRow, outcome, settle, appendOutcome, advanceFeed, tryWriting *sql.Stmt
	insertWait, insertInput, waitByKey, hold, heldByKey, unhold                                *sql.Stmt
	due, oldest, forgetOutcome, forgetInput, forgetWait, forgetHeld                            *sql.Stmt
}

func prepareCommands(ctx context.Context, on preparer) (*commands, error) {
	const state = `SELECT id, wait_id, project_id, execution_id, status, expires_at, seq FROM waits `
	const key = `project_id = ? AND workflow_id = ? AND run_id = ? AND state_id = ?`
	c := &commands{}
	return c, prepareAll(ctx, on, map[**sql.Stmt]string{
		&c.stateByKey:    state + `WHERE ` + key,
		&c.stateByID:     state + `WHERE project_id = ? AND wait_id = ?`,
		&c.stateByRow:    state + `WHERE id = ?`,
		&c.outcome:       `SELECT result, error, output FROM outcomes WHERE project_id = ? AND seq = ?`,
		&c.settle:        `UPDATE waits SET status = ?, seq = ? WHERE id = ?`,
		&c.appendOutcome: `INSERT INTO outcomes (project_id, seq, wait, result, error, output, settled_at, added_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		&c.advanceFeed:   `UPDATE feed SET last = ?1 WHERE last < ?1`,

		&c.tryWriting: `UPDATE feed SET tried = tried + 1`,

		&c.insertWait: `INSERT INTO waits (wait_id, project_id, workflow_id, run_id, state_id, execution_id, status, created_at, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?, ?)`,
		&c.insertInput: `INSERT INTO inputs (wait, input) VALUES (?, ?)`,
		&c.waitByKey:   selectWait + `WHERE w.project_id = ? AND w.workflow_id = ? AND w.run_id = ? AND w.state_id = ?`,
		&c.hold: `INSERT INTO held (project_id, workflow_id, run_id, state_id, execution_id, result, error, output, held_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		&c.heldByKey: `SELECT execution_id, result, error, output FROM held WHERE ` + key,
		&c.unhold:    `DELETE FROM held WHERE ` + key,

		&c.due:           state + `WHERE status = 'waiting' AND expires_at <= ? ORDER BY expires_at LIMIT ?`,
		&c.oldest:        `SELECT seq, wait, added_at FROM outcomes WHERE project_id = ? ORDER BY seq LIMIT ?`,
		&c.forgetOutcome: `DELETE FROM outcomes WHERE project_id = ? AND seq = ?`,
		&c.forgetInput:   `DELETE FROM inputs WHERE wait = ?`,
		&c.forgetWait:    `DELETE FROM waits WHERE id = ?`,
		&c.forgetHeld: `DELETE FROM held WHERE (project_id, workflow_id, run_id, state_id) IN
			(SELECT project_id, workflow_id, run_id, state_id FROM held WHERE held_at <= ? ORDER BY held_at LIMIT ?)`,
	})
}

// prepareAll fills in every statement. They are closed with what they are prepared on.
func prepareAll(ctx context.Context, on preparer, statements map[**sql.Stmt]string) error {
	for statement, query := range statements {
		var err error
		if *statement, err = on.PrepareContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}
