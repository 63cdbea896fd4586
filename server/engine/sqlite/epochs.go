package sqlite

import (
	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/server/engine/store"
)

// Each start of a server begins an epoch of the feed, with a random id (store.Epochs).
const (
	allEpochs   = `SELECT id, first FROM epochs ORDER BY n`
	appendEpoch = `INSERT INTO epochs (id, first) VALUES (?, ?)`
	// No cursor names an epoch without positions, except the first.
	dropEmptyEpoch = `DELETE FROM epochs WHERE first = ? AND n > (SELECT min(n) FROM epochs)`
)

// beginEpoch begins an epoch after the last position, and returns all of them.
func beginEpoch(c *conn, last int64) (store.Epochs, error) {
	if err := c.execute(dropEmptyEpoch, last); err != nil {
		return nil, err
	}
	if err := c.execute(appendEpoch, store.NewEpochID(), last); err != nil {
		return nil, err
	}
	var all store.Epochs
	err := c.query(allEpochs, func(row *sqlite3.Stmt) error {
		all = append(all, store.Epoch{ID: row.ColumnText(0), First: row.ColumnInt64(1)})
		return nil
	})
	return all, err
}
