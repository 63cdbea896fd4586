package store

import (
	"context"
	"sync"
)

// Turns share connections among projects: one project gets all of them but one, so
// that the reads of one cannot shut out another.
type Turns struct {
	most int // reads of one project at once

	mu   sync.Mutex
	busy map[string]chan struct{} // by project: a place for each of its reads that may run
	use  map[string]int           // by project: reads that run or wait
}

// NewTurns returns turns for a number of connections.
func NewTurns(connections int) *Turns {
	return &Turns{most: max(1, connections-1), busy: map[string]chan struct{}{}, use: map[string]int{}}
}

// Enter waits until the project may use another connection. It returns ctx.Err() if ctx ends first,
// or ErrClosed after closed is closed.
func (t *Turns) Enter(ctx context.Context, project string, closed <-chan struct{}) (leave func(), err error) {
	t.mu.Lock()
	places := t.busy[project]
	if places == nil {
		places = make(chan struct{}, t.most)
		t.busy[project] = places
	}
	t.use[project]++
	t.mu.Unlock()
	forget := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.use[project]--; t.use[project] == 0 {
			delete(t.use, project)
			delete(t.busy, project)
		}
	}
	select {
	case places <- struct{}{}:
		return func() { <-places; forget() }, nil
	case <-ctx.Done():
		forget()
		return nil, ctx.Err()
	case <-closed:
		forget()
		return nil, ErrClosed
	}
}
