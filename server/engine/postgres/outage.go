package postgres

import (
	"log/slog"
	"sync"
	"time"
)

// outage says in the log when the database is lost and when it is back.
type outage struct {
	logger *slog.Logger

	mu    sync.Mutex
	since time.Time // zero if it is there
}

// note notes the result of an attempt to write.
func (o *outage) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil && !o.since.IsZero():
		o.logger.Info("PostgreSQL is back", "after", time.Since(o.since).Round(time.Millisecond).String())
		o.since = time.Time{}
	case err != nil && o.since.IsZero() && isLost(err):
		o.logger.Error("PostgreSQL is lost; trying again", "error", err)
		o.since = time.Now()
	}
}
