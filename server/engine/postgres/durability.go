package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Durability is what an answered callback survives.
type Durability string

// The values of Durability.
const (
	// Machine: a crash of PostgreSQL, and of its machine, as long as the disk is there. A standby
	// that takes over may lack what was answered last, unless it is synchronous.
	Machine Durability = "machine"
	// Standby: the loss of the machine, too: a synchronous standby has each commit on its disk.
	Standby Durability = "standby"
	// External: what the operator says, for example of a database whose storage is replicated. The
	// settings are not looked at.
	External Durability = "external"
)

// leastVersion is the oldest version of PostgreSQL that the engine works with.
const leastVersion = 140000

// server is what a server says of itself.
type server struct {
	version          string
	number           int
	inRecovery       bool
	readOnly         bool
	fsync, commit    string // settings
	synchronousNames string
	databaseEncoding string
	isolation        string // settings of the session
	dates, bytes     string
}

const selectServer = `
SELECT current_setting('server_version'), current_setting('server_version_num')::integer, pg_is_in_recovery(), current_setting('transaction_read_only')::boolean,
       current_setting('fsync'), current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), current_setting('server_encoding'),
       current_setting('default_transaction_isolation'), current_setting('DateStyle'), current_setting('bytea_output')`

type querier interface {
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

func readServer(ctx context.Context, c querier) (s server, err error) {
	err = c.QueryRow(ctx, selectServer).Scan(&s.version, &s.number, &s.inRecovery, &s.readOnly, &s.fsync, &s.commit, &s.synchronousNames, &s.databaseEncoding, &s.isolation, &s.dates, &s.bytes)
	return s, err
}

// check returns why callbacks must not be answered with this server, or nil.
func (s server) check(least Durability) error {
	switch {
	case s.number < leastVersion:
		return fmt.Errorf("PostgreSQL %s is too old: want 14 or later", s.version)
	case s.databaseEncoding != "UTF8":
		return fmt.Errorf("the encoding of the database is %s: want UTF8", s.databaseEncoding)
	case s.inRecovery:
		return errors.New("the server is a standby: it cannot be written")
	case s.readOnly:
		return errors.New("the server is read-only (default_transaction_read_only)")
	case s.isolation != "read committed":
		return fmt.Errorf("default_transaction_isolation is %s: want read committed; ALTER ROLE … SET default_transaction_isolation = 'read committed' sets it for the server's role", s.isolation)
	case !strings.HasPrefix(s.dates, "ISO") || s.bytes != "hex":
		return fmt.Errorf("DateStyle is %s and bytea_output is %s: want ISO and hex; ALTER ROLE … SET sets them for the server's role", s.dates, s.bytes)
	case least == External:
		return nil
	case s.fsync == "off":
		return errors.New("fsync is off: a crash of the machine would lose answered callbacks; turn it on, or start with --durability external")
	case s.commit == "off":
		return errors.New("synchronous_commit is off: a crash would lose answered callbacks; turn it on, or start with --durability external")
	case least == Standby && s.actual() != Standby:
		return fmt.Errorf("synchronous_standby_names is %q and synchronous_commit is %s, so a standby may lack answered callbacks: name a standby and set synchronous_commit to on, or start with --durability machine", s.synchronousNames, s.commit)
	default:
		return nil
	}
}

// actual returns what the settings promise.
func (s server) actual() Durability {
	if s.synchronousNames != "" && (s.commit == "on" || s.commit == "remote_apply") {
		return Standby
	}
	return Machine
}

// survives says what an answered callback survives.
func (s server) survives(asked Durability) string {
	switch {
	case asked == External:
		return "what the operator of the database says"
	case s.actual() == Standby:
		return "the loss of the database's machine: a synchronous standby has each answered callback on its disk"
	default:
		return "a crash of the database's machine; a standby may lack the callbacks that were answered last"
	}
}
