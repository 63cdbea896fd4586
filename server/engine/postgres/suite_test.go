package postgres_test

import (
	"bytes"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
	"github.com/flowcallback/flowcallback/server/engine/postgres/postgrestest"
)

// copies are copies of the engine on one database, with one clock.
type copies struct {
	url     string
	options postgres.Options
	ahead   atomic.Int64

	mu   sync.Mutex
	open []*postgres.Engine
}

func newCopies(tb testing.TB, url string, options postgres.Options) *copies {
	tb.Helper()
	c := &copies{url: url, options: options}
	c.options.Judge = enginetest.Judge
	c.options.Logger = slog.New(slog.DiscardHandler)
	c.options.Ahead = func() time.Duration { return time.Duration(c.ahead.Load()) }
	tb.Cleanup(func() { c.close(tb) })
	return c
}

func (c *copies) start(tb testing.TB) *postgres.Engine {
	tb.Helper()
	e, err := postgres.Open(tb.Context(), c.url, c.options)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, e)
	return e
}

func (c *copies) close(tb testing.TB) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.open {
		if err := e.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	}
	c.open = nil
}

func (c *copies) advance(_ *testing.T, d time.Duration) { c.ahead.Add(int64(d)) }

func TestCallbacks(t *testing.T) {
	enginetest.Callbacks(t, func(t *testing.T) *enginetest.Subject {
		proxy, url := proxied(t)
		s := waitsSubject(t, newCopies(t, url, postgres.Options{})).Callbacks()
		s.Crash = func(_ *testing.T, call func()) {
			dropOnce(proxy, "") // the answer, after the commit
			call()
		}
		return s
	})
}

// dropOnce drops the next answer that has a text.
func dropOnce(p *postgrestest.Proxy, text string) {
	var dropped atomic.Bool
	p.Drop(func(answer []byte) bool {
		return bytes.Contains(answer, []byte(text)) && dropped.CompareAndSwap(false, true)
	})
}

// proxied returns the URL of a database through a proxy.
func proxied(t *testing.T) (*postgrestest.Proxy, string) {
	t.Helper()
	url := database(t)
	p, err := postgrestest.StartProxy(cluster.Port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p, p.URL(nameOf(url))
}

func startWaits(options postgres.Options) func(t *testing.T) *enginetest.WaitsSubject {
	return func(t *testing.T) *enginetest.WaitsSubject {
		return waitsSubject(t, newCopies(t, database(t), options))
	}
}

func waitsSubject(t *testing.T, c *copies) *enginetest.WaitsSubject {
	s := &enginetest.WaitsSubject{Engine: c.start(t), Advance: c.advance}
	s.Reopen = func(t *testing.T) { c.close(t); s.Engine = c.start(t) }
	s.Another = func(t *testing.T) enginetest.WaitsEngine { return c.start(t) }
	return s
}

func TestWaits(t *testing.T) { enginetest.Waits(t, startWaits(postgres.Options{})) }

func TestLinks(t *testing.T) { enginetest.Links(t, startWaits(postgres.Options{})) }

func TestHold(t *testing.T) { enginetest.Hold(t, startWaits(postgres.Options{HoldUnknown: true})) }
