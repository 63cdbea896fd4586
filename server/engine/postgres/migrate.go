package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/flowcallback/flowcallback/server/engine/store"
)

//go:embed schema.sql
var schema string

//go:embed functions.sql
var functions string

// version is the version of the tables that this release makes. A release must also work with
// the tables of the one before, and leave its functions in place, so that copies can be replaced one by one.
const version = 1

const (
	// If several servers start at once, one makes the tables.
	lockMigration = `SELECT pg_advisory_xact_lock(hashtext('flowcallback'))`
	hasTables     = `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'flowcallback' AND c.relname = 'version')`
	createVersion = `
DO $$ BEGIN IF to_regnamespace('flowcallback') IS NULL THEN CREATE SCHEMA flowcallback; END IF; END $$;
CREATE TABLE flowcallback.version (
  one     boolean PRIMARY KEY DEFAULT true CHECK (one),
  version integer NOT NULL,
  oldest  integer NOT NULL -- the oldest version that a copy may be made for
)`
	insertVersion = `INSERT INTO flowcallback.version (version, oldest) VALUES ($1, $1)`
	selectVersion = `SELECT version, oldest FROM flowcallback.version`
	firstFeed     = `INSERT INTO flowcallback.feed (project, identity, base, floor) VALUES (0, flowcallback.identity(), 0, 0)`
	firstEpoch    = `INSERT INTO flowcallback.epochs (project, first, id) VALUES (0, 0, $1)`
)

// prepare checks the server, and creates the tables if there are none.
func (e *Engine) prepare(ctx context.Context) error {
	c, err := e.firstConnection(ctx)
	if err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	s, err := readServer(ctx, c)
	if err == nil {
		err = s.check(e.options.Durability)
	}
	if err != nil {
		return err
	}
	exists, err := tablesFit(ctx, c)
	if err == nil && !exists {
		err = e.create(ctx, c)
	}
	if err == nil {
		e.options.Logger.Info("connected to PostgreSQL", "version", s.version, "survives", s.survives(e.options.Durability))
	}
	return err
}

// firstConnection connects, and finds out whether there is a pooler.
func (e *Engine) firstConnection(ctx context.Context) (*pgx.Conn, error) {
	c, err := e.location.connect(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	isNew, err := e.location.findPooler(ctx, c)
	if err == nil && !isNew {
		return c, nil
	}
	_ = c.Close(context.WithoutCancel(ctx)) // it would prepare statements
	if err != nil {
		return nil, err
	}
	return e.location.connect(ctx, func(string) {})
}

// create creates the tables, unless another server has just done so.
func (e *Engine) create(ctx context.Context, c *pgx.Conn) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockMigration); err != nil {
			return err
		}
		exists, err := tablesFit(ctx, tx) // another server may have made them meanwhile
		if err != nil || exists {
			return err
		}
		return create(ctx, tx)
	})
}

// tablesFit reports whether there are tables. The error says that they are not for this release.
func tablesFit(ctx context.Context, c querier) (exist bool, err error) {
	if err := c.QueryRow(ctx, hasTables).Scan(&exist); err != nil || !exist {
		return false, err
	}
	var stored, oldest int
	if err := c.QueryRow(ctx, selectVersion).Scan(&stored, &oldest); err != nil {
		return true, hint(err)
	}
	if oldest > version {
		return true, fmt.Errorf("the tables are of a newer release (version %d; this release has %d): start that release", stored, version)
	}
	return true, nil
}

// hint adds what to do to an error about rights.
func hint(err error) error {
	var answer *pgconn.PgError
	switch {
	case !errors.As(err, &answer) || answer.Code != "42501":
		return err
	case strings.Contains(answer.Message, "database"):
		return fmt.Errorf("%w: GRANT CREATE ON DATABASE to this role, or CREATE SCHEMA flowcallback AUTHORIZATION for it", err)
	default:
		return fmt.Errorf("%w: the tables belong to another role: connect as that one, or GRANT it to this one", err)
	}
}

// create creates the tables. Several statements at once need the simple protocol.
func create(ctx context.Context, tx pgx.Tx) error {
	for _, script := range []string{createVersion, schema, functions} {
		if _, err := tx.Exec(ctx, script, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("creating the tables: %w", hint(err))
		}
	}
	if _, err := tx.Exec(ctx, insertVersion, version); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, firstFeed); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, firstEpoch, store.NewEpochID())
	return err
}
