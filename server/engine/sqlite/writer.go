package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	// queueLength limits the changes that wait for the writer. More are refused with
	// engine.ErrOverloaded, so that memory is bounded and senders learn early.
	queueLength = 4096
	// batchLength limits the changes of a transaction, and so the time that the first of
	// them waits for the last.
	batchLength = 256
	// slowCommit is the time of a commit after which callers watch their contexts.
	slowCommit = 10 * time.Millisecond
)

// A change is the part of a transaction that serves one caller. It may run twice, because a
// transaction may be rolled back and its changes run again. If it returns a refusal, that is
// the caller's answer, and the transaction continues. Any other error rolls it back.
type change func(*tx) error

// A refusal is an answer of the engine, not a failure of the store.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// refuse wraps a sentinel of package engine with what was tried.
func refuse(sentinel error, format string, arguments ...any) error {
	return refusal{fmt.Errorf("%s: %w", fmt.Sprintf(format, arguments...), sentinel)}
}

// writer is the only goroutine that writes. It takes the queued changes, commits them in one
// transaction and answers each.
type writer struct {
	path    string
	conn    *conn
	hub     *hub
	queue   chan *request
	steps   chan *request // of the fold
	alone   chan func()   // work outside of transactions
	many    chan struct{} // receives when the catalog has many entries
	stop    chan struct{}
	stopped chan struct{}
	closing sync.Once

	committed func(changes int, took time.Duration)
	ended     func(counts *counts)

	slow     slowness
	watchdog *time.Timer // of a commit that takes long

	catalog *catalog
	age     *age
	file    *lockedFile
	busy    time.Duration
	health  atomic.Pointer[health] // of the last commit
}

type request struct {
	ctx    context.Context
	change change
	taken  atomic.Bool // by the writer, which will answer, or by its caller, which withdraws it
	answer chan error  // buffered, so that the writer never waits for a caller
}

// health is the result of a commit, and its time.
type health struct {
	at  time.Time
	err error
}

// start starts the goroutine. From then on it owns the connection.
func (w *writer) start() {
	w.queue, w.steps = make(chan *request, queueLength), make(chan *request)
	w.many, w.alone = make(chan struct{}, 1), make(chan func())
	w.stop, w.stopped = make(chan struct{}), make(chan struct{})
	w.slow.end()
	w.watchdog = time.AfterFunc(slowCommit, w.slow.begin)
	w.watchdog.Stop()
	go w.loop()
}

// slowness tells those who wait for an answer that it takes long, so that they watch their
// contexts too.
type slowness struct {
	mu    sync.Mutex
	begun chan struct{} // closed while it lasts
	lasts bool
}

func (s *slowness) channel() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

func (s *slowness) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lasts {
		close(s.begun)
		s.lasts = true
	}
}

func (s *slowness) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lasts || s.begun == nil {
		s.begun, s.lasts = make(chan struct{}), false
	}
}

// do commits a change. It returns nil when the change is durable, or the refusal, or why the
// change could not be stored. If ctx ends while the change is queued, do withdraws it and
// returns ctx.Err(). After the writer has taken it, do waits for the result.
func (w *writer) do(ctx context.Context, c change) error {
	r := &request{ctx: ctx, change: c, answer: make(chan error, 1)}
	slow := w.slow.channel()
	select {
	case <-w.stop:
		return errClosed
	default:
	}
	select {
	case w.queue <- r:
	default:
		return fmt.Errorf("%d changes are queued: %w", queueLength, engine.ErrOverloaded)
	}
	select { // without ctx, whose Done may start a timer
	case err := <-r.answer:
		return err
	case <-slow:
	case <-w.stopped:
	}
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		if r.taken.CompareAndSwap(false, true) {
			r.change = nil // frees what the change holds
			return ctx.Err()
		}
	case <-w.stopped:
	}
	select {
	case err := <-r.answer:
		return err
	case <-w.stopped:
	}
	select { // the last batch may have answered
	case err := <-r.answer:
		return err
	default:
		return errClosed
	}
}

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
	w.closing.Do(func() { close(w.stop) })
	<-w.stopped
	return w.conn.Close()
}

func (w *writer) loop() {
	defer close(w.stopped)
	for {
		queue := w.queue
		if w.catalog.len() >= catalogLimit {
			queue = nil // changes wait for the fold
			w.slow.begin()
		}
		select {
		case first := <-queue:
			w.commitBatch(w.collect(first))
		case step := <-w.steps:
			w.commitBatch([]*request{step})
			if last := w.health.Load(); queue == nil && last.err != nil {
				w.refuseQueued(last.err) // the fold that they wait for cannot be stored
			}
		case work := <-w.alone:
			w.watchdog.Reset(slowCommit)
			work()
			w.watchdog.Stop()
			w.slow.end()
		case <-w.stop:
			select {
			case first := <-w.queue:
				w.commitBatch(w.collect(first))
			default:
				return
			}
		}
	}
}

// collect takes the queued changes that were not withdrawn, and a step of the fold. It does not
// wait for more, but it yields the processor once, so that callers that are about to queue a
// change can do so: a commit costs about as much for one change as for many.
func (w *writer) collect(first *request) (batch []*request) {
	for next := first; next != nil; {
		if next.taken.CompareAndSwap(false, true) {
			batch = append(batch, next)
		}
		if len(batch) == batchLength {
			break
		}
		if next = w.next(); next == nil {
			runtime.Gosched()
			next = w.next()
		}
	}
	select {
	case step := <-w.steps:
		batch = append(batch, step)
	default:
	}
	return batch
}

// refuseQueued answers the queued changes with an error.
func (w *writer) refuseQueued(err error) {
	for r := w.next(); r != nil; r = w.next() {
		if r.taken.CompareAndSwap(false, true) {
			r.answer <- err
		}
	}
}

// step commits a step of the fold, before the queued changes if those wait for it.
func (w *writer) step(ctx context.Context, c change) error {
	r := &request{ctx: ctx, change: c, answer: make(chan error, 1)}
	select {
	case w.steps <- r:
		return <-r.answer
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stopped:
		return errClosed
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
	case <-w.stopped:
		return errClosed
	}
}

// next returns the first queued change, or nil.
func (w *writer) next() *request {
	select {
	case r := <-w.queue:
		return r
	default:
		return nil
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
				r.answer <- answers[i]
			}
			batch = nil
		case len(batch) == 1 || errors.Is(err, errBegin):
			for _, r := range batch {
				r.answer <- err
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
	defer func() { w.watchdog.Stop(); w.slow.end() }()
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
		w.hub.publish(topic)
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
