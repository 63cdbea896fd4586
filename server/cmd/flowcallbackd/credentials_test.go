package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/openapi/signature"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// startWithAuth starts a server with --auth and returns a valid token.
func startWithAuth(t *testing.T, flags ...string) (s *servertest.Server, token string) {
	t.Helper()
	token, hash := newToken(t)
	path := filepath.Join(t.TempDir(), "auth.yaml")
	write(t, path, principals(hash))
	return servertest.Start(t, append([]string{"--auth", path, "--engine", file(t)}, flags...)...), token
}

// The server refuses callers without valid credentials before their body arrives.
func TestCredentialsAreCheckedBeforeTheBody(t *testing.T) {
	s, _ := startWithAuth(t)
	for name, header := range map[string]string{"no credentials": "", "wrong token": "X-Auth-Token: wrong\r\n", "unknown access key": "Authorization: SDK-HMAC-SHA256 Access=x, SignedHeaders=x-sdk-date, Signature=00\r\n"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "POST /v2/project/fgs/workflows/w/callback HTTP/1.1\r\nHost: localhost\r\nX-Workflow-Run-Id: r\r\nX-Workflow-State-Id: s\r\n%sContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n", header)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: response %+v, %v; want 401 before the body is sent", name, response, err)
		}
	}
}

// A caller that knows an access key but not its secret can make the server wait for a body.
// Such requests do not use the memory reserved for principals, and the server closes them when
// the body stalls.
func TestUnprovenCallersLeaveMemoryToPrincipals(t *testing.T) {
	s, token := startWithAuth(t, "--max-body", "262144")
	r, err := http.NewRequest(http.MethodPost, s.URL+"/v2/project/fgs/workflows/w/callback", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Workflow-Run-Id", "r")
	r.Header.Set("X-Workflow-State-Id", "s")
	if err := signature.Sign(r, nil, "AKID", "a guess of the secret", time.Now()); err != nil {
		t.Fatal(err)
	}
	var head strings.Builder
	fmt.Fprintf(&head, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 262144\r\n", r.URL.Path, r.URL.Host)
	for name := range r.Header {
		fmt.Fprintf(&head, "%s: %s\r\n", name, r.Header.Get(name))
	}
	part := head.String() + "\r\n" + strings.Repeat(" ", 140_000)
	var conns []net.Conn
	for range 300 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() { _, _ = conn.Write([]byte(part)) }()
		conns = append(conns, conn)
	}
	large := client.State{Workflow: "w", Run: "r", State: "s"}
	for range 20 {
		_, err := newClient(t, s, client.WithToken(token), client.WithRetry(0)).Succeed(t.Context(), large, map[string]string{"a": strings.Repeat("x", 100_000)})
		if !errors.Is(err, client.ErrNotFound) {
			t.Fatalf("callback of a principal: error %v, want %v", err, client.ErrNotFound)
		}
	}
	for i, conn := range conns { // timed out, or refused because the memory was used up
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil && response.StatusCode != http.StatusRequestTimeout && response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("connection %d with half a body: status %d, want 408 or 503", i, response.StatusCode)
		}
	}
}

// With --trusted-proxy, failed attempts count against the client in X-Forwarded-For. Without
// it, the server ignores the header.
func TestTrustedProxy(t *testing.T) {
	guess := func(t *testing.T, s *servertest.Server, from string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/project/waits", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", "guess")
		r.Header.Set("X-Forwarded-For", from)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	for name, test := range map[string]struct {
		flags   []string
		another int
	}{
		"trusted":     {[]string{"--trusted-proxy", "127.0.0.0/8"}, http.StatusUnauthorized},
		"not trusted": {nil, http.StatusTooManyRequests},
	} {
		t.Run(name, func(t *testing.T) {
			s, token := startWithAuth(t, test.flags...)
			for guesses := 0; guess(t, s, "203.0.113.1") != http.StatusTooManyRequests; guesses++ {
				if guesses > 100 {
					t.Fatalf("%d wrong tokens were refused with 401, want 429", guesses)
				}
			}
			if got := guess(t, s, "203.0.113.2"); got != test.another {
				t.Errorf("wrong token from another client: status %d, want %d", got, test.another)
			}
			if err := callBack(t, s, client.WithToken(token)); !errors.Is(err, client.ErrNotFound) {
				t.Errorf("valid token: error %v, want %v", err, client.ErrNotFound)
			}
			want := `"client":"127.0.0.1"`
			if test.flags != nil {
				want = `"client":"203.0.113.2"`
			}
			await(t, "the log has "+want, func() bool { return strings.Contains(s.Log(), want) }) // it is written in groups
		})
	}
}

// A Temporal namespace shared by all projects does not separate them, so the server refuses
// principals that are restricted to projects.
func TestSharedNamespaceRefusesPrincipalsOfProjects(t *testing.T) {
	_, hash := newToken(t)
	path := filepath.Join(t.TempDir(), "auth.yaml")
	write(t, path, principals(hash))
	command := exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), "--auth", path, "--engine", "temporal://127.0.0.1:7233/default", "--listen", "127.0.0.1:0")
	output, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "is restricted to projects") {
		t.Errorf("flowcallbackd with a shared namespace: %v, output %s; want \"is restricted to projects\"", err, output)
	}
}

// A signature covers the method that was sent: one of GET is not one of HEAD.
func TestSignatureCoversHead(t *testing.T) {
	s, _ := startWithAuth(t)
	for _, test := range []struct {
		signed, sent string
		status       int
	}{
		{http.MethodGet, http.MethodGet, 200},
		{http.MethodHead, http.MethodHead, 200},
		{http.MethodGet, http.MethodHead, 401},
		{http.MethodHead, http.MethodGet, 401},
	} {
		r, err := http.NewRequestWithContext(t.Context(), test.signed, s.URL+"/v1/project/waits", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := signature.Sign(r, nil, "AKID", "a-secret-of-24-characters", time.Now()); err != nil {
			t.Fatal(err)
		}
		r.Method = test.sent
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.status {
			t.Errorf("signed as %s, sent as %s: status %d, want %d", test.signed, test.sent, response.StatusCode, test.status)
		}
	}
}
