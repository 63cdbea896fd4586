package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
	"github.com/flowcallback/flowcallback/server/engine/postgres/postgrestest"
	"github.com/flowcallback/flowcallback/server/engine/store"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// balanced sends each call to the next of several copies, as a load balancer does.
type balanced struct {
	copies []*postgres.Engine
	next   atomic.Int64
}

func (b *balanced) one() *postgres.Engine { return b.copies[b.next.Add(1)%int64(len(b.copies))] }

func (b *balanced) Callback(ctx context.Context, c engine.Callback) (string, error) {
	return b.one().Callback(ctx, c)
}
func (b *balanced) Ready(ctx context.Context) error { return b.one().Ready(ctx) }
func (b *balanced) OpenWait(ctx context.Context, project string, r waits.OpenWaitRequest, principal string) (waits.Wait, bool, error) {
	return b.one().OpenWait(ctx, project, r, principal)
}

func (b *balanced) ChangeWait(ctx context.Context, project, id string, r waits.ChangeWaitRequest) (waits.Wait, error) {
	return b.one().ChangeWait(ctx, project, id, r)
}

func (b *balanced) CancelWait(ctx context.Context, project, id, reason, principal string) error {
	return b.one().CancelWait(ctx, project, id, reason, principal)
}

func (b *balanced) GetWait(ctx context.Context, project, id string, d time.Duration) (waits.Wait, error) {
	return b.one().GetWait(ctx, project, id, d)
}

func (b *balanced) ListWaits(ctx context.Context, project string, p waits.ListWaitsParams, d time.Duration) (waits.WaitPage, error) {
	return b.one().ListWaits(ctx, project, p, d)
}

func (b *balanced) CountWaits(ctx context.Context, project string, p waits.CountWaitsParams) (waits.WaitCounts, error) {
	return b.one().CountWaits(ctx, project, p)
}

func (b *balanced) ListOutcomes(ctx context.Context, project, after string, limit int, d time.Duration) (waits.OutcomePage, error) {
	return b.one().ListOutcomes(ctx, project, after, limit, d)
}

func (b *balanced) ListHeld(ctx context.Context, project string, p waits.ListHeldParams) (waits.HeldPage, error) {
	return b.one().ListHeld(ctx, project, p)
}

func (b *balanced) DropHeld(ctx context.Context, project, id string) error {
	return b.one().DropHeld(ctx, project, id)
}

func (b *balanced) CreateLink(ctx context.Context, project, id string, l engine.NewLink) (waits.Link, error) {
	return b.one().CreateLink(ctx, project, id, l)
}

func (b *balanced) ListLinks(ctx context.Context, project, id string) (waits.Links, error) {
	return b.one().ListLinks(ctx, project, id)
}

func (b *balanced) WithdrawLink(ctx context.Context, project, id, link string) error {
	return b.one().WithdrawLink(ctx, project, id, link)
}

func (b *balanced) FollowLink(ctx context.Context, digest [32]byte) (waits.Link, waits.Wait, error) {
	return b.one().FollowLink(ctx, digest)
}

// startBalanced returns subjects with two copies, on databases whose URLs url changes.
func startBalanced(options postgres.Options, url func(*testing.T, string) string) func(t *testing.T) *enginetest.WaitsSubject {
	return func(t *testing.T) *enginetest.WaitsSubject {
		c := newCopies(t, url(t, database(t)), options)
		start := func() *balanced { return &balanced{copies: []*postgres.Engine{c.start(t), c.start(t)}} }
		s := &enginetest.WaitsSubject{Engine: start(), Advance: c.advance}
		s.Reopen = func(t *testing.T) { c.close(t); s.Engine = start() }
		s.Another = func(t *testing.T) enginetest.WaitsEngine { return c.start(t) }
		return s
	}
}

func directly(_ *testing.T, url string) string { return url }

func TestTwoCopies(t *testing.T) {
	t.Run("callbacks", func(t *testing.T) {
		enginetest.Callbacks(t, func(t *testing.T) *enginetest.Subject {
			return startBalanced(postgres.Options{}, directly)(t).Callbacks()
		})
	})
	t.Run("waits", func(t *testing.T) { enginetest.Waits(t, startBalanced(postgres.Options{}, directly)) })
	t.Run("links", func(t *testing.T) { enginetest.Links(t, startBalanced(postgres.Options{}, directly)) })
	t.Run("hold", func(t *testing.T) { enginetest.Hold(t, startBalanced(postgres.Options{HoldUnknown: true}, directly)) })
}

// A pooler in transaction mode gives each statement another connection, and delivers no notifications.
func TestPooler(t *testing.T) {
	pooler := startPooler(t)
	pooled := func(_ *testing.T, url string) string { return pooler.URL(url) }
	t.Run("callbacks", func(t *testing.T) {
		enginetest.Callbacks(t, func(t *testing.T) *enginetest.Subject {
			return startBalanced(postgres.Options{}, pooled)(t).Callbacks()
		})
	})
	t.Run("waits", func(t *testing.T) { enginetest.Waits(t, startBalanced(postgres.Options{}, pooled)) })
	t.Run("links", func(t *testing.T) { enginetest.Links(t, startBalanced(postgres.Options{}, pooled)) })
	t.Run("hold", func(t *testing.T) { enginetest.Hold(t, startBalanced(postgres.Options{HoldUnknown: true}, pooled)) })
}

func startPooler(t *testing.T) *postgrestest.Pooler {
	t.Helper()
	_ = database(t)
	pooler, err := postgrestest.StartPooler(cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pooler.Stop(); err != nil {
			t.Error(err)
		}
	})
	return pooler
}

// What is between may take a LISTEN and deliver nothing.
func TestNotificationsThatDoNotArriveAreNotReliedOn(t *testing.T) {
	proxy, url := proxied(t)
	e := newCopies(t, url, postgres.Options{}).start(t)
	if err := e.WaitForNotifications(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy.Swallow(func(answer []byte) bool { return answer[0] == 'A' })
	for e.Listens() {
		<-time.After(10 * time.Millisecond)
	}
}

// A cancel request can crash pgbouncer, and with it the connections of everybody.
func TestNothingIsCancelledThroughAPooler(t *testing.T) {
	for name, port := range map[string]func() int{
		"directly": func() int { return cluster.Port },
		"pooled":   func() int { return startPooler(t).Port },
	} {
		t.Run(name, func(t *testing.T) {
			direct := database(t)
			proxy, err := postgrestest.StartProxy(port())
			if err != nil {
				t.Fatal(err)
			}
			defer proxy.Stop()
			c := newCopies(t, proxy.URL(nameOf(direct))+"?pool_max_conns=1", postgres.Options{})
			e := c.start(t)
			isPooled := name == "pooled"
			read, answer := stuckRead(t, e, direct)
			if isPooled {
				read.leave()
				read.unlock()
				if err := <-answer; err != nil {
					t.Errorf("GetWait whose caller has left = %v, want its result: the read goes on", err)
				}
				read, answer = stuckRead(t, e, direct)
			}
			closed := make(chan struct{})
			go func() { c.close(t); close(closed) }()
			if err := <-answer; !errors.Is(err, store.ErrClosed) {
				t.Errorf("GetWait during Close = %v, want %v", err, store.ErrClosed)
			}
			<-closed
			read.unlock()
			if cancels := proxy.Cancels(); cancels == 0 != isPooled {
				t.Errorf("%d cancel requests", cancels)
			}
		})
	}
}

// A connection that writes sends no cancel request, whatever pgx takes for the address of its server: if it is a socket,
// the first host of the URL.
func TestWritersNeverCancel(t *testing.T) {
	direct := database(t)
	first, err := postgrestest.StartProxy(cluster.Port)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Stop()
	for url, isSocket := range map[string]bool{first.URL(nameOf(direct)): false, cluster.SocketURL(nameOf(direct), first.Port()): true} {
		first.Drop(func([]byte) bool { return isSocket })
		c, err := postgres.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := c.Exec(ctx, "SELECT pg_sleep(1)"); err == nil {
			t.Error("the statement was not given up")
		}
		cancel()
		<-c.PgConn().CleanupDone()
		if cancels := first.Cancels(); cancels != 0 {
			t.Errorf("%s: %d cancel requests", url, cancels)
		}
	}
}

// Through a pooler, PostgreSQL itself ends a read that takes too long: the pooler forgets it, and nobody cancels it.
func TestReadsThroughAPoolerEnd(t *testing.T) {
	pooler := startPooler(t)
	e := newCopies(t, pooler.URL(database(t)), postgres.Options{}).start(t)
	got := ""
	patient, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := e.Acquire(patient, func(ctx context.Context, c *pgxpool.Conn) error {
		return c.QueryRow(ctx, "SELECT current_setting('statement_timeout')").Scan(&got)
	})
	if err != nil || got != "10s" {
		t.Errorf("statement_timeout of a read = %q, %v; want 10s", got, err)
	}
}

// An Open that fails in the middle has an error.
func TestOpenThatIsGivenUp(t *testing.T) {
	pooler := startPooler(t)
	url := pooler.URL(database(t))
	for i := range 60 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond/4)
		if e, err := postgres.Open(ctx, url, postgres.Options{Logger: slog.New(slog.DiscardHandler)}); err == nil {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
		cancel()
	}
}

// stuck is a read that the database does not answer yet.
type stuck struct{ leave, unlock func() }

// stuckRead begins to read a wait, and returns when the database is at it. answer receives its error.
func stuckRead(t *testing.T, e *postgres.Engine, direct string) (read stuck, answer <-chan error) {
	t.Helper()
	w, _, err := e.OpenWait(t.Context(), "p", request("s"), "")
	if err != nil {
		t.Fatal(err)
	}
	connection, err := pgx.Connect(t.Context(), direct)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Exec(t.Context(), "BEGIN; LOCK TABLE flowcallback.waits"); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := e.GetWait(ctx, "p", w.WaitID, 0)
		ended <- err
	}()
	for waiting := 0; waiting == 0; {
		if err := connection.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	unlock := func() {
		if err := connection.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
	return stuck{leave, unlock}, ended
}

// pgx dials a server twice for some values of target_session_attrs.
func TestServerThatIsDialledTwice(t *testing.T) {
	url := startPooler(t).URL(database(t))
	e := newCopies(t, url+"?target_session_attrs=prefer-standby", postgres.Options{}).start(t)
	if _, _, err := e.OpenWait(t.Context(), "p", request("s"), ""); err != nil {
		t.Error(err)
	}
	if _, err := e.CountWaits(t.Context(), "p", waits.CountWaitsParams{}); err != nil {
		t.Error(err)
	}
}
