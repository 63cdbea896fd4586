package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
)

const callers = 64

// openAll opens n waits of a run.
func openAll(b *testing.B, e *postgres.Engine, run string, n int) {
	b.Helper()
	forAll(n, func(i int) {
		if _, _, err := e.OpenWait(b.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: callback.RunID(run), StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 86400}, ""); err != nil {
			b.Error(err)
		}
	})
}

// settleAll settles them, over the engines in turn, and returns the rate.
func settleAll(b *testing.B, run string, n int, engines ...*postgres.Engine) (rate float64) {
	b.Helper()
	request := enginetest.Success(`{"message":"success","result":200}`)
	start := time.Now()
	forAll(n, func(i int) {
		key := engine.Key{ProjectID: "p", WorkflowID: "w", RunID: callback.RunID(run), StateID: callback.StateID(fmt.Sprint(i))}
		if _, err := engines[i%len(engines)].Callback(b.Context(), engine.Callback{Key: key, Request: request}); err != nil {
			b.Error(err)
		}
	})
	return float64(n) / time.Since(start).Seconds()
}

// forAll calls do with 0 to n-1 from 64 goroutines, and returns when all calls are done.
func forAll(n int, do func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	group.Wait()
}

// singly settles waits with one statement for each callback, on as many connections as there are callers.
func singly(b *testing.B, url, run string, n int) (rate float64) {
	b.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = callers
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	keys := [][]byte{}
	rows, err := pool.Query(b.Context(), `SELECT w.key FROM flowcallback.waits w WHERE w.run_id = $1`, []byte(run))
	if err == nil {
		keys, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
	}
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	forAll(n, func(i int) {
		_, err := pool.Exec(context.Background(), `SELECT * FROM flowcallback.settle(0, $1, $2, $3, $4, $5, $4, $2, $4)`, keys[i:i+1], []*int64{nil}, []int16{2}, [][]byte{nil}, [][]byte{[]byte(`{"message":"success","result":200}`)})
		if err != nil {
			b.Error(err)
		}
	})
	return float64(n) / time.Since(start).Seconds()
}

// BenchmarkPostgres settles b.N waits in each of several ways, and reports rates and their ratios.
func BenchmarkPostgres(b *testing.B) {
	url := database(b)
	c := newCopies(b, url, postgres.Options{})
	one, two := c.start(b), c.start(b)
	value := func(statement string) (v float64) {
		connection, err := pgx.Connect(b.Context(), url)
		if err == nil {
			defer connection.Close(b.Context())
			err = connection.QueryRow(b.Context(), statement).Scan(&v)
		}
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
	few := b.N / 10
	openAll(b, one, "warm", few)
	for _, run := range []string{"batch", "again", "held", "copies"} {
		openAll(b, one, run, b.N)
	}
	openAll(b, one, "single", few)
	settleAll(b, "warm", few, one)
	if err := cluster.Execute("postgres", "CHECKPOINT"); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	before := value(`SELECT pg_current_wal_lsn() - '0/0'`)
	batch := settleAll(b, "batch", b.N, one)
	wal := (value(`SELECT pg_current_wal_lsn() - '0/0'`) - before) / float64(b.N)
	single := singly(b, url, "single", few)
	again := settleAll(b, "again", b.N, one)

	holder, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	tx, err := holder.BeginTx(b.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err == nil {
		_, err = tx.Exec(b.Context(), `SELECT count(*) FROM flowcallback.feed`)
	}
	if err != nil {
		b.Fatal(err)
	}
	held := settleAll(b, "held", b.N, one)
	_ = tx.Rollback(b.Context())
	_ = holder.Close(b.Context())
	copies := settleAll(b, "copies", b.N, one, two)
	b.StopTimer()
	b.ReportMetric(batch, "callbacks/s")
	b.ReportMetric(batch/single, "of-one-statement-each")
	b.ReportMetric(held/again, "beside-a-snapshot")
	b.ReportMetric(copies/again, "two-copies")
	b.ReportMetric(wal, "wal-bytes/callback")
}

// BenchmarkWake measures how long a long-poll on one copy takes to return after the wait was settled
// through another. It reports the 99th percentile.
func BenchmarkWake(b *testing.B) {
	c := newCopies(b, database(b), postgres.Options{})
	here, there := c.start(b), c.start(b)
	if err := here.WaitForNotifications(b.Context()); err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	for i := range b.N {
		state := callback.StateID(fmt.Sprint(i))
		wait, _, err := there.OpenWait(b.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: state, TimeoutSeconds: 3600}, "")
		if err != nil {
			b.Fatal(err)
		}
		woken := make(chan time.Time, 1)
		go func() {
			if got, err := here.GetWait(b.Context(), "p", wait.WaitID, time.Minute); err != nil || got.Status != waits.Success {
				b.Errorf("GetWait = %+v, %v", got, err)
			}
			woken <- time.Now()
		}()
		<-time.After(20 * time.Millisecond) // so that it waits
		start := time.Now()
		if _, err := there.Callback(b.Context(), engine.Callback{Key: engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: state}, Request: enginetest.Success(`{}`)}); err != nil {
			b.Fatal(err)
		}
		took = append(took, (<-woken).Sub(start))
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
}
