package sqlite

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/flowcallback/flowcallback/server/engine/store"
	"github.com/ncruces/go-sqlite3"
)

// conn is a connection that prepares each statement once. It must be used by one goroutine at
// a time.
type conn struct {
	*sqlite3.Conn

	statements map[string]*sqlite3.Stmt
}

// connect opens a connection to the file, which must exist. The files that SQLite creates
// beside it get its permissions.
func connect(path string, busy time.Duration, pragmas ...string) (*conn, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	location := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "vfs=" + vfsName + "&modeof=" + strings.ReplaceAll(url.QueryEscape(path), "+", "%20")}
	opened, err := sqlite3.Open(location.String())
	if err != nil {
		return nil, err
	}
	c := &conn{opened, map[string]*sqlite3.Stmt{}}
	err = c.BusyTimeout(busy)
	for _, pragma := range pragmas {
		if err == nil {
			err = c.Exec("PRAGMA " + pragma)
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close closes the statements and the connection.
func (c *conn) Close() error {
	for _, statement := range c.statements {
		_ = statement.Close() // repeats an error of its last run
	}
	return c.Conn.Close()
}

// prepare returns a statement that is prepared once.
func (c *conn) prepare(text string) (*sqlite3.Stmt, error) {
	if s, ok := c.statements[text]; ok {
		return s, nil
	}
	s, _, err := c.PrepareFlags(text, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	c.statements[text] = s
	return s, nil
}

// errStop ends a query early, without an error.
var errStop = errors.New("stop")

// query runs a statement and calls row with each row. If row returns errStop, query ends and
// returns nil. row may be nil.
func (c *conn) query(text string, row func(*sqlite3.Stmt) error, arguments ...any) error {
	s, err := c.prepare(text)
	if err != nil {
		return err
	}
	for i, argument := range arguments {
		if err := bind(s, i+1, argument); err != nil {
			return err
		}
	}
	for s.Step() {
		if row == nil {
			continue
		}
		if err := row(s); err != nil {
			_ = s.Reset() // err says more
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
	if err := s.Err(); err != nil {
		_ = s.Reset() // repeats it
		return err
	}
	return s.Reset()
}

// execute runs a statement that returns no rows.
func (c *conn) execute(text string, arguments ...any) error {
	s, err := c.prepare(text)
	if err != nil {
		return err
	}
	for i, argument := range arguments {
		if err := bind(s, i+1, argument); err != nil {
			return err
		}
	}
	return s.Exec()
}

// bind binds a value. An empty optional is NULL, and a jsonText is TEXT.
func bind(s *sqlite3.Stmt, parameter int, value any) error {
	switch v := value.(type) {
	case int64:
		return s.BindInt64(parameter, v)
	case int:
		return s.BindInt(parameter, v)
	case store.Status:
		return s.BindInt(parameter, int(v))
	case string:
		return s.BindText(parameter, v)
	case optional:
		if v == "" {
			return s.BindNull(parameter)
		}
		return s.BindText(parameter, string(v))
	case jsonText:
		if v == nil {
			return s.BindNull(parameter)
		}
		return s.BindRawText(parameter, v)
	case []byte:
		return s.BindBlob(parameter, v)
	case nil:
		return s.BindNull(parameter)
	default:
		return fmt.Errorf("cannot bind a %T", value)
	}
}

type (
	optional string // NULL if it is empty
	jsonText []byte // NULL if it is nil
)

// text returns a copy of the text in a column, or nil if it is NULL.
func text(row *sqlite3.Stmt, column int) []byte {
	if row.ColumnType(column) == sqlite3.NULL {
		return nil
	}
	return append([]byte{}, row.ColumnRawText(column)...)
}
