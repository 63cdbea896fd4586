package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/server/servertest"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newToken runs "flowcallbackd token" and returns the printed token and its hash.
func newToken(t *testing.T) (token, hash string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), "token").Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(output), "token: %s\ntoken_sha256: %s\n", &token, &hash); err != nil {
		t.Fatalf("flowcallbackd token printed %q: %v", output, err)
	}
	return token, hash
}

func principals(tokenHash string) string {
	return "principals:\n" +
		"  - {name: ci, projects: [project], allow: [callback], token_sha256: " + tokenHash + "}\n" +
		"  - {name: engine, projects: ['*'], allow: [callback, wait], access_key: AKID, secret_key: a-secret-of-24-characters}\n"
}

// callBack sends a callback for an unknown state. If the credentials are accepted, the error is
// client.ErrNotFound.
func callBack(t *testing.T, s *servertest.Server, option ...client.Option) error {
	t.Helper()
	_, err := newClient(t, s, append(option, client.WithRetry(0))...).Succeed(t.Context(), client.State{Workflow: "w f", Run: "r", State: "s/ü"}, nil)
	return err
}

// await calls look until it returns true. It fails the test after 30 seconds.
func await(t *testing.T, what string, look func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !look() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out after 30s waiting until %s", what)
		}
	}
}

func TestAuth(t *testing.T) {
	token, hash := newToken(t)
	path := filepath.Join(t.TempDir(), "auth.yaml")
	write(t, path, principals(hash))
	s := servertest.Start(t, "--auth", path, "--listen", "0.0.0.0:0", "--engine", file(t))
	s.URL = strings.Replace(s.URL, "[::]", "127.0.0.1", 1)

	right := client.WithAKSK("AKID", "a-secret-of-24-characters", "temporary")
	for name, test := range map[string]struct {
		err  error
		want error
	}{
		"no credentials": {callBack(t, s), client.ErrUnauthorized},
		"token":          {callBack(t, s, client.WithToken(token)), client.ErrNotFound},
		"wrong token":    {callBack(t, s, client.WithToken("guessed-token")), client.ErrUnauthorized},
		"access key":     {callBack(t, s, right), client.ErrNotFound},
		"wrong secret":   {callBack(t, s, client.WithAKSK("AKID", "guessed-secret", "")), client.ErrUnauthorized},
		"no permission":  {newClient(t, s, client.WithToken(token)).Waits.Cancel(t.Context(), "w", ""), client.ErrForbidden},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: error %v, want %v", name, test.err, test.want)
		}
	}

	write(t, path, "principals: oops")
	s.Signal(t, syscall.SIGHUP)
	await(t, "the log has a warning about the broken file", func() bool { return strings.Contains(s.Log(), "the old one stays in use") })
	if err := callBack(t, s, client.WithToken(token)); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("callback after a reload of a broken file: error %v, want %v", err, client.ErrNotFound)
	}
	another, hash := newToken(t)
	write(t, path, principals(hash))
	s.Signal(t, syscall.SIGHUP)
	await(t, "the new token is accepted", func() bool { return errors.Is(callBack(t, s, client.WithToken(another)), client.ErrNotFound) })
	if err := callBack(t, s, client.WithToken(token)); !errors.Is(err, client.ErrUnauthorized) {
		t.Errorf("callback with the removed token: error %v, want %v", err, client.ErrUnauthorized)
	}
	s.Stop(t)
	for _, secret := range []string{token, another, "a-secret-of-24-characters", "temporary", "guessed-token", "guessed-secret"} {
		if strings.Contains(s.Log(), secret) {
			t.Errorf("log contains the secret %q", secret)
		}
	}
}

// Without --auth, the server refuses requests from web pages of other hosts, and requests whose
// Host header is not a name of this server. The Host check is needed for DNS rebinding: a page
// whose name resolves to loopback can send a GET over http without Origin and Sec-Fetch-Site.
func TestForeignPages(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t), "--host", "flows.example")
	for name, test := range map[string]struct {
		host   string
		header map[string]string
		status int
	}{
		"program":                         {"", nil, 200},
		"name of --host":                  {"flows.example", nil, 200},
		"name of --host with a port":      {"flows.example:8080", nil, 200},
		"localhost":                       {"localhost:8080", nil, 200},
		"IPv6 address":                    {"[::1]:8080", nil, 200},
		"another name":                    {"flows.example.net", nil, 421},
		"GET after DNS rebinding":         {"evil.example:8080", nil, 421},
		"page of this server":             {"", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		"POST from a page of this server": {"localhost:8080", map[string]string{"Origin": "http://localhost:8080"}, 200},
		"names in capitals":               {"LOCALHOST:8080", nil, 200},
		"name of --host in capitals":      {"FLOWS.example", nil, 200},
		"page under the name of --host":   {"flows.example", map[string]string{"Origin": "http://flows.example", "Sec-Fetch-Site": "same-origin"}, 200},
		"page of another site, no-cors":   {"", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"page of another host":            {"", map[string]string{"Origin": "https://evil.example"}, 403},
		"page with Origin null":           {"", map[string]string{"Origin": "null"}, 403},
		"page after DNS rebinding":        {"evil.example:8080", map[string]string{"Sec-Fetch-Site": "same-origin"}, 421},
		"POST after DNS rebinding":        {"evil.example:8080", map[string]string{"Origin": "http://evil.example:8080"}, 421},
		"name that starts with 127.0.0.1": {"127.0.0.1.evil.example", map[string]string{"Sec-Fetch-Site": "same-origin"}, 421},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/p/waits", nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.host != "" {
			r.Host = test.host
		}
		for key, value := range test.header {
			r.Header.Set(key, value)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d", name, response.StatusCode, test.status)
		}
	}
}

// newCertificate writes a self-signed certificate for 127.0.0.1 with the given serial number,
// and its private key.
func newCertificate(t *testing.T, certPath, keyPath string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certPath: {Type: "CERTIFICATE", Bytes: certificate}, keyPath: {Type: "PRIVATE KEY", Bytes: private}} {
		write(t, path, string(pem.EncodeToMemory(block)))
	}
}

func TestTLS(t *testing.T) {
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	newCertificate(t, cert, key, 1)
	s := servertest.Start(t, "--tls-cert", cert, "--tls-key", key, "--engine", file(t))
	address := strings.TrimPrefix(s.URL, "http://")
	dial := func(config *tls.Config) (*tls.Conn, error) {
		config.InsecureSkipVerify = true // the test compares serial numbers instead
		return tls.Dial("tcp", address, config)
	}
	serial := func() int64 {
		conn, err := dial(&tls.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("serial number of the served certificate = %d, want 1", got)
	}
	if conn, err := dial(&tls.Config{MaxVersion: tls.VersionTLS11}); err == nil {
		conn.Close()
		t.Error("TLS 1.1 handshake succeeded, want an error")
	}
	write(t, cert, "half a certificate")
	if got := serial(); got != 1 {
		t.Errorf("serial number after the file was broken = %d, want 1", got)
	}
	newCertificate(t, cert, key, 2)
	if got := serial(); got != 2 {
		t.Errorf("serial number after the files were replaced = %d, want 2", got)
	}

	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	s.URL = "https://" + address
	if err := callBack(t, s, client.WithHTTPClient(&http.Client{Transport: transport})); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("callback over TLS: error %v, want %v", err, client.ErrNotFound)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.ProtoMajor != 2 || response.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("response over TLS: HTTP/%d, headers %v; want HTTP/2 and Strict-Transport-Security", response.ProtoMajor, response.Header)
	}
}
