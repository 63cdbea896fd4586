// Package sqlite stores waits in one SQLite file. It is the embedded engine, for one
// machine.
//
// A call returns after its change is committed and the write-ahead log is synced (WAL,
// synchronous=FULL). One writer commits all queued changes in one transaction, so that many
// callbacks share one sync. A settle appends one row; what follows from it is folded into
// indexes later, for many settles at once (fold.go). Readers have their own connections and
// see only commits.
//
// Only one process at a time can open a file. The package refuses to share a file, to open
// a file of another program or of a newer release, and to store a wait without a deadline.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ncruces/go-sqlite3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

var (
	_ engine.Engine  = (*Engine)(nil)
	_ engine.Opener  = (*Engine)(nil)
	_ engine.Reader  = (*Engine)(nil)
	_ engine.Counter = (*Engine)(nil)
	_ engine.Feed    = (*Engine)(nil)
	_ engine.Holder  = (*Engine)(nil)
	_ engine.Linker  = (*Engine)(nil)
)

// Pragmas of the writer. Its page cache of 64 MiB holds the keys of about a million waits,
// which every callback reads. A log that has grown is cut to 4 MiB. What retention deletes is
// overwritten. A copy that VACUUM INTO has made, such as a backup, is not in WAL mode.
var writerPragmas = []string{"journal_mode = WAL", "synchronous = FULL", "cache_size = -65536", "journal_size_limit = 4194304", "secure_delete = FAST"}

// Defaults of Options.
const (
	DefaultBusyTimeout = 5 * time.Second
	DefaultMaxHeld     = 10_000
)

// Options configure Open. A zero field has the default that its comment names.
type Options struct {
	// HoldUnknown holds callbacks for unknown states, and hands a callback over when the
	// wait is opened. Held callbacks count against Retention. Default: callbacks for
	// unknown states are refused with engine.ErrNotFound.
	HoldUnknown bool

	// MaxHeld is the largest number of held callbacks of a project. One more is refused with
	// engine.ErrOverloaded. Default: DefaultMaxHeld.
	MaxHeld int

	// Retention is how long a wait is kept after it left waiting, and a held callback
	// after it arrived. Default: 0, without limit.
	Retention time.Duration

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Uptime is the time since Open by a clock that does not jump. Default: the system's
	// monotonic clock.
	Uptime func() time.Duration

	// Judge returns an engine.OutputError if the output of a callback is not what the schema of
	// its wait asks for. Both are JSON. It may run at once for many callers. Default: waits with
	// a schema are refused with errors.ErrUnsupported.
	Judge func(schema, output []byte) error

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

	catalogLimit int // for tests
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Uptime == nil {
		start := time.Now()
		o.Uptime = func() time.Duration { return time.Since(start) }
	}
	if o.NewID == nil {
		o.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = DefaultBusyTimeout
	}
	if o.catalogLimit == 0 {
		o.catalogLimit = catalogLimit
	}
	if o.MaxHeld == 0 {
		o.MaxHeld = DefaultMaxHeld
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
	options Options
	age     age

	catalog  *catalog
	epochs   store.Epochs
	projects *lru.Cache[string, int64]
	folding  chan struct{} // holds an element while a fold runs
	sweeping chan struct{} // holds an element while a sweep runs
	folded   time.Time     // the last fold; guarded by folding

	readers    *readers // for callers
	own        *readers // for readiness, metrics and the background work
	writer     *writer
	probe      probe
	hub        *store.Hub[topic]
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
	projects, err := lru.New[string, int64](rememberedProjects)
	if err != nil {
		return nil, err
	}
	e := &Engine{options: options, projects: projects, hub: &store.Hub[topic]{}, closed: make(chan struct{}), folding: make(chan struct{}, 1), sweeping: make(chan struct{}, 1)}
	var undo closers
	file, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	undo.add(func() error { return file.unlock() })
	fail := func(err error) (*Engine, error) { return nil, errors.Join(explain(path, err), undo.close()) }

	if file, err = migrate(ctx, file, options); err != nil {
		return fail(err)
	}
	c, err := connect(path, options.BusyTimeout, writerPragmas...)
	if err != nil {
		return fail(err)
	}
	err = checkShortly(ctx, c)
	if err == nil {
		err = e.load(c)
	}
	if err == nil {
		e.readers, err = openReaders(path, options.BusyTimeout, readerCount())
	}
	if err != nil {
		return nil, errors.Join(explain(path, err), c.Close(), undo.close())
	}
	undo.add(e.readers.close)
	if e.own, err = openReaders(path, options.BusyTimeout, 3); err != nil {
		return nil, errors.Join(explain(path, err), c.Close(), undo.close())
	}
	undo.add(e.own.close)
	e.writer = &writer{path: path, file: file, busy: options.BusyTimeout, conn: c, hub: e.hub, catalog: e.catalog, age: &e.age, committed: e.committed(), ended: e.countEnded}
	e.writer.start()
	undo.add(e.writer.close)
	if err := e.tryWriting(ctx); errors.Is(err, sqlite3.READONLY) {
		return nil, errors.Join(err, undo.close())
	}
	undo.add(e.startBackground())
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

// Name implements engine.Namer.
func (e *Engine) Name() string { return "SQLite" }

const (
	loadState    = `SELECT opened, settled FROM state`
	loadCounts   = `SELECT status, waits FROM counts`
	allProjects  = `SELECT id, floor FROM projects`
	lastWait     = `SELECT coalesce(max(id), 0) FROM waits`
	openedSince  = `SELECT id, project, workflow_id, run_id, state_id, tags FROM waits WHERE id > ?`
	settledSince = `SELECT wait, status, seq FROM outcomes WHERE project = ? AND seq > ? ORDER BY seq`
)

// load reads what the engine has in memory, and begins an epoch.
func (e *Engine) load(c *conn) error {
	e.catalog = &catalog{entries: map[int64]entry{}, limit: e.options.catalogLimit}
	k := e.catalog
	number := func(statement string, arguments ...any) (n int64, err error) {
		err = c.query(statement, func(row *sqlite3.Stmt) error {
			n = row.ColumnInt64(0)
			return nil
		}, arguments...)
		return n, err
	}
	err := c.query(loadState, func(row *sqlite3.Stmt) error {
		k.foldedWait, k.foldedSeq = row.ColumnInt64(0), row.ColumnInt64(1)
		return nil
	})
	if err == nil {
		err = c.query(loadCounts, func(row *sqlite3.Stmt) error {
			k.counts[row.ColumnInt(0)] = row.ColumnInt64(1)
			return nil
		})
	}
	if err != nil {
		return err
	}
	if k.wait, err = number(lastWait); err != nil {
		return err
	}
	k.wait, k.seq = max(k.wait, k.foldedWait), k.foldedSeq
	err = c.query(openedSince, func(row *sqlite3.Stmt) error {
		x := entry{wait: row.ColumnInt64(0), project: row.ColumnInt64(1), opened: true, status: store.Waiting}
		x.labels = &labels{row.ColumnText(2), row.ColumnText(3), row.ColumnText(4), tagsFrom(row.ColumnText(5))}
		k.entries[x.wait] = x
		return nil
	}, k.foldedWait)
	if err != nil {
		return err
	}
	var projects []int64
	err = c.query(allProjects, func(row *sqlite3.Stmt) error {
		projects = append(projects, row.ColumnInt64(0))
		k.seq = max(k.seq, row.ColumnInt64(1))
		return nil
	})
	for _, project := range projects {
		if err != nil {
			return err
		}
		err = c.query(settledSince, func(row *sqlite3.Stmt) error {
			x := k.entries[row.ColumnInt64(0)] // if it was opened since the fold
			x.wait, x.project, x.status, x.seq = row.ColumnInt64(0), project, store.Status(row.ColumnInt(1)), row.ColumnInt64(2)
			k.entries[x.wait] = x
			k.seq = max(k.seq, x.seq)
			return nil
		}, project, k.foldedSeq)
	}
	if err != nil {
		return err
	}
	for _, x := range k.entries {
		k.counts.add(x)
	}
	if err := e.loadAge(c); err != nil {
		return err
	}
	e.epochs, err = beginEpoch(c, k.seq)
	return err
}

// Close ends the background work and closes the file. Queued changes are committed first.
// Blocked and later calls return engine.ErrUnavailable.
func (e *Engine) Close() error { return e.close() }

// now returns the present in the unit of the file.
func (e *Engine) now() int64 { return e.options.Now().UnixMilli() }

// explain adds the path and what to do to an error of the store.
func explain(path string, err error) error {
	if errors.Is(err, errDamaged) {
		return fmt.Errorf("%s: restore a backup, or move it away to start empty: %w", path, err)
	}
	switch {
	case errors.Is(err, sqlite3.CORRUPT), errors.Is(err, sqlite3.NOTADB), errors.Is(err, sqlite3.IOERR_DATA):
		return fmt.Errorf("%s is damaged or not an SQLite file: restore a backup, or move it away to start empty: %w", path, err)
	case errors.Is(err, sqlite3.CANTOPEN):
		return fmt.Errorf("%s cannot be opened: check that its folder exists and that the server's user may write it and the file: %w", path, err)
	case errors.Is(err, sqlite3.READONLY):
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
