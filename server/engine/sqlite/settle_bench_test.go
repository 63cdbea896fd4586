package sqlite_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// BenchmarkSettle settles distinct waits, durably, from as many callers at once as the name
// says. What they gain on one caller is the group commit's.
func BenchmarkSettle(b *testing.B) {
	for _, callers := range []int{2, 64} {
		b.Run(fmt.Sprint(callers, "callers"), func(b *testing.B) {
			e, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "waits.db"), sqlite.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			for i := range b.N {
				if _, _, err := e.OpenWait(b.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: fmt.Sprint(i), TimeoutSeconds: 86400}); err != nil {
					b.Fatal(err)
				}
			}
			request := enginetest.Success(`{"message":"success","result":200}`)
			var next atomic.Int64
			b.ResetTimer()
			b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					key := engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: fmt.Sprint(next.Add(1) - 1)}
					if _, err := e.Callback(b.Context(), key, request); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
