package sqlite

import (
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3"
)

const (
	loadAge  = `SELECT age, age_at FROM state WHERE age IS NOT NULL`
	storeAge = `UPDATE state SET age = ?, age_at = ?`

	// jumpTolerance is the difference between the clocks that is no jump.
	jumpTolerance = 10 * time.Second
)

// age is the clock of retention, in Unix milliseconds. It begins as the machine's clock. While
// the engine runs it counts by a clock that does not jump, so that a wrong clock, or one that is
// put right, deletes nothing. Between two runs it counts by the machine's clock, but never back.
type age struct {
	start   int64 // at Open
	options *Options
	begin   time.Duration // Options.Uptime at Open
	ahead   atomic.Int64  // of the machine's clock, as it was stored last; nanoseconds
}

// loadAge sets the clock to where the last run left it, or to the machine's clock.
func (e *Engine) loadAge(c *conn) error {
	now := e.now()
	e.age.start, e.age.options, e.age.begin = now, &e.options, e.options.Uptime()
	err := c.query(loadAge, func(row *sqlite3.Stmt) error {
		e.age.start = row.ColumnInt64(0) + max(0, now-row.ColumnInt64(1))
		return nil
	})
	e.age.ahead.Store(int64(e.age.aheadOfIt()))
	return err
}

func (a *age) now() int64 { return a.start + (a.options.Uptime() - a.begin).Milliseconds() }

// aheadOfIt returns by how much the machine's clock is ahead of this one.
func (a *age) aheadOfIt() time.Duration {
	return time.Duration(a.options.Now().UnixMilli()-a.now()) * time.Millisecond
}

// jumped returns by how much the machine's clock has jumped since the last jump that was stored, 0
// if it has not, and a function to call when this one is stored.
func (a *age) jumped() (jump time.Duration, stored func()) {
	before, ahead := a.ahead.Load(), a.aheadOfIt()
	jump = ahead - time.Duration(before)
	if jump.Abs() < jumpTolerance {
		return 0, nil
	}
	return jump, func() { a.ahead.CompareAndSwap(before, int64(ahead)) }
}

// storeAge stores the clock for the next run.
func (t *tx) storeAge(a *age) error { return t.execute(storeAge, a.now(), a.options.Now().UnixMilli()) }
