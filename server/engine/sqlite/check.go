package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
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
	c, err := connect(path, DefaultBusyTimeout, "query_only = 1")
	if err != nil {
		return explain(path, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetInterrupt(ctx)
	defer c.SetInterrupt(context.Background())
	if _, err := c.version(); err != nil {
		return errors.Join(ctx.Err(), explain(path, err))
	}
	if err := c.check("PRAGMA integrity_check"); err != nil {
		return errors.Join(ctx.Err(), explain(path, c.nameDamage(err)))
	}
	return nil
}

// checkShortly looks for damage for at most checkTime.
func checkShortly(ctx context.Context, c *conn) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	c.SetInterrupt(ctx)
	err := c.check("PRAGMA quick_check")
	c.SetInterrupt(context.Background())
	if errors.Is(err, sqlite3.INTERRUPT) {
		return nil
	}
	return c.nameDamage(err)
}

func (c *conn) check(pragma string) error {
	return c.query(pragma, func(row *sqlite3.Stmt) error {
		if found := row.ColumnText(0); found != "ok" {
			return fmt.Errorf("%w: %s", errDamaged, found)
		}
		return nil
	})
}

// nameDamage adds the tables that cannot be read to an error that does not name them.
func (c *conn) nameDamage(err error) error {
	if err == nil || errors.Is(err, errDamaged) || errors.Is(err, sqlite3.INTERRUPT) {
		return err
	}
	var tables, damaged []string
	failed := c.query(`SELECT name FROM sqlite_schema WHERE type = 'table'`, func(row *sqlite3.Stmt) error {
		tables = append(tables, row.ColumnText(0))
		return nil
	})
	if failed != nil {
		return fmt.Errorf("%w: its list of tables: %w", errDamaged, err)
	}
	for _, table := range tables {
		if c.query(fmt.Sprintf(`SELECT count(*) FROM %s NOT INDEXED`, sqlite3.QuoteIdentifier(table)), nil) != nil {
			damaged = append(damaged, table)
		}
	}
	if damaged == nil {
		damaged = []string{"an index"}
	}
	return fmt.Errorf("%w: %s: %w", errDamaged, strings.Join(damaged, ", "), err)
}
