package main_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// ledger records the server's responses over all restarts.
type ledger struct {
	mu       sync.Mutex
	answered map[string]string    // by wait id: the expected output, or "cancelled"
	deadline map[string]time.Time // that was confirmed, by wait id
	feed     []string             // wait ids in the order in which the follower received them
	cursor   string
}

func (l *ledger) note(waitID, ended string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before := l.answered[waitID]; before != "" && before != ended {
		ended = "both " + before + " and " + ended
	}
	l.answered[waitID] = ended
}

var crashes = flag.Int("crashes", 8, "how often TestCrashes kills the server")

// TestCrashes kills the server several times at random moments, while it opens, settles, holds,
// extends and cancels waits, with schemas and by links too, rivals settle the same state, lists make
// it fold, a backup is made, and a follower reads the outcomes feed. After the crashes, no confirmed
// outcome or deadline is lost or changed, no output breaks its schema, and the lists have what they
// must. The follower's cursor stays valid after each restart, and the follower
// receives every outcome in the order of the feed.
func TestCrashes(t *testing.T) {
	rounds := *crashes
	const senders = 16
	engine := file(t)
	l := &ledger{answered: map[string]string{}, deadline: map[string]time.Time{}}
	for round := range rounds {
		s := servertest.Start(t, "--engine", engine, "--unknown", "hold")
		c := newClient(t, s, client.WithRetry(0))
		alive, die := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { l.follow(alive, c) })
		group.Go(func() {
			for _, path, _ := strings.Cut(engine, ":"); alive.Err() == nil; {
				_ = sqlite.Backup(alive, path, filepath.Join(t.TempDir(), "backup.db")) // the server may be killed in the middle
			}
		})
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
		t.Fatalf("%d confirmed outcomes and %d outcomes followed, want at least %d and 1", len(l.answered), len(l.feed), rounds)
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
			t.Errorf("outcome of wait %s = %s, %v; want the confirmed %s", id, got, err, ended)
		}
		if place[id] == 0 {
			t.Errorf("wait %s with outcome %s is not in the feed", id, ended)
		}
		if deadline, ok := l.deadline[id]; ok && !wait.ExpiresAt.Equal(deadline) {
			t.Errorf("deadline of wait %s = %s; want the confirmed %s", id, wait.ExpiresAt, deadline)
		}
		if wait.OutputSchema != nil && wait.Status == waits.Success && strings.Contains(got, "rival") {
			t.Errorf("wait %s has the output %s, which breaks its schema", id, got)
		}
	}
	for _, status := range []waits.Status{waits.Success, waits.Cancelled, waits.Waiting} {
		listed := 0
		for wait, err := range c.Waits.List(t.Context(), client.Filter{Status: status}) {
			if err != nil || wait.Status != status {
				t.Fatalf("list of status %s has %+v, %v", status, wait, err)
			}
			listed++
		}
		all := 0
		for wait, err := range c.Waits.List(t.Context(), client.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if wait.Status == status {
				all++
			}
		}
		if listed != all || status == waits.Success && listed < rounds {
			t.Errorf("list of status %s has %d waits, but %d have it", status, listed, all)
		}
	}
	if !slices.IsSortedFunc(l.feed, func(a, b string) int { return place[a] - place[b] }) {
		t.Error("follower received outcomes in a different order than the feed")
	}
	seen := map[string]bool{}
	for _, id := range l.feed {
		seen[id] = true
	}
	for _, id := range feed[:max(0, place[l.feed[len(l.feed)-1]])] {
		if !seen[id] {
			t.Errorf("follower did not receive wait %s", id)
		}
	}
}

// work opens a wait and settles or cancels it. It records only confirmed outcomes.
func (l *ledger) work(ctx context.Context, c *client.Client, state string) {
	output := fmt.Sprintf(`{"state":%q}`, state)
	ids := client.State{Workflow: "w", Run: "r", State: state}
	switch rand.IntN(10) {
	case 0: // the callback comes first
		if _, err := c.Succeed(ctx, ids, []byte(output)); err != nil {
			return
		}
		if wait, err := c.Waits.Open(ctx, client.State{Workflow: "w", Run: "r", State: state}, client.OpenOptions{}); err == nil {
			l.note(wait.WaitID, output)
		}
		return
	case 1:
		for range c.Waits.List(ctx, client.Filter{Status: waits.Fail}) { // folds
		}
	}
	options := client.OpenOptions{Tags: []string{"crash"}}
	if rand.IntN(3) == 0 { // refuses the rival below
		options.OutputSchema = []byte(`{"type":"object","required":["state"]}`)
	}
	wait, err := c.Waits.Open(ctx, ids, options)
	if err != nil {
		return
	}
	if rand.IntN(4) == 0 {
		if moved, err := c.Waits.Extend(ctx, wait.WaitID, 100*time.Hour); err == nil {
			l.mu.Lock()
			l.deadline[wait.WaitID] = moved.ExpiresAt
			l.mu.Unlock()
		}
	}
	if rand.IntN(5) == 0 {
		l.settleByLink(ctx, c, wait.WaitID, output)
		return
	}
	if rand.IntN(3) == 0 {
		if c.Waits.Cancel(ctx, wait.WaitID, "") == nil {
			l.note(wait.WaitID, string(waits.Cancelled))
		}
		return
	}
	rivals := []string{output}
	if rand.IntN(3) == 0 {
		rivals = append(rivals, `{"rival":1}`, output, `{"rival":1}`)
	}
	var group sync.WaitGroup
	for _, rival := range rivals {
		group.Go(func() {
			if _, err := c.Succeed(ctx, ids, []byte(rival)); err == nil {
				l.note(wait.WaitID, rival)
			}
		})
	}
	group.Wait()
}

// settleByLink makes a link to a wait, and settles it by the link.
func (l *ledger) settleByLink(ctx context.Context, c *client.Client, waitID, output string) {
	link, err := c.Waits.Link(ctx, waitID, client.LinkOptions{To: "somebody"})
	if err != nil {
		return
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, link.URL+"/success", strings.NewReader(output))
	if err != nil {
		return
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		l.note(waitID, output)
	}
}

// follow reads the feed from the last stored cursor until the server is killed.
func (l *ledger) follow(ctx context.Context, c *client.Client) {
	var pending []string
	for settled, err := range c.Waits.Outcomes(ctx, l.cursor) {
		if err != nil {
			return
		}
		pending = append(pending, settled.WaitID)
		if settled.Cursor != "" { // store the outcomes and their cursor together
			l.feed, l.cursor, pending = append(l.feed, pending...), settled.Cursor, nil
		}
	}
}

// readFeed returns the wait ids of the whole feed. It cancels one more wait to mark the end.
func readFeed(t *testing.T, c *client.Client) (ids []string) {
	t.Helper()
	end, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: "the end"}, client.OpenOptions{})
	if err == nil {
		err = c.Waits.Cancel(t.Context(), end.WaitID, "")
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
