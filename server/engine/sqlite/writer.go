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
	// queueLength bounds what waits for the writer; more is refused with
	// engine.ErrOverloaded, so that memory stays bounded and senders learn early.
	queueLength = 4096
	// batchLength bounds a transaction, and with it how long its first change waits
	// for its last.
	batchLength = 256
)

// A change is what a transaction does for one caller. It may run twice, in a second
// transaction after the first one was undone, so it keeps nothing between runs. A refusal
// it returns is the caller's answer and leaves the transaction as it is; any other error
// undoes it.
type change func(*tx) error

// A refusal is an answer of the engine rather than a failure of the store.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// refuse wraps one of the engine's sentinels with what was tried.
func refuse(sentinel error, format string, arguments ...any) error {
	return refusal{fmt.Errorf("%s: %w", fmt.Sprintf(format, arguments...), sentinel)}
}

// writer is the one goroutine that writes. It takes what is queued, commits it in one
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

	seq     int64                 // the last place given in the feed
	failure atomic.Pointer[error] // of the last commit, nil if it succeeded
}

type request struct {
	ctx    context.Context
	change change
	taken  atomic.Bool // by the writer, which will answer; or by a caller that leaves before
	answer chan error  // buffered: the writer never waits for a caller
}

// startWriter starts the goroutine on a connection, which is the writer's from then on.
func startWriter(path string, conn *sqlite.Conn, hub *hub, committed func(int, time.Duration)) (*writer, error) {
	w := &writer{
		path: path, conn: conn, hub: hub, committed: committed,
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

// do has c committed and returns its refusal, nil when it is durable, or why it could not
// be stored. When ctx ends while c is queued, c is withdrawn and ctx.Err() returned; once
// the writer has taken it, do waits for what becomes of it, so that its answer is true.
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
			r.change = nil // with what it would have stored
			return ctx.Err()
		}
	case <-w.stopped:
	}
	select {
	case err := <-r.answer:
		return err
	case <-w.stopped:
	}
	select { // it may have been answered last
	case err := <-r.answer:
		return err
	default:
		return fmt.Errorf("closed: %w", engine.ErrUnavailable)
	}
}

// commit is do for a change that returns something besides its refusal. What it returns is
// read only once the change is durable, never while the writer may still be at it.
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

// close has what is queued committed, then ends the goroutine.
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

// collect takes what is queued and leaves out what was withdrawn. It does not wait for more,
// but it lets callers go first that are about to queue something and only want a processor:
// a commit costs about as much for one change as for many.
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

// next returns what is queued first, nil if nothing is.
func (w *writer) next() *request {
	select {
	case r := <-w.queue:
		return r
	default:
		return nil
	}
}

// commitBatch commits a batch in one transaction. Where that fails, each change is tried
// again alone, so that one that cannot be stored does not take the others along; but where
// no transaction can be begun at all, none is.
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
				for _, rest := range batch[i+1:] { // each would wait as long for nothing
					rest.answer <- *failure
				}
				return
			}
		}
	}
}

var (
	// errBegin is a transaction that could not be begun.
	errBegin = errors.New("beginning a transaction")
	// errCommit is one that could not be committed.
	errCommit = errors.New("committing a transaction")
)

// commit runs the batch in one transaction and returns the answer of each, or why nothing
// of it was stored. The transaction is not bound to any caller's context: who leaves early
// must not undo the others.
func (w *writer) commit(batch []*request) ([]error, error) {
	start := time.Now()
	t := &tx{conn: w.conn, seq: w.seq, counts: map[waits.Status]int{}}
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
	for _, topic := range t.woken {
		w.hub.publish(topic)
	}
	return answers, nil
}

// overwrite puts a change that means nothing in the place of one that failed. A COMMIT
// whose sync fails has written all of it to the log, from which a crash would bring it back
// although it was refused; what is written next stands in its place, synced or not. (Whether
// it survives a loss of power, only a disk that syncs can decide.)
func (w *writer) overwrite() {
	t := &tx{conn: w.conn}
	_ = t.transact(func() error { return t.execute(tryWriting) }) // synced or not
}

// tryWriting changes what means nothing.
const tryWriting = `UPDATE feed SET tried = tried + 1`

// tx is one transaction under way.
type tx struct {
	conn   *sqlite.Conn
	seq    int64
	woken  []topic              // to be told once it is committed
	counts map[waits.Status]int // by how many each has changed
}

// transact does the work in a transaction.
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
	// After some failures SQLite has rolled back already and says so; either way nothing
	// is left in memory.
	_ = t.execute("ROLLBACK")
	return err
}

// storeCounts adds the changes to the counts that are kept.
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

// execute runs a statement that answers with no rows.
func (t *tx) execute(statement string, arguments ...any) error {
	return execute(t.conn, statement, nil, arguments...)
}

// advanceFeed stores the last place that was given. That it was not given by somebody else
// is sure as long as nobody else writes; a file that two processes reached by different
// names is found out here, before it does harm.
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
