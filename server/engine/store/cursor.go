package store

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flowcallback/flowcallback/server/engine"
)

// A cursor of the feed names a position and the epoch that the position belongs to. If a backup
// or a copy of the store comes to be used, the positions after it are given again, but in another
// epoch, so an old cursor is refused rather than answered with later outcomes.

// An Epoch is a part of the feed that one history of the store has written.
type Epoch struct {
	ID    string // empty: before there were epochs; cursors were positions alone
	First int64  // the last position before it
}

// NewEpochID returns a random id.
func NewEpochID() string { return strings.ToLower(rand.Text()[:16]) }

// Epochs are all epochs of a feed, oldest first.
type Epochs []Epoch

// Cursor returns the cursor of a position.
func (e Epochs) Cursor(position int64) string {
	i, _ := slices.BinarySearchFunc(e, position, func(epoch Epoch, position int64) int {
		if epoch.First < position {
			return -1
		}
		return 1
	})
	epoch := e[max(0, i-1)] // the last one that began before the position
	if epoch.ID == "" {
		return strconv.FormatInt(position, 10)
	}
	return strconv.FormatInt(position, 10) + "-" + epoch.ID
}

// Position returns the position of a cursor, if the store has its history; last is the last
// position of the feed.
func (e Epochs) Position(cursor string, last int64) (int64, error) {
	text, id, _ := strings.Cut(cursor, "-")
	position, err := ParsePosition(text)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(e, func(epoch Epoch) bool { return epoch.ID == id })
	end := last
	if i >= 0 && i+1 < len(e) {
		end = e[i+1].First
	}
	if i < 0 || position < e[i].First || position > end {
		return 0, fmt.Errorf("cursor %s: %w", cursor, engine.ErrCursorForeign)
	}
	return position, nil
}

// ParsePosition parses a number as FormatInt writes it.
func ParsePosition(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, engine.ErrCursor
	}
	return n, nil
}
