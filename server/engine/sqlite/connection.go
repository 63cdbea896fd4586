package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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

// readers are the connections that read. They see commits only.
type readers struct {
	path string
	pool *sqlitex.Pool
}

func openReaders(path string, busy time.Duration) (readers, error) {
	pool, err := sqlitex.NewPool(path, sqlitex.PoolOptions{
		Flags:       sqlite.OpenReadWrite, // what reads a file in WAL mode writes beside it
		PoolSize:    max(4, runtime.NumCPU()),
		PrepareConn: func(conn *sqlite.Conn) error { return set(conn, busy, []string{"query_only = 1"}) },
	})
	return readers{path, pool}, err
}

func (r readers) close() error { return r.pool.Close() }

// query calls row with each row that the query answers with. It returns ctx.Err() where ctx
// ended before.
func (r readers) query(ctx context.Context, query string, row func(*sqlite.Stmt) error, arguments ...any) error {
	conn, err := r.pool.Take(ctx)
	if err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("%w: %w", engine.ErrUnavailable, err))
	}
	defer r.pool.Put(conn)
	err = execute(conn, query, row, arguments...)
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
