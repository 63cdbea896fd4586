package postgres_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/flowcallback/flowcallback/server/engine/postgres/postgrestest"
)

var withServer = flag.Bool("postgres", false, "run the tests with a real PostgreSQL; make postgres-test does")

// cluster is the server of the tests.
var cluster *postgrestest.Cluster

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if *withServer {
		var err error
		if cluster, err = postgrestest.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = cluster.Remove() }()
	}
	return m.Run()
}

// database returns the URL of an empty database.
func database(tb testing.TB) string {
	tb.Helper()
	if cluster == nil {
		tb.Skip("without a PostgreSQL; make postgres-test runs it")
	}
	name, err := cluster.Database()
	if err != nil {
		tb.Fatal(err)
	}
	return cluster.URL(name)
}
