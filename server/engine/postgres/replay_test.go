package postgres_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
	"github.com/jackc/pgx/v5"
)

// A deletion whose answer was lost is repeated, and is no "not found".
func TestLostDeletions(t *testing.T) {
	proxy, url := proxied(t)
	e := newCopies(t, url, postgres.Options{HoldUnknown: true}).start(t)
	if _, err := e.Callback(t.Context(), engine.Callback{Key: key("unknown"), Request: enginetest.Success(`{}`)}); err != nil {
		t.Fatal(err)
	}
	held, err := e.ListHeld(t.Context(), "p", waits.ListHeldParams{})
	if err != nil || len(held.Held) != 1 {
		t.Fatalf("ListHeld = %+v, %v; want one", held, err)
	}
	wait, _, err := e.OpenWait(t.Context(), "p", request("s"), "")
	if err != nil {
		t.Fatal(err)
	}
	link, err := e.CreateLink(t.Context(), "p", wait.WaitID, engine.NewLink{Digest: [32]byte{1}, Allow: []callback.Result{callback.Success}})
	if err != nil {
		t.Fatal(err)
	}
	dropOnce(proxy, "DELETE 1\x00")
	if err := e.DropHeld(t.Context(), "p", held.Held[0].HeldID); err != nil {
		t.Errorf("DropHeld whose answer was lost: %v", err)
	}
	dropOnce(proxy, "DELETE 1\x00")
	if err := e.WithdrawLink(t.Context(), "p", wait.WaitID, link.LinkID); err != nil {
		t.Errorf("WithdrawLink whose answer was lost: %v", err)
	}
}

// Changes whose connection was lost while they waited for a standby are not answered by their repeats
// before a standby has them.
func TestReplayWaitsForTheStandby(t *testing.T) {
	c := ownCluster(t)
	e := newCopies(t, c.URL("postgres"), postgres.Options{}).start(t)
	links := map[string]string{} // by wait: a link to withdraw
	for what, do := range map[string]func(waits.Wait) error{
		"CancelWait": func(w waits.Wait) error { return e.CancelWait(t.Context(), "p", w.WaitID, "", "") },
		"CreateLink": func(w waits.Wait) error {
			_, err := e.CreateLink(t.Context(), "p", w.WaitID, engine.NewLink{Digest: [32]byte{7}, Allow: []callback.Result{callback.Success}})
			return err
		},
		"WithdrawLink": func(w waits.Wait) error {
			return e.WithdrawLink(t.Context(), "p", w.WaitID, links[w.WaitID])
		},
		"Callback": func(w waits.Wait) error {
			_, err := e.Callback(t.Context(), engine.Callback{Key: engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: w.StateID}, Request: enginetest.Success(`{}`)})
			return err
		},
	} {
		wait, _, err := e.OpenWait(t.Context(), "p", request(what), "")
		if err != nil {
			t.Fatal(err)
		}
		link, err := e.CreateLink(t.Context(), "p", wait.WaitID, engine.NewLink{Digest: sha256.Sum256([]byte(what)), Allow: []callback.Result{callback.Success}})
		if err != nil {
			t.Fatal(err)
		}
		links[wait.WaitID] = link.LinkID
		wantStandby(t, c)
		answered := make(chan error, 1)
		go func() { answered <- do(wait) }()
		for number(t, c.URL("postgres"), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == 0 && len(answered) == 0 {
			<-time.After(10 * time.Millisecond)
		}
		execute(t, c, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		select {
		case err := <-answered:
			if err == nil {
				t.Errorf("%s was answered, and no standby has it", what)
			}
		case <-time.After(500 * time.Millisecond):
			answered <- nil // it waits, which is right
		}
		execute(t, c, "postgres", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
		if err := do(wait); err != nil && !errors.Is(err, engine.ErrNotFound) { // a link is withdrawn once
			t.Errorf("%s again, with the standby: %v", what, err)
		}
	}
}

// A callback that is held is repeated while its wait is opened through another copy.
func TestHeldRepeatsDuringHandOver(t *testing.T) {
	c := newCopies(t, database(t), postgres.Options{HoldUnknown: true})
	one, two := c.start(t), c.start(t)
	for i := range 100 {
		state := fmt.Sprint(i)
		if _, err := one.Callback(t.Context(), engine.Callback{Key: key(state), Request: enginetest.Success(`{"a":1}`)}); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for j := range 4 {
			group.Go(func() {
				<-time.After(time.Duration(j) * 300 * time.Microsecond)
				if _, err := one.Callback(t.Context(), engine.Callback{Key: key(state), Request: enginetest.Success(`{ "a": 1 }`)}); err != nil {
					t.Errorf("repeated Callback: %v", err)
				}
			})
		}
		group.Go(func() {
			if _, _, err := two.OpenWait(t.Context(), "p", request(state), ""); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
	}
}

// If the connection of a commit is lost, nobody cancels the commit.
func TestCommitsAreNotCancelled(t *testing.T) {
	proxy, url := proxied(t)
	e := newCopies(t, url, postgres.Options{}).start(t)
	r := request("s")
	r.ExecutionID = "the answer of the settle"
	if _, _, err := e.OpenWait(t.Context(), "p", r, ""); err != nil {
		t.Fatal(err)
	}
	dropOnce(proxy, r.ExecutionID)
	if id, err := e.Callback(t.Context(), engine.Callback{Key: key("s"), Request: enginetest.Success(`{}`)}); err != nil || id != r.ExecutionID {
		t.Errorf("Callback whose answer was lost = %q, %v", id, err)
	}
	if n := proxy.Cancels(); n != 0 {
		t.Errorf("%d requests to cancel were sent, want none", n)
	}
}

// A transaction that PostgreSQL rolled back in favour of another is repeated.
func TestSerializationFailure(t *testing.T) {
	for _, code := range []string{"40001", "40P01"} {
		url := database(t)
		e := newCopies(t, url, postgres.Options{}).start(t)
		if _, _, err := e.OpenWait(t.Context(), "p", request("s"), ""); err != nil {
			t.Fatal(err)
		}
		execute(t, cluster, nameOf(url), "CREATE SEQUENCE tries",
			"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('tries') < 3 THEN RAISE EXCEPTION 'again' USING ERRCODE = '"+code+"'; END IF; RETURN NEW; END $$",
			"CREATE TRIGGER refuse BEFORE INSERT ON flowcallback.outcomes FOR EACH ROW EXECUTE FUNCTION refuse()")
		if _, err := e.Callback(t.Context(), engine.Callback{Key: key("s"), Request: enginetest.Success(`{}`)}); err != nil {
			t.Errorf("Callback that failed twice with %s: %v", code, err)
		}
	}
}

// A callback that waits for the lock of its project while the deadline passes is too late.
func TestDeadlineBehindTheLock(t *testing.T) {
	url := database(t)
	e := newCopies(t, url, postgres.Options{}).start(t)
	r := request("s")
	r.TimeoutSeconds = 1
	wait, _, err := e.OpenWait(t.Context(), "p", r, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	tx, err := c.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "SELECT FROM flowcallback.feed FOR UPDATE")
	}
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := e.Callback(t.Context(), engine.Callback{Key: key("s"), Request: enginetest.Success(`{}`)})
		answered <- err
	}()
	<-time.After(time.Until(wait.ExpiresAt) + 100*time.Millisecond)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; !errors.Is(err, engine.ErrExpired) {
		t.Errorf("Callback that got the lock behind the deadline: %v, want %v", err, engine.ErrExpired)
	}
}

// Close does not wait for a standby that is away.
func TestCloseWithoutTheStandby(t *testing.T) {
	c := ownCluster(t)
	e, err := postgres.Open(t.Context(), c.URL("postgres"), postgres.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"one", "two"} {
		if _, _, err := e.OpenWait(t.Context(), "p", request(state), ""); err != nil {
			t.Fatal(err)
		}
	}
	wantStandby(t, c)
	var callbacks sync.WaitGroup
	for _, state := range []string{"one", "two"} { // in two batches
		callbacks.Go(func() {
			if _, err := e.Callback(t.Context(), engine.Callback{Key: key(state), Request: enginetest.Success(`{}`)}); !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("Callback without the standby: %v, want %v", err, engine.ErrUnavailable)
			}
		})
		<-time.After(300 * time.Millisecond)
	}
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(25 * time.Second): // a commit is given up after 30
		t.Error("Close waits for a standby that is away")
	}
	callbacks.Wait()
}
