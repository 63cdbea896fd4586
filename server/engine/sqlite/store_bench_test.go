package sqlite_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// processorTime returns the time that the process has used.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkStore opens b.N waits and settles a fifth of them, in the order in which they were
// opened or at random, from 64 callers. It reports the processor time of each, with all
// background work, and the slowest page of any list.
func BenchmarkStore(b *testing.B) {
	for _, order := range []string{"ordered", "random"} {
		b.Run(order, func(b *testing.B) {
			e, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "waits.db"), sqlite.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			before := processorTime(b)
			openAll(b, e, "run")
			list(b, e, waits.ListWaitsParams{Status: new(waits.Waiting)}) // folds
			opening := processorTime(b) - before

			states := rand.Perm(b.N)
			if order == "ordered" {
				for i := range states {
					states[i] = i
				}
			}
			states = states[:b.N/5]
			request := enginetest.Success(`{"message":"success","result":200}`)
			before = processorTime(b)
			b.ResetTimer()
			forAll(len(states), func(i int) {
				key := engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "run", StateID: callback.StateID(fmt.Sprint(states[i]))}
				if _, err := e.Callback(b.Context(), engine.Callback{Key: key, Request: request}); err != nil {
					b.Error(err)
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(opening.Nanoseconds())/float64(b.N)/1000, "cpu-us/open")
			list(b, e, waits.ListWaitsParams{Status: new(waits.Waiting)})
			b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(len(states))/1000, "cpu-us/settle")
			b.ReportMetric(float64(len(states))/b.Elapsed().Seconds(), "settles/s")

			b.ReportMetric(float64(slowestPage(b, e).Microseconds())/1000, "slowest-page-ms")
		})
	}
}

// slowestPage lists with each combination of a status, another filter and an order.
func slowestPage(b *testing.B, e *sqlite.Engine) (slowest time.Duration) {
	filters := map[string]waits.ListWaitsParams{
		"none": {}, "workflow": {WorkflowID: new("w")}, "no workflow": {WorkflowID: new("none")}, "prefix": {WorkflowPrefix: new("w")},
		"run": {RunID: new(callback.RunID("run"))}, "state": {StateID: new(callback.StateID("1"))}, "tag": {Tag: new("none")},
		"opened before": {OpenedBefore: new(time.Now())}, "expires before": {ExpiresBefore: new(time.Now())}, "expires later": {ExpiresBefore: new(time.Now().Add(30 * 24 * time.Hour))},
	}
	for name, params := range filters {
		for _, status := range []waits.Status{"", waits.Waiting, waits.Success, waits.Fail, waits.Expired, waits.Cancelled} {
			for _, order := range []waits.Order{waits.Newest, waits.Oldest, waits.Deadline} {
				params.Order, params.Status = &order, nil
				if status != "" {
					params.Status = &status
				}
				start := time.Now()
				list(b, e, params)
				took := time.Since(start)
				if took > slowest {
					b.Logf("%s %s %s: %s", name, status, order, took)
				}
				slowest = max(slowest, took)
			}
		}
	}
	return slowest
}

func list(b *testing.B, e *sqlite.Engine, params waits.ListWaitsParams) {
	params.Limit = new(100)
	if _, err := e.ListWaits(b.Context(), "p", params, 0); err != nil {
		b.Fatal(err)
	}
}
