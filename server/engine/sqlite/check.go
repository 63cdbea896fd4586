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

// checkTime limits how long Open looks for damage, so that the start stays fast however
// large the file is. Check reads the rest.
const checkTime = 100 * time.Millisecond

// errDamaged is the result of a check that found damage.
var errDamaged = errors.New("it is damaged")

// Check reads the whole file at path and returns what is damaged, or nil. An engine may use
// the file at the same time. It reads some hundred megabytes a second.
func Check(ctx context.Context, path string) (err error) {
	path, err = resolve(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err // connect would create it
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

// checkShortly looks for damage for at most checkTime.
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
