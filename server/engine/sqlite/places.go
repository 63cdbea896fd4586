package sqlite

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/ncruces/go-sqlite3"
)

const (
	// maxRead limits the waits whose deadlines a request looks at one by one. What it has then
	// is a short page.
	maxRead = 4096
	// maxIndex limits the entries of the index of deadlines that a request walks.
	maxIndex = 20_000
)

const (
	deadlineOf     = `SELECT expires_at FROM waits WHERE id = ?`
	deadlinesAfter = `SELECT expires_at, id FROM waits WHERE project = ? AND (expires_at, id) > (?, ?) ORDER BY expires_at, id`
	openedFrom     = `SELECT id, created_at FROM waits WHERE id >= ? ORDER BY id LIMIT 1`
)

// place is a wait of a list.
type place struct{ wait, expiresAt int64 }

// cursor returns the cursor after a place.
func (q *listQuery) cursor(p place) string {
	id := strconv.FormatInt(p.wait, 10)
	if q.order == waits.Deadline {
		return strconv.FormatInt(p.expiresAt, 10) + "-" + id
	}
	return id
}

// openedBound returns a row id that all waits that were opened before an instant are below. Waits
// are opened in the order of the ids.
func (c *conn) openedBound(before int64) (int64, error) {
	low, high := int64(1), int64(math.MaxInt64) // the bound is in between
	for low < high {
		middle := low + (high-low)/2
		id, createdAt := int64(math.MaxInt64), int64(math.MaxInt64)
		err := c.query(openedFrom, func(row *sqlite3.Stmt) error {
			id, createdAt = row.ColumnInt64(0), row.ColumnInt64(1)
			return nil
		}, middle)
		switch {
		case err != nil:
			return 0, err
		case createdAt < before:
			low = id + 1
		default:
			high = middle
		}
	}
	return low, nil
}

// byOpening returns the places of a page and one more, in the order of opening. stopped is where
// it stopped if that took too long.
func (c *conn) byOpening(s *search, q listQuery, bound int64) (places []place, stopped *place, err error) {
	oldest := q.order == waits.Oldest
	from := q.from + 1
	if !oldest {
		from = min(q.from, bound) - 1
	}
	read := 0
	err = s.walk(from, !oldest, func(wait int64) error {
		if wait >= bound { // from the oldest on
			return errStop
		}
		p := place{wait: wait}
		if q.expiresBefore != math.MaxInt64 {
			read++
			if p.expiresAt, err = c.deadline(wait); err != nil {
				return err
			}
			if p.expiresAt < q.expiresBefore {
				places = append(places, p)
			}
			if read == maxRead {
				stopped = &p
				return errStop
			}
		} else {
			places = append(places, p)
		}
		if len(places) > q.limit {
			return errStop
		}
		return nil
	})
	return places, stopped, err
}

func (c *conn) deadline(wait int64) (expiresAt int64, err error) {
	err = c.query(deadlineOf, func(row *sqlite3.Stmt) error {
		expiresAt = row.ColumnInt64(0)
		return nil
	}, wait)
	return expiresAt, err
}

// byDeadline returns the places of a page and one more, the nearest deadline first. Of few waits
// it reads all deadlines; of many it walks the index, where a page is soon full.
func (c *conn) byDeadline(s *search, q listQuery, bound int64) (places []place, stopped *place, err error) {
	var few []int64
	err = s.walk(0, false, func(wait int64) error {
		if few = append(few, wait); len(few) > maxRead || wait >= bound {
			return errStop
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if len(few) > maxRead {
		return c.byIndex(s, q, bound)
	}
	for _, wait := range few {
		expiresAt, err := c.deadline(wait)
		if err != nil {
			return nil, nil, err
		}
		if wait < bound && q.isAfter(place{wait, expiresAt}) {
			places = append(places, place{wait, expiresAt})
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.expiresAt, b.expiresAt), cmp.Compare(a.wait, b.wait))
	})
	return places[:min(len(places), q.limit+1)], nil, nil
}

// isAfter reports whether a place is after the cursor and before the end, in the order of
// deadlines.
func (q *listQuery) isAfter(p place) bool {
	return p.expiresAt < q.expiresBefore && (p.expiresAt > q.after || p.expiresAt == q.after && p.wait > q.from)
}

func (c *conn) byIndex(s *search, q listQuery, bound int64) (places []place, stopped *place, err error) {
	walked := 0
	err = c.query(deadlinesAfter, func(row *sqlite3.Stmt) error {
		p := place{row.ColumnInt64(1), row.ColumnInt64(0)}
		if p.expiresAt >= q.expiresBefore {
			return errStop
		}
		has, err := s.has(p.wait)
		if err != nil {
			return err
		}
		if has && p.wait < bound {
			places = append(places, p)
		}
		if walked++; walked == maxIndex {
			stopped = &p
		}
		if len(places) > q.limit || stopped != nil {
			return errStop
		}
		return nil
	}, s.project, q.after, q.from)
	return places, stopped, err
}
