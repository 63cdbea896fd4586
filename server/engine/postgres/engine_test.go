package postgres_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
)

func request(state string) waits.OpenWaitRequest {
	return waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(state), TimeoutSeconds: 3600, Tags: []string{"tag"}}
}

func key(state string) engine.Key {
	return engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: callback.StateID(state)}
}

// number reads a number from a database.
func number(t *testing.T, url, statement string) (n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err == nil {
		defer c.Close(t.Context())
		err = c.QueryRow(t.Context(), statement).Scan(&n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Retention deletes everything of what is old, on two copies at once, and followers are told.
func TestRetention(t *testing.T) {
	url := database(t)
	c := newCopies(t, url, postgres.Options{Retention: time.Hour, HoldUnknown: true})
	one, two := c.start(t), c.start(t)
	const n = 1200 // more than one step
	forAll(n, func(i int) {
		wait, _, err := one.OpenWait(t.Context(), "p", request(fmt.Sprint(i)), "")
		if err == nil && i%100 == 0 {
			_, err = one.CreateLink(t.Context(), "p", wait.WaitID, engine.NewLink{Digest: [32]byte{byte(i), byte(i >> 8)}, Allow: []callback.Result{callback.Success}})
		}
		if err == nil {
			_, err = one.Callback(t.Context(), engine.Callback{Key: key(fmt.Sprint(i)), Request: enginetest.Success(`{}`)})
		}
		if err != nil {
			t.Error(err)
		}
	})
	if _, err := one.Callback(t.Context(), engine.Callback{Key: key("unknown"), Request: enginetest.Success(`{}`)}); err != nil {
		t.Fatal(err)
	}
	first, err := one.ListOutcomes(t.Context(), "p", "", 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	c.advance(t, 2*time.Hour)
	if _, _, err := one.OpenWait(t.Context(), "p", request("new"), ""); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for _, e := range []*postgres.Engine{one, two} {
		both.Go(func() {
			if err := e.Forget(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	for table, want := range map[string]int{"outcomes": 0, "links": 0, "held": 0, "waits": 1, "tags": 1, "pending": 1} {
		if got := number(t, url, "SELECT count(*) FROM flowcallback."+table); got != want {
			t.Errorf("%d rows in %s after retention, want %d", got, table, want)
		}
	}
	var gone *engine.CursorGoneError
	if _, err := two.ListOutcomes(t.Context(), "p", first.Next, 10, 0); !errors.As(err, &gone) {
		t.Fatalf("ListOutcomes after a cursor behind retention: %v, want a CursorGoneError", err)
	}
	if _, err := two.Callback(t.Context(), engine.Callback{Key: key("new"), Request: enginetest.Success(`{}`)}); err != nil {
		t.Fatal(err)
	}
	for _, after := range []string{"", gone.Oldest} {
		if page, err := two.ListOutcomes(t.Context(), "p", after, 10, 0); err != nil || len(page.Outcomes) != 1 || page.Outcomes[0].StateID != "new" {
			t.Errorf("ListOutcomes(%q) after retention = %+v, %v; want the new one", after, page, err)
		}
	}
}

// A change that the database refuses does not fail those that share its batch.
func TestPoison(t *testing.T) {
	e := newCopies(t, database(t), postgres.Options{}).start(t)
	forAll(300, func(i int) {
		r := request(fmt.Sprint(i))
		if i%100 == 7 {
			var long strings.Builder
			for j := range 3000 { // too long for an index, however it is compressed
				fmt.Fprintf(&long, "%x", j*j*7919+i)
			}
			r.WorkflowID = long.String()
		}
		_, opened, err := e.OpenWait(t.Context(), "p", r, "")
		if i%100 == 7 {
			if !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("OpenWait with a workflow id of %d bytes: %v, want %v", len(r.WorkflowID), err, engine.ErrUnavailable)
			}
		} else if err != nil || !opened {
			t.Errorf("OpenWait beside it: %t, %v", opened, err)
		}
	})
}

// Copies that start at once on an empty database make the tables once.
func TestStartTogether(t *testing.T) {
	c := newCopies(t, database(t), postgres.Options{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			e := c.start(t)
			if err := e.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// Tables of a release that this one cannot work with are refused.
func TestNewerTables(t *testing.T) {
	url := database(t)
	c := newCopies(t, url, postgres.Options{})
	c.start(t)
	c.close(t)
	execute(t, cluster, nameOf(url), "UPDATE flowcallback.version SET version = 99, oldest = 98")
	if _, err := postgres.Open(t.Context(), url, postgres.Options{Logger: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "newer release") {
		t.Errorf("Open: %v, want the tables refused", err)
	}
}

// Notifications are relied on only if they arrive.
func TestNotifications(t *testing.T) {
	e := newCopies(t, database(t), postgres.Options{}).start(t)
	if err := e.WaitForNotifications(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSecrets(t *testing.T) {
	for _, url := range []string{"postgres://u:secret@127.0.0.1:1/db", "postgres://u:secret@127.0.0.1:port/db", "postgres://u:sec ret@h/db", "postgres://u:secret@h/db?sslmode=no", "postgres:// u:secret@[", "postgres://u:12345/secret@127.0.0.1:1/db"} {
		_, err := postgres.Open(t.Context(), url, postgres.Options{Logger: slog.New(slog.DiscardHandler)})
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec ret") {
			t.Errorf("Open(%s): %v, want an error without the password", url, err)
		}
	}
}

// A role without any rights but to create the schema is enough, and one without that is told what it needs.
func TestOrdinaryRole(t *testing.T) {
	url := database(t)
	execute(t, cluster, "postgres", "CREATE ROLE ordinary LOGIN")
	own := strings.Replace(url, "flowcallback@", "ordinary@", 1)
	if _, err := postgres.Open(t.Context(), own, postgres.Options{Logger: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "GRANT CREATE") {
		t.Fatalf("Open without rights: %v, want what to grant", err)
	}
	execute(t, cluster, "postgres", "GRANT CREATE ON DATABASE "+nameOf(url)+" TO ordinary")
	e := newCopies(t, own, postgres.Options{HoldUnknown: true, Retention: time.Hour}).start(t)
	if _, _, err := e.OpenWait(t.Context(), "p", request("s"), ""); err != nil {
		t.Error(err)
	}
	for _, state := range []string{"s", "s", "unknown"} {
		if _, err := e.Callback(t.Context(), engine.Callback{Key: key(state), Request: enginetest.Success(`{}`)}); err != nil {
			t.Errorf("Callback of %s: %v", state, err)
		}
	}
	if err := e.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := e.Forget(t.Context()); err != nil {
		t.Error(err)
	}
	if err := e.WaitForNotifications(t.Context()); err != nil {
		t.Error(err)
	}
	if page, err := e.ListOutcomes(t.Context(), "p", "", 10, 0); err != nil || len(page.Outcomes) != 1 {
		t.Errorf("ListOutcomes = %+v, %v; want one", page, err)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	e := newCopies(t, database(t), postgres.Options{Metrics: registry, HoldUnknown: true}).start(t)
	for _, state := range []string{"waiting", "settled"} {
		if _, _, err := e.OpenWait(t.Context(), "p", request(state), ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, state := range []string{"settled", "unknown"} {
		if _, err := e.Callback(t.Context(), engine.Callback{Key: key(state), Request: enginetest.Success(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{"flowcallback_waits waiting": 1, "flowcallback_held_callbacks": 1, "flowcallback_waits_ended_total success": 1, "flowcallback_queue_length": 0} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s = %v, %t; want %v", name, value, ok, want)
		}
	}
}
