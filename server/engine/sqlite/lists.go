package sqlite

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

// ListWaits implements engine.Reader. Its cursors are row ids, or deadlines with row ids. It
// finds the waits of a page with sets (search.go, places.go), and reads the rows of the page and few
// others.
func (e *Engine) ListWaits(ctx context.Context, projectID string, params waits.ListWaitsParams, wait time.Duration) (waits.WaitPage, error) {
	q, err := queryOf(params)
	if err == nil && q.order == waits.Oldest && params.Cursor != nil && *params.Cursor == engine.AfterNow {
		q.from, err = e.newest(ctx, projectID)
	}
	if err != nil {
		return waits.WaitPage{}, err
	}
	timeout, stop := store.TimeoutAfter(wait)
	defer stop()
	var project int64
	for {
		woken, leave := e.hub.Subscribe(topic{opened: project}) // of project 0, when there is a new one
		subscribed := project
		page, err := e.listPage(ctx, projectID, &project, q)
		isLast := err == nil && q.order == waits.Oldest && *page.NextCursor == strconv.FormatInt(q.from, 10)
		again := isLast && (project != subscribed || store.Pause(ctx, woken, timeout, e.closed))
		leave()
		if !again {
			return page, errors.Join(err, e.ended(ctx))
		}
	}
}

// newest returns the row id of the newest wait of all projects.
func (e *Engine) newest(ctx context.Context, projectID string) (row int64, err error) {
	if _, err = e.upToDate(ctx, store.AnyStatus); err != nil {
		return 0, err
	}
	return row, e.readers.read(ctx, projectID, func(c *conn) error {
		s, err := c.newSearch(0, filter{}, store.AnyStatus)
		row = s.upTo
		return err
	})
}

// listPage reads a page, and finds out the project if it is 0.
func (e *Engine) listPage(ctx context.Context, projectID string, project *int64, q listQuery) (waits.WaitPage, error) {
	answer := waits.WaitPage{Waits: []waits.Wait{}}
	now, err := e.upToDate(ctx, q.status)
	if err != nil {
		return answer, err
	}
	var found page
	read := func() error {
		return e.readers.read(ctx, projectID, func(c *conn) (err error) {
			found = page{}
			if *project, err = e.knownProject(c, projectID); err != nil || *project == 0 {
				return err
			}
			return c.snapshot(func() error { return e.list(c, *project, q, &found) })
		})
	}
	err = read()
	if due := found.due(now); err == nil && len(due) > 0 {
		if err = e.expire(ctx, due, now); err == nil {
			err = read()
		}
	}
	if err != nil {
		return answer, err
	}
	for _, r := range found.records {
		r.showExpired(now)
		answer.Waits = append(answer.Waits, r.wait)
	}
	if found.next == "" && q.order == waits.Oldest {
		found.next = strconv.FormatInt(q.from, 10)
		if n := len(found.records); n > 0 {
			found.next = strconv.FormatInt(found.records[n-1].entry.wait, 10)
		}
	}
	if found.next != "" {
		answer.NextCursor = &found.next
	}
	return answer, nil
}

// upToDate brings the sets up to date, as of the returned time. A store that cannot be written
// can still be read.
func (e *Engine) upToDate(ctx context.Context, s store.Status) (now int64, err error) {
	now = e.now()
	if s == store.Waiting || s == store.Expired {
		err = e.expireDue(ctx)
	}
	if err == nil {
		err = e.foldFresh(ctx)
	}
	if cannotWrite(err) {
		err = nil
	}
	return now, err
}

// A listQuery says which waits a page has.
type listQuery struct {
	filter
	order         waits.Order
	status        store.Status
	openedBefore  int64 // instants in milliseconds
	expiresBefore int64
	from, after   int64 // the row id and, in the order of deadlines, the deadline of the last wait of the page before
	limit         int
}

// A filter selects waits by their ids and tags.
type filter struct {
	names  []string // of sets that must all have the wait
	prefix string   // of the names of sets of which one must have it; empty if there is none
}

func filterOf(params waits.CountWaitsParams) filter {
	names := [][]string{name(ofRun, params.RunID), name(withTag, params.Tag), name(ofState, params.StateID), name(ofWorkflow, params.WorkflowID)}
	f := filter{names: slices.Concat(names...)}
	if params.WorkflowPrefix != nil {
		f.prefix = ofWorkflow + *params.WorkflowPrefix
	}
	return f
}

// name returns the name of the set of a label, if there is a label.
func name[T ~string](letter string, label *T) []string {
	if label == nil {
		return nil
	}
	return []string{letter + string(*label)}
}

func queryOf(params waits.ListWaitsParams) (q listQuery, err error) {
	q = listQuery{
		filter: filterOf(waits.CountWaitsParams{WorkflowID: params.WorkflowID, WorkflowPrefix: params.WorkflowPrefix, RunID: params.RunID, StateID: params.StateID, Tag: params.Tag}),
		order:  waits.Newest, from: math.MaxInt64, openedBefore: math.MaxInt64, expiresBefore: math.MaxInt64, limit: 1,
	}
	if params.Order != nil {
		q.order = *params.Order
	}
	if q.order != waits.Newest {
		q.from = 0
	}
	if params.Cursor != nil && (q.order != waits.Oldest || *params.Cursor != engine.AfterNow) {
		id := *params.Cursor
		if q.order == waits.Deadline {
			deadline, rest, ok := strings.Cut(id, "-")
			if !ok {
				return q, engine.ErrCursor // of another order
			}
			if q.after, err = store.ParsePosition(deadline); err != nil {
				return q, err
			}
			id = rest
		}
		if q.from, err = store.ParsePosition(id); err != nil {
			return q, err
		}
	}
	if params.Status != nil {
		q.status = store.StatusOf(*params.Status)
	}
	if params.OpenedBefore != nil {
		q.openedBefore = params.OpenedBefore.UnixMilli()
	}
	if params.ExpiresBefore != nil {
		q.expiresBefore = params.ExpiresBefore.UnixMilli()
	}
	if params.Limit != nil {
		q.limit = *params.Limit
	}
	return q, nil
}

// page collects waits.
type page struct {
	records []record
	next    string // the cursor of the last wait, if there may be more
}

// due returns the waits of the page that are past their deadline.
func (p *page) due(now int64) (due []record) {
	for _, r := range p.records {
		if r.isDue(now) {
			due = append(due, r)
		}
	}
	return due
}

// list reads a page.
func (e *Engine) list(c *conn, project int64, q listQuery, found *page) error {
	s, err := c.newSearch(project, q.filter, q.status)
	if err != nil {
		return err
	}
	bound := int64(math.MaxInt64) // of row ids
	if q.openedBefore != math.MaxInt64 {
		if bound, err = c.openedBound(q.openedBefore); err != nil {
			return err
		}
	}
	find := c.byOpening
	if q.order == waits.Deadline {
		find = c.byDeadline
	}
	places, stopped, err := find(s, q, bound)
	if err != nil {
		return err
	}
	size := 0
	for i, p := range places {
		if i == q.limit || size > store.PageBytes {
			found.next = q.cursor(places[i-1])
			return nil
		}
		r, ok, err := e.record(c, waitByRow, p.wait)
		if err != nil {
			return err
		}
		// Else it has changed since the fold.
		if ok && (q.status == store.AnyStatus || r.status == q.status) && r.wait.CreatedAt.UnixMilli() < q.openedBefore {
			found.records = append(found.records, r)
			size += r.size()
		}
	}
	if stopped != nil {
		found.next = q.cursor(*stopped)
	}
	return nil
}
