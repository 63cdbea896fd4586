package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

func status(t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// A disk that takes no more, played by a limit on the size of the process's files: what
// cannot be stored is refused without a trace, reading goes on, and so does everything when
// there is room again.
func TestFullDisk(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t))
	c := newClient(t, s, client.WithRetry(0))
	const n = 8
	output := map[string]string{"a": strings.Repeat("x", 200_000)}
	state := func(i int) client.State {
		return client.State{Workflow: "w", Run: "r", State: fmt.Sprint(i)}
	}
	var ids []string
	for i := range n {
		wait, err := c.Waits.Open(t.Context(), waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, wait.WaitID)
	}
	if _, err := c.Succeed(t.Context(), state(0), output); err != nil {
		t.Fatal(err)
	}
	var before unix.Rlimit
	if err := unix.Prlimit(s.PID(), unix.RLIMIT_FSIZE, nil, &before); err != nil {
		t.Fatal(err)
	}
	full := unix.Rlimit{Cur: 0, Max: before.Max}
	if err := unix.Prlimit(s.PID(), unix.RLIMIT_FSIZE, &full, nil); err != nil {
		t.Fatal(err)
	}

	var answer *client.Error
	for i := 1; i < n; i++ {
		if _, err := c.Succeed(t.Context(), state(i), output); !errors.As(err, &answer) || answer.Code != "FSS.0503" {
			t.Errorf("callback %d on a full disk: %v, want FSS.0503", i, err)
		}
		wait, err := c.Waits.Get(t.Context(), ids[i])
		if err != nil || wait.Status != waits.Waiting {
			t.Errorf("wait %d on a full disk is %s, %v; want it waiting", i, wait.Status, err)
		}
	}
	if got := status(t, s.URL+"/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("GET /readyz on a full disk: %d, want 503", got)
	}
	if wait, err := c.Waits.Get(t.Context(), ids[0]); err != nil || wait.Status != waits.Success {
		t.Errorf("the wait that was settled before is %s, %v", wait.Status, err)
	}

	if err := unix.Prlimit(s.PID(), unix.RLIMIT_FSIZE, &before, nil); err != nil {
		t.Fatal(err)
	}
	if got := status(t, s.URL+"/readyz"); got != http.StatusOK {
		t.Errorf("GET /readyz with room again: %d, want 200", got)
	}
	for i := 1; i < n; i++ {
		if _, err := c.Succeed(t.Context(), state(i), output); err != nil {
			t.Errorf("callback %d with room again: %v", i, err)
		}
	}
	s.Stop(t)
}
