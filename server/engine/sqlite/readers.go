package sqlite

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/flowcallback/flowcallback/server/engine/store"
)

// readers are the connections that read. They see only commits. Each belongs to a goroutine
// of its own: SQLite needs a deep stack, and the goroutine of a long-poll that ran it once
// would keep that stack.
type readers struct {
	path    string
	conns   []*conn
	jobs    chan job
	stop    chan struct{}
	running sync.WaitGroup
	turns   *store.Turns
}

// job is a read for a caller.
type job struct {
	ctx  context.Context
	do   func(*conn) error
	done chan error // buffered: a reader never waits for a caller
}

// openReaders opens n connections.
func openReaders(path string, busy time.Duration, n int) (*readers, error) {
	r := &readers{path: path, jobs: make(chan job), stop: make(chan struct{}), turns: store.NewTurns(n)}
	for range n {
		c, err := connect(path, busy, "query_only = 1")
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.conns = append(r.conns, c)
		r.running.Go(func() { r.serve(c) })
	}
	return r, nil
}

// readerCount is the number of connections for callers.
func readerCount() int { return max(4, runtime.NumCPU()) }

func (r *readers) serve(c *conn) {
	for {
		select {
		case j := <-r.jobs:
			c.SetInterrupt(j.ctx)
			j.done <- j.do(c)
			c.SetInterrupt(context.Background())
		case <-r.stop:
			return
		}
	}
}

// close waits for running reads and closes the connections.
func (r *readers) close() error {
	close(r.stop)
	r.running.Wait()
	var failures []error
	for _, c := range r.conns {
		failures = append(failures, c.Close())
	}
	return errors.Join(failures...)
}

// read runs do with a connection, for a project, which gets at most all connections but one.
// It returns ctx.Err() if ctx ends first. do may run several statements, each of which sees
// the commits before it.
func (r *readers) read(ctx context.Context, project string, do func(*conn) error) error {
	leave, err := r.turns.Enter(ctx, project, r.stop)
	if err != nil {
		return err
	}
	defer leave()
	j := job{ctx, do, make(chan error, 1)}
	select {
	case r.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stop:
		return store.ErrClosed
	}
	err = <-j.done
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return explain(r.path, err)
	}
}
