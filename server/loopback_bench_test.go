package server_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/callbackserver"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// BenchmarkLoopback sends callbacks for distinct waits over 64 connections. It compares the
// complete server with durable SQLite, the complete server with an idle engine, and the
// generated handler alone. Compare figures of one run only: the senders share the processors
// with the server in every case.
func BenchmarkLoopback(b *testing.B) {
	serve := func(b *testing.B, e engine.Engine) http.Handler {
		handler, err := server.New(e, server.Config{MaxRequests: 1024, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		return handler
	}
	durable := func(b *testing.B) engine.Engine {
		e, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "waits.db"), sqlite.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { e.Close() })
		var group sync.WaitGroup
		var next atomic.Int64
		for range 64 {
			group.Go(func() {
				for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
					if _, _, err := e.OpenWait(b.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 86400}, ""); err != nil {
						b.Error(err)
					}
				}
			})
		}
		group.Wait()
		return e
	}
	b.Run("durable", func(b *testing.B) { loopback(b, 64, serve(b, durable(b))) })
	b.Run("storeless", func(b *testing.B) { loopback(b, 64, serve(b, idle{})) })
	b.Run("unvalidated", func(b *testing.B) {
		router := echo.New()
		callbackserver.RegisterHandlers(router, callbackserver.NewStrictHandler(unvalidated{}, nil))
		loopback(b, 64, router)
	})
	// Twice as many senders as MaxRequests. A refused sender retries after Retry-After, as the
	// client does.
	b.Run("overloaded", func(b *testing.B) { loopback(b, 2*1024, serve(b, durable(b))) })
}

func loopback(b *testing.B, connections int, handler http.Handler) {
	s := httptest.NewServer(handler)
	defer s.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: connections}
	defer transport.CloseIdleConnections()
	durations := make([]time.Duration, b.N)
	var next, refused atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range connections {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				start := time.Now()
				for wait := send(b, transport, s.URL, i); wait > 0; wait = send(b, transport, s.URL, i) {
					refused.Add(1)
					<-time.After(wait)
					start = time.Now()
				}
				durations[i] = time.Since(start)
			}
		})
	}
	group.Wait()
	b.StopTimer()
	slices.Sort(durations)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "callbacks/s")
	b.ReportMetric(float64(durations[b.N/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(durations[b.N*99/100].Microseconds()), "p99-µs")
	if refused.Load() > 0 {
		b.ReportMetric(float64(refused.Load()), "refused")
	}
}

// send sends one callback. If the server is busy, wait is the value of Retry-After; otherwise
// it is 0.
func send(b *testing.B, transport *http.Transport, url string, state int64) (wait time.Duration) {
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/v2/p/fgs/workflows/w/callback", strings.NewReader(bodies["small"]))
	if err != nil {
		b.Error(err)
		return 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Workflow-Run-Id", "r")
	r.Header.Set("X-Workflow-State-Id", fmt.Sprint(state))
	response, err := transport.RoundTrip(r)
	if err != nil {
		b.Error(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if response.StatusCode != http.StatusOK && err != nil {
		b.Errorf("callback: status %d without Retry-After, want 200", response.StatusCode)
	}
	return time.Duration(seconds) * time.Second
}
