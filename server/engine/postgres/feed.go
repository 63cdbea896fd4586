package postgres

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	// The next outcomes, as many as a page may have, with what the feed begins and ends with and its
	// epochs, all as of one moment: another server, with another history, may take over at any time. A
	// project that does not exist is as project 0.
	feedAfter = `
WITH f AS MATERIALIZED (
  SELECT f.project, f.floor, flowcallback.last(f.project) AS last,
    (SELECT array_agg(e.id ORDER BY e.project, e.n) FROM flowcallback.epochs e WHERE e.project IN (0, f.project)) AS ids,
    (SELECT array_agg(e.first ORDER BY e.project, e.n) FROM flowcallback.epochs e WHERE e.project IN (0, f.project)) AS firsts
  FROM flowcallback.feed f WHERE f.project = coalesce((SELECT id FROM flowcallback.projects WHERE name = $1), 0)
)
SELECT f.floor, f.last, f.ids, f.firsts, x.wait, x.position
FROM f LEFT JOIN LATERAL (
  SELECT y.wait, y.position, sum(y.size) OVER (ORDER BY y.position) - y.size AS before
  FROM (
    SELECT o.wait, o.position, coalesce(octet_length(o.output), 0)
      + (SELECT coalesce(octet_length(w.input), 0) + coalesce(octet_length(w.output_schema), 0) FROM flowcallback.waits w WHERE w.id = o.wait) AS size
    FROM flowcallback.outcomes o WHERE o.project = f.project AND o.position > greatest($2, f.floor) ORDER BY o.position LIMIT $3
  ) y
) x ON x.before <= $4
ORDER BY x.position`
)

// A feedPage is a page of a project's feed, and the state of the feed at that moment.
type feedPage struct {
	floor, last int64
	epochs      store.Epochs
	rows        []int64 // of the waits
	positions   []int64
}

// readFeed reads the outcomes after a position.
func (e *Engine) readFeed(ctx context.Context, projectID string, after int64, limit int) (p feedPage, err error) {
	err = e.read(ctx, projectID, func(ctx context.Context, c *pgxpool.Conn) error {
		found, err := c.Query(ctx, feedAfter, []byte(projectID), after, limit, store.PageBytes)
		if err != nil {
			return err
		}
		p = feedPage{}
		var ids []string
		var firsts []int64
		var wait, position *int64
		_, err = pgx.ForEachRow(found, []any{&p.floor, &p.last, &ids, &firsts, &wait, &position}, func() error {
			if wait != nil {
				p.rows, p.positions = append(p.rows, *wait), append(p.positions, *position)
			}
			return nil
		})
		for i := range ids {
			p.epochs = append(p.epochs, store.Epoch{ID: ids[i], First: firsts[i]})
		}
		return err
	})
	return p, err
}

// ListOutcomes implements engine.Feed. Its cursors are positions in the feed (store.Epochs).
func (e *Engine) ListOutcomes(ctx context.Context, projectID, after string, limit int, wait time.Duration) (waits.OutcomePage, error) {
	if after == engine.AfterNow {
		p, err := e.readFeed(ctx, projectID, math.MaxInt64, 1)
		if err != nil {
			return waits.OutcomePage{}, err
		}
		after = p.epochs.Cursor(p.last)
	}
	var page waits.OutcomePage
	err := e.longPoll(ctx, topic{project: projectID}, wait, func() (isDone bool, err error) {
		page, err = e.outcomes(ctx, projectID, after, limit)
		return len(page.Outcomes) > 0, err
	})
	return page, err
}

// outcomes reads a page after a cursor; after none, it begins at the oldest outcome.
func (e *Engine) outcomes(ctx context.Context, projectID, cursor string, limit int) (waits.OutcomePage, error) {
	answer := waits.OutcomePage{Outcomes: []waits.Wait{}}
	var after int64
	if cursor != "" {
		text, _, _ := strings.Cut(cursor, "-")
		var err error
		if after, err = store.ParsePosition(text); err != nil {
			return answer, err
		}
	}
	for {
		p, err := e.readFeed(ctx, projectID, after, limit)
		if err != nil {
			return answer, err
		}
		end := max(after, p.floor)
		if cursor != "" {
			if _, err := p.epochs.Position(cursor, p.last); err != nil {
				return answer, err
			}
			if after < p.floor {
				return answer, &engine.CursorGoneError{Oldest: p.epochs.Cursor(p.floor)}
			}
		}
		all, err := e.inOrder(ctx, projectID, p.rows)
		if err != nil {
			return answer, err
		}
		if !p.isOf(all) {
			continue // retention was faster, or another server has taken over, and the next read says so
		}
		for i, r := range all {
			answer.Outcomes, end = append(answer.Outcomes, r.wait), p.positions[i]
		}
		answer.Next = p.epochs.Cursor(end)
		return answer, nil
	}
}

// isOf reports whether records are those of the page.
func (p *feedPage) isOf(all []record) bool {
	if len(all) != len(p.positions) {
		return false
	}
	for i, r := range all {
		if r.position != p.positions[i] {
			return false
		}
	}
	return true
}

// inOrder reads the records of some rows, in their order. Those that were deleted are left out.
func (e *Engine) inOrder(ctx context.Context, projectID string, rows []int64) ([]record, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	found, err := e.records(ctx, projectID, byRow, rows)
	if err != nil {
		return nil, err
	}
	known := map[int64]record{}
	for _, r := range found {
		known[r.id] = r
	}
	var all []record
	for _, row := range rows {
		if r, ok := known[row]; ok {
			all = append(all, r)
		}
	}
	return all, nil
}
