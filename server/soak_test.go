package server_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

var soak = flag.Duration("soak", 0, "how long TestSoak loads the server")

// sample is the resource usage of the process at one time.
type sample struct {
	heap, resident, goroutines, files int
}

func (s sample) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %.1f MiB heap, %.1f MiB resident",
		s.goroutines, s.files, float64(s.heap)/(1<<20), float64(s.resident)/(1<<20))
}

func takeSample(t *testing.T) sample {
	t.Helper()
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	s := sample{heap: int(memory.HeapAlloc), goroutines: runtime.NumGoroutine()}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("the test needs /proc")
	}
	s.files = len(files)
	pages, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(strings.Fields(string(pages))[1], &s.resident); err != nil {
		t.Fatal(err)
	}
	s.resident *= os.Getpagesize()
	return s
}

// TestSoak loads a server at a steady rate for the duration of -soak. It opens, polls, settles
// and cancels waits and follows the outcomes feed, while retention deletes waits after
// one minute. The resource usage of the process must not grow by more than 20 % from the
// second quarter to the last. The figures include the senders, which run in the same process.
// "make soak" runs it for 20 minutes.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("run with -soak 20m")
	}
	s := start(t, server.Config{Logger: slog.New(slog.DiscardHandler)}, sqlite.Options{Retention: time.Minute})
	ctx, stop := context.WithTimeout(t.Context(), *soak)
	defer stop()
	var group sync.WaitGroup
	group.Go(func() {
		for next := "0"; ctx.Err() == nil; {
			a := s.get(t, "/v1/project/outcomes?wait_seconds=5&after="+next)
			if a.status != 200 {
				t.Errorf("GET outcomes: %v, want 200", a)
				return
			}
			next = decode[struct{ Next string }](t, a).Next
		}
	})
	const senders = 32
	counts := make([]int, senders)
	for sender := range senders {
		group.Go(func() {
			pace := time.NewTicker(100 * time.Millisecond) // about 300 waits per second for all senders
			defer pace.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				<-pace.C
				s.turn(t, fmt.Sprintf("%d/%d", sender, i), i)
				counts[sender]++
			}
		})
	}
	every := time.NewTicker(*soak / 40)
	defer every.Stop()
	var samples []sample
	for range 39 {
		<-every.C
		samples = append(samples, takeSample(t))
		t.Log(samples[len(samples)-1])
	}
	stop()
	group.Wait()
	total := 0
	for _, count := range counts {
		total += count
	}
	early, late := largest(samples[10:20]), largest(samples[30:])
	t.Logf("%d waits; second quarter at most %s; last quarter at most %s", total, early, late)
	for name, figures := range map[string][2]int{
		"goroutines": {early.goroutines, late.goroutines}, "files": {early.files, late.files},
		"heap": {early.heap, late.heap}, "resident memory": {early.resident, late.resident},
	} {
		if float64(figures[1]) > 1.2*float64(figures[0]) {
			t.Errorf("%s grew from %d to %d, want at most 20%% more", name, figures[0], figures[1])
		}
	}
}

// turn opens one wait and settles or cancels it.
func (s *service) turn(t *testing.T, state string, i int) {
	wait := s.open(t, state)
	var polling sync.WaitGroup
	if i%4 == 0 {
		polling.Go(func() { s.get(t, "/v1/project/waits/"+wait.WaitID+"?wait_seconds=25") })
	}
	if i%10 == 1 {
		s.do(t, s.request(t, http.MethodDelete, "/v1/project/waits/"+wait.WaitID, ""))
	} else if a := s.callback(t, state, success); a.status != 200 {
		t.Errorf("callback: %v, want 200", a)
	}
	s.callback(t, state, `{"result":"fail","error":"another","output":{}}`) // the server refuses it
	polling.Wait()
}

// largest returns the maximum of each figure over all samples.
func largest(samples []sample) (most sample) {
	for _, s := range samples {
		most.heap, most.resident = max(most.heap, s.heap), max(most.resident, s.resident)
		most.goroutines, most.files = max(most.goroutines, s.goroutines), max(most.files, s.files)
	}
	return most
}
