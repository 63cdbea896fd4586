package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/flowcallback/flowcallback/server/engine/store"
	"github.com/ncruces/go-sqlite3"
)

const (
	// foldAt is the number of entries at which a fold begins, and catalogLimit the number at
	// which changes wait for it. A fold of many entries costs little for each.
	foldAt       = 10_000
	catalogLimit = 4 * foldAt
	// foldInterval is the time between folds of fewer entries.
	foldInterval = 5 * time.Second
	// foldPause is the least time between folds that lists ask for.
	foldPause = 50 * time.Millisecond
	// foldAmong is the number of rows that a transaction folds among the changes of callers, and
	// foldAlone while changes wait for the fold.
	foldAmong, foldAlone = 64, 1024
)

const (
	selectSeqs  = `SELECT seqs FROM ended WHERE chunk = ?`
	replaceSeqs = `INSERT OR REPLACE INTO ended (chunk, seqs) VALUES (?, ?)`
	deleteSeqs  = `DELETE FROM ended WHERE chunk = ?`

	selectBits  = `SELECT waits FROM lists WHERE project = ? AND name = ? AND status = ? AND chunk = ?`
	replaceBits = `INSERT OR REPLACE INTO lists (project, name, status, chunk, waits) VALUES (?, ?, ?, ?, ?)`
	deleteBits  = `DELETE FROM lists WHERE project = ? AND name = ? AND status = ? AND chunk = ?`

	storeMarks = `UPDATE state SET opened = ?, settled = ?`
	storeCount = `INSERT INTO counts (status, waits) VALUES (?, ?) ON CONFLICT (status) DO UPDATE SET waits = waits + excluded.waits`
)

// fold brings ended and lists up to date with what was committed before the call. It works in
// small steps, in the order of the rows; what a crash leaves half done is done again after the
// start, which changes nothing.
func (e *Engine) fold(ctx context.Context) error {
	if err := e.lockFolding(ctx); err != nil {
		return err
	}
	defer e.unlockFolding()
	return e.foldLocked(ctx)
}

// lockFolding waits until no other fold runs, or returns ctx.Err() if ctx ends first.
func (e *Engine) lockFolding(ctx context.Context) error {
	select {
	case e.folding <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Engine) unlockFolding() { <-e.folding }

// foldFresh folds what was committed before the call, if anything. Of calls that come at once,
// one folds for all, and there is a pause between folds, so that many small ones do not take
// the writer from callbacks.
func (e *Engine) foldFresh(ctx context.Context) error {
	c := e.catalog
	opened, settled := c.marks()
	if c.isFolded(opened, settled) {
		return nil
	}
	if err := e.lockFolding(ctx); err != nil {
		return err
	}
	defer e.unlockFolding()
	if c.isFolded(opened, settled) {
		return nil
	}
	if err := rest(ctx, time.Until(e.folded.Add(foldPause))); err != nil {
		return err
	}
	return e.foldLocked(ctx)
}

// foldTimes sends when it is time for a fold: at intervals, and when there are many entries.
func (e *Engine) foldTimes(ctx context.Context) <-chan time.Time {
	times := make(chan time.Time)
	go func() {
		ticker := time.NewTicker(foldInterval)
		defer ticker.Stop()
		for {
			var now time.Time
			select {
			case now = <-ticker.C:
			case <-e.writer.many:
			case <-ctx.Done():
				return
			}
			select {
			case times <- now:
			case <-ctx.Done():
				return
			}
		}
	}()
	return times
}

// foldLocked is fold for the holder of the lock. It remembers a failure until a fold succeeds.
func (e *Engine) foldLocked(ctx context.Context) error {
	err := e.foldAll(ctx)
	switch {
	case err == nil:
		e.writer.foldFailed.Store(nil)
	case ctx.Err() == nil:
		e.writer.foldFailed.Store(&err)
	}
	return err
}

func (e *Engine) foldAll(ctx context.Context) error {
	do := func(step change) error { return e.writer.step(ctx, step) }
	c := e.catalog
	c.mu.RLock()
	entries := make([]entry, 0, len(c.entries))
	for _, entry := range c.entries {
		entries = append(entries, entry)
	}
	opened, settled := c.wait, c.seq
	c.mu.RUnlock()
	if len(entries) == 0 {
		return nil
	}
	var edits edits
	var changed counts
	for _, entry := range entries {
		edits.fold(entry)
		changed.add(entry)
	}
	if err := edits.apply(e.foldStep, do); err != nil {
		return err
	}
	err := do(func(t *tx) error {
		if err := t.storeCounts(changed); err != nil {
			return err
		}
		// The writer removes the entries with the commit: a change that finds one later would
		// put it back.
		t.removed, t.foldedWait, t.foldedSeq = entries, opened, settled
		if err := t.storeAge(t.age); err != nil {
			return err
		}
		return t.execute(storeMarks, opened, settled)
	})
	if err == nil {
		e.folded = time.Now()
	}
	return err
}

// foldStep returns the number of rows for the next transaction of a fold.
func (e *Engine) foldStep() int {
	if e.catalog.isFull() {
		return foldAlone
	}
	return foldAmong
}

// A list names a row of the table lists.
type list struct {
	project int64
	name    string
	status  store.Status
	chunk   int64
}

func compareLists(a, b list) int {
	return cmp.Or(cmp.Compare(a.project, b.project), cmp.Compare(a.name, b.name), cmp.Compare(a.status, b.status), cmp.Compare(a.chunk, b.chunk))
}

// edits are changes of the rows of ended and lists. They may be applied again.
type edits struct {
	seqs map[int64]map[int64]int64 // by chunk and wait
	bits map[list]map[int64]bool   // by wait: whether it is in the list
}

// fold adds what follows from an entry.
func (e *edits) fold(x entry) {
	if x.opened {
		e.bit(x.project, "", store.AnyStatus, x.wait, true)
		e.named(x, true)
	}
	e.bit(x.project, "", x.status, x.wait, true)
	if x.status != store.Waiting {
		e.bit(x.project, "", store.Waiting, x.wait, false)
	}
	if x.seq != 0 {
		e.seq(x.wait, x.seq)
	}
}

// forget adds what takes a wait that left waiting out of the lists.
func (e *edits) forget(x entry) {
	e.bit(x.project, "", store.AnyStatus, x.wait, false)
	e.bit(x.project, "", x.status, x.wait, false)
	e.named(x, false)
}

// named adds the lists that the wait is in by its ids and tags.
func (e *edits) named(x entry, is bool) {
	for _, name := range x.labels.names() {
		e.bit(x.project, name, store.AnyStatus, x.wait, is)
	}
}

func (e *edits) bit(project int64, name string, s store.Status, wait int64, is bool) {
	if e.bits == nil {
		e.bits = map[list]map[int64]bool{}
	}
	l := list{project, name, s, wait / listChunk}
	if e.bits[l] == nil {
		e.bits[l] = map[int64]bool{}
	}
	e.bits[l][wait] = is
}

func (e *edits) seq(wait, seq int64) {
	if e.seqs == nil {
		e.seqs = map[int64]map[int64]int64{}
	}
	chunk := wait / endedChunk
	if e.seqs[chunk] == nil {
		e.seqs[chunk] = map[int64]int64{}
	}
	e.seqs[chunk][wait] = seq
}

// apply applies the edits in the order of the rows, some in each transaction.
func (e *edits) apply(step func() int, do func(change) error) error {
	chunks := make([]int64, 0, len(e.seqs))
	for chunk := range e.seqs {
		chunks = append(chunks, chunk)
	}
	slices.Sort(chunks)
	err := forEach(do, step, chunks, func(t *tx, chunk int64) error { return t.editSeqs(chunk, e.seqs[chunk]) })
	if err != nil {
		return err
	}
	lists := make([]list, 0, len(e.bits))
	for l := range e.bits {
		lists = append(lists, l)
	}
	slices.SortFunc(lists, compareLists)
	return forEach(do, step, lists, func(t *tx, l list) error { return t.editBits(l, e.bits[l]) })
}

// editSeqs stores positions in a row of ended, and deletes a row without any.
func (t *tx) editSeqs(chunk int64, edits map[int64]int64) error {
	data := make([]byte, endedChunk*seqSize)
	err := t.query(selectSeqs, func(row *sqlite3.Stmt) error {
		copy(data, row.ColumnRawBlob(0))
		return nil
	}, chunk)
	if err != nil {
		return err
	}
	for wait, seq := range edits {
		putSeq(data[wait%endedChunk*seqSize:], seq)
	}
	if isZero(data) {
		return t.execute(deleteSeqs, chunk)
	}
	return t.execute(replaceSeqs, chunk, data)
}

// editBits sets and clears bits in a row of lists, and deletes a row without any.
func (t *tx) editBits(l list, edits map[int64]bool) error {
	data := make([]byte, listChunk/8)
	err := t.query(selectBits, func(row *sqlite3.Stmt) error {
		unpackBits(data, row.ColumnRawBlob(0))
		return nil
	}, l.project, l.name, l.status, l.chunk)
	if err != nil {
		return err
	}
	for wait, is := range edits {
		bit := wait % listChunk
		data[bit/8] &^= 1 << (bit % 8)
		if is {
			data[bit/8] |= 1 << (bit % 8)
		}
	}
	if isZero(data) {
		return t.execute(deleteBits, l.project, l.name, l.status, l.chunk)
	}
	return t.execute(replaceBits, l.project, l.name, l.status, l.chunk, packBits(data))
}

// storeCounts adds to the stored counts.
func (t *tx) storeCounts(changed counts) error {
	for s, by := range changed {
		if by == 0 {
			continue
		}
		if err := t.execute(storeCount, s, by); err != nil {
			return err
		}
	}
	return nil
}
