// Package sqlite stores waits in one SQLite file. It is the embedded engine, for one
// machine.
//
// A call returns after its change is committed and the write-ahead log is synced (WAL,
// synchronous=FULL). One writer commits all queued changes in one transaction, so that many
// callbacks share one sync. Readers have their own connections and see only commits.
//
// Only one process at a time can open a file. The package refuses to share a file, to open
// a file of another program or of a newer release, and to store a wait without a deadline.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/server/engine"
)

var (
	_ engine.Engine = (*Engine)(nil)
	_ engine.Opener = (*Engine)(nil)
	_ engine.Reader = (*Engine)(nil)
	_ engine.Feed   = (*Engine)(nil)
)

// cacheSize limits the writer's page cache to 64 MiB. That holds the index of keys, which
// every callback reads, of more than a million waits.
const cacheSize = "cache_size = -65536"

// DefaultBusyTimeout is the default of Options.BusyTimeout.
const DefaultBusyTimeout = 5 * time.Second

// Options configure Open. A zero field has the default that its comment names.
type Options struct {
	// HoldUnknown holds callbacks for unknown states, and hands a callback over when the
	// wait is opened. Held callbacks count against Retention. Default: callbacks for
	// unknown states are refused with engine.ErrNotFound.
	HoldUnknown bool

	// Retention is how long a wait is kept after it left waiting, and a held callback
	// after it arrived. Default: 0, without limit.
	Retention time.Duration

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// NewID returns a new wait id. Default: UUIDs of version 7.
	NewID func() string

	// BusyTimeout is how long a change waits for another program that has locked the file
	// (a backup, or a person with sqlite3) before it is refused. Default:
	// DefaultBusyTimeout.
	BusyTimeout time.Duration

	// Committed is called after each committed transaction, before its callers are
	// answered, with the number of changes in it and the time that it took, including the
	// sync. The writer waits for it. Default: not called.
	Committed func(changes int, took time.Duration)

	// Metrics registers the metrics of the engine (metrics.go). Default: no metrics.
	Metrics prometheus.Registerer

	// Logger receives failures of the background work, which no caller sees. Default:
	// slog.Default().
	Logger *slog.Logger
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = DefaultBusyTimeout
	}
	if o.Committed == nil {
		o.Committed = func(int, time.Duration) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// Engine is an open file. It implements all interfaces of package engine.
type Engine struct {
	options    Options
	readers    *readers
	writer     *writer
	hub        *hub
	closed     chan struct{}
	close      func() error
	endedTotal *prometheus.CounterVec // waits that left waiting; nil without metrics
}

// Open opens the file at path or creates it, migrates its schema, and starts the background
// work, which Close ends. It fails immediately if another process has the file open.
func Open(ctx context.Context, path string, options Options) (*Engine, error) {
	options.setDefaults()
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	e := &Engine{options: options, hub: newHub(), closed: make(chan struct{})}
	var undo closers
	lock := flock.New(path + ".lock")
	switch locked, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("%s.lock cannot be opened: check that the server's user may write the folder and the file: %w", path, err)
	case !locked:
		return nil, fmt.Errorf("%s is open in another process: two servers cannot share a file; stop the other one or name another file", path)
	}
	undo.add(lock.Unlock)

	conn, err := connect(path, options.BusyTimeout, "synchronous = FULL", cacheSize)
	if err != nil {
		return nil, errors.Join(explain(path, err), undo.close())
	}
	err = migrate(conn)
	if err == nil {
		err = checkShortly(ctx, conn)
	}
	if err != nil {
		return nil, errors.Join(explain(path, err), conn.Close(), undo.close())
	}
	if e.readers, err = openReaders(path, options.BusyTimeout); err != nil {
		return nil, errors.Join(explain(path, err), conn.Close(), undo.close())
	}
	undo.add(e.readers.close)
	if e.writer, err = startWriter(path, conn, e.hub, e.committed(), e.countEnded); err != nil {
		return nil, errors.Join(explain(path, err), conn.Close(), undo.close())
	}
	undo.add(e.writer.close)
	if err := e.tryWriting(ctx); sqlite.ErrCode(err).ToPrimary() == sqlite.ResultReadOnly {
		return nil, errors.Join(err, undo.close())
	}
	undo.add(e.startSweeper())
	if options.Metrics != nil {
		if err := options.Metrics.Register(statsCollector{e}); err != nil {
			return nil, errors.Join(err, undo.close())
		}
	}
	e.close = sync.OnceValue(func() error {
		close(e.closed)
		return undo.close()
	})
	return e, nil
}

// Close ends the background work and closes the file. Queued changes are committed first.
// Blocked and later calls return engine.ErrUnavailable.
func (e *Engine) Close() error { return e.close() }

// Ready implements engine.Engine. The engine is ready if the file can be read and the last
// commit succeeded. If that commit failed, Ready tries another one, so that a server without
// traffic recovers.
func (e *Engine) Ready(ctx context.Context) error {
	if err := e.ended(ctx); err != nil {
		return err
	}
	if err := e.readers.query(ctx, feedLast, nil); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	if e.writer.failure.Load() != nil {
		return e.tryWriting(ctx)
	}
	return nil
}

// tryWriting commits a change that has no effect.
func (e *Engine) tryWriting(ctx context.Context) error {
	return e.writer.do(ctx, func(t *tx) error { return t.execute(tryWriting) })
}

// now returns the present in the unit of the file.
func (e *Engine) now() int64 { return e.options.Now().UnixMilli() }

// resolve returns the path of a file without symbolic links, so that all of its names lead
// to one lock. It does not recognize hard links.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path)) // the file does not exist yet
	if err != nil {
		return "", fmt.Errorf("%s cannot be opened: check that its folder exists: %w", path, err)
	}
	return filepath.Join(folder, filepath.Base(path)), nil
}

// explain adds the path and what to do to an error of the store.
func explain(path string, err error) error {
	if errors.Is(err, errDamaged) {
		return fmt.Errorf("%s: restore a backup, or move it away to start empty: %w", path, err)
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return fmt.Errorf("%s is damaged or not an SQLite file: restore a backup, or move it away to start empty: %w", path, err)
	case sqlite.ResultCantOpen:
		return fmt.Errorf("%s cannot be opened: check that its folder exists and can be written: %w", path, err)
	case sqlite.ResultReadOnly:
		return fmt.Errorf("%s cannot be written: check that the server's user may write it and its folder: %w", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// closers are called in reverse order.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c *closers) close() error {
	var failures []error
	for i := len(*c) - 1; i >= 0; i-- {
		failures = append(failures, (*c)[i]())
	}
	return errors.Join(failures...)
}
