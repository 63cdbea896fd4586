package main_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/callbackserver"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// BenchmarkDurable compares, in interleaved rounds, callbacks of distinct waits in random order
// over 64 connections: of flowcallbackd with its default log, of flowcallbackd without a log, of a
// bare net/http handler that appends the body to a file and syncs once for all that wait (the
// limit of what durability allows), and of the generated handler without validation, log and
// store. Each server is a process of its own, and this one sends. It reports the medians.
func BenchmarkDurable(b *testing.B) {
	const rounds = 5
	rates := map[string][]float64{}
	for round := range rounds {
		for _, subject := range []string{"durable", "quiet", "synced", "unvalidated"} {
			var url string
			var stop func()
			switch subject {
			case "durable", "quiet":
				path := filepath.Join(b.TempDir(), fmt.Sprintf("%s %d.db", subject, round))
				openWaits(b, path, "run", b.N)
				url, stop = startLogging(b, path, map[string]string{"durable": "info", "quiet": "error"}[subject])
			default:
				url, stop = startBare(b, subject)
			}
			states := rand.Perm(b.N)
			start := time.Now()
			settleStates(b, url, "run", states)
			rates[subject] = append(rates[subject], float64(b.N)/time.Since(start).Seconds())
			stop()
		}
	}
	median := func(subject string) float64 {
		slices.Sort(rates[subject])
		return rates[subject][rounds/2]
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median("durable"), "callbacks/s")
	b.ReportMetric(median("durable")/median("synced"), "of-synced")
	b.ReportMetric(median("durable")/median("unvalidated"), "of-unvalidated")
	b.ReportMetric(median("durable")/median("quiet"), "of-quiet")
}

// startLogging starts flowcallbackd with a log level. Its log goes to a file.
func startLogging(b *testing.B, path, level string) (url string, stop func()) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	command := exec.CommandContext(b.Context(), servertest.Build(b, "server/cmd/flowcallbackd"), "--listen", address, "--engine", "sqlite:"+path, "--log-level", level)
	command.Stderr = log
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	for statusOf("http://"+address+"/readyz") != http.StatusOK { // until it listens
	}
	return "http://" + address, func() {
		_ = command.Process.Kill()
		_ = command.Wait() // the error is the kill
	}
}

// bareServer is the variable that makes the test binary one of the bare servers.
const bareServer = "FLOWCALLBACK_TEST_BARE_SERVER"

// startBare starts a bare server in a process of its own.
func startBare(b *testing.B, kind string) (url string, stop func()) {
	b.Helper()
	command := exec.CommandContext(b.Context(), os.Args[0])
	command.Env = append(os.Environ(), bareServer+"="+kind+","+filepath.Join(b.TempDir(), "log"))
	out, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	var address string
	if _, err := fmt.Fscanln(out, &address); err != nil {
		b.Fatal(err)
	}
	return "http://" + address, func() {
		_ = command.Process.Kill()
		_ = command.Wait() // the error is the kill
	}
}

// serveBare serves as a bare server, and does not return.
func serveBare(settings string) {
	kind, path, _ := strings.Cut(settings, ",")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	if kind == "unvalidated" {
		router := echo.New()
		callbackserver.RegisterHandlers(router, callbackserver.NewStrictHandler(unvalidated{}, nil))
		panic(http.Serve(listener, router)) //nolint:gosec // a benchmark's server needs no time-outs
	}
	synced, err := openSynced(path)
	if err != nil {
		panic(err)
	}
	panic(http.Serve(listener, synced)) //nolint:gosec // a benchmark's server needs no time-outs
}

type unvalidated struct{}

func (unvalidated) CreateCallbackWorkflow(_ context.Context, r callbackserver.CreateCallbackWorkflowRequestObject) (callbackserver.CreateCallbackWorkflowResponseObject, error) {
	return callbackserver.CreateCallbackWorkflow200JSONResponse{Body: callback.Response{ExecutionID: string(r.Params.RunID)}}, nil
}

// synced appends bodies to a file. All that wait share one sync.
type synced struct {
	mu      sync.Mutex
	lines   []byte
	waiting []chan error
	news    chan struct{}
}

func openSynced(path string) (*synced, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	s := &synced{news: make(chan struct{}, 1)}
	go func() {
		for range s.news {
			s.mu.Lock()
			lines, waiting := s.lines, s.waiting
			s.lines, s.waiting = nil, nil
			s.mu.Unlock()
			_, err := file.Write(lines)
			if err == nil {
				err = file.Sync()
			}
			for _, done := range waiting {
				done <- err
			}
		}
	}()
	return s, nil
}

func (s *synced) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	done := make(chan error, 1)
	s.mu.Lock()
	s.lines = append(append(s.lines, r.Header.Get("X-Workflow-State-Id")...), body...)
	s.waiting = append(s.waiting, done)
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
	if syncErr := <-done; err != nil || syncErr != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"execution_id":"run"}`)
}
