package main_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/client"
)

// callbackOf returns a callback request for a state, with the given headers and body.
func callbackOf(state, headers, body string) string {
	return raw{ids: "X-Workflow-Run-Id: r\nX-Workflow-State-Id: " + state + "\n", headers: headers, body: body}.text()
}

func (x *target) open(t *testing.T, state string) {
	t.Helper()
	if _, err := x.client.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: state}, client.OpenOptions{}); err != nil {
		t.Fatal(err)
	}
}

// A connection that breaks in the middle of a request does not settle a wait, and does not
// affect other connections.
func TestConnections(t *testing.T) {
	x := newTarget(t)
	whole := raw{body: goodBody}.text()

	t.Run("reset in the middle of a request settles nothing", func(t *testing.T) {
		for n := 0; n < len(whole); n += 7 {
			conn := x.dial(t)
			send(t, conn, whole[:n])
			if err := conn.SetLinger(0); err != nil { // Close then sends a TCP reset
				t.Fatal(err)
			}
			conn.Close()
		}
		x.wantUntouched(t)
	})
	t.Run("half-close in the middle of a body is refused", func(t *testing.T) {
		conn := x.dial(t)
		send(t, conn, whole[:len(whole)-1])
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if status, code := receive(t, bufio.NewReader(conn), "POST"); status != 400 || code != "FGS.3002" {
			t.Errorf("callback: %d %s, want 400 FGS.3002", status, code)
		}
		x.wantUntouched(t)
	})
	t.Run("half-close in the middle of a chunk is refused", func(t *testing.T) {
		conn := x.dial(t)
		send(t, conn, raw{headers: jsonType + "Transfer-Encoding: chunked\n", body: "20\r\n" + goodBody}.text())
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if status, code := receive(t, bufio.NewReader(conn), "POST"); status != 400 || code != "FGS.3002" {
			t.Errorf("callback: %d %s, want 400 FGS.3002", status, code)
		}
		x.wantUntouched(t)
	})
	t.Run("half-close after a complete request gets a response", func(t *testing.T) {
		x.open(t, "half-closed")
		conn := x.dial(t)
		send(t, conn, callbackOf("half-closed", "", goodBody))
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if status, _ := receive(t, bufio.NewReader(conn), "POST"); status != 200 {
			t.Errorf("callback: status %d, want 200", status)
		}
	})
	t.Run("pipelined requests get responses in order", func(t *testing.T) {
		var text strings.Builder
		for i := range 5 {
			state := fmt.Sprint("pipelined ", i)
			x.open(t, state)
			text.WriteString(callbackOf(state, "", goodBody))
			text.WriteString(callbackOf("unknown", "", goodBody))
		}
		conn := x.dial(t)
		send(t, conn, text.String())
		answers := bufio.NewReader(conn)
		for i := range 5 {
			for _, want := range []int{200, 404} {
				if status, _ := receive(t, answers, "POST"); status != want {
					t.Errorf("pair %d: status %d, want %d", i, status, want)
				}
			}
		}
	})
	t.Run("chunked body is accepted", func(t *testing.T) {
		x.open(t, "chunked")
		conn := x.dial(t)
		body := ""
		for _, c := range goodBody {
			body += fmt.Sprintf("1;extension=x\r\n%c\r\n", c)
		}
		send(t, conn, callbackOf("chunked", jsonType+"Transfer-Encoding: chunked\n", body+"0\r\n\r\n"))
		if status, _ := receive(t, bufio.NewReader(conn), "POST"); status != 200 {
			t.Errorf("callback: status %d, want 200", status)
		}
	})
	// RFC 9112, section 6.3: Transfer-Encoding overrides Content-Length. A proxy that uses
	// Content-Length could see a second request here. The server must not execute it.
	t.Run("smuggled request is not executed", func(t *testing.T) {
		smuggled := raw{body: goodBody}.text()
		for name, text := range map[string]string{
			"length covers it": callbackOf("unknown", jsonType+fmt.Sprintf("Content-Length: %d\nTransfer-Encoding: chunked\n", len(chunked(goodBody))), chunked(goodBody)),
			"chunks cover it":  callbackOf("unknown", jsonType+"Transfer-Encoding: chunked\nContent-Length: 4\n", chunked(smuggled)),
			"the first length": callbackOf("unknown", jsonType+"Content-Length: 0\nContent-Length: 32\n", smuggled),
			"length in a list": callbackOf("unknown", jsonType+"Content-Length: 0, 0\n", smuggled),
			"tab after length": callbackOf("unknown", jsonType+"Content-Length:\t0\nContent-Length: 99\n", smuggled),
		} {
			conn := x.dial(t)
			send(t, conn, text)
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if status, _ := receive(t, bufio.NewReader(conn), "POST"); status/100 != 4 {
				t.Errorf("%s: status %d, want 4xx", name, status)
			}
			_, _ = io.Copy(io.Discard, conn)
		}
		x.wantUntouched(t)
	})
	// RFC 9112, section 6.1.
	t.Run("connection is closed after Content-Length with Transfer-Encoding", func(t *testing.T) {
		x.open(t, "both")
		conn := x.dial(t)
		send(t, conn, callbackOf("both", jsonType+fmt.Sprintf("Content-Length: %d\nTransfer-Encoding: chunked\n", len(chunked(goodBody))), chunked(goodBody)))
		answers := bufio.NewReader(conn)
		if status, _ := receive(t, answers, "POST"); status != 200 {
			t.Errorf("callback: status %d, want 200", status)
		}
		if _, err := answers.ReadByte(); err != io.EOF {
			t.Errorf("after the response: %v, want a closed connection", err)
		}
	})
	t.Run("connection is closed after an unread body", func(t *testing.T) {
		conn := x.dial(t)
		smuggled := raw{body: goodBody}.text()
		send(t, conn, callbackOf("unknown", jsonType+"Content-Length: 99999999\n", smuggled))
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(conn)
		if status, code := receive(t, answers, "POST"); status != 413 || code != "FSS.0413" {
			t.Errorf("callback: %d %s, want 413 FSS.0413", status, code)
		}
		if status, _ := receive(t, answers, "POST"); status != 0 {
			t.Errorf("second response after an unread body: status %d, want a closed connection", status)
		}
		x.wantUntouched(t)
	})
}

// The server closes the connection if headers or body do not arrive before their time-out.
func TestSlowSenders(t *testing.T) {
	x := newTarget(t)
	whole := raw{body: goodBody}.text()
	head := strings.Index(whole, "\r\n\r\n")
	for name, test := range map[string]struct {
		sent   string
		status int
		code   string
	}{
		"nothing at all":     {"", 0, ""},
		"half of a header":   {whole[:head/2], 400, ""},
		"half of the body":   {whole[:len(whole)-5], 408, "FLOWCALLBACK.TIMEOUT"},
		"half of the chunks": {raw{headers: jsonType + "Transfer-Encoding: chunked\n", body: "20\r\n" + goodBody[:9]}.text(), 408, "FLOWCALLBACK.TIMEOUT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := x.dial(t)
			send(t, conn, test.sent)
			answers := bufio.NewReader(conn)
			if status, code := receive(t, answers, "POST"); status != test.status || code != test.code {
				t.Errorf("response %d %s, want %d %s", status, code, test.status, test.code)
			}
			if _, err := answers.ReadByte(); err == nil {
				t.Error("connection is still open, want it closed")
			}
			x.wantUntouched(t)
		})
	}
	for range 200 { // idle connections must not block other clients
		conn := x.dial(t)
		send(t, conn, whole[:head/2])
	}
	x.wantUntouched(t)
}
