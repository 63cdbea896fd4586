package sqlite

import (
	"sync"

	"github.com/flowcallback/flowcallback/server/engine/store"
)

// An entry is a wait that was opened or left waiting after the last fold.
type entry struct {
	wait    int64
	project int64
	labels  *labels      // if it was opened since the fold
	opened  bool         // since the fold
	status  store.Status // as of now
	seq     int64        // its position in outcomes; 0 while waiting
}

// counts are numbers of waits by status.
type counts [store.Cancelled + 1]int64

// add adds what an entry changes since the fold.
func (c *counts) add(e entry) {
	if !e.opened {
		c[store.Waiting]--
	}
	c[e.status]++
}

// catalog has the entries of committed changes. It is bounded: when it is full, changes wait for
// the fold.
type catalog struct {
	mu      sync.RWMutex
	entries map[int64]entry
	limit   int   // of entries
	wait    int64 // the last wait that was opened
	seq     int64 // the last position in outcomes
	counts  counts

	foldedWait, foldedSeq int64 // wait and seq as of the last fold
}

// get returns the entry of a wait.
func (c *catalog) get(wait int64) (entry, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.entries[wait]
	return e, ok
}

// add adds the entries of a committed transaction, and returns how many there are.
func (c *catalog) add(t *tx) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range t.entries {
		c.entries[e.wait] = e
	}
	if t.removed != nil {
		c.remove(t)
	}
	c.wait, c.seq = t.wait, t.seq
	for s, by := range t.counts {
		c.counts[s] += by
	}
	return len(c.entries)
}

// isFull reports whether changes must wait for the fold.
func (c *catalog) isFull() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.entries) >= c.limit
}

// remove removes entries that were folded, unless they have changed since, and sets the marks of
// the fold. The caller holds the lock.
func (c *catalog) remove(t *tx) {
	for _, e := range t.removed {
		now := c.entries[e.wait]
		if now == e {
			delete(c.entries, e.wait)
			continue
		}
		now.opened, now.labels = false, nil
		c.entries[e.wait] = now
	}
	c.foldedWait, c.foldedSeq = t.foldedWait, t.foldedSeq
}

// marks returns the last wait that was opened, and the last position in outcomes.
func (c *catalog) marks() (opened, settled int64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.wait, c.seq
}

// isFolded reports whether the lists are up to date with the marks.
func (c *catalog) isFolded(opened, settled int64) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.foldedWait >= opened && c.foldedSeq >= settled
}

// foldedTo returns the last position in outcomes that is folded.
func (c *catalog) foldedTo() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.foldedSeq
}

// last returns the last position in outcomes.
func (c *catalog) last() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.seq
}
