// Package postgres stores waits in PostgreSQL. Any number of copies of the server share one
// database, and hold nothing themselves.
//
// A call returns after its change is committed, with what the server's settings say of a commit
// (durability.go). Each copy settles all queued callbacks with one statement, so that many share one
// commit. Deadlines count by the database's clock.
//
// The package needs PostgreSQL 14 or later. Its tables are in the schema flowcallback.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
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

// DefaultMaxHeld is the default of Options.MaxHeld.
const DefaultMaxHeld = 10_000

// patience limits how long a caller waits for the database. After that it is refused with
// engine.ErrUnavailable.
const patience = 10 * time.Second

// Options configure Open. A zero field has the default that its comment names.
type Options struct {
	// Durability is what must survive of an answered callback. Open and Ready refuse a server
	// whose settings promise less. Default: Machine.
	Durability Durability

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

	// Judge returns an engine.OutputError if the output of a callback is not what the schema of
	// its wait asks for. Both are JSON. It may run at once for many callers. Default: waits with
	// a schema are refused with errors.ErrUnsupported.
	Judge func(schema, output []byte) error

	// Ahead is how far the engine's clock is ahead of the database's, for tests. Default: 0.
	Ahead func() time.Duration

	// Metrics registers the metrics of the engine (metrics.go). Default: no metrics.
	Metrics prometheus.Registerer

	// Logger receives what the server's settings promise, and failures of the background work,
	// which no caller sees. Default: slog.Default().
	Logger *slog.Logger
}

func (o *Options) setDefaults() {
	if o.Durability == "" {
		o.Durability = Machine
	}
	if o.MaxHeld == 0 {
		o.MaxHeld = DefaultMaxHeld
	}
	if o.Ahead == nil {
		o.Ahead = func() time.Duration { return 0 }
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// Engine is a copy's connections to a database. It implements all interfaces of package engine.
type Engine struct {
	options  Options
	location location
	readers  *pgxpool.Pool // for callers
	own      *pgxpool.Pool // for metrics and the background work
	probes   *pgxpool.Pool // for readiness
	turns    *store.Turns

	settles *writer[*settling]
	opens   *writer[*opening]
	changes *writer[change]
	holds   *writer[*holding]
	outage  outage

	hub     store.Hub[topic]
	poller  poller
	probe   probe
	counted counted
	metrics metrics

	alive  context.Context // until Close
	closed <-chan struct{}
	close  func() error
}

// Open connects to the database at url, creates or migrates the tables, and starts the background
// work, which Close ends. The url, the variables PG… and the file .pgpass are as for all programs of
// PostgreSQL; the parameters pool_max_conns and default_query_exec_mode are those of pgx. If Open notices a pooler, the
// default of default_query_exec_mode is exec.
func Open(ctx context.Context, url string, options Options) (*Engine, error) {
	options.setDefaults()
	l, err := parse(url)
	if err != nil {
		return nil, err
	}
	alive, end := context.WithCancel(context.Background())
	e := &Engine{options: options, location: l, outage: outage{logger: options.Logger}, alive: alive, closed: alive.Done()}
	err = e.prepare(ctx)
	if err == nil {
		e.readers, err = e.location.pool(ctx, l.config.MaxConns)
	}
	if err == nil {
		e.own, err = e.location.pool(ctx, ownReaders)
	}
	if err == nil {
		e.probes, err = e.location.pool(ctx, 1)
	}
	if err != nil {
		end()
		return nil, err
	}
	e.poller.start()
	e.turns = store.NewTurns(int(e.readers.Config().MaxConns))
	e.metrics.start(options.Metrics)
	e.settles, e.opens, e.changes = newWriter(e, store.BatchLength, e.settle), newWriter(e, store.BatchLength, e.open), newWriter(e, 1, e.change)
	e.holds = newWriter(e, store.BatchLength, e.holdAll)
	stopBackground := e.startBackground()
	e.close = sync.OnceValue(func() error {
		end()
		var closing sync.WaitGroup
		for _, close := range []func(){stopBackground, e.settles.close, e.opens.close, e.changes.close, e.holds.close} {
			closing.Go(close)
		}
		closing.Wait()
		e.probes.Close()
		e.readers.Close()
		e.own.Close()
		return nil
	})
	if options.Metrics != nil {
		if err := options.Metrics.Register(collector{e}); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	return e, nil
}

// Close answers the queued changes, and closes the connections.
func (e *Engine) Close() error { return e.close() }

// Name implements engine.Namer.
func (e *Engine) Name() string { return "PostgreSQL" }

// newWaitID returns a new wait id: a UUID of version 7.
func newWaitID() string { return uuid.Must(uuid.NewV7()).String() }

// ahead is the first argument of most functions.
func (e *Engine) ahead() int64 { return e.options.Ahead().Milliseconds() }

// ended returns why a call must end, or nil if the engine is open and ctx has not ended.
func (e *Engine) ended(ctx context.Context) error {
	select {
	case <-e.closed:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}

// read runs do with a connection that reads, for a project.
func (e *Engine) read(ctx context.Context, project string, do func(context.Context, *pgxpool.Conn) error) error {
	if err := e.ended(ctx); err != nil {
		return err
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	leave, err := e.turns.Enter(patient, project, e.closed)
	switch {
	case err != nil && ctx.Err() == nil && patient.Err() != nil:
		return fmt.Errorf("no answer of the database within %s: %w", patience, engine.ErrUnavailable)
	case err != nil:
		return err
	}
	defer leave()
	defer context.AfterFunc(e.alive, cancel)()
	for try := 0; ; try++ {
		err = e.acquire(patient, e.readers, do)
		// A connection of the pool may have ended since it was used last.
		if err == nil || try == readTries || patient.Err() != nil || !isLost(err) {
			break
		}
	}
	var refusal store.Refusal
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refusal):
		return err
	case e.ended(ctx) != nil:
		return e.ended(ctx)
	default:
		return explain(err)
	}
}

// acquire runs do with a connection of a pool, until the deadline of ctx. Through a pooler no statement is cancelled, so
// do keeps its connection and goes on although its caller has left. If it is given up all the same, the pooler forgets the
// statement and opens another connection, so PostgreSQL itself ends statements that take longer than patience.
func (e *Engine) acquire(ctx context.Context, pool *pgxpool.Pool, do func(context.Context, *pgxpool.Conn) error) error {
	return pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		if !e.location.pooled {
			return do(ctx, c)
		}
		deadline, _ := ctx.Deadline()
		ctx, end := context.WithDeadline(context.WithoutCancel(ctx), deadline)
		defer end()
		defer context.AfterFunc(e.alive, end)()
		server := c.Conn().PgConn()
		err := server.Exec(ctx, beginLimited).Close()
		if err == nil {
			err = do(ctx, c)
		}
		if err != nil {
			_ = server.Exec(ctx, "ROLLBACK").Close() // if it fails, the pool closes the connection
			return err
		}
		return server.Exec(ctx, "COMMIT").Close()
	})
}

// beginLimited begins the transaction of a read.
var beginLimited = fmt.Sprintf("BEGIN; SET LOCAL statement_timeout = %d", patience.Milliseconds())

// readTries is the number of connections that a read may find broken before it fails.
const readTries = 8

// explain wraps an error of the database.
func explain(err error) error {
	if isPooled(err) {
		return fmt.Errorf("%w: PostgreSQL: %w: there is a pooler that was not noticed at the start, or that keeps no prepared statements: restart, or use default_query_exec_mode=exec", engine.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: PostgreSQL: %w", engine.ErrUnavailable, err)
}
