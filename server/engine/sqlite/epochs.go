package sqlite

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/server/engine"
)

// A cursor of the feed names a position in outcomes and the epoch that the position belongs to.
// Each start of a server begins an epoch, with a random id. If a backup or a copy of the file
// comes to be used, the positions after it are given again, but in another epoch, so an old
// cursor is refused rather than answered with later outcomes.

// An epoch is the part of outcomes that one run of a server has written.
type epoch struct {
	id    string // empty: before there were epochs; cursors were positions alone
	first int64  // the last position before it
}

// epochs are all epochs of a file, oldest first.
type epochs []epoch

const (
	allEpochs   = `SELECT id, first FROM epochs ORDER BY n`
	appendEpoch = `INSERT INTO epochs (id, first) VALUES (?, ?)`
	// No cursor names an epoch without positions, except the first.
	dropEmptyEpoch = `DELETE FROM epochs WHERE first = ? AND n > (SELECT min(n) FROM epochs)`
)

// beginEpoch begins an epoch after the last position, and returns all of them.
func beginEpoch(c *conn, last int64) (epochs, error) {
	if err := c.execute(dropEmptyEpoch, last); err != nil {
		return nil, err
	}
	if err := c.execute(appendEpoch, strings.ToLower(rand.Text()[:16]), last); err != nil {
		return nil, err
	}
	var all epochs
	err := c.query(allEpochs, func(row *sqlite3.Stmt) error {
		all = append(all, epoch{row.ColumnText(0), row.ColumnInt64(1)})
		return nil
	})
	return all, err
}

// cursor returns the cursor of a position.
func (e epochs) cursor(position int64) string {
	i, _ := slices.BinarySearchFunc(e, position, func(epoch epoch, position int64) int {
		if epoch.first < position {
			return -1
		}
		return 1
	})
	epoch := e[max(0, i-1)] // the last one that began before the position
	if epoch.id == "" {
		return strconv.FormatInt(position, 10)
	}
	return strconv.FormatInt(position, 10) + "-" + epoch.id
}

// position returns the position of a cursor, if the file has its history; last is the last
// position in outcomes.
func (e epochs) position(cursor string, last int64) (int64, error) {
	text, id, _ := strings.Cut(cursor, "-")
	position, err := parsePosition(text)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(e, func(epoch epoch) bool { return epoch.id == id })
	end := last
	if i >= 0 && i+1 < len(e) {
		end = e[i+1].first
	}
	if i < 0 || position < e[i].first || position > end {
		return 0, fmt.Errorf("cursor %s: %w", cursor, engine.ErrCursorForeign)
	}
	return position, nil
}

// parsePosition parses a number as FormatInt writes it.
func parsePosition(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, engine.ErrCursor
	}
	return n, nil
}
