package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// BenchmarkSettle settles distinct waits durably from several concurrent callers. Group commit
// makes the rate grow with the number of callers.
func BenchmarkSettle(b *testing.B) {
	for _, callers := range []int{2, 64} {
		b.Run(fmt.Sprint(callers, "callers"), func(b *testing.B) {
			e, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "waits.db"), sqlite.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			for i := range b.N {
				if _, _, err := e.OpenWait(b.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 86400}); err != nil {
					b.Fatal(err)
				}
			}
			request := enginetest.Success(`{"message":"success","result":200}`)
			var next atomic.Int64
			b.ResetTimer()
			b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					key := engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(next.Add(1) - 1))}
					if _, err := e.Callback(b.Context(), engine.Callback{Key: key, Request: request}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkRetention settles distinct waits, first alone and then while retention deletes
// waits at full speed.
func BenchmarkRetention(b *testing.B) {
	for _, deleting := range []bool{false, true} {
		name := "alone"
		if deleting {
			name = "deleting"
		}
		b.Run(name, func(b *testing.B) {
			var ahead atomic.Int64
			e, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "waits.db"), sqlite.Options{
				Retention: time.Hour, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
			})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			for _, run := range []string{"old", "new"} {
				openAll(b, e, run)
			}
			settleAll(b, e, "old")
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			var retention sync.WaitGroup
			if deleting {
				ahead.Store(int64(2 * time.Hour))
				retention.Go(func() {
					if err := e.Forget(ctx); err != nil && ctx.Err() == nil {
						b.Error(err)
					}
				})
			}
			b.ResetTimer()
			settleAll(b, e, "new")
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "callbacks/s")
			stop()
			retention.Wait()
		})
	}
}

func openAll(b *testing.B, e *sqlite.Engine, run string) {
	forAll(b.N, func(i int) {
		if _, _, err := e.OpenWait(b.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: callback.RunID(run), StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 86400}); err != nil {
			b.Error(err)
		}
	})
}

func settleAll(b *testing.B, e *sqlite.Engine, run string) {
	request := enginetest.Success(`{"message":"success","result":200}`)
	forAll(b.N, func(i int) {
		if _, err := e.Callback(b.Context(), engine.Callback{Key: engine.Key{ProjectID: "p", WorkflowID: "w", RunID: callback.RunID(run), StateID: callback.StateID(fmt.Sprint(i))}, Request: request}); err != nil {
			b.Error(err)
		}
	})
}

// forAll calls do with 0 to n-1 from 64 goroutines, and returns when all calls are done.
func forAll(n int, do func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	group.Wait()
}
