package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	// replayFor limits how long a batch is tried again while the database is away.
	replayFor = patience - 2*time.Second
	// stuckAfter is how long a statement may take before its connection is given up, and stuckLimit how
	// long at most. A commit that waits for a standby goes on in the database, and keeps its
	// connection there, so the next attempts take longer and longer.
	stuckAfter = 30 * time.Second
	stuckLimit = 2 * time.Minute
	// closeAfter is how long a statement may take while the engine is closed.
	closeAfter = 5 * time.Second
)

// A writer commits the queued changes of one kind, each batch with one statement on a connection of
// its own. If the connection is lost, it tries the same batch again: the functions find
// out what the lost attempt has done.
type writer[T any] struct {
	engine *Engine
	queue  *store.Queue[T]
	run    func(ctx context.Context, c *pgx.Conn, batch []*store.Item[T]) ([]error, error)
	most   int           // changes of a batch
	stuck  time.Duration // how long the next statement may take; doubled after each that took longer

	conn *pgx.Conn
	raw  atomic.Pointer[net.Conn] // of conn

	alive  context.Context // until the writer gives up
	giveUp func()

	doubt atomic.Pointer[string] // the last warning of the connection
}

func newWriter[T any](e *Engine, most int, run func(context.Context, *pgx.Conn, []*store.Item[T]) ([]error, error)) *writer[T] {
	w := &writer[T]{engine: e, queue: store.NewQueue[T](), run: run, most: most, stuck: stuckAfter}
	w.queue.Patience = patience
	w.alive, w.giveUp = context.WithCancel(context.Background())
	w.queue.Slow.Begin() // callers always watch their contexts
	go w.loop()
	return w
}

// do commits a change (store.Queue.Do).
func (w *writer[T]) do(ctx context.Context, change T) error { return w.queue.Do(ctx, change) }

// close commits the queued changes and ends the goroutine. It does not wait long for a database that is
// silent.
func (w *writer[T]) close() {
	defer time.AfterFunc(closeAfter, func() {
		w.giveUp()
		if raw := w.raw.Load(); raw != nil {
			_ = (*raw).Close()
		}
	}).Stop()
	w.queue.Close()
}

func (w *writer[T]) loop() {
	defer w.queue.End()
	defer w.giveUp()
	defer w.disconnect()
	for {
		select {
		case first := <-w.queue.Items:
			w.commit(w.queue.Collect(first, w.most))
		case <-w.queue.Stop():
			first := w.queue.Next()
			if first == nil {
				return
			}
			w.commit(w.queue.Collect(first, w.most))
		}
	}
}

// commit commits a batch. If the database refuses it, the batch is split, so that only the change
// that is the cause fails.
func (w *writer[T]) commit(batch []*store.Item[T]) {
	if len(batch) == 0 {
		return
	}
	start := time.Now()
	answers, err := w.replay(batch)
	if err != nil && len(batch) > 1 && !isLost(err) && !isPassing(err) {
		w.commit(batch[:len(batch)/2])
		w.commit(batch[len(batch)/2:])
		return
	}
	if err == nil {
		w.engine.metrics.committed(len(batch), time.Since(start))
	}
	for i, item := range batch {
		if err != nil {
			item.Answer(explain(err))
		} else {
			item.Answer(answers[i])
		}
	}
}

// replay runs a batch, again if the attempt was lost.
func (w *writer[T]) replay(batch []*store.Item[T]) (answers []error, err error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 10*time.Millisecond, 500*time.Millisecond
	for start := time.Now(); ; {
		answers, err = w.attempt(batch)
		w.engine.outage.note(err)
		if err == nil || !isLost(err) && !isPassing(err) || errors.Is(err, errDoubt) || time.Since(start) > replayFor {
			return answers, err
		}
		select {
		case <-time.After(pauses.NextBackOff()):
		case <-w.queue.Stop():
			return nil, err
		}
	}
}

// errDoubt means that the change is committed, but may not be where it must be.
var errDoubt = fmt.Errorf("committed on one server only: %w", engine.ErrUnavailable)

// attempt runs a batch once. The statement has no caller's context: a caller that leaves must not
// cancel the changes of others.
func (w *writer[T]) attempt(batch []*store.Item[T]) (answers []error, err error) {
	if w.alive.Err() != nil {
		return nil, store.ErrClosed
	}
	if w.conn == nil {
		ctx, cancel := context.WithTimeout(w.alive, replayFor)
		defer cancel()
		conn, err := w.engine.location.connect(ctx, func(warning string) { w.doubt.Store(&warning) })
		if err != nil {
			return nil, err
		}
		w.conn = conn
	}
	w.doubt.Store(nil)
	raw := w.conn.PgConn().Conn()
	w.raw.Store(&raw)
	stuck := time.AfterFunc(w.stuck, func() { _ = raw.Close() })
	answers, err = w.run(context.Background(), w.conn, batch)
	if stuck.Stop() {
		w.stuck = stuckAfter
	} else {
		w.stuck = min(2*w.stuck, stuckLimit)
	}
	if err != nil && (isLost(err) || isPassing(err)) {
		w.disconnect()
	}
	// PostgreSQL reports a commit that its standby may not have as a success with a warning.
	if warning := w.doubt.Load(); err == nil && warning != nil {
		err = fmt.Errorf("%w: %s", errDoubt, *warning)
	}
	return answers, err
}

func (w *writer[T]) disconnect() {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.conn.Close(ctx) // it is lost, or has nothing to say
	w.conn = nil
}
