package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
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
	config *pgxpool.Config
	pooled bool // through a pooler in transaction mode, as default_query_exec_mode says
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
	mode := config.ConnConfig.DefaultQueryExecMode
	return location{config, mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol}, nil
}

// withoutURL returns the reason of a parse error without the URL, which may have a password.
func withoutURL(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) && parse.Unwrap() != nil {
		return fmt.Errorf("the URL is not valid: %w; want postgres://USER@HOST:PORT/DATABASE", parse.Unwrap())
	}
	return errors.New("the URL is not valid; want postgres://USER@HOST:PORT/DATABASE")
}

// pool returns connections that read. They are made when they are needed. A read that is given up is
// cancelled, but not through a pooler: if a notification arrives during a cancel request, pgbouncer 1.18 to
// 1.20 ends (github.com/pgbouncer/pgbouncer/issues/822).
func (l location) pool(ctx context.Context, connections int32) (*pgxpool.Pool, error) {
	config := l.config.Copy()
	config.MaxConns = connections
	if l.pooled {
		config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			neverCancel(c)
			return nil
		}
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// neverCancel lets one connection send no cancel request, as pgx does when it gives a statement up. For that
// it dials the server that it has reached once more.
func neverCancel(c *pgx.ConnConfig) {
	var last string
	var reached sync.Map
	dial, validate := c.DialFunc, c.ValidateConnect
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if _, isReached := reached.Load(address); isReached {
			return nil, errors.New("statements are not cancelled")
		}
		last = address
		return dial(ctx, network, address)
	}
	c.ValidateConnect = func(ctx context.Context, connection *pgconn.PgConn) error {
		reached.Store(last, true) // of a socket, too
		reached.Store(connection.Conn().RemoteAddr().String(), true)
		return validate(ctx, connection)
	}
}

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
