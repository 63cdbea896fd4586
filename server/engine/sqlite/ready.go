package sqlite

import (
	"context"
	"sync"
	"time"
)

// probeInterval is the least time between two commits that only test the store.
const probeInterval = time.Second

// probe remembers the last test of the store.
type probe struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

// Ready implements engine.Engine. The engine is ready if a callback would be stored now: if a
// commit has just succeeded, or if one that changes nothing does; not if changes wait for a fold
// that fails. However often Ready is
// called, it commits at most once a second.
func (e *Engine) Ready(ctx context.Context) error {
	if err := e.ended(ctx); err != nil {
		return err
	}
	if err := e.writer.foldFailed.Load(); err != nil && e.catalog.isFull() {
		return *err // changes wait for the fold
	}
	if last := e.writer.health.Load(); last != nil && last.err == nil && time.Since(last.at) < probeInterval {
		return e.writer.file.check()
	}
	e.probe.mu.Lock()
	defer e.probe.mu.Unlock()
	if time.Since(e.probe.at) >= probeInterval || e.probe.err != nil && e.isBetter() {
		e.probe.err = e.tryWriting(context.WithoutCancel(ctx))
		e.probe.at = time.Now()
	}
	return e.probe.err
}

// isBetter reports whether a commit has succeeded since the last test.
func (e *Engine) isBetter() bool {
	last := e.writer.health.Load()
	return last != nil && last.err == nil && last.at.After(e.probe.at)
}

// tryWriting commits a change that has no effect.
func (e *Engine) tryWriting(ctx context.Context) error {
	return e.writer.step(ctx, func(t *tx) error { return t.execute(tryWriting) }) // also while changes wait for the fold
}
