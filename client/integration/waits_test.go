package integration

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
)

func TestWaits(t *testing.T) {
	c := start(t, "project")
	state := func(i int) client.State {
		return client.State{Workflow: fmt.Sprint("workflow ", i%2), Run: "run", State: fmt.Sprint(i)}
	}
	const n = 250 // more than the default page size
	var ids []string
	for i := range n {
		ids = append(ids, open(t, c, state(i)).WaitID)
	}
	again := open(t, c, state(0))
	if again.WaitID != ids[0] {
		t.Errorf("opening the same state again: wait %s, want %s", again.WaitID, ids[0])
	}
	listed := collect(t, c.Waits.List(t.Context(), client.Filter{}), func(w waits.Wait) string { return w.WaitID })
	slices.Reverse(listed)
	if !slices.Equal(listed, ids) {
		t.Errorf("List = %d waits, want the %d opened waits, newest first", len(listed), n)
	}
	for i := range n {
		if _, err := c.Succeed(t.Context(), state(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := collect(t, c.Waits.List(t.Context(), client.Filter{Status: waits.Success, Workflow: "workflow 1"}), func(w waits.Wait) string { return string(w.StateID) }); len(got) != n/2 {
		t.Errorf("List with a filter = %d waits, want %d", len(got), n/2)
	}

	var first client.Settled // the last outcome with a cursor in the first half
	var upTo int
	var followed []string
	for settled, err := range c.Waits.Outcomes(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		followed = append(followed, settled.WaitID)
		if settled.Cursor != "" && len(followed) < n/2 {
			first, upTo = settled, len(followed)
		}
		if len(followed) == n {
			break
		}
	}
	if !slices.Equal(followed, ids) {
		t.Error("Outcomes did not return all waits in the order in which they were settled")
	}
	for settled, err := range c.Waits.Outcomes(t.Context(), first.Cursor) {
		if err != nil || slices.Index(ids, settled.WaitID) != upTo || upTo == 0 {
			t.Errorf("Outcomes from the cursor after outcome %d continues with state %s, %v", upTo, settled.StateID, err)
		}
		break
	}
}

func collect(t *testing.T, list iter.Seq2[waits.Wait, error], key func(waits.Wait) string) (keys []string) {
	t.Helper()
	for wait, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key(wait))
	}
	return keys
}

// Await of a wait without an outcome returns an error that errors.Is recognizes.
func TestAwaitEnded(t *testing.T) {
	c := start(t, "project")
	cancelled := open(t, c, client.State{Workflow: "w", Run: "r", State: "cancelled"})
	if err := c.Waits.Cancel(t.Context(), cancelled.WaitID, ""); err != nil {
		t.Fatal(err)
	}
	expired, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: "expired"}, client.OpenOptions{Timeout: 1 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]error{cancelled.WaitID: client.ErrCancelled, expired.WaitID: client.ErrExpired} {
		if wait, err := c.Waits.Await(t.Context(), id); !errors.Is(err, want) || wait.WaitID != id {
			t.Errorf("Await = %+v, %v; want %v", wait, err, want)
		}
	}
}
