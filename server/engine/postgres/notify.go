package postgres

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	channel = "flowcallback"
	notify  = `SELECT pg_notify('flowcallback', $1)`

	// tellPause is the least time between two notifications of a copy.
	tellPause = 10 * time.Millisecond
	// proveEach is how often a copy proves that notifications arrive.
	proveEach = 10 * time.Second
	// proveFor is how long such a notification may take.
	proveFor = 2 * time.Second
)

// notifyOthers sends a notification after changes of this copy, until ctx ends. The changes are
// committed: a notification in their transaction would cost most of the rate.
func (e *Engine) notifyOthers(ctx context.Context) {
	for {
		select {
		case <-e.poller.told:
		case <-ctx.Done():
			return
		}
		_ = e.background(ctx, func(ctx context.Context, c *pgxpool.Conn) error { // without it the others find out a little later
			_, err := c.Exec(ctx, notify, e.poller.self)
			return err
		})
		select {
		case <-time.After(tellPause):
		case <-ctx.Done():
		}
	}
}

// listen receives notifications until ctx ends, on a connection of its own.
func (e *Engine) listen(ctx context.Context) {
	for ctx.Err() == nil {
		_ = e.listenOnce(ctx) // the poller asks without notifications, too
		e.poller.listens.Store(false)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (e *Engine) listenOnce(ctx context.Context) error {
	c, err := pgx.ConnectConfig(ctx, e.location.config.ConnConfig.Copy())
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx)
	}()
	if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	var proven atomic.Int64 // when the copy's own notification arrived last
	stop := make(chan struct{})
	var proving sync.WaitGroup
	proving.Go(func() { e.prove(ctx, stop, &proven) })
	defer proving.Wait()
	defer close(stop)
	for {
		n, err := c.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		switch n.Payload {
		case e.poller.self: // its long-polls were woken already
		case e.poller.self + proofMark:
			proven.Store(time.Now().UnixNano())
			e.poller.listens.Store(true)
		default:
			signal(e.poller.notified)
		}
	}
}

// proofMark tells the notifications that prove something from those of changes.
const proofMark = "?"

// prove sends a notification to this copy now and then. If one does not arrive, the poller no longer
// relies on them: a pooler in transaction mode delivers nothing and says nothing.
func (e *Engine) prove(ctx context.Context, stop <-chan struct{}, proven *atomic.Int64) {
	pause := func(d time.Duration) bool {
		select {
		case <-time.After(d):
			return true
		case <-stop:
		case <-ctx.Done():
		}
		return false
	}
	for {
		sent := time.Now().UnixNano()
		_ = e.background(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
			_, err := c.Exec(ctx, notify, e.poller.self+proofMark)
			return err
		})
		if !pause(proveFor) {
			return
		}
		if proven.Load() < sent {
			e.poller.listens.Store(false)
		}
		if !pause(proveEach - proveFor) {
			return
		}
	}
}
