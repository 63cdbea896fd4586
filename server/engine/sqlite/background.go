package sqlite

import (
	"context"
	"sync"
	"time"
)

// startBackground starts the background work, until the returned function is called.
func (e *Engine) startBackground() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { e.repeat(ctx, time.NewTicker(sweepInterval).C, "expiring waits", e.expireDue) })
	running.Go(func() { e.repeat(ctx, time.NewTicker(forgetInterval).C, "forgetting waits", e.Forget) })
	running.Go(func() { e.repeat(ctx, time.NewTicker(shrinkInterval).C, "shrinking the file", e.shrink) })
	running.Go(func() { e.repeat(ctx, e.foldTimes(ctx), "folding", e.fold) })
	return func() error {
		cancel()
		running.Wait()
		return nil
	}
}

// repeat does the work at the given times until ctx ends. Of consecutive failures it logs the
// first.
func (e *Engine) repeat(ctx context.Context, times <-chan time.Time, what string, work func(context.Context) error) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-times:
		}
		err := work(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			e.options.Logger.Error(what+" failed; trying again", "error", err)
		}
		failing = err != nil
	}
}

// A pace limits the share of the writer that background work takes: after each step, the
// work rests for a multiple of the time that the step took.
type pace struct{ step, rest int }

// inSteps repeats a change at the given pace, each time among the changes of callers, until
// it does less than a full step.
func (e *Engine) inSteps(ctx context.Context, pace pace, step func(*tx) (int, error)) error {
	for {
		var took time.Duration // in the writer, without the sync
		n, err := commit(ctx, e.writer, func(t *tx) (int, error) {
			start := time.Now()
			defer func() { took = time.Since(start) }()
			return step(t)
		})
		if err != nil || n < pace.step {
			return err
		}
		if err := rest(ctx, time.Duration(pace.rest)*took); err != nil {
			return err
		}
	}
}

// rest waits for d, or returns ctx.Err() if ctx ends first.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// forEach edits each item, with at most step items in each transaction that do commits.
func forEach[T any](do func(change) error, step func() int, items []T, edit func(*tx, T) error) error {
	for len(items) > 0 {
		part := items[:min(step(), len(items))]
		items = items[len(part):]
		err := do(func(t *tx) error {
			for _, item := range part {
				if err := edit(t, item); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
