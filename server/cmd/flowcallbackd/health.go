package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/urfave/cli/v3"
)

// healthTimeout limits how long the server may take to answer.
const healthTimeout = 4 * time.Second

// healthCommand asks the server on this machine whether it is ready, for containers without
// an HTTP client.
func healthCommand(s *settings, stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "health",
		Usage: "ask the server that listens on --listen of this machine whether it can settle callbacks",
		Description: `Exits with 0 if it can, else with 1. It uses the flags and variables of the server: --listen, and
--tls-cert if the server uses HTTPS.`,
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("unexpected argument %q (see flowcallbackd health --help)", c.Args().First())
			}
			return s.health(ctx, stdout)
		},
	}
}

func (s settings) health(ctx context.Context, stdout io.Writer) error {
	host, port, err := net.SplitHostPort(s.listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", s.listen, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.scheme()+"://"+net.JoinHostPort(host, port)+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	// The certificate need not name this machine, and the request has no secrets.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see above
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New("not ready: " + answer.Status)
	}
	_, err = fmt.Fprintln(stdout, "ready")
	return err
}
