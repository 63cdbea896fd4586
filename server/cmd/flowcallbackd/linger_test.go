package main_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/server/servertest"
)

// Many HTTP clients write the whole body before they read. Such a client receives the refusal,
// both directly and through a relay.
func TestRefusalReachesSendersThatWriteFirst(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t))
	address := strings.TrimPrefix(s.URL, "http://")
	const head = "POST /v2/project/fgs/workflows/w/callback HTTP/1.1\r\nHost: localhost\r\nX-Workflow-Run-Id: r\r\nX-Workflow-State-Id: s\r\nContent-Type: application/json\r\n"
	large := strings.Repeat(" ", 5<<20)
	length := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(large), large)
	for name, test := range map[string]struct {
		text   string
		status int
	}{
		"length":         {length, http.StatusRequestEntityTooLarge},
		"chunked":        {fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(large), large), http.StatusRequestEntityTooLarge},
		"another path":   {strings.Replace(length, "/callback", "/elsewhere", 1), http.StatusNotFound},
		"another method": {strings.Replace(length, "POST", "PUT", 1), http.StatusMethodNotAllowed},
	} {
		for way, to := range map[string]string{"directly": address, "through a relay": relay(t, address)} {
			t.Run(name+" "+way, func(t *testing.T) {
				for i := range 10 {
					conn, err := net.Dial("tcp", to)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.WriteString(conn, test.text); err != nil {
						t.Fatalf("attempt %d: writing the body: %v", i, err)
					}
					response, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil || response.StatusCode != test.status {
						t.Fatalf("attempt %d: response %+v, %v; want %d", i, response, err, test.status)
					}
					conn.Close()
				}
			})
		}
	}
}

// Only so many connections of an address linger. The next one is closed immediately, and one of another address lingers.
func TestLingeringIsBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no second loopback address")
	}
	s := servertest.Start(t, "--engine", file(t), "--max-body", "10000")
	refused := func(from string) net.Conn {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := dialer.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "POST /v2/project/fgs/workflows/w/callback HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("response %+v, %v; want 413", response, err)
		}
		return conn
	}
	var lingering []net.Conn
	for range 16 {
		lingering = append(lingering, refused("127.0.0.1"))
	}
	other := refused("127.0.0.2")
	closed := make(chan string, 3)
	wait := func(name string, conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		closed <- name
	}
	go wait("the first", lingering[0])
	go wait("the one of another address", other)
	go wait("the one beyond the limit", refused("127.0.0.1"))
	if first := <-closed; first != "the one beyond the limit" {
		t.Errorf("%s was closed first", first)
	}
}

// A refused body ends its own stream of an HTTP/2 connection, not the connection.
func TestRefusalLeavesHTTP2Open(t *testing.T) {
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	newCertificate(t, cert, key, 1)
	s := servertest.Start(t, "--tls-cert", cert, "--tls-key", key, "--engine", file(t))
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	url := "https://" + strings.TrimPrefix(s.URL, "http://") + "/v2/project/fgs/workflows/w/callback"
	for i := range 3 {
		reused := false
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, url, strings.NewReader(strings.Repeat(" ", 5<<20)))
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(r)
		if err != nil || response.StatusCode != http.StatusRequestEntityTooLarge || response.ProtoMajor != 2 {
			t.Fatalf("response %+v, %v; want 413 over HTTP/2", response, err)
		}
		response.Body.Close()
		if reused != (i > 0) {
			t.Errorf("request %d: connection reused = %t", i, reused)
		}
	}
}

// relay starts a TCP relay to address and returns the relay's own address.
func relay(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", address)
			if err != nil {
				from.Close()
				continue
			}
			go func() { _, _ = io.Copy(to, from); to.Close() }()
			go func() { _, _ = io.Copy(from, to); from.Close() }()
		}
	}()
	return listener.Addr().String()
}
