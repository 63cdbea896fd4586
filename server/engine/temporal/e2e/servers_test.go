package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// copies holds the flowcallbackd servers that share one Temporal.
type copies struct {
	engine string
	mu     sync.Mutex
	of     []*servertest.Server
}

func startCopies(t *testing.T, n int, d *development) *copies {
	c := &copies{engine: "temporal://" + d.address + "/default"}
	for range n {
		c.of = append(c.of, servertest.Start(t, "--engine", c.engine))
	}
	return c
}

// client returns a client, without retries, for the server that is currently the i-th copy.
func (c *copies) client(t *testing.T, i int) *client.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	made, err := client.New(c.of[i%len(c.of)].URL, "project", client.WithRetry(0))
	if err != nil {
		t.Error(err)
	}
	return made
}

// replace kills the i-th copy and starts a new server in its place.
func (c *copies) replace(t *testing.T, i int) {
	i %= len(c.of)
	c.of[i].Kill()
	fresh := servertest.Start(t, "--engine", c.engine)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[i] = fresh
}

// settle sends the callback to one copy after another until a response is final, like a
// retrying client behind a load balancer.
func (c *copies) settle(t *testing.T, key engine.Key, output string) (err error) {
	for i := 0; t.Context().Err() == nil; i++ {
		_, err = c.client(t, i).Succeed(t.Context(), client.State{Workflow: key.WorkflowID, Run: string(key.RunID), State: string(key.StateID)}, []byte(output))
		var answer *client.Error
		if errors.As(err, &answer) && answer.StatusCode == http.StatusInternalServerError {
			t.Errorf("Succeed: %v, want 503 for a temporary error", err)
		}
		if err == nil || errors.As(err, &answer) && answer.StatusCode < http.StatusInternalServerError {
			return err
		}
	}
	return t.Context().Err()
}

// race sends two callbacks with different outcomes to each state. After every 40 responses it
// calls disturb, which kills servers. For each state, one callback must succeed, the other must
// get a conflict, and the flow must get the outcome that succeeded.
func race(t *testing.T, f *flows, c *copies, disturb func(n int)) {
	t.Helper()
	const states, senders, each = 160, 8, 40
	keys := make([]engine.Key, states)
	for i := range keys {
		keys[i] = f.start(t, "State", waitOnce, "State", time.Hour)
	}
	for _, key := range keys {
		f.untilPending(t, key)
	}
	output := func(rival, i int) string { return fmt.Sprintf(`{"rival":%d,"state":%d}`, rival, i) }
	answers := [2][states]error{}
	var done, disturbances atomic.Int64
	var group, disturbing sync.WaitGroup
	for rival := range 2 {
		var next atomic.Int64
		for range senders {
			group.Go(func() {
				for i := next.Add(1) - 1; i < states; i = next.Add(1) - 1 {
					answers[rival][i] = c.settle(t, keys[i], output(rival, int(i)))
					if done.Add(1)%each == 0 {
						disturbing.Go(func() { disturb(int(disturbances.Add(1)) - 1) })
					}
				}
			})
		}
	}
	group.Wait()
	disturbing.Wait()
	t.Logf("%d final responses during %d disturbances", done.Load(), disturbances.Load())
	for i, key := range keys {
		first, second := answers[0][i], answers[1][i]
		winner := 0
		if first != nil {
			winner = 1
			first, second = second, first
		}
		if first != nil || !errors.Is(second, client.ErrConflict) {
			t.Errorf("state %d: callbacks returned %v and %v; want one success and one conflict", i, answers[0][i], answers[1][i])
			continue
		}
		if got := f.outcome(t, key); string(got.Output) != output(winner, i) {
			t.Errorf("state %d: the flow got %s, but the callback with %s got 200", i, got.Output, output(winner, i))
		}
		if err := c.settle(t, key, output(winner, i)); err != nil {
			t.Errorf("state %d: repeating the successful callback: %v", i, err)
		}
	}
}

// Two copies are killed in turn under load. No callback that got 200 is lost, and no state is
// settled twice.
func TestCopiesKilled(t *testing.T) {
	d := startTemporal(t)
	c := startCopies(t, 2, d)
	race(t, startFlows(t, d), c, func(n int) { c.replace(t, n) })
}

// The guarantees of TestCopiesKilled also hold while Temporal is killed and restarted.
func TestTemporalKilled(t *testing.T) {
	d := startTemporal(t)
	c := startCopies(t, 2, d)
	var one sync.Mutex
	race(t, startFlows(t, d), c, func(n int) {
		if n%3 == 0 { // a restart of Temporal is slow
			one.Lock()
			defer one.Unlock()
			d.kill()
			d.start(t)
		}
	})
}

// A server starts while Temporal is unreachable, reports that it is not ready, and recovers
// without a restart.
func TestTemporalAway(t *testing.T) {
	d := startTemporal(t)
	f := startFlows(t, d)
	key := f.open(t, time.Hour)
	d.kill()
	c := startCopies(t, 1, d)
	get := func(path string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.of[0].URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if health, ready := get("/healthz"), get("/readyz"); health != 200 || ready != 503 {
		t.Errorf("while Temporal is unreachable: /healthz %d, /readyz %d; want 200 and 503", health, ready)
	}
	state := client.State{Workflow: key.WorkflowID, Run: string(key.RunID), State: string(key.StateID)}
	_, err := c.client(t, 0).Succeed(t.Context(), state, []byte(`{"a":1}`))
	var answer *client.Error
	if !errors.As(err, &answer) || answer.Code != "FSS.0503" {
		t.Errorf("callback while Temporal is unreachable: %v; want FSS.0503", err)
	}
	d.start(t)
	for get("/readyz") != 200 {
		if t.Context().Err() != nil {
			t.Fatal("the server did not become ready after Temporal started")
		}
	}
	if _, err := c.client(t, 0).Succeed(t.Context(), state, []byte(`{"a":1}`)); err != nil {
		t.Errorf("callback after Temporal started: %v", err)
	}
	if got := f.outcome(t, key); string(got.Output) != `{"a":1}` {
		t.Errorf("the flow got %+v, want the output of the callback", got)
	}
	_, err = c.client(t, 0).Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, client.OpenOptions{})
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusNotImplemented {
		t.Errorf("Open with the Temporal engine: %v, want 501", err)
	}
	c.of[0].Stop(t)
}
