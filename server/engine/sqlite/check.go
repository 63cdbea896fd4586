package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// checkTime bounds how long Open looks for damage, so that starting does not take longer the
// more waits there are. What it does not get to is found by Check, or when it is touched.
const checkTime = 100 * time.Millisecond

// errDamaged is what a check found.
var errDamaged = errors.New("it is damaged")

// Check reads the whole file at path and says what is damaged in it, nil if nothing is. An
// engine may be serving from it meanwhile. It takes a second for some hundred megabytes.
func Check(ctx context.Context, path string) (err error) {
	path, err = resolve(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err // opening it would make it
	}
	conn, err := connect(path, 5*time.Second, "query_only = 1")
	if err != nil {
		return explain(path, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := versionOf(conn); err != nil {
		return explain(path, err)
	}
	conn.SetInterrupt(ctx.Done())
	if err := check(conn, "PRAGMA integrity_check"); err != nil {
		return errors.Join(ctx.Err(), explain(path, err))
	}
	return nil
}

// checkShortly looks for damage for as long as checkTime.
func checkShortly(ctx context.Context, conn *sqlite.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	conn.SetInterrupt(ctx.Done())
	defer conn.SetInterrupt(nil)
	err := check(conn, "PRAGMA quick_check")
	if sqlite.ErrCode(err) == sqlite.ResultInterrupt {
		return nil
	}
	return err
}

func check(conn *sqlite.Conn, pragma string) error {
	return sqlitex.ExecuteTransient(conn, pragma, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
		if found := row.ColumnText(0); found != "ok" {
			return fmt.Errorf("%w: %s", errDamaged, found)
		}
		return nil
	}})
}
