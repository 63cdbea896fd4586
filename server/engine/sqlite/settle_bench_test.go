package sqlite_test

import (
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
				if _, _, err := e.OpenWait(b.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 86400}, ""); err != nil {
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

// BenchmarkRetention settles b.N waits, first alone and then while retention deletes as many. It
// reports the rate of the callbacks beside retention, and of the deletions until they are done,
// each as a share of the callbacks alone.
func BenchmarkRetention(b *testing.B) {
	var ahead atomic.Int64
	begin := time.Now()
	e, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "waits.db"), sqlite.Options{
		Retention: time.Hour, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }, Uptime: func() time.Duration { return time.Since(begin) + time.Duration(ahead.Load()) },
	})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	for _, run := range []string{"old", "new"} {
		openAll(b, e, run)
	}
	b.ResetTimer()
	start := time.Now()
	settleAll(b, e, "old")
	alone := time.Since(start)
	ahead.Store(int64(2 * time.Hour))
	start = time.Now()
	var retention sync.WaitGroup
	retention.Go(func() {
		if err := e.Forget(b.Context()); err != nil {
			b.Error(err)
		}
	})
	settleAll(b, e, "new")
	beside := time.Since(start)
	retention.Wait()
	deleted := time.Since(start)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/alone.Seconds(), "callbacks/s")
	b.ReportMetric(alone.Seconds()/beside.Seconds(), "of-callbacks-alone")
	b.ReportMetric(alone.Seconds()/deleted.Seconds(), "of-callbacks")
}

func openAll(b *testing.B, e *sqlite.Engine, run string) {
	forAll(b.N, func(i int) {
		if _, _, err := e.OpenWait(b.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: callback.RunID(run), StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 86400}, ""); err != nil {
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
