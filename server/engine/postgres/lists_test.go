package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
)

// wantFollowed follows opened waits until done is true and there are no more, and wants n different ones, each
// once.
func wantFollowed(t *testing.T, e *postgres.Engine, params waits.ListWaitsParams, done *atomic.Bool, n int) {
	t.Helper()
	seen, all := map[string]bool{}, 0
	for isLast := false; !isLast && !t.Failed(); {
		wasDone := done.Load()
		page, err := e.ListWaits(t.Context(), "p", params, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range page.Waits {
			seen[w.WaitID] = true
		}
		all += len(page.Waits)
		isLast, params.Cursor = wasDone && len(page.Waits) == 0, page.NextCursor
	}
	if len(seen) != n || all != n {
		t.Errorf("the follower has %d waits, %d different ones, want %d", all, len(seen), n)
	}
}

// A follower of a prefix gets every wait, also of workflows that begin while it reads.
func TestPrefixFollower(t *testing.T) {
	e := newCopies(t, database(t), postgres.Options{}).start(t)
	const n = 1000
	var done atomic.Bool
	go func() {
		defer done.Store(true)
		for i := range n {
			r := request(fmt.Sprint(i))
			r.WorkflowID = "w-0"
			if i%2 == 0 {
				r.WorkflowID = fmt.Sprint("w-", 1+i%190)
			}
			if _, _, err := e.OpenWait(t.Context(), "p", r, ""); err != nil {
				t.Error(err)
			}
		}
	}()
	params := waits.ListWaitsParams{WorkflowPrefix: new("w-"), Order: new(waits.Oldest), Limit: new(100)}
	wantFollowed(t, e, params, &done, n)
}

// A list that begins again on another connection has no wait twice.
func TestRepeatedRead(t *testing.T) {
	proxy, url := proxied(t)
	e := newCopies(t, url, postgres.Options{}).start(t)
	const n = 2500 // three windows
	forAll(n, func(i int) {
		if _, _, err := e.OpenWait(t.Context(), "p", request(fmt.Sprint(i)), ""); err != nil {
			t.Error(err)
		}
	})
	for cut := range int64(8) {
		var large atomic.Int64
		proxy.Drop(func(answer []byte) bool { return len(answer) > 10_000 && large.Add(1) == cut+1 })
		run := callback.RunID("r")
		page, err := e.ListWaits(t.Context(), "p", waits.ListWaitsParams{RunID: &run, Limit: new(n)}, 0)
		seen := map[string]bool{}
		for _, w := range page.Waits {
			seen[w.WaitID] = true
		}
		if err != nil || len(seen) != n {
			t.Errorf("list whose answer %d was lost: %d waits, %d different ones, %v; want %d", cut+1, len(page.Waits), len(seen), err, n)
		}
	}
}

// The contract has no limit for ids of runs and states, but an index has.
func TestLongIDs(t *testing.T) {
	e := newCopies(t, database(t), postgres.Options{HoldUnknown: true}).start(t)
	var long strings.Builder
	for range 6000 {
		long.WriteByte(byte('!' + rand.IntN(90)))
	}
	r := request(long.String())
	r.RunID = callback.RunID(long.String())
	if _, _, err := e.OpenWait(t.Context(), "p", r, ""); err != nil {
		t.Fatal(err)
	}
	for _, params := range []waits.ListWaitsParams{{RunID: &r.RunID}, {StateID: &r.StateID}} {
		if page, err := e.ListWaits(t.Context(), "p", params, 0); err != nil || len(page.Waits) != 1 {
			t.Errorf("ListWaits by a long id = %d waits, %v; want 1", len(page.Waits), err)
		}
	}
	held := engine.Key{ProjectID: "p", WorkflowID: "w", RunID: r.RunID, StateID: "unknown"}
	if _, err := e.Callback(t.Context(), engine.Callback{Key: held, Request: enginetest.Success(`{}`)}); err != nil {
		t.Error(err)
	}
}

// A list expires what is due in its own project, and leaves other projects to the sweeper.
func TestListsLeaveOtherProjects(t *testing.T) {
	url := database(t)
	c := newCopies(t, url, postgres.Options{})
	e := c.start(t)
	const n = 2000
	forAll(n, func(i int) {
		if _, _, err := e.OpenWait(t.Context(), "other", request(fmt.Sprint(i)), ""); err != nil {
			t.Error(err)
		}
	})
	if _, _, err := e.OpenWait(t.Context(), "p", request("mine"), ""); err != nil {
		t.Fatal(err)
	}
	c.close(t)
	c.advance(t, 2*time.Hour)
	e = c.start(t)
	page, err := e.ListWaits(t.Context(), "p", waits.ListWaitsParams{Status: new(waits.Expired)}, 0)
	if err != nil || len(page.Waits) != 1 {
		t.Errorf("ListWaits of the expired = %d waits, %v; want 1", len(page.Waits), err)
	}
	if left := number(t, url, "SELECT count(*) FROM flowcallback.pending"); left < n/2 {
		t.Errorf("a list of one project has left %d of %d due waits of another project", left, n)
	}
}

// A long-poll that ends behind the deadline does not say that the wait waits.
func TestPollPastDeadline(t *testing.T) {
	c := newCopies(t, database(t), postgres.Options{})
	e := c.start(t)
	for i := range 10 {
		wait, _, err := e.OpenWait(t.Context(), "p", request(fmt.Sprint(i)), "")
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan waits.Wait, 1)
		go func() {
			w, err := e.GetWait(t.Context(), "p", wait.WaitID, 300*time.Millisecond)
			if err != nil {
				t.Error(err)
			}
			got <- w
		}()
		<-time.After(50 * time.Millisecond) // so that it waits
		c.advance(t, 2*time.Hour)
		if w := <-got; w.Status != waits.Expired {
			t.Errorf("GetWait that ended behind the deadline: %s, want expired", w.Status)
		}
	}
}

// A follower of opened waits gets every one, although two copies open them at once.
func TestOpenFollower(t *testing.T) {
	c := newCopies(t, database(t), postgres.Options{})
	engines := []*postgres.Engine{c.start(t), c.start(t)}
	const n = 2000
	var done atomic.Bool
	go func() {
		defer done.Store(true)
		forAll(n, func(i int) {
			if _, _, err := engines[i%2].OpenWait(t.Context(), "p", request(fmt.Sprint(i)), ""); err != nil {
				t.Error(err)
			}
		})
	}()
	params := waits.ListWaitsParams{Order: new(waits.Oldest), Limit: new(100)}
	wantFollowed(t, engines[0], params, &done, n)
}

// A project whose first waits are opened while a list with a prefix is read loses none of them.
func TestPrefixOfAnEmptyProject(t *testing.T) {
	e := newCopies(t, database(t), postgres.Options{HoldUnknown: true}).start(t)
	if _, err := e.Callback(t.Context(), engine.Callback{Key: key("unknown"), Request: enginetest.Success(`{}`)}); err != nil { // creates the project
		t.Fatal(err)
	}
	const n = 400
	var done atomic.Bool
	go func() {
		defer done.Store(true)
		forAll(n, func(i int) {
			r := request(fmt.Sprint(i))
			r.WorkflowID = fmt.Sprint("w-", i%100)
			if _, _, err := e.OpenWait(t.Context(), "p", r, ""); err != nil {
				t.Error(err)
			}
		})
	}()
	params := waits.ListWaitsParams{WorkflowPrefix: new("w-"), Order: new(waits.Oldest), Limit: new(100)}
	wantFollowed(t, e, params, &done, n)
}
