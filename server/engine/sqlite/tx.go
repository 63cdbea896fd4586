package sqlite

import (
	"errors"
	"fmt"

	"github.com/flowcallback/flowcallback/server/engine/store"
	"github.com/ncruces/go-sqlite3"
)

// tx is a running transaction. What it says of its changes counts after the commit.
type tx struct {
	*conn

	catalog *catalog
	age     *age
	seq     int64           // the last position in outcomes
	wait    int64           // the last wait that was opened
	entries map[int64]entry // changes of the catalog
	woken   []topic         // to publish
	counts  counts
	ended   counts // waits that left waiting

	removed               []entry // entries to remove from the catalog, which were folded
	foldedWait, foldedSeq int64   // the marks of the fold, with removed
}

// transact runs work in a transaction.
func (t *tx) transact(work func() error) error {
	if err := t.execute("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("%w: %w", errBegin, err)
	}
	err := work()
	if err == nil {
		if err = t.execute("COMMIT"); err == nil {
			return nil
		}
		err = fmt.Errorf("%w: %w", errCommit, err)
	}
	// After some failures SQLite has already rolled back, and this fails. Either way nothing
	// is left in memory.
	_ = t.execute("ROLLBACK")
	return err
}

// run runs the changes of a batch. It returns the answers, or the error of the first change
// that failed, and which it was.
func (t *tx) run(batch []*request) (answers []error, failed int, err error) {
	answers = make([]error, len(batch))
	for i, r := range batch {
		if answers[i] = r.Context.Err(); answers[i] != nil {
			continue
		}
		err := r.Change(t)
		if err != nil && !errors.As(err, new(store.Refusal)) {
			return nil, i, err
		}
		answers[i] = err
	}
	return answers, -1, nil
}

const (
	seqOfWait      = `SELECT substr(seqs, ?, 6) FROM ended WHERE chunk = ?`
	statusOfSettle = `SELECT status FROM outcomes WHERE project = ? AND seq = ?`
)

// entry returns the status and the position of a wait, in this transaction.
func (t *tx) entry(wait, project int64) (e entry, err error) {
	e, ok := t.entries[wait]
	if !ok {
		e, ok = t.catalog.get(wait)
	}
	if ok {
		return e, nil
	}
	return t.folded(wait, project)
}

// folded returns the status and the position of a wait without an entry in the catalog. The
// catalog must have been asked before.
func (c *conn) folded(wait, project int64) (entry, error) {
	e := entry{wait: wait, project: project, status: store.Waiting}
	err := c.query(seqOfWait, func(row *sqlite3.Stmt) error {
		e.seq = seqFrom(row.ColumnRawBlob(0))
		return nil
	}, wait%endedChunk*seqSize+1, wait/endedChunk)
	if err != nil || e.seq == 0 {
		return e, err
	}
	e.status = store.AnyStatus // forgotten, if there is no outcome
	err = c.query(statusOfSettle, func(row *sqlite3.Stmt) error {
		e.status = store.Status(row.ColumnInt(0))
		return nil
	}, project, e.seq)
	return e, err
}

// note stores an entry for the catalog.
func (t *tx) note(e entry) {
	if t.entries == nil {
		t.entries = map[int64]entry{}
	}
	t.entries[e.wait] = e
}
