package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
	"github.com/flowcallback/flowcallback/server/servertest"
)

const connections = 64

// BenchmarkGrowth runs flowcallbackd on files with different numbers of waits. It reports the
// rate of opening waits in process, the rate of callbacks for these, the start time, and the
// resident memory after the callbacks. b.N is the number of callbacks; each settles another wait.
func BenchmarkGrowth(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		path, filled := filepath.Join(b.TempDir(), "waits.db"), false
		b.Run(fmt.Sprint(n, "waits"), func(b *testing.B) {
			if !filled {
				openWaits(b, path, "old", n)
				filled = true
			}
			run := "run " + strconv.Itoa(b.N)
			start := time.Now()
			openWaits(b, path, run, b.N)
			opened := time.Since(start)
			start = time.Now()
			s := servertest.Start(b, "--engine", "sqlite:"+path, "--log-format", "json")
			started := time.Since(start)
			b.ResetTimer()
			settleAll(b, s.URL, run, b.N)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/opened.Seconds(), "opens/s")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "callbacks/s")
			b.ReportMetric(float64(started.Milliseconds()), "start-ms")
			b.ReportMetric(float64(residentBytes(b, s))/(1<<20), "MiB")
			s.Kill()
		})
	}
}

// BenchmarkRetention settles waits while retention follows, which deletes each wait a second after
// it was settled. It reports the rate of the callbacks, as a share of their rate without
// retention, and the rate of the deletions until nothing is left, as a share of the callbacks'.
func BenchmarkRetention(b *testing.B) {
	rate := func(retention string) (callbacks, deletions float64) {
		path := filepath.Join(b.TempDir(), "waits.db")
		openWaits(b, path, "run", b.N)
		s := servertest.Start(b, "--engine", "sqlite:"+path, "--retention", retention)
		defer s.Kill()
		start := time.Now()
		settleAll(b, s.URL, "run", b.N)
		settled := time.Since(start)
		c, err := client.New(s.URL, "project")
		if err != nil {
			b.Fatal(err)
		}
		for left := retention != "0"; left; {
			left = false
			for range c.Waits.List(b.Context(), client.Filter{}) {
				left = true
				break
			}
		}
		return float64(b.N) / settled.Seconds(), float64(b.N) / (time.Since(start) - time.Second).Seconds()
	}
	alone, _ := rate("0")
	beside, deletions := rate("1s")
	b.ReportMetric(beside/alone, "of-callbacks-alone")
	b.ReportMetric(deletions/beside, "of-callbacks")
}

// BenchmarkPolls opens 10,000 long-polls, each on its own connection. It reports the server's
// memory per long-poll, and the rate of callbacks during the long-polls.
func BenchmarkPolls(b *testing.B) {
	const polls = 10_000
	for _, open := range []int{0, polls} {
		b.Run(fmt.Sprint(open, "polls"), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "waits.db")
			ids := openWaits(b, path, "polled", max(open, 1))
			openWaits(b, path, "run", b.N)
			s := servertest.Start(b, "--engine", "sqlite:"+path)
			settleAll(b, s.URL, "unknown", 1) // allocate what the server needs for its first request
			before := residentBytes(b, s)
			ctx, stop := context.WithCancel(b.Context())
			ended := poll(ctx, b, s, ids[:open])
			after := residentBytes(b, s)
			b.ResetTimer()
			settleAll(b, s.URL, "run", b.N)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "callbacks/s")
			if open > 0 {
				b.ReportMetric(float64(after-before)/float64(open)/1024, "KiB/poll")
			}
			stop()
			ended()
			s.Kill()
		})
	}
}

// openWaits opens n waits of a run in the file, and returns their ids.
func openWaits(b *testing.B, path, run string, n int) (ids []string) {
	b.Helper()
	e, err := sqlite.Open(b.Context(), path, sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	ids = make([]string, n)
	forEach(n, 256, func(i int) {
		wait, _, err := e.OpenWait(b.Context(), "project", waits.OpenWaitRequest{WorkflowID: "w", RunID: callback.RunID(run), StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 86400}, "")
		if err != nil {
			b.Error(err)
		}
		ids[i] = wait.WaitID
	})
	return ids
}

// settleAll settles n waits of a run over 64 connections.
func settleAll(b *testing.B, url, run string, n int) {
	b.Helper()
	states := make([]int, n)
	for i := range states {
		states[i] = i
	}
	settleStates(b, url, run, states)
}

// settleStates settles waits of a run over 64 connections, in the given order.
func settleStates(b *testing.B, url, run string, states []int) {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: connections}
	defer transport.CloseIdleConnections()
	forEach(len(states), connections, func(i int) {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/v2/project/fgs/workflows/w/callback", strings.NewReader(goodBody))
		if err != nil {
			b.Error(err)
			return
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "X-Workflow-Run-Id": {run}, "X-Workflow-State-Id": {fmt.Sprint(states[i])}}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			b.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK && run != "unknown" {
			b.Errorf("callback: status %d, want 200", answer.StatusCode)
		}
	})
}

// poll opens a long-poll for each wait and returns when the server has accepted all
// connections. ended blocks until all long-polls have ended.
func poll(ctx context.Context, b *testing.B, s *servertest.Server, ids []string) (ended func()) {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: len(ids)}
	var group sync.WaitGroup
	for _, id := range ids {
		group.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/project/waits/"+id+"?wait_seconds=50", nil)
			if err != nil {
				b.Error(err)
				return
			}
			if answer, err := transport.RoundTrip(r); err == nil {
				answer.Body.Close()
				b.Error("long-poll ended before it was cancelled")
			}
		})
	}
	for openFiles(b, s) < len(ids) && ctx.Err() == nil {
		runtime.Gosched()
	}
	settleAll(b, s.URL, "unknown", 10*connections) // gives the server time to process the last long-polls
	return func() {
		group.Wait()
		transport.CloseIdleConnections()
	}
}

// openFiles returns the number of open files, including connections, of the server's process.
func openFiles(b *testing.B, s *servertest.Server) int {
	b.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		b.Skip("the benchmark needs /proc")
	}
	return len(files)
}

// residentBytes returns the resident memory of the server's process in bytes.
func residentBytes(b *testing.B, s *servertest.Server) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		b.Skip("the benchmark needs /proc")
	}
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kilobytes, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(string(value)), " kB"))
			if err != nil {
				b.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	b.Fatalf("/proc/%d/status has no VmRSS", s.PID())
	return 0
}
