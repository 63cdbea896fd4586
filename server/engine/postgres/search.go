package postgres

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/store"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// window is the number of places that a search reads at once, and windows how often it does so
	// for a page.
	window  = 1000
	windows = 10
	// prefixLimit is the number of workflows with a prefix that a search reads one by one.
	prefixLimit = 200
)

// A source lists places of waits, in an order of its index.
type source struct {
	table, id, deadline string // the table and its columns
	where               string // of the label; $4
	label               any
}

// sources returns what lists the waits of a filter, the one with the fewest waits first, as a rule.
func (f *filter) sources(workflows [][]byte) (all []source) {
	const table = "flowcallback.waits"
	add := func(label []byte, column, value string) {
		if label != nil {
			all = append(all, source{table, "x.id", "x.expires_at", column + " = " + value, label})
		}
	}
	add(f.state, "sha256(x.state_id)", "sha256($4)")
	add(f.run, "sha256(x.run_id)", "sha256($4)")
	if f.tag != nil {
		all = append(all, source{"flowcallback.tags", "x.wait", "", "x.tag = $4", f.tag})
	}
	if f.status == store.Waiting {
		all = append(all, source{"flowcallback.pending", "x.wait", "x.deadline", "$4::boolean", true})
	}
	add(f.workflow, "x.workflow_id", "$4")
	if f.status != store.Waiting && f.status != store.AnyStatus {
		all = append(all, source{"flowcallback.outcomes", "x.wait", "", "x.status = $4", int16(f.status)})
	}
	if len(workflows) > 0 {
		all = append(all, source{"each", "x.id", "", "", workflows})
	}
	return append(all, source{table, "x.id", "x.expires_at", "$4::boolean", true})
}

// statement returns the statement that lists the next places of a source: project $1, after the place
// $2 (and $5), at most $3.
func (s source) statement(order waits.Order) string {
	switch {
	case order == waits.Deadline:
		return fmt.Sprintf(`SELECT %[1]s, %[2]s FROM %[3]s x WHERE x.project = $1 AND %[4]s AND (%[2]s, %[1]s) > ($5::timestamptz, $2::bigint) ORDER BY %[2]s, %[1]s LIMIT $3`, s.id, s.deadline, s.table, s.where)
	case s.table == "each":
		compare, direction := "<", "DESC"
		if order == waits.Oldest {
			compare, direction = ">", ""
		}
		return fmt.Sprintf(`SELECT y.id, $5::timestamptz FROM unnest($4::bytea[]) AS w (id) CROSS JOIN LATERAL (
  SELECT x.id FROM flowcallback.waits x WHERE x.project = $1 AND x.workflow_id = w.id AND x.id %[1]s $2 ORDER BY x.id %[2]s LIMIT $3) y ORDER BY y.id %[2]s LIMIT $3`, compare, direction)
	case order == waits.Oldest:
		return fmt.Sprintf(`SELECT %[1]s, $5::timestamptz FROM %[2]s x WHERE x.project = $1 AND %[3]s AND %[1]s > $2 ORDER BY %[1]s LIMIT $3`, s.id, s.table, s.where)
	default:
		return fmt.Sprintf(`SELECT %[1]s, $5::timestamptz FROM %[2]s x WHERE x.project = $1 AND %[3]s AND %[1]s < $2 ORDER BY %[1]s DESC LIMIT $3`, s.id, s.table, s.where)
	}
}

const (
	newestOf      = `SELECT coalesce(max(id), 0) FROM flowcallback.waits WHERE project = $1`
	newestOfNamed = `SELECT coalesce(max(w.id), 0) FROM flowcallback.waits w JOIN flowcallback.projects p ON p.id = w.project WHERE p.name = $1`
	projectOf     = `SELECT id FROM flowcallback.projects WHERE name = $1`
	// The workflows with a prefix, one by one by the index.
	workflowsWith = `
WITH RECURSIVE next AS (
  (SELECT workflow_id, 1 AS n FROM flowcallback.waits WHERE project = $1 AND workflow_id >= $2 ORDER BY workflow_id LIMIT 1)
  UNION ALL
  SELECT (SELECT w.workflow_id FROM flowcallback.waits w WHERE w.project = $1 AND w.workflow_id > x.workflow_id ORDER BY w.workflow_id LIMIT 1), x.n + 1
  FROM next x WHERE substring(x.workflow_id FROM 1 FOR octet_length($2)) = $2 AND x.n <= $3
)
SELECT workflow_id FROM next WHERE substring(workflow_id FROM 1 FOR octet_length($2)) = $2`

	// Those of some waits that pass a filter.
	passing = `
SELECT w.id, w.expires_at, coalesce(octet_length(w.input), 0) + coalesce(octet_length(w.output_schema), 0) + coalesce(octet_length(o.output), 0), coalesce(o.status, 1)
FROM unnest($2::bigint[]) WITH ORDINALITY AS x (id, n) JOIN flowcallback.waits w ON w.id = x.id AND w.project = $1
LEFT JOIN LATERAL (SELECT * FROM flowcallback.outcomes o WHERE o.project = w.project AND o.status IN (2, 3, 4, 5) AND o.wait = w.id LIMIT 1) o ON true
WHERE ($3::smallint = 0 OR coalesce(o.status, 1) = $3::smallint)
  AND ($4::bytea IS NULL OR w.workflow_id = $4) AND ($5::bytea IS NULL OR substring(w.workflow_id FROM 1 FOR octet_length($5)) = $5)
  AND ($6::bytea IS NULL OR w.run_id = $6) AND ($7::bytea IS NULL OR w.state_id = $7)
  AND ($8::bytea IS NULL OR EXISTS (SELECT FROM flowcallback.tags t WHERE t.project = w.project AND t.tag = $8 AND t.wait = w.id))
  AND ($9::timestamptz IS NULL OR w.created_at < $9) AND ($10::timestamptz IS NULL OR w.expires_at < $10)
ORDER BY x.n`
	openedAt   = `SELECT flowcallback.opened_at($1, $2)`
	deadlineOf = `SELECT w.id, w.expires_at FROM flowcallback.waits w WHERE w.project = $1 AND w.id = ANY ($2) AND (w.expires_at, w.id) > ($3::timestamptz, $4::bigint) ORDER BY w.expires_at, w.id`
)

// passed is a wait that passes a filter.
type passed struct {
	place

	size   int
	status store.Status
}

// search returns the places of a page. stopped is where it stopped, if there may be more.
func (e *Engine) search(ctx context.Context, projectID string, q listQuery) (found []place, stopped *place, err error) {
	size, full := 0, false
	begin := func() { found, size, full = nil, 0, false }
	stopped, err = e.walk(ctx, projectID, q, begin, func(p passed) bool {
		if len(found) == q.limit || size > store.PageBytes {
			full = true
			return false
		}
		found, size = append(found, p.place), size+p.size
		return true
	})
	if full {
		stopped = &found[len(found)-1]
	}
	return found, stopped, err
}

// walk calls visit with the waits of a query, in its order, until visit returns false. It calls begin
// first, again if it begins again on another connection. stopped is where it stopped because it has read
// enough; nil if it has read all.
func (e *Engine) walk(ctx context.Context, projectID string, q listQuery, begin func(), visit func(passed) bool) (stopped *place, err error) {
	err = e.read(ctx, projectID, func(ctx context.Context, c *pgxpool.Conn) error {
		begin()
		s := searcher{ctx: ctx, c: c, query: q, from: q.from}
		err := c.QueryRow(ctx, projectOf, []byte(projectID)).Scan(&s.project)
		if err == pgx.ErrNoRows { //nolint:errorlint // as pgx returns it
			return nil
		}
		if err == nil {
			err = s.begin()
		}
		stopped = nil
		for n := 0; err == nil; n++ {
			if n == windows {
				stopped = &s.from
				return nil
			}
			var places []place
			var isAll bool
			if places, isAll, err = s.next(); err != nil {
				return err
			}
			if q.prefix != nil && q.order == waits.Oldest {
				// A wait of a workflow that is newer than the list of workflows comes next time.
				if i := slices.IndexFunc(places, func(p place) bool { return p.wait > s.newest }); i >= 0 {
					places, isAll = places[:i], true
				}
			}
			var all []passed
			if all, err = s.filter(places); err != nil {
				return err
			}
			for _, p := range all {
				if !visit(p) {
					return nil
				}
			}
			if isAll {
				return nil
			}
			s.from = places[len(places)-1]
		}
		return err
	})
	return stopped, err
}

// searcher finds the places of a query.
type searcher struct {
	ctx     context.Context
	c       *pgxpool.Conn
	project int64
	query   listQuery
	from    place
	sources []source
	hasMany bool  // waits of each label; found out in the order of deadlines
	newest  int64 // the row of the newest wait, before the workflows with a prefix were read
}

// begin finds out what to read.
func (s *searcher) begin() error {
	q := &s.query
	var workflows [][]byte
	if q.prefix != nil {
		if err := s.c.QueryRow(s.ctx, newestOf, s.project).Scan(&s.newest); err != nil {
			return err
		}
		rows, err := s.c.Query(s.ctx, workflowsWith, s.project, q.prefix, prefixLimit)
		if err == nil {
			workflows, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
		}
		if err != nil {
			return err
		}
		if len(workflows) > prefixLimit {
			workflows = nil
		}
	}
	if q.openedBefore != nil && q.order == waits.Newest && q.from.wait == math.MaxInt64 {
		if err := s.c.QueryRow(s.ctx, openedAt, s.project, q.openedBefore).Scan(&s.from.wait); err != nil {
			return err
		}
	}
	s.sources = q.sources(workflows)
	return nil
}

// next returns the next places. isAll means that there are no further ones. It reads the first source
// that has few; if none has, the first of all.
func (s *searcher) next() (places []place, isAll bool, err error) {
	order := s.query.order
	if order == waits.Deadline {
		return s.nextByDeadline()
	}
	var first []place
	for i, source := range s.sources {
		if i == len(s.sources)-1 && i > 0 {
			break // the list of all waits has not fewer
		}
		places, err = s.places(source, order)
		if err != nil || len(places) < window {
			return places, true, err
		}
		if i == 0 {
			first = places
		}
	}
	s.sources = s.sources[:1]
	return first, false, nil
}

// nextByDeadline returns the next places in the order of deadlines. If one of the labels has few waits,
// it sorts those; else it walks an index of deadlines.
func (s *searcher) nextByDeadline() (places []place, isAll bool, err error) {
	walked := s.sources[len(s.sources)-1]
	for _, source := range s.sources[:len(s.sources)-1] {
		if source.table == "flowcallback.pending" {
			walked = source
			continue
		}
		if s.hasMany {
			continue
		}
		all, err := s.placesAfter(source, waits.Oldest, place{})
		if err != nil {
			return nil, false, err
		}
		if len(all) < window {
			places, err := s.sorted(all)
			return places, true, err
		}
	}
	s.hasMany = true
	places, err = s.places(walked, waits.Deadline)
	return places, len(places) < window, err
}

// sorted returns places after where the page begins, in the order of deadlines.
func (s *searcher) sorted(all []place) ([]place, error) {
	rows := make([]int64, len(all))
	for i, p := range all {
		rows[i] = p.wait
	}
	found, err := s.c.Query(s.ctx, deadlineOf, s.project, rows, s.from.deadline, s.from.wait)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, scanPlace)
}

func (s *searcher) places(of source, order waits.Order) ([]place, error) {
	return s.placesAfter(of, order, s.from)
}

func (s *searcher) placesAfter(of source, order waits.Order, from place) ([]place, error) {
	rows, err := s.c.Query(s.ctx, of.statement(order), s.project, from.wait, window, of.label, from.deadline)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanPlace)
}

func scanPlace(row pgx.CollectableRow) (p place, err error) {
	err = row.Scan(&p.wait, &p.deadline)
	return p, err
}

// filter returns those of some places that pass the filter.
func (s *searcher) filter(places []place) ([]passed, error) {
	if len(places) == 0 {
		return nil, nil
	}
	ids := make([]int64, len(places))
	for i, p := range places {
		ids[i] = p.wait
	}
	f := s.query.filter
	rows, err := s.c.Query(s.ctx, passing, s.project, ids, int16(f.status), f.workflow, f.prefix, f.run, f.state, f.tag, f.openedBefore, f.expiresBefore)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p passed, err error) {
		err = row.Scan(&p.wait, &p.deadline, &p.size, &p.status)
		return p, err
	})
}
