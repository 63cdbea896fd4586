package main_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
	"github.com/flowcallback/flowcallback/server/engine/postgres/postgrestest"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// BenchmarkPostgresHTTP compares, in interleaved rounds, callbacks over HTTP and 64 connections with the same
// callbacks in process, all with PostgreSQL on this machine.
func BenchmarkPostgresHTTP(b *testing.B) {
	if !*withPostgres {
		b.Skip("without a PostgreSQL")
	}
	cluster, err := postgrestest.Start()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = cluster.Remove() }()
	url := cluster.URL("postgres")
	e, err := postgres.Open(b.Context(), url, postgres.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	s := servertest.Start(b, "--engine", url)
	open := func(run string) {
		forEach(b.N, 256, func(i int) {
			if _, _, err := e.OpenWait(b.Context(), "project", waits.OpenWaitRequest{WorkflowID: "w", RunID: callback.RunID(run), StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 86400}, ""); err != nil {
				b.Error(err)
			}
		})
	}
	request := enginetest.Success(`{"message":"success","result":200}`)
	var overHTTP, inProcess time.Duration
	for round := range 3 {
		run := fmt.Sprint("http", round)
		open(run)
		start := time.Now()
		settleAll(b, s.URL, run, b.N)
		overHTTP += time.Since(start)
		run = fmt.Sprint("process", round)
		open(run)
		start = time.Now()
		forEach(b.N, connections, func(i int) {
			key := engine.Key{ProjectID: "project", WorkflowID: "w", RunID: callback.RunID(run), StateID: callback.StateID(fmt.Sprint(i))}
			if _, err := e.Callback(b.Context(), engine.Callback{Key: key, Request: request}); err != nil {
				b.Error(err)
			}
		})
		inProcess += time.Since(start)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(3*float64(b.N)/overHTTP.Seconds(), "callbacks/s")
	b.ReportMetric(inProcess.Seconds()/overHTTP.Seconds(), "of-in-process")
}
