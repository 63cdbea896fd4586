package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	// queueLength limits the changes that wait for the writer. More are refused with
	// engine.ErrOverloaded, so that memory is bounded and senders learn early.
	queueLength = 4096
	// batchLength limits the changes of a transaction, and so the time that the first of
	// them waits for the last.
	batchLength = 256
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
	conn    *sqlite.Conn
	hub     *hub
	queue   chan *request
	stop    chan struct{}
	stopped chan struct{}
	closing sync.Once

	committed func(changes int, took time.Duration)
	ended     func(map[waits.Status]int)

	seq     int64                 // the last position of the feed
	failure atomic.Pointer[error] // of the last commit, or nil
}

type request struct {
	ctx    context.Context
	change change
	taken  atomic.Bool // by the writer, which will answer, or by its caller, which withdraws it
	answer chan error  // buffered, so that the writer never waits for a caller
}

// startWriter starts the goroutine. From then on it owns the connection.
func startWriter(path string, conn *sqlite.Conn, hub *hub, committed func(int, time.Duration), ended func(map[waits.Status]int)) (*writer, error) {
	w := &writer{
		path: path, conn: conn, hub: hub, committed: committed, ended: ended,
		queue:   make(chan *request, queueLength),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	err := execute(conn, feedLast, func(row *sqlite.Stmt) error {
		w.seq = row.ColumnInt64(0)
		return nil
	})
	if err != nil {
		return nil, err
	}
	go w.loop()
	return w, nil
}

// do commits a change. It returns nil when the change is durable, or the refusal, or why the
// change could not be stored. If ctx ends while the change is queued, do withdraws it and
// returns ctx.Err(). After the writer has taken it, do waits for the result.
func (w *writer) do(ctx context.Context, c change) error {
	r := &request{ctx: ctx, change: c, answer: make(chan error, 1)}
	select {
	case <-w.stop:
		return fmt.Errorf("closed: %w", engine.ErrUnavailable)
	default:
	}
	select {
	case w.queue <- r:
	default:
		return fmt.Errorf("%d changes are queued: %w", queueLength, engine.ErrOverloaded)
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
		return fmt.Errorf("closed: %w", engine.ErrUnavailable)
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
		select {
		case first := <-w.queue:
			w.commitBatch(w.collect(first))
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

// collect takes the queued changes that were not withdrawn. It does not wait for more, but it
// yields the processor once, so that callers that are about to queue a change can do so: a
// commit costs about as much for one change as for many.
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
	return batch
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

// commitBatch commits a batch in one transaction. If that fails, it tries each change alone,
// so that one change that cannot be stored does not fail the others. If no transaction can
// begin, it tries none.
func (w *writer) commitBatch(batch []*request) {
	if len(batch) == 0 {
		return
	}
	answers, err := w.commit(batch)
	if err != nil {
		err = fmt.Errorf("%w: %w", engine.ErrUnavailable, explain(w.path, err))
		w.failure.Store(&err)
	} else {
		w.failure.Store(nil)
	}
	switch {
	case err == nil:
		for i, r := range batch {
			r.answer <- answers[i]
		}
	case len(batch) == 1 || errors.Is(err, errBegin):
		for _, r := range batch {
			r.answer <- err
		}
	default:
		for i, r := range batch {
			w.commitBatch([]*request{r})
			if failure := w.failure.Load(); failure != nil && errors.Is(*failure, errBegin) {
				for _, rest := range batch[i+1:] { // each would wait as long, in vain
					rest.answer <- *failure
				}
				return
			}
		}
	}
}

var (
	// errBegin: the transaction could not begin.
	errBegin = errors.New("beginning a transaction")
	// errCommit: the transaction could not be committed.
	errCommit = errors.New("committing a transaction")
)

// commit runs a batch in one transaction. It returns the answer to each change, or why none
// was stored. The transaction has no caller's context, because a caller that leaves early
// must not roll back the changes of others.
func (w *writer) commit(batch []*request) ([]error, error) {
	start := time.Now()
	t := &tx{conn: w.conn, seq: w.seq, counts: map[waits.Status]int{}, ended: map[waits.Status]int{}}
	var answers []error
	err := t.transact(func() (err error) {
		answers, err = t.run(batch)
		if err == nil && t.seq != w.seq {
			err = t.advanceFeed()
		}
		if err == nil {
			err = t.storeCounts()
		}
		return err
	})
	if errors.Is(err, errCommit) {
		w.overwrite()
	}
	if err != nil {
		return nil, err
	}
	w.seq = t.seq
	w.committed(len(batch), time.Since(start))
	w.ended(t.ended)
	for _, topic := range t.woken {
		w.hub.publish(topic)
	}
	return answers, nil
}

// overwrite commits a no-op over the WAL frames of a failed COMMIT, so that recovery cannot
// replay them. A COMMIT whose sync fails has written its frames to the log, and the change
// would reappear after a crash although it was refused. The next frames overwrite them,
// synced or not. (A power failure may still undo that if the disk does not sync.)
func (w *writer) overwrite() {
	t := &tx{conn: w.conn}
	_ = t.transact(func() error { return t.execute(tryWriting) }) // synced or not
}

// tryWriting is a change that has no effect.
const tryWriting = `UPDATE feed SET tried = tried + 1`

// tx is a running transaction.
type tx struct {
	conn   *sqlite.Conn
	seq    int64
	woken  []topic              // to publish after the commit
	counts map[waits.Status]int // the change of each count
	ended  map[waits.Status]int // waits that left waiting
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

// storeCounts adds the changes to the stored counts.
func (t *tx) storeCounts() error {
	for status, by := range t.counts {
		if by == 0 {
			continue
		}
		if err := t.execute(countWaits, status, by); err != nil {
			return err
		}
	}
	return nil
}

// execute runs a statement that returns no rows.
func (t *tx) execute(statement string, arguments ...any) error {
	return execute(t.conn, statement, nil, arguments...)
}

// advanceFeed stores the last position of the feed. It fails if another process has stored
// one, which can happen if two processes open the file by different names.
func (t *tx) advanceFeed() error {
	if err := t.execute(`UPDATE feed SET last = ?1 WHERE last < ?1`, t.seq); err != nil {
		return err
	}
	if t.conn.Changes() != 1 {
		return errors.New("another process writes to the file")
	}
	return nil
}

func (t *tx) run(batch []*request) ([]error, error) {
	answers := make([]error, len(batch))
	for i, r := range batch {
		if answers[i] = r.ctx.Err(); answers[i] != nil {
			continue
		}
		err := r.change(t)
		if err != nil && !errors.As(err, new(refusal)) {
			return nil, err
		}
		answers[i] = err
	}
	return answers, nil
}
