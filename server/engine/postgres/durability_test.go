package postgres_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
	"github.com/flowcallback/flowcallback/server/engine/postgres/postgrestest"
)

func execute(t *testing.T, c *postgrestest.Cluster, database string, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if err := c.Execute(database, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// wantStandby has commits wait for a standby, which there is not. It returns when they do: the server reads
// its settings again a little later than it is asked to.
func wantStandby(t *testing.T, c *postgrestest.Cluster) {
	t.Helper()
	execute(t, c, "postgres", "CREATE TABLE IF NOT EXISTS probe (n int)", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
	const probes = `FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'INSERT INTO probe%'`
	for isWaiting := false; !isWaiting; {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = c.Execute("postgres", "INSERT INTO probe VALUES (1)") // fails if it waited
		}()
		for isDone := false; !isDone && !isWaiting; {
			select {
			case <-done:
				isDone = true
			case <-time.After(5 * time.Millisecond):
				isWaiting = number(t, c.URL("postgres"), "SELECT count(*) "+probes) > 0
			}
		}
		execute(t, c, "postgres", "SELECT pg_terminate_backend(pid) "+probes)
		<-done
	}
}

// ownCluster returns a server for one test.
func ownCluster(t *testing.T, settings ...string) *postgrestest.Cluster {
	t.Helper()
	_ = database(t)
	c, err := postgrestest.Start(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Remove() })
	return c
}

// nameOf returns the database of a URL.
func nameOf(url string) string { return url[strings.LastIndex(url, "/")+1:] }

// A database whose settings promise less than was asked for is refused, with the reason.
func TestDurability(t *testing.T) {
	for name, test := range map[string]struct {
		setting string
		asked   postgres.Durability
		want    string // "" if it is accepted
	}{
		"defaults":                       {"", postgres.Machine, ""},
		"defaults, and a standby":        {"", postgres.Standby, "synchronous_standby_names"},
		"no synchronous commit":          {"SET synchronous_commit = off", postgres.Machine, "synchronous_commit is off"},
		"no synchronous commit, managed": {"SET synchronous_commit = off", postgres.External, ""},
		"read-only":                      {"SET default_transaction_read_only = on", postgres.External, "read"},
		"isolation":                      {"SET default_transaction_isolation = 'repeatable read'", postgres.External, "read committed"},
		"dates":                          {"SET DateStyle = 'SQL, DMY'", postgres.External, "DateStyle"},
	} {
		t.Run(name, func(t *testing.T) {
			url := database(t)
			if test.setting != "" {
				execute(t, cluster, "postgres", "ALTER DATABASE "+nameOf(url)+" "+test.setting)
			}
			e, err := postgres.Open(t.Context(), url, postgres.Options{Durability: test.asked, Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				defer e.Close()
				err = e.Ready(t.Context())
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("Open and Ready: %v; want %q", err, test.want)
			}
		})
	}
	t.Run("encoding", func(t *testing.T) {
		_ = database(t)
		execute(t, cluster, "postgres", "CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
		if _, err := postgres.Open(t.Context(), cluster.URL("latin"), postgres.Options{}); err == nil || !strings.Contains(err.Error(), "LATIN1") {
			t.Errorf("Open: %v, want the encoding refused", err)
		}
	})
}

// A server without fsync, and a standby, are refused; a server with a synchronous standby is accepted.
func TestDurabilityOfServers(t *testing.T) {
	unsafe := ownCluster(t, "fsync = off")
	if _, err := postgres.Open(t.Context(), unsafe.URL("postgres"), postgres.Options{}); err == nil || !strings.Contains(err.Error(), "fsync is off") {
		t.Errorf("Open of a server without fsync: %v, want it refused", err)
	}
	c := ownCluster(t)
	standby, err := c.Standby("standby")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Remove() })
	execute(t, c, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()")
	if _, err := postgres.Open(t.Context(), standby.URL("postgres"), postgres.Options{}); err == nil {
		t.Error("Open of a standby succeeded")
	}
	e, err := postgres.Open(t.Context(), c.URL("postgres"), postgres.Options{Durability: postgres.Standby, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Ready(t.Context()); err != nil {
		t.Errorf("Ready with a synchronous standby: %v", err)
	}
}

// Settings may change while the server runs.
func TestReadySeesSettings(t *testing.T) {
	c := ownCluster(t)
	e := newCopies(t, c.URL("postgres"), postgres.Options{}).start(t)
	err := e.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	execute(t, c, "postgres", "ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()")
	for err = nil; err == nil && t.Context().Err() == nil; err = e.Ready(t.Context()) {
		<-time.After(10 * time.Millisecond)
	}
	if !strings.Contains(err.Error(), "synchronous_commit is off") {
		t.Errorf("Ready: %v, want the setting refused", err)
	}
	execute(t, c, "postgres", "ALTER SYSTEM RESET synchronous_commit", "SELECT pg_reload_conf()")
	for err = e.Ready(t.Context()); err != nil && t.Context().Err() == nil; err = e.Ready(t.Context()) {
		<-time.After(10 * time.Millisecond)
	}
	c.Kill()
	for err = nil; err == nil && t.Context().Err() == nil; err = e.Ready(t.Context()) {
		<-time.After(10 * time.Millisecond)
	}
	if !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Ready without a server: %v, want %v", err, engine.ErrUnavailable)
	}
}

// A commit that waits for a standby and is cancelled is on one server only. The callback is not
// answered; when the standby is there, the repeat is.
func TestDoubt(t *testing.T) {
	c := ownCluster(t)
	e := newCopies(t, c.URL("postgres"), postgres.Options{}).start(t)
	wait, _, err := e.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s", TimeoutSeconds: 3600}, "")
	if err != nil {
		t.Fatal(err)
	}
	sent := engine.Callback{Key: engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: "s"}, Request: enginetest.Success(`{}`)}
	wantStandby(t, c)
	answered := make(chan error, 1)
	go func() {
		_, err := e.Callback(t.Context(), sent)
		answered <- err
	}()
	cancel := "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
	for {
		execute(t, c, "postgres", cancel)
		select {
		case err := <-answered:
			if !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("Callback whose commit was cancelled: %v, want %v", err, engine.ErrUnavailable)
			}
		case <-time.After(10 * time.Millisecond):
			continue
		}
		break
	}
	// It is stored, but not where it must be, so a repeat must not be answered either.
	again := make(chan error, 1)
	go func() {
		_, err := e.Callback(t.Context(), sent)
		again <- err
	}()
	select {
	case err := <-again:
		if err == nil {
			t.Error("repeated Callback was answered without the standby")
		}
	case <-time.After(time.Second):
	}
	execute(t, c, "postgres", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	if id, err := e.Callback(t.Context(), sent); err != nil || id != wait.ExecutionID {
		t.Errorf("Callback with the standby = %q, %v; want %q", id, err, wait.ExecutionID)
	}
}

// After a copy of the disk is put back, a cursor of what came after it is refused, also when as many
// outcomes have come since.
func TestRestoredDisk(t *testing.T) {
	c := ownCluster(t)
	copies := newCopies(t, c.URL("postgres"), postgres.Options{})
	e := copies.start(t)
	settle := func(states ...string) {
		t.Helper()
		for _, state := range states {
			key := engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: callback.StateID(state)}
			_, _, err := e.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: key.StateID, TimeoutSeconds: 3600}, "")
			if err == nil {
				_, err = e.Callback(t.Context(), engine.Callback{Key: key, Request: enginetest.Success(`{}`)})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	cursor := func(after string) string {
		t.Helper()
		page, err := e.ListOutcomes(t.Context(), "p", after, 100, 0)
		if err != nil {
			t.Fatal(err)
		}
		return page.Next
	}
	settle("a", "b")
	before := cursor("")
	copies.close(t)
	saved, err := c.Save()
	if err != nil {
		t.Fatal(err)
	}
	e = copies.start(t)
	settle("c", "d")
	lost := cursor(before)
	polled := make(chan error, 1)
	go func() {
		_, err := e.ListOutcomes(t.Context(), "p", lost, 100, time.Minute)
		polled <- err
	}()
	<-time.After(100 * time.Millisecond) // so that it waits
	if err := c.Restore(saved); err != nil {
		t.Fatal(err)
	}
	e = copies.start(t)
	refused := func(when string) {
		t.Helper()
		if _, err := e.ListOutcomes(t.Context(), "p", lost, 100, 0); !errors.Is(err, engine.ErrCursorForeign) {
			t.Errorf("ListOutcomes %s: %v, want %v", when, err, engine.ErrCursorForeign)
		}
	}
	refused("after the copy was put back")
	settle("e", "f", "g")
	if err := <-polled; !errors.Is(err, engine.ErrCursorForeign) {
		t.Errorf("ListOutcomes that waited while the copy was put back: %v, want %v", err, engine.ErrCursorForeign)
	}
	refused("after other outcomes took the positions")
	if page, err := e.ListOutcomes(t.Context(), "p", before, 100, 0); err != nil || len(page.Outcomes) != 3 {
		t.Errorf("ListOutcomes after a cursor of the copy = %d outcomes, %v; want 3", len(page.Outcomes), err)
	}
}

// A copy of the database in the same server has another history, too.
func TestRestoredTemplate(t *testing.T) {
	url := database(t)
	name := nameOf(url)
	copies := newCopies(t, url, postgres.Options{})
	settle := func(state string) (next string) {
		t.Helper()
		e := copies.start(t)
		defer copies.close(t)
		_, _, err := e.OpenWait(t.Context(), "p", request(state), "")
		if err == nil {
			_, err = e.Callback(t.Context(), engine.Callback{Key: key(state), Request: enginetest.Success(`{}`)})
		}
		if err != nil {
			t.Fatal(err)
		}
		page, err := e.ListOutcomes(t.Context(), "p", "", 100, 0)
		if err != nil {
			t.Fatal(err)
		}
		return page.Next
	}
	settle("a")
	execute(t, cluster, "postgres", "CREATE DATABASE saved TEMPLATE "+name)
	lost := settle("b")
	execute(t, cluster, "postgres", "DROP DATABASE "+name, "ALTER DATABASE saved RENAME TO "+name)
	settle("c")
	if _, err := copies.start(t).ListOutcomes(t.Context(), "p", lost, 100, 0); !errors.Is(err, engine.ErrCursorForeign) {
		t.Errorf("ListOutcomes after a cursor of the lost database: %v, want %v", err, engine.ErrCursorForeign)
	}
}
