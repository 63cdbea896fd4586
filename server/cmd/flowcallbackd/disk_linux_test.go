package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
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
		wait, err := c.Waits.Open(t.Context(), waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i))})
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

// A disk that takes what is written and then fails to sync it: a callback is refused without
// a trace, and taken when syncing works again.
func TestFailingSync(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("strace may attach to the server only as root")
	}
	engine := file(t)
	s := servertest.Start(t, "--engine", engine)
	c := newClient(t, s, client.WithRetry(0))
	wait, err := c.Waits.Open(t.Context(), waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s"})
	if err != nil {
		t.Fatal(err)
	}
	state := client.State{Workflow: "w", Run: "r", State: "s"}
	heal := failSyncs(t, s)
	var answer *client.Error
	for range 3 {
		if _, err := c.Succeed(t.Context(), state, nil); !errors.As(err, &answer) || answer.Code != "FSS.0503" {
			t.Errorf("callback that cannot be synced: %v, want FSS.0503", err)
		}
	}
	if got := status(t, s.URL+"/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("GET /readyz while syncing fails: %d, want 503", got)
	}
	if got, err := c.Waits.Get(t.Context(), wait.WaitID); err != nil || got.Status != waits.Waiting {
		t.Errorf("the wait is %s, %v; want it waiting", got.Status, err)
	}
	s.Kill() // what was refused does not come back with the log
	heal()
	s = servertest.Start(t, "--engine", engine)
	c = newClient(t, s, client.WithRetry(0))
	if got, err := c.Waits.Get(t.Context(), wait.WaitID); err != nil || got.Status != waits.Waiting {
		t.Errorf("after a crash the wait is %s, %v; want it waiting", got.Status, err)
	}
	heal = failSyncs(t, s)
	if _, err := c.Succeed(t.Context(), state, nil); !errors.As(err, &answer) || answer.Code != "FSS.0503" {
		t.Errorf("callback that cannot be synced: %v, want FSS.0503", err)
	}
	heal()
	if got := status(t, s.URL+"/readyz"); got != http.StatusOK {
		t.Errorf("GET /readyz when syncing works again: %d, want 200", got)
	}
	if _, err := c.Succeed(t.Context(), state, nil); err != nil {
		t.Errorf("callback when syncing works again: %v", err)
	}
	s.Stop(t)
}

// failSyncs has every fsync of the server fail, until the function it returns is called.
func failSyncs(t *testing.T, s *servertest.Server) (heal func()) {
	t.Helper()
	strace := exec.Command("strace", "-f", "-p", fmt.Sprint(s.PID()), "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-o", filepath.Join(t.TempDir(), "trace"))
	messages, err := strace.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := strace.Start(); err != nil {
		t.Fatalf("%v (make test installs it)", err)
	}
	lines := bufio.NewScanner(messages)
	if !lines.Scan() || !strings.Contains(lines.Text(), "attached") {
		t.Fatalf("strace: %s", lines.Text())
	}
	go func() {
		for lines.Scan() { // it writes more, and must not wait for us
		}
	}()
	return func() {
		if err := strace.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = strace.Wait() // killed by the signal
	}
}

// A file that may be read only is refused at start, with what to do. Root may write
// everything, so the server runs as nobody then.
func TestReadOnlyFile(t *testing.T) {
	binary := servertest.Build(t, "server/cmd/flowcallbackd")
	folder, err := os.MkdirTemp("", "flowcallbackd-readonly-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "waits.db")
	servertest.Start(t, "--engine", "sqlite:"+path).Stop(t)
	for _, modes := range []struct{ folder, file os.FileMode }{{0o777, 0o444}, {0o555, 0o444}} {
		for name, mode := range map[string]os.FileMode{folder: modes.folder, path: modes.file, path + ".lock": 0o666, filepath.Dir(binary): 0o755} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
		server := exec.CommandContext(t.Context(), binary, "--listen", "127.0.0.1:0", "--engine", "sqlite:"+path)
		server.Dir = "/"
		if os.Geteuid() == 0 {
			server.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		output, err := server.CombinedOutput()
		if err == nil || !strings.Contains(string(output), path) || !strings.Contains(string(output), "check that the server's user may write it") {
			t.Errorf("flowcallbackd on a read-only file, folder %v: %v, %s; want it to say what to do", modes.folder, err, output)
		}
	}
}

// The user of the image reads a file of --auth that belongs to root and to its group.
func TestUserOfTheImage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	const user = 65532 // as in server/operations/Dockerfile
	binary := servertest.Build(t, "server/cmd/flowcallbackd")
	folder, err := os.MkdirTemp("", "flowcallbackd-image-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	auth := filepath.Join(folder, "auth.yaml")
	_, hash := newToken(t)
	write(t, auth, principals(hash))
	data := filepath.Join(folder, "data")
	for _, err := range []error{os.Chmod(folder, 0o755), os.Chmod(filepath.Dir(binary), 0o755), os.Mkdir(data, 0o700), os.Chown(data, user, user), os.Chown(auth, 0, user)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for mode, ready := range map[os.FileMode]bool{0o640: true, 0o600: false} {
		if err := os.Chmod(auth, mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		server := exec.CommandContext(ctx, binary, "--listen", "127.0.0.1:0", "--engine", "sqlite:"+filepath.Join(data, "waits.db"), "--auth", auth, "--drain", "0")
		server.Dir = "/"
		server.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		server.Stderr = writer
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		writer.Close()
		lines := bufio.NewScanner(reader)
		for lines.Scan() {
			fmt.Fprintln(&log, lines.Text())
			if strings.Contains(lines.Text(), "msg=listening") {
				_ = server.Process.Signal(syscall.SIGTERM)
			}
		}
		err = server.Wait()
		cancel()
		if (err == nil) != ready || !ready && !strings.Contains(log.String(), "permission denied") {
			t.Errorf("auth file with mode %v: %v, %s; want started %t", mode, err, log.String(), ready)
		}
	}
}
