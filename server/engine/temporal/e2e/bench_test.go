package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/temporal/flow"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// statesEach is the number of states that each workflow of the benchmark waits for.
const statesEach = 10

// waitForMany waits for states 0 to statesEach-1, all at once.
func waitForMany(ctx workflow.Context) error {
	var futures []workflow.Future
	for i := range statesEach {
		future, settable := workflow.NewFuture(ctx)
		workflow.Go(ctx, func(ctx workflow.Context) {
			_, err := flow.Await(ctx, strconv.Itoa(i), time.Hour, nil)
			settable.Set(nil, err)
		})
		futures = append(futures, future)
	}
	for _, future := range futures {
		if err := future.Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkTemporal sends callbacks for distinct states over 32 connections. It compares
// flowcallbackd with direct calls to Temporal. Temporal, the workers and the clients share the
// machine, so the benchmark reports the CPU time of flowcallbackd separately.
func BenchmarkTemporal(b *testing.B) {
	d := startTemporal(b)
	f := startFlows(b, d)
	request := enginetest.Success(`{"message":"success","result":200}`)
	b.Run("flowcallbackd", func(b *testing.B) {
		keys := manyStates(b, f)
		s := servertest.Start(b, "--engine", "temporal://"+d.address+"/default")
		transport := &http.Transport{MaxIdleConnsPerHost: 32}
		defer transport.CloseIdleConnections()
		before := processorTime(b, s)
		each(b, keys, func(key engine.Key) error {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, s.URL+"/v2/default/fgs/workflows/"+key.WorkflowID+"/callback",
				strings.NewReader(`{"result":"success","output":{"message":"success","result":200}}`))
			if err != nil {
				return err
			}
			r.Header = http.Header{"Content-Type": {"application/json"}, "X-Workflow-Run-Id": {string(key.RunID)}, "X-Workflow-State-Id": {string(key.StateID)}}
			answer, err := transport.RoundTrip(r)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			if body, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
				return fmt.Errorf("flowcallbackd returned %d %s", answer.StatusCode, body)
			}
			return nil
		})
		b.ReportMetric(float64((processorTime(b, s)-before).Microseconds())/float64(b.N), "server-cpu-µs/callback")
		s.Kill()
	})
	b.Run("direct", func(b *testing.B) {
		keys := manyStates(b, f)
		each(b, keys, func(key engine.Key) error {
			return f.CompleteActivityByID(b.Context(), f.namespace, key.WorkflowID, string(key.RunID), string(key.StateID), request.Output, nil)
		})
	})
}

// each calls complete for each key from 32 goroutines and reports callbacks per second.
func each(b *testing.B, keys []engine.Key, complete func(engine.Key) error) {
	b.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range 32 {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(keys); i = int(next.Add(1)) - 1 {
				if err := complete(keys[i]); err != nil && b.Context().Err() == nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(len(keys))/b.Elapsed().Seconds(), "callbacks/s")
}

// manyStates starts workflows until b.N states wait, and returns their keys.
func manyStates(b *testing.B, f *flows) (keys []engine.Key) {
	b.Helper()
	for len(keys) < b.N {
		key := f.start(b, strconv.Itoa(statesEach-1), waitForMany)
		for i := range min(statesEach, b.N-len(keys)) {
			key.StateID = callback.StateID(strconv.Itoa(i))
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		f.untilPending(b, key)
	}
	return keys
}

// processorTime returns the CPU time that the server process has used.
func processorTime(b *testing.B, s *servertest.Server) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID()))
	if err != nil {
		b.Skip("the benchmark needs /proc")
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	ticks := 0
	for _, field := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
