package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// scheme returns the scheme of the server's URLs.
func (s settings) scheme() string {
	if s.tlsCert != "" {
		return "https"
	}
	return "http"
}

// serveOn serves until the server is shut down or fails.
func (s settings) serveOn(httpServer *http.Server, listener net.Listener) error {
	if s.tlsCert != "" {
		return httpServer.ServeTLS(listener, "", "")
	}
	return httpServer.Serve(listener)
}

// tlsConfig returns the TLS configuration, or nil without --tls-cert.
func (s settings) tlsConfig(registry *prometheus.Registry, logger *slog.Logger) (*tls.Config, error) {
	switch {
	case s.tlsCert == "" && s.tlsKey == "":
		return nil, nil
	case s.tlsCert == "" || s.tlsKey == "":
		return nil, errors.New("--tls-cert and --tls-key go together")
	}
	k := &keyPair{cert: s.tlsCert, key: s.tlsKey, logger: logger}
	if _, err := k.get(); err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", s.tlsCert, s.tlsKey, err)
	}
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "flowcallback_certificate_expiry_timestamp_seconds", Help: "When the certificate of --tls-cert expires, as a Unix time.",
	}, k.expiry))
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.get() },
	}, nil
}

// keyPair is a certificate that is reloaded when one of its files changes. While the files do
// not match (one was replaced and the other not yet), the old certificate stays in use.
type keyPair struct {
	cert, key string
	logger    *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	seen   [2]time.Time // modification times at the last load
}

// expiry returns the Unix time at which the certificate expires.
func (k *keyPair) expiry() float64 {
	pair, err := k.get()
	if err != nil || pair.Leaf == nil {
		return 0
	}
	return float64(pair.Leaf.NotAfter.Unix())
}

// get returns the certificate, reloaded if one of the files has changed.
func (k *keyPair) get() (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var changed [2]time.Time
	for i, path := range []string{k.cert, k.key} {
		if info, err := os.Stat(path); err == nil {
			changed[i] = info.ModTime()
		}
	}
	if k.loaded != nil && changed == k.seen {
		return k.loaded, nil
	}
	k.seen = changed
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	switch {
	case err == nil:
		if k.loaded != nil {
			k.logger.Info("reloaded the certificate", "file", k.cert)
		}
		k.loaded = &pair
	case k.loaded == nil:
		return nil, err
	default:
		k.logger.Error("the certificate was not reloaded; the old one stays in use", "error", err)
	}
	return k.loaded, nil
}
