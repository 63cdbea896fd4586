package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/flowcallback/flowcallback/server/engine"
)

// connect opens a new connection to the file.
func connect(path string, busy time.Duration, pragmas ...string) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	if err := set(conn, busy, pragmas); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func set(conn *sqlite.Conn, busy time.Duration, pragmas []string) error {
	conn.SetBusyTimeout(busy)
	for _, pragma := range pragmas {
		if err := sqlitex.ExecuteTransient(conn, "PRAGMA "+pragma, nil); err != nil {
			return err
		}
	}
	return nil
}

// readers are the connections that read. They see only commits. Each belongs to a goroutine
// of its own: SQLite needs a deep stack, and the goroutine of a long-poll that ran it once
// would keep that stack.
type readers struct {
	path    string
	conns   []*sqlite.Conn
	jobs    chan job
	stop    chan struct{}
	running sync.WaitGroup
}

// job is a read for a caller.
type job struct {
	ctx  context.Context
	do   func(*sqlite.Conn) error
	done chan error // buffered: a reader never waits for a caller
}

func openReaders(path string, busy time.Duration) (*readers, error) {
	r := &readers{path: path, jobs: make(chan job), stop: make(chan struct{})}
	for range max(4, runtime.NumCPU()) {
		conn, err := connect(path, busy, "query_only = 1")
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.conns = append(r.conns, conn)
		r.running.Go(func() { r.serve(conn) })
	}
	return r, nil
}

func (r *readers) serve(conn *sqlite.Conn) {
	for {
		select {
		case j := <-r.jobs:
			conn.SetInterrupt(j.ctx.Done())
			j.done <- j.do(conn)
			conn.SetInterrupt(nil)
		case <-r.stop:
			return
		}
	}
}

// close waits for running reads and closes the connections.
func (r *readers) close() error {
	close(r.stop)
	r.running.Wait()
	var failures []error
	for _, conn := range r.conns {
		failures = append(failures, conn.Close())
	}
	return errors.Join(failures...)
}

// query runs a query and calls row with each row. It returns ctx.Err() if ctx ends first.
func (r *readers) query(ctx context.Context, query string, row func(*sqlite.Stmt) error, arguments ...any) error {
	j := job{ctx, func(conn *sqlite.Conn) error { return execute(conn, query, row, arguments...) }, make(chan error, 1)}
	select {
	case r.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stop:
		return fmt.Errorf("closed: %w", engine.ErrUnavailable)
	}
	err := <-j.done
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return explain(r.path, err)
	}
}

// execute runs a statement, which it prepares once, and calls row with each row. row may be
// nil. It may return errPageFull to end the statement early.
func execute(conn *sqlite.Conn, statement string, row func(*sqlite.Stmt) error, arguments ...any) error {
	err := sqlitex.Execute(conn, statement, &sqlitex.ExecOptions{Args: arguments, ResultFunc: row})
	if errors.Is(err, errPageFull) {
		return nil
	}
	return err
}

var errPageFull = errors.New("page is full")

// text returns the text of a column as bytes, or nil if it is NULL.
func text(row *sqlite.Stmt, column int) []byte {
	if row.ColumnIsNull(column) {
		return nil
	}
	bytes := make([]byte, row.ColumnLen(column))
	row.ColumnBytes(column, bytes)
	return bytes
}
