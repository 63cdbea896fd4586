package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	// probeInterval is the least time between two tests of the server.
	probeInterval = time.Second
	// probeFor is how long a test may take.
	probeFor = 2 * time.Second
)

// probe remembers the last test of the server.
type probe struct {
	mu      sync.Mutex
	at      time.Time
	err     error
	running chan struct{} // closed when the running test ends; nil if none runs
}

// Ready implements engine.Engine. The engine is ready if a callback would be stored now: the server can
// be written, its settings promise what was asked for, and a commit that changes nothing succeeds. However
// often Ready is called, it tests at most once a second.
func (e *Engine) Ready(ctx context.Context) error {
	if err := e.ended(ctx); err != nil {
		return err
	}
	p := &e.probe
	p.mu.Lock()
	if time.Since(p.at) < probeInterval {
		defer p.mu.Unlock()
		return p.err
	}
	if p.running == nil {
		p.running = make(chan struct{})
		go e.test(p.running)
	}
	running := p.running
	p.mu.Unlock()
	select {
	case <-running:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.err
	case <-time.After(probeFor):
		return fmt.Errorf("%w: PostgreSQL: no answer within %s", engine.ErrUnavailable, probeFor)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// test tests the server.
func (e *Engine) test(done chan struct{}) {
	ctx, cancel := context.WithTimeout(e.alive, patience)
	defer cancel()
	err := e.acquire(ctx, e.probes, func(ctx context.Context, c *pgxpool.Conn) error {
		s, err := readServer(ctx, c)
		if err == nil {
			err = s.check(e.options.Durability)
		}
		if err == nil {
			_, err = c.Exec(ctx, touch)
		}
		return err
	})
	if err != nil {
		err = explain(err)
	}
	e.probe.mu.Lock()
	defer e.probe.mu.Unlock()
	e.probe.at, e.probe.err, e.probe.running = time.Now(), err, nil
	close(done)
}
