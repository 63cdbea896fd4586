package main_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/openapi/signature"
)

var hostileFor = flag.Duration("hostile", 0, "how long TestHostileLoad attacks the server")

// TestHostileLoad has a well-behaved principal settle waits, first alone and then while others
// attack the server from other addresses in every way at once: slow bodies with a known access
// key, guesses of credentials, lists and feeds that are not read, filtered lists that are
// abandoned, and replays of a large callback. The principal sees no refusal, and its p99 stays
// under ten times its quiet value. The log has the figures.
func TestHostileLoad(t *testing.T) {
	if *hostileFor == 0 {
		t.Skip("run with -hostile 1m")
	}
	s, _ := startWithAuth(t)
	engine, err := client.New(s.URL, "project", client.WithAKSK("AKID", "a-secret-of-24-characters", ""), client.WithRetry(0))
	if err != nil {
		t.Fatal(err)
	}
	large := `{"a":"` + strings.Repeat("x", 200_000) + `"}`
	settle := func(state string, output any) (time.Duration, error) {
		_, err := engine.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: state}, client.OpenOptions{Input: []byte(`{"text":"` + strings.Repeat("y", 2000) + `"}`)})
		start := time.Now()
		if err == nil {
			_, err = engine.Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: state}, output)
		}
		return time.Since(start), err
	}
	if _, err := settle("large", []byte(large)); err != nil {
		t.Fatal(err)
	}
	work := func(name string, ctx context.Context) (p99 time.Duration, n int) {
		var durations []time.Duration
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for ; ctx.Err() == nil; <-pace.C {
			took, err := settle(fmt.Sprint(name, len(durations)), nil)
			if err != nil {
				t.Errorf("%s: callback %d: %v", name, len(durations), err)
			}
			durations = append(durations, took)
		}
		slices.Sort(durations)
		return durations[len(durations)*99/100], len(durations)
	}
	quiet, cancel := context.WithTimeout(t.Context(), *hostileFor/4)
	defer cancel()
	before, n := work("quiet", quiet)
	t.Logf("quiet: p99 %s of %d callbacks", before, n)

	hostile, stop := context.WithTimeout(t.Context(), *hostileFor)
	defer stop()
	address := strings.TrimPrefix(s.URL, "http://")
	var attackers sync.WaitGroup
	// attack sends what text returns over a new connection from the given address, reads a
	// little, waits and closes, again and again.
	attack := func(from string, hold time.Duration, text func() string) {
		attackers.Go(func() {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			for hostile.Err() == nil {
				conn, err := dialer.DialContext(hostile, "tcp", address)
				if err != nil {
					continue
				}
				if _, err := io.WriteString(conn, text()); err == nil {
					_ = conn.SetReadDeadline(time.Now().Add(hold))
					_, _ = bufio.NewReaderSize(conn, 16).ReadByte()
					select {
					case <-time.After(hold / 2):
					case <-hostile.Done():
					}
				}
				conn.Close()
			}
		})
	}
	signed := func(secret, method, path, body string) string {
		r, err := http.NewRequest(method, s.URL+path, nil)
		if err != nil {
			t.Error(err)
			return ""
		}
		r.Header.Set("X-Workflow-Run-Id", "r")
		r.Header.Set("X-Workflow-State-Id", "large")
		if err := signature.Sign(r, []byte(body), "AKID", secret, time.Now()); err != nil {
			t.Error(err)
		}
		var head strings.Builder
		fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", method, path, r.URL.Host, max(len(body), map[string]int{http.MethodPost: 200_000}[method]))
		for name := range r.Header {
			if name != "Content-Type" {
				fmt.Fprintf(&head, "%s: %s\r\n", name, r.Header.Get(name))
			}
		}
		return head.String() + "\r\n" + body
	}
	const path = "/v2/project/fgs/workflows/w/callback"
	for i := range 100 {
		from := fmt.Sprintf("127.0.0.%d", 2+i%8)
		attack(from, 10*time.Second, func() string {
			return signed("a guess of the secret", http.MethodPost, path, strings.Repeat(" ", 40_000))
		})
	}
	for i := range 8 {
		from := fmt.Sprintf("127.0.1.%d", 2+i)
		attack(from, 100*time.Millisecond, func() string {
			return "GET /v1/project/waits HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: guess\r\n\r\n"
		})
		attack(from, 5*time.Second, func() string {
			return signed("a-secret-of-24-characters", http.MethodGet, "/v1/project/outcomes?limit=1000", "")
		})
		attack(from, 20*time.Millisecond, func() string {
			return signed("a-secret-of-24-characters", http.MethodGet, "/v1/project/waits?limit=1000&status=expired&workflow_id=w", "")
		})
	}
	for range 2 { // replays
		attackers.Go(func() {
			for hostile.Err() == nil {
				_, err := engine.Succeed(hostile, client.State{Workflow: "w", Run: "r", State: "large"}, []byte(`{ "a": `+large[5:]))
				if err != nil && hostile.Err() == nil && !errors.Is(err, client.ErrUnreachable) {
					var response *client.Error
					if !errors.As(err, &response) || response.StatusCode != http.StatusServiceUnavailable {
						t.Errorf("replay: %v", err)
					}
				}
			}
		})
	}
	during, n := work("hostile", hostile)
	attackers.Wait()
	t.Logf("hostile: p99 %s of %d callbacks, %.1f times the quiet one", during, n, during.Seconds()/before.Seconds())
	if during > 10*before {
		t.Errorf("p99 beside the attack is %s, want at most ten times the quiet %s", during, before)
	}
}
