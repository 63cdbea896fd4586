package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/auth"
)

// address resolves the address to listen on, and refuses one that others can reach while
// everyone who can may call.
func (s settings) address() (*net.TCPAddr, error) {
	if s.auth != "" && s.insecureNoAuth {
		return nil, errors.New("--auth and --insecure-no-auth contradict each other: name one")
	}
	if _, _, err := net.SplitHostPort(s.listen); err != nil {
		return nil, fmt.Errorf("--listen %s: %w (want host:port, such as 127.0.0.1:8080)", s.listen, err)
	}
	address, err := net.ResolveTCPAddr("tcp", s.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", s.listen, err)
	}
	if !address.IP.IsLoopback() && s.auth == "" && !s.insecureNoAuth {
		return nil, fmt.Errorf("--listen %s: others could reach it and settle flows: say who may call with --auth FILE, or listen on loopback, such as 127.0.0.1:8080 (--insecure-no-auth lets everyone in)", s.listen)
	}
	return address, nil
}

// authentication is how callers prove themselves, as the log names it.
func (s settings) authentication() string {
	switch {
	case s.auth != "":
		return s.auth
	case s.insecureNoAuth:
		return "none: everyone who can reach the address may call"
	default:
		return "none, so loopback only"
	}
}

// noForeignPages is who decides where everyone on this machine may call: everyone but a page
// of another host in a browser here. A browser lets such a page read what it asks for under
// its own name, and that name can be made to resolve to loopback (DNS rebinding). Programs
// send none of the headers that are looked at, and may use any name.
func noForeignPages(_ context.Context, call server.Call) (caller string, err error) {
	r := call.Request
	origin := r.Header.Get("Origin")
	if origin == "" && r.Header.Get("Sec-Fetch-Site") == "" {
		return "", nil
	}
	page, err := url.Parse(origin)
	if err != nil || !isThisMachine(r.Host) || (origin != "" && !isThisMachine(page.Host)) {
		return "", fmt.Errorf("a page of another host: %w", server.ErrForbidden)
	}
	return "", nil
}

// isThisMachine reports whether host, with a port or without, is a name of loopback that
// nobody else can have.
func isThisMachine(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	return name == "localhost" || net.ParseIP(name).IsLoopback()
}

// authorize returns who decides. Until stop is called, SIGHUP has the file of --auth read
// anew.
func (s settings) authorize(logger *slog.Logger) (decide server.Authorize, stop func(), err error) {
	switch {
	case s.insecureNoAuth:
		return nil, func() {}, nil
	case s.auth == "":
		return noForeignPages, func() {}, nil
	}
	guard, err := auth.New(s.auth, auth.Options{Logger: logger})
	if err != nil {
		return nil, nil, fmt.Errorf("--auth: %w", err)
	}
	if info, err := os.Stat(s.auth); err == nil && info.Mode().Perm()&0o077 != 0 {
		logger.Warn("others on this machine may read the file of --auth, which can hold secrets: chmod 600", "file", s.auth)
	}
	if s.tlsCert == "" {
		logger.Warn("credentials travel in the clear: use --tls-cert and --tls-key, or a proxy with TLS in front")
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hangups {
			if err := guard.Reload(); err != nil {
				logger.Error("reading the file of --auth anew; who may call stays as it was", "error", err)
				continue
			}
			logger.Info("read the file of --auth anew", "file", s.auth)
		}
	}()
	return guard.Authorize, func() {
		signal.Stop(hangups)
		close(hangups)
		<-done
	}, nil
}
