package sqlite_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// A wait that was settled while the clock was wrong is kept for as long as any other: neither the
// correction nor a restart after it counts, and a time in the future does not keep later ones.
func TestRetentionAndAWrongClock(t *testing.T) {
	for name, wrong := range map[string]time.Duration{"behind": -48 * time.Hour, "ahead": 48 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "waits.db")
			var jump, uptime time.Duration
			options := sqlite.Options{
				Retention: time.Hour, Logger: slog.New(slog.DiscardHandler),
				Now:    func() time.Time { return time.Now().Add(jump + uptime) },
				Uptime: func() time.Duration { return uptime },
			}
			var e *sqlite.Engine
			restart := func() {
				t.Helper()
				if e != nil {
					if err := e.Close(); err != nil {
						t.Fatal(err)
					}
				}
				var err error
				if e, err = sqlite.Open(t.Context(), path, options); err != nil {
					t.Fatal(err)
				}
			}
			kept := func() int {
				t.Helper()
				if err := e.Forget(t.Context()); err != nil {
					t.Fatal(err)
				}
				page, err := e.ListWaits(t.Context(), "p", waits.ListWaitsParams{Limit: new(10)}, 0)
				if err != nil {
					t.Fatal(err)
				}
				return len(page.Waits)
			}
			restart()
			defer func() { e.Close() }()
			settled(t, e, "p", "right clock")
			jump = wrong
			kept()
			settled(t, e, "p", "wrong clock")
			restart()
			jump = 0
			if n := kept(); n != 2 {
				t.Errorf("after the clock was put right: %d waits, want 2", n)
			}
			settled(t, e, "p", "right clock again")
			restart()
			if n := kept(); n != 3 {
				t.Errorf("after a restart: %d waits, want 3", n)
			}
			uptime += 61 * time.Minute
			if n := kept(); n != 0 {
				t.Errorf("after the time of retention: %d waits, want none", n)
			}
			settled(t, e, "p", "last")
			restart()
			jump += 2 * time.Hour // between two runs, the machine's clock counts
			restart()
			if n := kept(); n != 0 {
				t.Errorf("after a stop for longer than the time of retention: %d waits, want none", n)
			}
		})
	}
}
