package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/flowcallback/flowcallback/server"
)

// settings are the values of the flags.
type settings struct {
	listen, engine, unknown string
	durability              string
	logFormat, logLevel     string
	maxBody                 int64
	maxHeld                 int
	retention, drain        time.Duration
	demo, temporary         bool
	auth, tlsCert, tlsKey   string
	insecureNoAuth          bool
	hosts, trustedProxies   []string
	publicURL               string
}

// shutdownTimeout limits how long running requests may take after the server has drained.
const shutdownTimeout = 15 * time.Second

// serve runs the server until ctx ends or it fails. It leaves nothing running.
func serve(ctx context.Context, s settings, stdout, stderr io.Writer) (err error) {
	signal.Ignore(syscall.SIGPIPE) // a reader of the log that has gone must not end the server
	logger, stopLogging, err := newLogger(s.logFormat, s.logLevel, stderr)
	if err != nil {
		return err
	}
	defer stopLogging()
	if s.maxBody < 1 {
		return fmt.Errorf("--max-body %d: want at least 1", s.maxBody)
	}
	address, err := s.address()
	if err != nil {
		return err
	}
	if err := s.checkPublicURL(); err != nil {
		return err
	}
	proxies, err := s.proxies()
	if err != nil {
		return err
	}
	registry := newRegistry()
	tlsConfig, err := s.tlsConfig(registry, logger)
	if err != nil {
		return err
	}
	e, closeEngine, err := openEngine(ctx, s, registry, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeEngine()) }()
	authorize, stopReloading, err := s.authorize(sharesNamespace(e), logger)
	if err != nil {
		return err
	}
	defer stopReloading()

	draining, drain := context.WithCancel(context.Background())
	defer drain()
	stopping, stop := context.WithCancel(context.Background())
	defer stop()
	handler, err := server.New(e, server.Config{
		MaxBody: s.maxBody, Draining: draining, Stopping: stopping, Authorize: authorize, Hosts: s.allowedHosts(), PublicURL: s.publicURL, TrustedProxies: proxies,
		Metrics: registry, Logger: logger,
	})
	if err != nil {
		return err
	}
	listener, err := net.ListenTCP("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("--listen %s: another program uses this address: stop it, or choose another address with --listen or FLOWCALLBACKD_LISTEN", s.listen)
	case err != nil:
		return fmt.Errorf("--listen %s: %w", s.listen, err)
	}
	handler, stopTracing, err := s.traced(ctx, handler)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, stopTracing()) }()
	httpServer := newHTTPServer(handler, logger)
	httpServer.TLSConfig = tlsConfig
	served := make(chan error, 1)
	go func() { served <- s.serveOn(httpServer, listener) }()
	logger.Info("listening", "address", listener.Addr().String(), "scheme", s.scheme(), "engine", s.engineName(), "authentication", s.authentication())

	demoDone := make(chan struct{})
	if s.demo {
		go func() {
			defer close(demoDone)
			if err := demo(stopping, e, s.auth != "", s.scheme()+"://"+listener.Addr().String(), stdout); err != nil {
				logger.Error("demo", "error", err)
			}
		}()
	} else {
		close(demoDone)
	}
	defer func() { stop(); <-demoDone }()

	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain()
	logger.Info("draining: not ready, and still serving", "time", s.drain.String())
	select {
	case err := <-served:
		return err
	case <-interrupted:
	case <-time.After(s.drain):
	}
	signal.Stop(interrupted) // from here on, SIGINT ends the process immediately
	return s.shutdown(httpServer, stop, logger)
}

// shutdown stops accepting connections, ends long-polls, and waits for running requests.
func (s settings) shutdown(httpServer *http.Server, stop func(), logger *slog.Logger) error {
	logger.Info("stopping", "timeout", shutdownTimeout.String())
	stop()
	finishing, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := httpServer.Shutdown(finishing); err != nil {
		return errors.Join(fmt.Errorf("requests were still running after %s: %w", shutdownTimeout, err), httpServer.Close())
	}
	logger.Info("stopped")
	return nil
}

// newHTTPServer limits the time of every phase of a request.
func newHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute, // longer than any long-poll
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    12 << 10, // net/http adds 4 KiB: 16 KiB
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
