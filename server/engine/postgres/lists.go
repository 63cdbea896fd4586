package postgres

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

// ListWaits implements engine.Reader. Its cursors are row ids, or deadlines in microseconds with row
// ids. It reads a bounded number of rows, so a page may be short.
func (e *Engine) ListWaits(ctx context.Context, projectID string, params waits.ListWaitsParams, wait time.Duration) (waits.WaitPage, error) {
	q, err := queryOf(params)
	if err == nil && q.order == waits.Oldest && params.Cursor != nil && *params.Cursor == engine.AfterNow {
		q.from.wait, err = e.newest(ctx, projectID)
	}
	if err != nil {
		return waits.WaitPage{}, err
	}
	var page waits.WaitPage
	err = e.longPoll(ctx, topic{project: projectID, opened: true}, wait, func() (isDone bool, err error) {
		page, err = e.listPage(ctx, projectID, q)
		return err != nil || q.order != waits.Oldest || *page.NextCursor != q.from.cursor(q.order), err
	})
	return page, err
}

// newest returns the row id of the newest wait of a project; 0 if there is none.
func (e *Engine) newest(ctx context.Context, projectID string) (row int64, err error) {
	return row, e.read(ctx, projectID, func(ctx context.Context, c *pgxpool.Conn) error {
		return c.QueryRow(ctx, newestOfNamed, []byte(projectID)).Scan(&row)
	})
}

// A place is where a wait stands in a list.
type place struct {
	deadline time.Time // in the order of deadlines
	wait     int64     // its row
}

// cursor returns the cursor of a place.
func (p place) cursor(order waits.Order) string {
	id := strconv.FormatInt(p.wait, 10)
	if order != waits.Deadline {
		return id
	}
	return strconv.FormatInt(p.deadline.UnixMicro(), 10) + "-" + id
}

// A filter selects waits.
type filter struct {
	status                       store.Status
	workflow, prefix, run, state []byte // nil: any
	tag                          []byte
	openedBefore, expiresBefore  *time.Time
}

// A listQuery says which waits a page has.
type listQuery struct {
	filter

	order waits.Order
	from  place // of the last wait of the page before
	limit int
}

func filterOf(params waits.CountWaitsParams) filter {
	return filter{workflow: bytesOf(params.WorkflowID), prefix: bytesOf(params.WorkflowPrefix), run: bytesOf(params.RunID), state: bytesOf(params.StateID), tag: bytesOf(params.Tag)}
}

func bytesOf[T ~string](text *T) []byte {
	if text == nil {
		return nil
	}
	return []byte(*text)
}

func queryOf(params waits.ListWaitsParams) (q listQuery, err error) {
	q = listQuery{
		filter: filterOf(waits.CountWaitsParams{WorkflowID: params.WorkflowID, WorkflowPrefix: params.WorkflowPrefix, RunID: params.RunID, StateID: params.StateID, Tag: params.Tag}),
		order:  waits.Newest, from: place{wait: math.MaxInt64}, limit: 1,
	}
	q.openedBefore, q.expiresBefore = params.OpenedBefore, params.ExpiresBefore
	if params.Order != nil {
		q.order = *params.Order
	}
	if q.order != waits.Newest {
		q.from.wait = 0
	}
	if params.Cursor != nil && (q.order != waits.Oldest || *params.Cursor != engine.AfterNow) {
		id := *params.Cursor
		if q.order == waits.Deadline {
			deadline, rest, ok := strings.Cut(id, "-")
			if !ok {
				return q, engine.ErrCursor // of another order
			}
			micro, err := store.ParsePosition(deadline)
			if err != nil {
				return q, err
			}
			q.from.deadline, id = time.UnixMicro(micro), rest
		}
		if q.from.wait, err = store.ParsePosition(id); err != nil {
			return q, err
		}
	}
	if params.Status != nil {
		q.status = store.StatusOf(*params.Status)
	}
	if params.Limit != nil {
		q.limit = *params.Limit
	}
	return q, nil
}

// listPage reads a page.
func (e *Engine) listPage(ctx context.Context, projectID string, q listQuery) (waits.WaitPage, error) {
	answer := waits.WaitPage{Waits: []waits.Wait{}}
	if q.status == store.Waiting || q.status == store.Expired {
		if err := e.expireDueOf(ctx, projectID); err != nil && !cannotWrite(err) {
			return answer, err
		}
	}
	found, stopped, err := e.search(ctx, projectID, q)
	if err != nil {
		return answer, err
	}
	rows := make([]int64, len(found))
	for i, p := range found {
		rows[i] = p.wait
	}
	all, err := e.inOrder(ctx, projectID, rows)
	if err != nil {
		return answer, err
	}
	if slices.ContainsFunc(all, func(r record) bool { return r.due }) {
		if err = e.expire(ctx, projectID, all); err == nil {
			all, err = e.inOrder(ctx, projectID, rows)
		} else if cannotWrite(err) {
			err = e.ended(ctx)
		}
		if err != nil {
			return answer, err
		}
	}
	for _, r := range all {
		r.showExpired()
		// Else it has changed since the search.
		if q.status == store.AnyStatus || r.wait.Status == q.status.Name() {
			answer.Waits = append(answer.Waits, r.wait)
		}
	}
	if stopped != nil {
		answer.NextCursor = new(stopped.cursor(q.order))
	} else if q.order == waits.Oldest {
		last := q.from
		if len(found) > 0 {
			last = found[len(found)-1]
		}
		answer.NextCursor = new(last.cursor(q.order))
	}
	return answer, nil
}
