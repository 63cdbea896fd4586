package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

// The order makes PostgreSQL use the indexes, also where it expects that any rows will do.
const countAll = `
SELECT 1, (SELECT count(*) FROM (SELECT FROM flowcallback.pending WHERE project = p.id ORDER BY wait LIMIT $2) x) FROM flowcallback.projects p WHERE p.name = $1
UNION ALL
SELECT s, (SELECT count(*) FROM (SELECT FROM flowcallback.outcomes o WHERE o.project = p.id AND o.status = s ORDER BY o.wait LIMIT $2) x)
FROM flowcallback.projects p, unnest(ARRAY[2, 3, 4, 5]::smallint[]) s WHERE p.name = $1`

// CountWaits implements engine.Reader. With a filter that many waits pass, it may stop early, and then
// says that there are more than it has counted.
func (e *Engine) CountWaits(ctx context.Context, projectID string, params waits.CountWaitsParams) (waits.WaitCounts, error) {
	if err := e.expireDueOf(ctx, projectID); err != nil && !cannotWrite(err) {
		return waits.WaitCounts{}, err
	}
	counted := map[store.Status]int{}
	isMore := false
	var err error
	if (params == waits.CountWaitsParams{}) {
		err = e.read(ctx, projectID, func(ctx context.Context, c *pgxpool.Conn) error {
			rows, err := c.Query(ctx, countAll, []byte(projectID), waits.CountedWaitsMaximum+1)
			if err != nil {
				return err
			}
			var status store.Status
			var n int
			_, err = pgx.ForEachRow(rows, []any{&status, &n}, func() error {
				counted[status] = n
				return nil
			})
			return err
		})
	} else {
		isMore, err = e.countFiltered(ctx, projectID, params, counted)
	}
	count := func(status store.Status) waits.Count {
		n := counted[status]
		return waits.Count{Waits: min(n, waits.CountedWaitsMaximum), More: isMore || n > waits.CountedWaitsMaximum}
	}
	return waits.WaitCounts{
		Waiting: count(store.Waiting), Success: count(store.Success), Fail: count(store.Fail), Expired: count(store.Expired), Cancelled: count(store.Cancelled),
	}, err
}

// countFiltered counts the waits that pass a filter. isMore means that it has stopped early.
func (e *Engine) countFiltered(ctx context.Context, projectID string, params waits.CountWaitsParams, counted map[store.Status]int) (isMore bool, err error) {
	q, err := queryOf(waits.ListWaitsParams{})
	if err != nil {
		return false, err
	}
	q.filter = filterOf(params)
	stopped, err := e.walk(ctx, projectID, q, func() { clear(counted) }, func(p passed) bool {
		counted[p.status]++
		return true
	})
	return stopped != nil, err
}
