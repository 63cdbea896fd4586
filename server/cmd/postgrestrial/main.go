// Command postgrestrial runs a PostgreSQL server to try things with, until it is interrupted. Nothing is kept.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/flowcallback/flowcallback/server/engine/postgres/postgrestest"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:5433", "the address, on this machine")
	flag.Parse()
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "postgrestrial:", err)
		os.Exit(1)
	}
}

func run(listen string) error {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	c, err := postgrestest.StartOn(number)
	if err != nil {
		return err
	}
	fmt.Printf("PostgreSQL runs: %s\n", c.URL("postgres"))
	<-interrupted
	return c.Remove()
}
