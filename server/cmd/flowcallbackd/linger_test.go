package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
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
	for name, text := range map[string]string{
		"length":  fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(large), large),
		"chunked": fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(large), large),
	} {
		for way, to := range map[string]string{"directly": address, "through a relay": relay(t, address)} {
			t.Run(name+" "+way, func(t *testing.T) {
				for i := range 10 {
					conn, err := net.Dial("tcp", to)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.WriteString(conn, text); err != nil {
						t.Fatalf("attempt %d: writing the body: %v", i, err)
					}
					response, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil || response.StatusCode != http.StatusRequestEntityTooLarge {
						t.Fatalf("attempt %d: response %+v, %v; want 413", i, response, err)
					}
					conn.Close()
				}
			})
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
