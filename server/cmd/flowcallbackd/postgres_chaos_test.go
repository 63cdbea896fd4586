package main_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/server/engine/postgres/postgrestest"
	"github.com/flowcallback/flowcallback/server/servertest"
)

var (
	withPostgres = flag.Bool("postgres", false, "run the tests with a real PostgreSQL; make postgres-test does")
	chaosStates  = flag.Int("chaos", 2000, "how many states each disturbance of TestPostgresChaos has")
)

// startPostgres starts a server, and returns it with the name of an empty database.
func startPostgres(t *testing.T, settings ...string) (c *postgrestest.Cluster, name string) {
	t.Helper()
	if !*withPostgres {
		t.Skip("without a PostgreSQL; make postgres-test runs it")
	}
	c, err := postgrestest.Start(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Remove() })
	if name, err = c.Database(); err != nil {
		t.Fatal(err)
	}
	return c, name
}

// TestPostgresChaos has two rivals settle each state over two copies, while something disturbs them, and a
// follower reads the feed. Afterwards every answer is checked: no confirmed outcome is lost or changed, no
// two rivals have both won, and the follower has every outcome once.
func TestPostgresChaos(t *testing.T) {
	t.Run("nothing", func(t *testing.T) {
		c, name := startPostgres(t)
		newChaos(t, c.URL(name), c.URL(name)).run(t, 0, nil)
	})
	t.Run("crash of PostgreSQL", func(t *testing.T) {
		c, name := startPostgres(t)
		newChaos(t, c.URL(name), c.URL(name)).run(t, 6, func(*testing.T, *chaos) {
			c.Kill()
			if err := c.Begin(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("crash of a copy", func(t *testing.T) {
		c, name := startPostgres(t)
		newChaos(t, c.URL(name), c.URL(name)).run(t, 6, func(t *testing.T, x *chaos) { x.replace(t, rand.IntN(2)) })
	})
	t.Run("copy that stands still", func(t *testing.T) {
		c, name := startPostgres(t)
		newChaos(t, c.URL(name), c.URL(name)).run(t, 6, func(t *testing.T, x *chaos) {
			// What the frozen copy was doing must not keep the other from settling.
			frozen, other := x.copy(0), newClient(t, x.copy(1))
			frozen.Signal(t, syscall.SIGSTOP)
			for i := range 20 {
				ids := client.State{Workflow: "w", Run: "beside a frozen copy", State: fmt.Sprint(x.done.Load(), "/", i)}
				_, err := other.Waits.Open(t.Context(), ids, client.OpenOptions{})
				if err == nil {
					_, err = other.Succeed(t.Context(), ids, []byte(`{}`))
				}
				if err != nil {
					t.Errorf("beside a frozen copy: %v", err)
				}
			}
			frozen.Signal(t, syscall.SIGCONT)
		})
	})
	t.Run("proxy that drops answers", func(t *testing.T) {
		c, name := startPostgres(t)
		proxy, err := postgrestest.StartProxy(c.Port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Stop)
		var dropped atomic.Int64
		x := newChaos(t, proxy.URL(name), proxy.URL(name))
		proxy.Drop(func([]byte) bool {
			if rand.IntN(100) != 0 {
				return false
			}
			dropped.Add(1)
			return true
		})
		x.run(t, 0, nil)
		if dropped.Load() == 0 {
			t.Error("the proxy dropped nothing")
		}
	})
	t.Run("failover to a synchronous standby", func(t *testing.T) {
		c, name := startPostgres(t)
		standby, err := c.Standby("standby")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = standby.Remove() })
		for _, statement := range []string{"ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()"} {
			if err := c.Execute(name, statement); err != nil {
				t.Fatal(err)
			}
		}
		url := fmt.Sprintf("postgres://flowcallback@127.0.0.1:%d,127.0.0.1:%d/%s", c.Port, standby.Port, name)
		newChaos(t, url, url).run(t, 1, func(t *testing.T, _ *chaos) {
			c.Kill()
			if err := standby.Promote(); err != nil {
				t.Error(err)
			}
		})
	})
}

// chaos is a load over two copies.
type chaos struct {
	urls [2]string // of the store, by copy

	mu     sync.Mutex
	copies [2]*servertest.Server

	done    atomic.Int64 // states that are settled
	longest atomic.Int64 // the longest time until a call had its answer, in nanoseconds

	followed atomic.Int64 // the length of feed

	answers sync.Map // by state: the rival that was confirmed
	feed    []string // wait ids, as the follower received them
}

func newChaos(t *testing.T, urls ...string) *chaos {
	x := &chaos{urls: [2]string(urls)}
	for i := range x.copies {
		x.copies[i] = servertest.Start(t, "--engine", x.urls[i])
	}
	return x
}

func (x *chaos) copy(i int) *servertest.Server {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.copies[i]
}

// replace kills a copy and starts another.
func (x *chaos) replace(t *testing.T, i int) {
	x.copy(i).Kill()
	started := servertest.Start(t, "--engine", x.urls[i])
	x.mu.Lock()
	defer x.mu.Unlock()
	x.copies[i] = started
}

// client returns a client of either copy, which does not retry.
func (x *chaos) client(t *testing.T) *client.Client {
	return newClient(t, x.copy(rand.IntN(2)), client.WithRetry(0))
}

// try calls either copy until one has answered finally.
func (x *chaos) try(ctx context.Context, t *testing.T, call func(*client.Client) error) (err error) {
	start := time.Now()
	for {
		err = call(x.client(t))
		if err == nil || errors.Is(err, client.ErrConflict) {
			for took := int64(time.Since(start)); ; {
				if before := x.longest.Load(); took <= before || x.longest.CompareAndSwap(before, took) {
					return err
				}
			}
		}
		if ctx.Err() != nil || errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrExpired) {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (x *chaos) run(t *testing.T, times int, disturb func(*testing.T, *chaos)) {
	const senders = 32
	states := int64(*chaosStates)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	following, stop := context.WithCancel(ctx)
	var follower, load, disturbance sync.WaitGroup
	follower.Go(func() { x.follow(following, t) })
	var next atomic.Int64
	for range senders {
		load.Go(func() {
			for i := next.Add(1) - 1; i < states; i = next.Add(1) - 1 {
				x.settle(ctx, t, fmt.Sprint(i))
				x.done.Add(1)
			}
		})
	}
	disturbance.Go(func() {
		for n := range times {
			for x.done.Load() < states*int64(n+1)/int64(times+1) {
				<-time.After(time.Millisecond)
			}
			disturb(t, x)
		}
	})
	load.Wait()
	disturbance.Wait()
	x.check(ctx, t, stop, &follower)
	t.Logf("%d states, disturbed %d times: the longest call took %s", states, times, time.Duration(x.longest.Load()).Round(time.Millisecond))
}

// settle opens a state and has two rivals settle it.
func (x *chaos) settle(ctx context.Context, t *testing.T, state string) {
	ids := client.State{Workflow: "w", Run: "r", State: state}
	err := x.try(ctx, t, func(c *client.Client) error { _, err := c.Waits.Open(ctx, ids, client.OpenOptions{}); return err })
	if err != nil {
		t.Errorf("open of state %s: %v", state, err)
		return
	}
	var rivals sync.WaitGroup
	for rival := range 2 {
		output := fmt.Sprintf(`{"rival":%d}`, rival)
		rivals.Go(func() {
			err := x.try(ctx, t, func(c *client.Client) error { _, err := c.Succeed(ctx, ids, []byte(output)); return err })
			switch {
			case err == nil:
				if before, loaded := x.answers.LoadOrStore(state, output); loaded {
					t.Errorf("state %s: both %s and %s were confirmed", state, before, output)
				}
			case !errors.Is(err, client.ErrConflict):
				t.Errorf("rival %s of state %s: %v", output, state, err)
			}
		})
	}
	rivals.Wait()
}

// follow reads the feed from either copy, from where it was.
func (x *chaos) follow(ctx context.Context, t *testing.T) {
	cursor := ""
	var pending []string
	for ctx.Err() == nil {
		for settled, err := range x.client(t).Waits.Outcomes(ctx, cursor) {
			if err != nil {
				if errors.Is(err, client.ErrCursor) {
					t.Errorf("cursor %s: %v", cursor, err)
					return
				}
				break
			}
			pending = append(pending, settled.WaitID)
			if settled.Cursor != "" { // store the outcomes and their cursor together
				x.feed, cursor, pending = append(x.feed, pending...), settled.Cursor, nil
				x.followed.Store(int64(len(x.feed)))
			}
		}
		pending = nil
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// check compares the answers with what the store has, and the follower with the feed.
func (x *chaos) check(ctx context.Context, t *testing.T, stop func(), follower *sync.WaitGroup) {
	t.Helper()
	c := newClient(t, x.copy(0))
	outcomes := map[string]string{}
	for wait, err := range c.Waits.List(ctx, client.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if wait.Outcome != nil && wait.RunID == "r" {
			outcomes[string(wait.StateID)] = string(wait.Outcome.Output)
		}
	}
	confirmed := 0
	x.answers.Range(func(state, output any) bool {
		confirmed++
		if got := outcomes[state.(string)]; got != output {
			t.Errorf("state %s has the outcome %s, and %s was confirmed", state, got, output)
		}
		return true
	})
	if confirmed != *chaosStates {
		t.Errorf("%d states were confirmed, want %d", confirmed, *chaosStates)
	}
	feed := readFeed(t, c)
	for end := time.Now().Add(time.Minute); x.followed.Load() < int64(len(feed)) && time.Now().Before(end); {
		<-time.After(10 * time.Millisecond)
	}
	stop()
	follower.Wait()
	if len(x.feed) > len(feed) { // the end that readFeed has marked
		x.feed = x.feed[:len(feed)]
	}
	if !slices.Equal(x.feed, feed) {
		t.Errorf("the follower has %d outcomes, and the feed %d, or in another order", len(x.feed), len(feed))
	}
}
