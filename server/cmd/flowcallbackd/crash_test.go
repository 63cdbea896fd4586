package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// ledger is what the server has answered, over all its lives.
type ledger struct {
	mu       sync.Mutex
	answered map[string]string // how a wait must have ended, by its id: an output, or "cancelled"
	feed     []string          // ids, as a follower saw them that keeps its cursor
	cursor   string
}

func (l *ledger) note(waitID, ended string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered[waitID] = ended
}

// Killed at random moments, again and again, while waits are opened, settled and cancelled
// and the feed is followed: nothing that was answered is lost or changed, the follower's
// cursor is good in the next life, and it misses nothing, in the order of the feed.
func TestCrashes(t *testing.T) {
	const rounds, senders = 8, 16
	engine := file(t)
	l := &ledger{answered: map[string]string{}}
	for round := range rounds {
		s := servertest.Start(t, "--engine", engine)
		c := newClient(t, s, client.WithRetry(0))
		alive, die := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { l.follow(alive, c) })
		var n atomic.Int64
		last := 50 + rand.Int64N(400)
		for sender := range senders {
			group.Go(func() {
				for i := 0; alive.Err() == nil; i++ {
					l.work(alive, c, fmt.Sprintf("%d/%d/%d", round, sender, i))
					if n.Add(1) == last {
						s.Kill()
						die()
					}
				}
			})
		}
		group.Wait()
		die()
	}

	s := servertest.Start(t, "--engine", engine)
	c := newClient(t, s)
	if len(l.answered) < rounds || len(l.feed) == 0 {
		t.Fatalf("only %d answers and %d followed: the crashes left no time", len(l.answered), len(l.feed))
	}
	feed := readFeed(t, c)
	place := map[string]int{}
	for i, id := range feed {
		place[id] = i + 1
	}
	for id, ended := range l.answered {
		wait, err := c.Waits.Get(t.Context(), id)
		got := string(wait.Status)
		if wait.Outcome != nil {
			got = string(wait.Outcome.Output)
		}
		if err != nil || got != ended {
			t.Errorf("wait %s ended as %s, %v; it was answered as %s", id, got, err, ended)
		}
		if place[id] == 0 {
			t.Errorf("wait %s, which ended as %s, is not in the feed", id, ended)
		}
	}
	if !slices.IsSortedFunc(l.feed, func(a, b string) int { return place[a] - place[b] }) {
		t.Error("the follower saw waits in another order than the feed has")
	}
	seen := map[string]bool{}
	for _, id := range l.feed {
		seen[id] = true
	}
	for _, id := range feed[:max(0, place[l.feed[len(l.feed)-1]])] {
		if !seen[id] {
			t.Errorf("the follower missed wait %s", id)
		}
	}
}

// work opens a wait and ends it in one way or the other; what is not answered is not noted.
func (l *ledger) work(ctx context.Context, c *client.Client, state string) {
	wait, err := c.Waits.Open(ctx, waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(state)})
	if err != nil {
		return
	}
	if rand.IntN(3) == 0 {
		if c.Waits.Cancel(ctx, wait.WaitID) == nil {
			l.note(wait.WaitID, string(waits.Cancelled))
		}
		return
	}
	output := fmt.Sprintf(`{"state":%q}`, state)
	if _, err := c.Succeed(ctx, client.State{Workflow: "w", Run: "r", State: state}, []byte(output)); err == nil {
		l.note(wait.WaitID, output)
	}
}

// follow follows the feed from where it was left, until the server dies.
func (l *ledger) follow(ctx context.Context, c *client.Client) {
	var pending []string
	for settled, err := range c.Waits.Outcomes(ctx, l.cursor) {
		if err != nil {
			return
		}
		pending = append(pending, settled.WaitID)
		if settled.Cursor != "" { // what came with a cursor is acted on and kept together
			l.feed, l.cursor, pending = append(l.feed, pending...), settled.Cursor, nil
		}
	}
}

// readFeed reads the whole feed. A last wait, settled for that, marks its end.
func readFeed(t *testing.T, c *client.Client) (ids []string) {
	t.Helper()
	end, err := c.Waits.Open(t.Context(), waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "the end"})
	if err == nil {
		err = c.Waits.Cancel(t.Context(), end.WaitID)
	}
	if err != nil {
		t.Fatal(err)
	}
	for settled, err := range c.Waits.Outcomes(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if settled.WaitID == end.WaitID {
			break
		}
		ids = append(ids, settled.WaitID)
	}
	return ids
}
