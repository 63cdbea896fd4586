// Package sqlite keeps waits in one SQLite file: the embedded engine, for one machine.
//
// An answer means: committed, with the write-ahead log synced (WAL, synchronous=FULL). One
// writer commits whatever is queued in one transaction, so durability is paid once for
// many callbacks. Readers have connections of their own and see commits only.
//
// One process at a time may have a file open. The package refuses to share it, to open a
// file of another program or of a newer release, and to work without a deadline on a wait.
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
	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/server/engine"
)

var (
	_ engine.Engine = (*Engine)(nil)
	_ engine.Waits  = (*Engine)(nil)
)

// cacheSize is the memory that the writer keeps pages in, at most: 64 MiB hold what every
// callback looks up, the index of keys, of more than a million waits.
const cacheSize = "cache_size = -65536"

// Options are the choices of Open; the zero value is the default of each.
type Options struct {
	// HoldUnknown keeps callbacks for states that nobody waits for yet and hands them
	// over when the wait is opened. They count against Retention. Off by default: then
	// they are refused with engine.ErrNotFound.
	HoldUnknown bool

	// Retention is how long waits are kept after they left waiting, and held callbacks
	// after they came. 0 keeps them for ever.
	Retention time.Duration

	// ExecutionID names the execution of a run when whoever opened the wait named none.
	// Default: a new UUID each.
	ExecutionID func(runID string) string

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// NewID returns a new wait_id. Default: UUIDs of version 7.
	NewID func() string

	// BusyTimeout is how long a change waits for another program that holds the file (a
	// backup, a look with sqlite3) before it is refused. Default: 5 seconds.
	BusyTimeout time.Duration

	// Committed is told of each transaction that was committed: how many changes it made
	// durable together, and how long it took, the sync included. It must not block.
	// Default: nobody is told.
	Committed func(changes int, took time.Duration)

	// Logger hears of what no caller is told: failures of the background work.
	// Default: slog.Default().
	Logger *slog.Logger
}

func (o *Options) setDefaults() {
	if o.ExecutionID == nil {
		o.ExecutionID = func(string) string { return uuid.NewString() }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.Committed == nil {
		o.Committed = func(int, time.Duration) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// Engine is an open file. It implements engine.Engine and engine.Waits.
type Engine struct {
	options Options
	readers *readers
	writer  *writer
	hub     *hub
	closed  chan struct{}
	close   func() error
}

// Open opens the file at path, creating it where there is none, brings its schema up to
// date and starts the background work, which Close ends. It fails at once where another
// process has the file open.
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
		return nil, fmt.Errorf("%s.lock cannot be opened: check that the folder and the file may be written by whoever runs the server: %w", path, err)
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
	if e.writer, err = startWriter(path, conn, e.hub, options.Committed); err != nil {
		return nil, errors.Join(explain(path, err), conn.Close(), undo.close())
	}
	undo.add(e.writer.close)
	if err := e.tryWriting(ctx); sqlite.ErrCode(err).ToPrimary() == sqlite.ResultReadOnly {
		return nil, errors.Join(err, undo.close())
	}
	undo.add(e.startSweeper())
	e.close = sync.OnceValue(func() error {
		close(e.closed)
		return undo.close()
	})
	return e, nil
}

// Close ends the background work and closes the file. Changes under way are finished first,
// long-polls end; they and later calls return engine.ErrUnavailable.
func (e *Engine) Close() error { return e.close() }

// Ready reports whether the file can be read, and whether the last commit succeeded; if it
// did not, it tries another one, so that a server that nobody calls meanwhile recovers.
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

// tryWriting commits a change that means nothing.
func (e *Engine) tryWriting(ctx context.Context) error {
	return e.writer.do(ctx, func(t *tx) error { return t.execute(tryWriting) })
}

// now is the present as it is stored.
func (e *Engine) now() int64 { return e.options.Now().UnixMilli() }

// resolve returns the one name of a file, so that two names of it meet at one lock. (Hard
// links are two files to it.)
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path)) // the file is yet to be made
	if err != nil {
		return "", fmt.Errorf("%s cannot be opened: check that its folder exists: %w", path, err)
	}
	return filepath.Join(folder, filepath.Base(path)), nil
}

// explain adds to an error of the store which file it is about, and what to do.
func explain(path string, err error) error {
	if errors.Is(err, errDamaged) {
		return fmt.Errorf("%s: restore a backup, or move it away to start empty: %w", path, err)
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return fmt.Errorf("%s is damaged or no SQLite file: restore a backup, or move it away to start empty: %w", path, err)
	case sqlite.ResultCantOpen:
		return fmt.Errorf("%s cannot be opened: check that its folder exists and may be written: %w", path, err)
	case sqlite.ResultReadOnly:
		return fmt.Errorf("%s may not be written: check that it and its folder may be written by whoever runs the server: %w", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// closers are what is to be undone, in reverse order.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c *closers) close() error {
	var failures []error
	for i := len(*c) - 1; i >= 0; i-- {
		failures = append(failures, (*c)[i]())
	}
	return errors.Join(failures...)
}
