package store

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	// QueueLength limits the changes that wait for a writer. More are refused with
	// engine.ErrOverloaded, so that memory is bounded and senders learn early.
	QueueLength = 4096
	// BatchLength limits the changes of a transaction, and so the time that the first of
	// them waits for the last.
	BatchLength = 256
)

// An Item is a change that a caller has queued.
type Item[T any] struct {
	Context context.Context // of the caller
	Change  T

	taken  atomic.Bool // by the writer, which will answer, or by its caller, which withdraws it
	answer chan error  // buffered, so that the writer never waits for a caller
}

// NewItem returns a change that is not queued.
func NewItem[T any](ctx context.Context, change T) *Item[T] {
	return &Item[T]{Context: ctx, Change: change, answer: make(chan error, 1)}
}

// Answer answers the caller.
func (i *Item[T]) Answer(err error) { i.answer <- err }

// Answered returns the channel that receives the answer.
func (i *Item[T]) Answered() <-chan error { return i.answer }

// A Queue hands the changes of many callers to one writer.
type Queue[T any] struct {
	// Items are the queued changes.
	Items chan *Item[T]
	// Slow tells callers that the writer takes long, so that they watch their contexts too.
	Slow Slowness
	// Patience limits how long a caller waits for the answer to a change that the writer has
	// taken. The change may take effect all the same. 0: without limit.
	Patience time.Duration

	stop    chan struct{}
	stopped chan struct{}
	closing sync.Once
}

// NewQueue returns an empty queue.
func NewQueue[T any]() *Queue[T] {
	q := &Queue[T]{Items: make(chan *Item[T], QueueLength), stop: make(chan struct{}), stopped: make(chan struct{})}
	q.Slow.End()
	return q
}

// Stop returns a channel that Close closes.
func (q *Queue[T]) Stop() <-chan struct{} { return q.stop }

// Stopped returns a channel that is closed when the writer has ended.
func (q *Queue[T]) Stopped() <-chan struct{} { return q.stopped }

// End says that the writer has ended.
func (q *Queue[T]) End() { close(q.stopped) }

// Close refuses further changes, and blocks until the writer has ended.
func (q *Queue[T]) Close() {
	q.closing.Do(func() { close(q.stop) })
	<-q.stopped
}

// Do has the writer make a change. It returns the writer's answer. If ctx ends while the change is
// queued, Do withdraws it and returns ctx.Err(). After the writer has taken it, Do waits for the
// answer, at most for the queue's patience.
func (q *Queue[T]) Do(ctx context.Context, change T) error {
	i := NewItem(ctx, change)
	slow := q.Slow.channel()
	select {
	case <-q.stop:
		return ErrClosed
	default:
	}
	select {
	case q.Items <- i:
	default:
		return fmt.Errorf("%d changes are queued: %w", QueueLength, engine.ErrOverloaded)
	}
	select { // without ctx, whose Done may start a timer
	case err := <-i.answer:
		return err
	case <-slow:
	case <-q.stopped:
	}
	var patience <-chan time.Time
	if q.Patience > 0 {
		timer := time.NewTimer(q.Patience)
		defer timer.Stop()
		patience = timer.C
	}
	var none T
	select {
	case err := <-i.answer:
		return err
	case <-ctx.Done():
		if i.taken.CompareAndSwap(false, true) {
			i.Change = none // frees what the change holds
			return ctx.Err()
		}
	case <-patience:
		if i.taken.CompareAndSwap(false, true) {
			i.Change = none
		}
		return fmt.Errorf("no answer of the store within %s: %w", q.Patience, engine.ErrUnavailable)
	case <-q.stopped:
	}
	select {
	case err := <-i.answer:
		return err
	case <-patience:
		return fmt.Errorf("no answer of the store within %s: %w", q.Patience, engine.ErrUnavailable)
	case <-q.stopped:
	}
	select { // the last batch may have answered
	case err := <-i.answer:
		return err
	default:
		return ErrClosed
	}
}

// Take reports whether the writer may make the change. Its caller may have withdrawn it.
func (i *Item[T]) Take() bool { return i.taken.CompareAndSwap(false, true) }

// Collect takes the queued changes that were not withdrawn, at most so many. It does not wait for more, but it
// yields the processor once, so that callers that are about to queue a change can do so: a commit
// costs about as much for one change as for many.
func (q *Queue[T]) Collect(first *Item[T], most int) (batch []*Item[T]) {
	for next := first; next != nil; {
		if next.Take() {
			batch = append(batch, next)
		}
		if len(batch) == most {
			break
		}
		if next = q.Next(); next == nil {
			runtime.Gosched()
			next = q.Next()
		}
	}
	return batch
}

// Next returns the first queued change, or nil.
func (q *Queue[T]) Next() *Item[T] {
	select {
	case i := <-q.Items:
		return i
	default:
		return nil
	}
}

// Slowness tells those who wait for an answer that it takes long.
type Slowness struct {
	mu    sync.Mutex
	begun chan struct{} // closed while it lasts
	lasts bool
}

func (s *Slowness) channel() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

// Begin begins it.
func (s *Slowness) Begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lasts {
		close(s.begun)
		s.lasts = true
	}
}

// End ends it.
func (s *Slowness) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lasts || s.begun == nil {
		s.begun, s.lasts = make(chan struct{}), false
	}
}
