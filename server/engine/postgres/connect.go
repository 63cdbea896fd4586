package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connectTimeout limits how long connecting to one host may take, if the URL does not say so.
const connectTimeout = 5 * time.Second

// defaultReaders is the number of connections that read, if the URL does not say so.
const defaultReaders = 8

// ownReaders is the number of connections for the engine's own reads.
const ownReaders = 3

// A location says how to connect.
type location struct {
	config  *pgxpool.Config
	hasMode bool // the URL says how statements are executed
	pooled  bool // through a pooler (findPooler)
}

func parse(url string) (location, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return location{}, fmt.Errorf("postgres: %w", withoutURL(err))
	}
	if strings.Contains(config.ConnConfig.Database, "@") { // a password with a slash
		return location{}, errors.New("postgres: the name of the database has an @: a slash in a password is written %2F; want postgres://USER@HOST:PORT/DATABASE")
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = defaultReaders
	}
	c := &config.ConnConfig.Config
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return location{config: config, hasMode: strings.Contains(url, "default_query_exec_mode")}, nil
}

// withoutURL returns the reason of a parse error without the URL, which may have a password.
func withoutURL(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) && parse.Unwrap() != nil {
		return fmt.Errorf("the URL is not valid: %w; want postgres://USER@HOST:PORT/DATABASE", parse.Unwrap())
	}
	return errors.New("the URL is not valid; want postgres://USER@HOST:PORT/DATABASE")
}

// findPooler finds out whether there is a pooler in front of the server that c is connected to. A pooler gives each of
// its connections a process id of its own. In transaction mode the next statement may run on another connection of the
// server, so statements are then executed without being prepared, unless the URL says how. It reports whether that is
// new, so that c must not be used any more.
func (l *location) findPooler(ctx context.Context, c *pgx.Conn) (isNew bool, err error) {
	var pid uint32
	if err := c.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pid); err != nil {
		return false, err
	}
	if l.pooled = pid != c.PgConn().PID(); !l.pooled || l.hasMode {
		return false, nil
	}
	l.config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	return true, nil
}

// pool returns connections that read. They are made when they are needed. A read that is given up is cancelled, but not
// through a pooler: pgbouncer 1.18 to 1.20 crashes if a message such as a notification arrives during a cancel request
// (github.com/pgbouncer/pgbouncer/issues/822).
func (l location) pool(ctx context.Context, connections int32) (*pgxpool.Pool, error) {
	config := l.config.Copy()
	config.MaxConns = connections
	if l.pooled {
		neverCancel(config.ConnConfig)
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// neverCancel stops pgx from sending cancel requests for statements that it gives up. pgx opens a connection for each, so
// dialling is refused except while pgx connects.
func neverCancel(c *pgx.ConnConfig) {
	dial := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if ctx.Value(connecting{}) == nil {
			return nil, errors.New("statements are not cancelled")
		}
		return dial(ctx, network, address)
	}
	c.Tracer = connecting{}
}

// connecting marks the contexts in which pgx connects. Only a tracer can mark those of a pool.
type connecting struct{}

// TraceConnectStart implements pgx.ConnectTracer.
func (connecting) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return context.WithValue(ctx, connecting{}, true)
}

// TraceConnectEnd implements pgx.ConnectTracer.
func (connecting) TraceConnectEnd(context.Context, pgx.TraceConnectEndData) {}

// TraceQueryStart implements pgx.QueryTracer.
func (connecting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (connecting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// connect returns a connection that writes. It never sends a cancel request: to cancel a commit that waits
// for its standby is to have it seen and not replicated. doubt receives the text of a warning.
func (l location) connect(ctx context.Context, doubt func(string)) (*pgx.Conn, error) {
	c := l.config.ConnConfig.Copy()
	neverCancel(c)
	c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			doubt(n.Message)
		}
	}
	return pgx.ConnectConfig(ctx, c)
}

// isLost reports whether the connection is lost, or the server stops or starts. A change may have
// been committed all the same.
func isLost(err error) bool {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return !errors.Is(err, pgx.ErrNoRows)
	}
	switch answer.Code[:2] {
	case "08", "57": // connection exceptions; the operator stops the server, or it recovers
		return true
	default:
		return false
	}
}

// isPassing reports whether a transaction was rolled back for a reason that may pass at once.
func isPassing(err error) bool {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Code {
	case "40001", "40P01", // serialization failure, deadlock
		"25006", // read-only: the server was demoted
		"53300": // too many connections
		return true
	default:
		return false
	}
}

// isPooled reports whether a statement that was prepared on one connection ran on another.
func isPooled(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && (answer.Code == "26000" || answer.Code == "42P05" || answer.Code == "08P01" && strings.Contains(answer.Message, "prepared statement"))
}
