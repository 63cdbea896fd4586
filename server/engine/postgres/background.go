package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	// sweepInterval is the time between two searches for waits that are due.
	sweepInterval = time.Second
	// sweepStep is the number of waits that expire together.
	sweepStep = store.BatchLength
	// sweepBack is how far before the last deadline that was swept a search begins: a wait may be
	// committed a little after its deadline was set. Each sweepWhole the search begins at the oldest.
	sweepBack  = time.Minute
	sweepWhole = time.Minute

	// forgetInterval is the time between two runs of retention, and forgetStep the number of waits
	// that it deletes in one transaction.
	forgetInterval = 5 * time.Second
	forgetStep     = 500

	// Those of one project.
	dueWaitsOf = `
SELECT p.key, p.wait, p.deadline, $2::bytea FROM flowcallback.pending p
WHERE p.project = (SELECT id FROM flowcallback.projects WHERE name = $2) AND p.deadline <= (SELECT flowcallback.now($1)) ORDER BY p.deadline LIMIT $3`

	// Old versions of deleted rows may lie before the first deadline, for as long as some
	// transaction is open, so a search does not begin at the start of the index.
	dueWaits = `
SELECT p.key, p.wait, p.deadline, r.name FROM flowcallback.pending p JOIN flowcallback.projects r ON r.id = p.project
WHERE p.deadline AT TIME ZONE 'UTC' > $2::timestamptz AT TIME ZONE 'UTC' AND p.deadline AT TIME ZONE 'UTC' <= (SELECT flowcallback.now($1)) AT TIME ZONE 'UTC'
ORDER BY p.deadline AT TIME ZONE 'UTC' LIMIT $3`

	projectToForget = `
SELECT f.project, flowcallback.now($1) FROM flowcallback.feed f
WHERE f.project > $2 AND (SELECT o.at FROM flowcallback.outcomes o WHERE o.project = f.project AND o.position > f.floor ORDER BY o.position LIMIT 1) <= flowcallback.now($1) - $3 * interval '1 millisecond'
ORDER BY f.project LIMIT 1`
	forget     = `SELECT flowcallback.forget($1, flowcallback.now($2) - $3 * interval '1 millisecond', $4)`
	forgetHeld = `SELECT flowcallback.forget_held(flowcallback.now($1) - $2 * interval '1 millisecond', $3)`
)

// startBackground starts the background work, until the returned function is called.
func (e *Engine) startBackground() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { e.repeat(ctx, sweepInterval, "expiring waits", e.sweep()) })
	running.Go(func() { e.repeat(ctx, forgetInterval, "forgetting waits", e.Forget) })
	running.Go(func() { e.poll(ctx) })
	running.Go(func() { e.notifyOthers(ctx) })
	if !e.location.pooled { // a pooler in transaction mode passes no notification on
		running.Go(func() { e.listen(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// repeat does the work now and then until ctx ends. It logs a failure unless the time before failed too.
func (e *Engine) repeat(ctx context.Context, interval time.Duration, what string, work func(context.Context) error) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
		err := work(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			e.options.Logger.Error(what+" failed; trying again", "error", err)
		}
		failing = err != nil
	}
}

// sweep returns a function that expires the waits that are due.
func (e *Engine) sweep() func(context.Context) error {
	var from, whole time.Time
	return func(ctx context.Context) error {
		if time.Since(whole) > sweepWhole {
			from, whole = time.Time{}, time.Now()
		}
		last, err := e.expireDue(ctx, from)
		if last.After(from.Add(sweepBack)) {
			from = last.Add(-sweepBack)
		}
		return err
	}
}

// expireDue expires the waits that are due, and returns the last deadline of them.
func (e *Engine) expireDue(ctx context.Context, from time.Time) (last time.Time, err error) {
	return e.expireAll(ctx, e.background, dueWaits, from)
}

// expireDueOf expires the waits of a project that are due.
func (e *Engine) expireDueOf(ctx context.Context, projectID string) error {
	read := func(ctx context.Context, do func(context.Context, *pgxpool.Conn) error) error {
		return e.read(ctx, projectID, do)
	}
	_, err := e.expireAll(ctx, read, dueWaitsOf, []byte(projectID))
	return err
}

// expireAll expires the waits that a statement returns, and returns the last deadline of them.
func (e *Engine) expireAll(ctx context.Context, read func(context.Context, func(context.Context, *pgxpool.Conn) error) error, statement string, argument any) (last time.Time, err error) {
	for {
		var all []*settling
		err = read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
			rows, err := c.Query(ctx, statement, e.ahead(), argument, sweepStep)
			if err != nil {
				return err
			}
			all = nil
			var key, project []byte
			var wait int64
			_, err = pgx.ForEachRow(rows, []any{&key, &wait, &last, &project}, func() error {
				all = append(all, &settling{key: append([]byte{}, key...), project: string(project), want: wait, status: store.Expired})
				return nil
			})
			return err
		})
		if err != nil {
			return last, explain(err)
		}
		var group sync.WaitGroup
		failures := make([]error, len(all))
		for i, s := range all {
			group.Go(func() { failures[i] = e.settles.do(ctx, s) })
		}
		group.Wait()
		for _, failure := range failures {
			if failure != nil {
				return last, failure
			}
		}
		if len(all) < sweepStep {
			return last, nil
		}
	}
}

// Forget deletes waits that left waiting before Options.Retention, and callbacks held for as
// long. The engine calls it every few seconds, on every copy.
func (e *Engine) Forget(ctx context.Context) error {
	if e.options.Retention == 0 {
		return nil
	}
	retention := e.options.Retention.Milliseconds()
	inSteps := func(statement string, step int, arguments ...any) error {
		for {
			var n int
			err := e.changes.do(ctx, func(ctx context.Context, c *pgx.Conn) error {
				return c.QueryRow(ctx, statement, append(arguments, step)...).Scan(&n)
			})
			if err != nil || n < step {
				return err
			}
		}
	}
	if err := inSteps(forgetHeld, forgetStep, e.ahead(), retention); err != nil {
		return err
	}
	for project := int64(0); ; {
		err := e.background(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
			return c.QueryRow(ctx, projectToForget, e.ahead(), project, retention).Scan(&project, new(time.Time))
		})
		switch {
		case err == pgx.ErrNoRows: //nolint:errorlint // as pgx returns it
			return nil
		case err != nil:
			return explain(err)
		}
		if err := inSteps(forget, forgetStep, project, e.ahead(), retention); err != nil {
			return err
		}
	}
}
