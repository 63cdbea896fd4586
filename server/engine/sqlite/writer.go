package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

// slowCommit is the time of a commit after which callers watch their contexts.
const slowCommit = 10 * time.Millisecond

// A request is a change that a caller has queued.
type request = store.Item[change]

// A change is the part of a transaction that serves one caller. It may run twice, because a
// transaction may be rolled back and its changes run again. If it returns a refusal, that is
// the caller's answer, and the transaction continues. Any other error rolls it back.
type change func(*tx) error

// writer is the only goroutine that writes. It takes the queued changes, commits them in one
// transaction and answers each.
type writer struct {
	path  string
	conn  *conn
	hub   *store.Hub[topic]
	queue *store.Queue[change]
	steps chan *request // of the fold
	alone chan func()   // work outside of transactions
	many  chan struct{} // receives when the catalog has many entries

	committed func(changes int, took time.Duration)
	ended     func(counts *counts)

	watchdog *time.Timer // of a commit that takes long

	catalog *catalog
	age     *age
	file    *lockedFile
	busy    time.Duration
	health  atomic.Pointer[health] // of the last commit

	foldFailed atomic.Pointer[error] // why the last fold failed
}

// health is the result of a commit, and its time.
type health struct {
	at  time.Time
	err error
}

// start starts the goroutine. From then on it owns the connection.
func (w *writer) start() {
	w.queue, w.steps = store.NewQueue[change](), make(chan *request)
	w.many, w.alone = make(chan struct{}, 1), make(chan func())
	w.watchdog = time.AfterFunc(slowCommit, w.queue.Slow.Begin)
	w.watchdog.Stop()
	go w.loop()
}

// do commits a change (store.Queue.Do).
func (w *writer) do(ctx context.Context, c change) error { return w.queue.Do(ctx, c) }

// commit is do for a change that also returns a result. The result is read only after the
// change is durable, never while the writer may still run it.
func commit[T any](ctx context.Context, w *writer, c func(*tx) (T, error)) (T, error) {
	var result, none T
	err := w.do(ctx, func(t *tx) (err error) {
		result, err = c(t)
		return err
	})
	if err != nil {
		return none, err
	}
	return result, nil
}

// close commits the queued changes and ends the goroutine.
func (w *writer) close() error {
	w.queue.Close()
	return w.conn.Close()
}

func (w *writer) loop() {
	defer w.queue.End()
	for {
		queue := w.queue.Items
		if w.catalog.isFull() {
			queue = nil // changes wait for the fold
			w.queue.Slow.Begin()
		}
		select {
		case first := <-queue:
			w.commitBatch(w.collect(first))
		case step := <-w.steps:
			w.commitBatch([]*request{step})
			if last := w.health.Load(); queue == nil && last.err != nil {
				w.foldFailed.Store(&last.err) // before a caller learns of it and asks whether the engine is ready
				w.refuseQueued(last.err)      // the fold that they wait for cannot be stored
			}
		case work := <-w.alone:
			w.watchdog.Reset(slowCommit)
			work()
			w.watchdog.Stop()
			w.queue.Slow.End()
		case <-w.queue.Stop():
			select {
			case first := <-w.queue.Items:
				w.commitBatch(w.collect(first))
			default:
				return
			}
		}
	}
}

// collect takes the queued changes (store.Queue.Collect), and a step of the fold.
func (w *writer) collect(first *request) []*request {
	batch := w.queue.Collect(first, store.BatchLength)
	select {
	case step := <-w.steps:
		batch = append(batch, step)
	default:
	}
	return batch
}

// refuseQueued answers the queued changes with an error.
func (w *writer) refuseQueued(err error) {
	for r := w.queue.Next(); r != nil; r = w.queue.Next() {
		if r.Take() {
			r.Answer(err)
		}
	}
}

// step commits a step of the fold, before the queued changes if those wait for it.
func (w *writer) step(ctx context.Context, c change) error {
	r := store.NewItem(ctx, c)
	select {
	case w.steps <- r:
		return <-r.Answered()
	case <-ctx.Done():
		return ctx.Err()
	case <-w.queue.Stopped():
		return store.ErrClosed
	}
}

// outside runs work that cannot be in a transaction.
func (w *writer) outside(ctx context.Context, work func(*conn) error) error {
	done := make(chan error, 1)
	select {
	case w.alone <- func() { done <- work(w.conn) }:
		return <-done
	case <-ctx.Done():
		return ctx.Err()
	case <-w.queue.Stopped():
		return store.ErrClosed
	}
}

// maxAlone limits the changes that are taken out of one batch because they fail.
const maxAlone = 8

// commitBatch commits a batch in one transaction. A change that fails is taken out and run
// alone, and the rest commits together. If no transaction can begin, it tries none.
func (w *writer) commitBatch(batch []*request) {
	var alone []*request
	for len(batch) > 0 {
		answers, failed, err := w.commit(batch)
		switch {
		case err == nil:
			for i, r := range batch {
				r.Answer(answers[i])
			}
			batch = nil
		case len(batch) == 1 || errors.Is(err, errBegin):
			for _, r := range batch {
				r.Answer(err)
			}
			batch = nil
		case failed >= 0 && len(alone) < maxAlone:
			alone = append(alone, batch[failed])
			batch = slices.Delete(batch, failed, failed+1)
		default: // the commit failed, or too many changes: one of them may be the cause
			half := len(batch) / 2
			w.commitBatch(batch[:half])
			batch = batch[half:]
		}
	}
	for _, r := range alone {
		w.commitBatch([]*request{r})
	}
}

var (
	// errBegin: the transaction could not begin.
	errBegin = errors.New("beginning a transaction")
	// errCommit: the transaction could not be committed.
	errCommit = errors.New("committing a transaction")
)

// commit runs a batch in one transaction. It returns the answer to each change, or why none
// was stored, and which change failed, or -1. The transaction has no caller's context, because
// a caller that leaves early must not roll back the changes of others.
func (w *writer) commit(batch []*request) (answers []error, failed int, err error) {
	start := time.Now()
	w.watchdog.Reset(slowCommit)
	defer func() { w.watchdog.Stop(); w.queue.Slow.End() }()
	t := w.begin()
	failed = -1
	err = w.file.check()
	if err == nil {
		err = t.transact(func() (err error) {
			answers, failed, err = t.run(batch)
			return err
		})
	}
	if errors.Is(err, errCommit) {
		w.overwrite()
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", engine.ErrUnavailable, explain(w.path, err))
		w.health.Store(&health{start, err})
		return nil, failed, err
	}
	w.health.Store(&health{time.Now(), nil})
	w.committed(len(batch), time.Since(start))
	if w.catalog.add(t) >= foldAt {
		select {
		case w.many <- struct{}{}:
		default: // it was told already
		}
	}
	w.ended(&t.ended)
	for _, topic := range t.woken {
		w.hub.Publish(topic)
	}
	return answers, -1, nil
}

// begin returns the next transaction.
func (w *writer) begin() *tx {
	return &tx{conn: w.conn, catalog: w.catalog, age: w.age, seq: w.catalog.seq, wait: w.catalog.wait}
}

// overwrite commits a no-op over the WAL frames of a failed COMMIT, so that recovery cannot
// replay them. A COMMIT whose sync fails has written its frames to the log, and the change
// would reappear after a crash although it was refused. The next frames overwrite them,
// synced or not. (A power failure may still undo that if the disk does not sync.)
func (w *writer) overwrite() {
	t := w.begin()
	_ = t.transact(func() error { return t.execute(tryWriting) }) // synced or not
}

// tryWriting is a change that has no effect.
const tryWriting = `UPDATE state SET tried = tried + 1`
