package sqlite_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

func TestCallbacks(t *testing.T) {
	enginetest.Callbacks(t, func(t *testing.T) *enginetest.Subject {
		c := &crasher{}
		f := newFile(t, sqlite.Options{Committed: c.committed})
		w := &enginetest.WaitsSubject{Engine: f.Engine, Advance: f.advance}
		w.Reopen = func(t *testing.T) { f.reopen(t); w.Engine = f.Engine }
		s := w.Callbacks()
		s.Crash = func(t *testing.T, call func()) {
			c.crash(t, f, call)
			s.Reopen(t)
		}
		return s
	})
}

func startWaits(options sqlite.Options) func(t *testing.T) *enginetest.WaitsSubject {
	return func(t *testing.T) *enginetest.WaitsSubject {
		options.Judge = enginetest.Judge
		f := newFile(t, options)
		s := &enginetest.WaitsSubject{Engine: f.Engine, Advance: f.advance}
		s.Reopen = func(t *testing.T) { f.reopen(t); s.Engine = f.Engine }
		return s
	}
}

func TestWaits(t *testing.T) { enginetest.Waits(t, startWaits(sqlite.Options{})) }

func TestLinks(t *testing.T) { enginetest.Links(t, startWaits(sqlite.Options{})) }

func TestHold(t *testing.T) { enginetest.Hold(t, startWaits(sqlite.Options{HoldUnknown: true})) }

// crasher stops the writer after a commit and before the answer, and copies the files as
// they are then: what a crash at that instant leaves.
type crasher struct {
	skip              int // commits before the one to stop after
	armed             atomic.Bool
	stopped, released chan struct{}
}

func (c *crasher) committed(int, time.Duration) {
	if !c.armed.Load() {
		return
	}
	if c.skip--; c.skip >= 0 {
		return
	}
	if c.armed.CompareAndSwap(true, false) {
		close(c.stopped)
		<-c.released
	}
}

// crash runs call, and replaces f's files with those of the instant after its commit.
func (c *crasher) crash(t *testing.T, f *file, call func()) {
	t.Helper()
	c.stopped, c.released = make(chan struct{}), make(chan struct{})
	c.armed.Store(true)
	called := make(chan struct{})
	go func() { defer close(called); call() }()
	select {
	case <-c.stopped:
	case <-called: // it has made fewer commits
		c.armed.Store(false)
	}
	copied := map[string][]byte{}
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(f.path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		copied[suffix] = data
	}
	close(c.released)
	<-called
	if err := f.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	f.path = filepath.Join(t.TempDir(), "crashed.db")
	for suffix, data := range copied {
		if err := os.WriteFile(f.path+suffix, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// file is an engine on a new file, with a clock that the test sets.
type file struct {
	*sqlite.Engine
	path    string
	options sqlite.Options
	ahead   atomic.Int64 // of the real time, in nanoseconds
}

func newFile(t *testing.T, options sqlite.Options) *file {
	t.Helper()
	f := &file{path: filepath.Join(t.TempDir(), "waits ?&%20#.db"), options: options}
	f.options.Now = func() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }
	start := time.Now()
	f.options.Uptime = func() time.Duration { return time.Since(start) + time.Duration(f.ahead.Load()) }
	f.open(t)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return f
}

func (f *file) open(t *testing.T) {
	t.Helper()
	var err error
	if f.Engine, err = sqlite.Open(t.Context(), f.path, f.options); err != nil {
		t.Fatalf("Open(%s): %v", f.path, err)
	}
}

func (f *file) reopen(t *testing.T) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	f.open(t)
}

func (f *file) advance(_ *testing.T, d time.Duration) { f.ahead.Add(int64(d)) }
