package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/auth"
)

// address resolves the address to listen on. Without authentication it refuses addresses
// that other machines can reach.
func (s settings) address() (*net.TCPAddr, error) {
	if s.auth != "" && s.insecureNoAuth {
		return nil, errors.New("--auth and --insecure-no-auth contradict each other: pass one of them")
	}
	if _, _, err := net.SplitHostPort(s.listen); err != nil {
		return nil, fmt.Errorf("--listen %s: %w (want host:port, such as 127.0.0.1:8080)", s.listen, err)
	}
	address, err := net.ResolveTCPAddr("tcp", s.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", s.listen, err)
	}
	if !address.IP.IsLoopback() && s.auth == "" && !s.insecureNoAuth {
		return nil, fmt.Errorf("--listen %s: other machines could reach this address and settle flows. Pass --auth FILE to say who may call, or listen on loopback, such as 127.0.0.1:8080 (--insecure-no-auth lets everyone call)", s.listen)
	}
	return address, nil
}

// authentication returns how callers authenticate, for the log.
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

// allowedHosts returns the host names that requests may have, or nil for any. A server that
// authenticates needs no check, because a page of another host has no credentials.
func (s settings) allowedHosts() []string {
	if s.auth != "" && len(s.hosts) == 0 {
		return nil
	}
	hosts := append([]string{}, s.hosts...)
	if public, err := url.Parse(s.publicURL); err == nil && public.Host != "" {
		hosts = append(hosts, public.Hostname())
	}
	return hosts
}

// checkPublicURL returns an error unless --public-url can begin a link.
func (s settings) checkPublicURL() error {
	if s.publicURL == "" {
		return nil
	}
	public, err := url.Parse(s.publicURL)
	if err != nil || public.Scheme != "https" && public.Scheme != "http" || public.Host == "" || public.User != nil || public.RawQuery != "" || public.Fragment != "" {
		return fmt.Errorf("--public-url %s: want a URL such as https://flows.example.com, without a query", s.publicURL)
	}
	return nil
}

// proxies returns the networks of --trusted-proxy.
func (s settings) proxies() ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, text := range s.trustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxy %s: want a network such as 10.0.0.0/8 or 192.0.2.1/32", text)
		}
		proxies = append(proxies, prefix)
	}
	return proxies, nil
}

// refuseForeignPages authorizes everyone on this machine except pages of other hosts in a
// browser. Programs send neither of the two headers. Pages whose host name is made to resolve
// to this machine are refused by their Host header (server.Config.Hosts).
func refuseForeignPages(_ context.Context, call server.Call) (server.Principal, error) {
	r := call.Request
	origin := r.Header.Get("Origin")
	if origin == "" && r.Header.Get("Sec-Fetch-Site") != "cross-site" {
		return server.Anyone(), nil
	}
	page, err := url.Parse(origin)
	if err != nil || !strings.EqualFold(page.Host, r.Host) && !isThisMachine(page.Host) {
		return server.Principal{}, fmt.Errorf("page of another host: %w", server.ErrForbidden)
	}
	return server.Anyone(), nil
}

// isThisMachine reports whether host, with or without a port, always means loopback.
func isThisMachine(host string) bool {
	name := strings.ToLower((&url.URL{Host: host}).Hostname())
	return name == "localhost" || net.ParseIP(name).IsLoopback()
}

// authorize returns the function that authorizes calls. allProjects refuses principals that are
// restricted to projects. Until stop is called, SIGHUP reloads the file of --auth.
func (s settings) authorize(allProjects bool, logger *slog.Logger) (decide server.Authorize, stop func(), err error) {
	if s.auth == "" {
		signal.Ignore(syscall.SIGHUP) // there is no file to reload
		if s.insecureNoAuth {
			return nil, func() {}, nil
		}
		return refuseForeignPages, func() {}, nil
	}
	guard, err := auth.New(s.auth, auth.Options{Logger: logger, AllProjects: allProjects})
	if err != nil {
		return nil, nil, fmt.Errorf("--auth: %w", err)
	}
	if info, err := os.Stat(s.auth); err == nil && info.Mode().Perm()&0o004 != 0 {
		logger.Warn("other users of this machine can read the file of --auth, which may contain secrets: chmod o-r", "file", s.auth)
	}
	if s.tlsCert == "" {
		logger.Warn("credentials are not encrypted on the network: use --tls-cert and --tls-key, or a TLS proxy in front")
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hangups {
			if err := guard.Reload(); err != nil {
				logger.Error("the file of --auth was not reloaded; the old one stays in use", "error", err)
				continue
			}
			logger.Info("reloaded the file of --auth", "file", s.auth)
		}
	}()
	return guard.Authorize, func() {
		signal.Stop(hangups)
		close(hangups)
		<-done
	}, nil
}
