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

// connect opens a connection of its own to the file.
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

// readers are the connections that read. They see commits only. Each is a goroutine's own,
// which lends its stack to SQLite: a long-poll that looked once would keep a stack as deep.
type readers struct {
	path    string
	conns   []*sqlite.Conn
	jobs    chan job
	stop    chan struct{}
	running sync.WaitGroup
}

// job is what a reader does for a caller.
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

// close has what is under way finished.
func (r *readers) close() error {
	close(r.stop)
	r.running.Wait()
	var failures []error
	for _, conn := range r.conns {
		failures = append(failures, conn.Close())
	}
	return errors.Join(failures...)
}

// query calls row with each row that the query answers with. It returns ctx.Err() where ctx
// ended before.
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

// execute runs a statement, prepared the first time, and calls row with each row. row may be
// nil; it ends the statement early by errEnough.
func execute(conn *sqlite.Conn, statement string, row func(*sqlite.Stmt) error, arguments ...any) error {
	err := sqlitex.Execute(conn, statement, &sqlitex.ExecOptions{Args: arguments, ResultFunc: row})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

var errEnough = errors.New("enough rows")

// text returns a column's text as bytes, nil if it is NULL.
func text(row *sqlite.Stmt, column int) []byte {
	if row.ColumnIsNull(column) {
		return nil
	}
	bytes := make([]byte, row.ColumnLen(column))
	row.ColumnBytes(column, bytes)
	return bytes
}
