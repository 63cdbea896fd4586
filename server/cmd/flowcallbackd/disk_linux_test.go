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

// TestFullDisk simulates a full disk with a limit on the file size of the server's process.
// The server refuses callbacks that it cannot store and leaves their waits unchanged. Reads
// still work. When the limit is removed, callbacks work again.
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
		wait, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: fmt.Sprint(i)}, client.OpenOptions{})
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
			t.Errorf("callback %d on a full disk: error %v, want FSS.0503", i, err)
		}
		wait, err := c.Waits.Get(t.Context(), ids[i])
		if err != nil || wait.Status != waits.Waiting {
			t.Errorf("status of wait %d on a full disk = %s, %v; want waiting", i, wait.Status, err)
		}
	}
	if got := status(t, s.URL+"/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("GET /readyz on a full disk: status %d, want 503", got)
	}
	if wait, err := c.Waits.Get(t.Context(), ids[0]); err != nil || wait.Status != waits.Success {
		t.Errorf("status of the wait settled before = %s, %v; want success", wait.Status, err)
	}

	if err := unix.Prlimit(s.PID(), unix.RLIMIT_FSIZE, &before, nil); err != nil {
		t.Fatal(err)
	}
	await(t, "/readyz answers 200 with free disk space again", func() bool { return status(t, s.URL+"/readyz") == http.StatusOK })
	for i := 1; i < n; i++ {
		if _, err := c.Succeed(t.Context(), state(i), output); err != nil {
			t.Errorf("callback %d with free disk space again: %v", i, err)
		}
	}
	s.Stop(t)
}

// TestFailingSync lets writes succeed but makes every fsync fail. The server refuses callbacks
// and leaves the wait unchanged. When fsync works again, the server accepts them.
func TestFailingSync(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can attach strace to the server")
	}
	engine := file(t)
	s := servertest.Start(t, "--engine", engine)
	c := newClient(t, s, client.WithRetry(0))
	wait, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, client.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	state := client.State{Workflow: "w", Run: "r", State: "s"}
	heal := failSyncs(t, s)
	var answer *client.Error
	for range 3 {
		if _, err := c.Succeed(t.Context(), state, nil); !errors.As(err, &answer) || answer.Code != "FSS.0503" {
			t.Errorf("callback while fsync fails: error %v, want FSS.0503", err)
		}
	}
	if got := status(t, s.URL+"/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("GET /readyz while fsync fails: status %d, want 503", got)
	}
	if got, err := c.Waits.Get(t.Context(), wait.WaitID); err != nil || got.Status != waits.Waiting {
		t.Errorf("status of the wait = %s, %v; want waiting", got.Status, err)
	}
	s.Kill() // recovery must not replay the refused callbacks from the WAL
	heal()
	s = servertest.Start(t, "--engine", engine)
	c = newClient(t, s, client.WithRetry(0))
	if got, err := c.Waits.Get(t.Context(), wait.WaitID); err != nil || got.Status != waits.Waiting {
		t.Errorf("status of the wait after a crash = %s, %v; want waiting", got.Status, err)
	}
	heal = failSyncs(t, s)
	if _, err := c.Succeed(t.Context(), state, nil); !errors.As(err, &answer) || answer.Code != "FSS.0503" {
		t.Errorf("callback while fsync fails: error %v, want FSS.0503", err)
	}
	heal()
	if got := status(t, s.URL+"/readyz"); got != http.StatusOK {
		t.Errorf("GET /readyz when fsync works again: status %d, want 200", got)
	}
	if _, err := c.Succeed(t.Context(), state, nil); err != nil {
		t.Errorf("callback when fsync works again: %v", err)
	}
	s.Stop(t)
}

// failSyncs makes every fsync of the server fail with EIO until heal is called.
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
		t.Fatalf("strace printed %q, want it attached", lines.Text())
	}
	go func() {
		for lines.Scan() { // strace blocks if its output is not read
		}
	}()
	return func() {
		if err := strace.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = strace.Wait() // the error is the signal from above
	}
}

// The server refuses a read-only file at start, and the error says what to do. Root can write
// every file, so a test that runs as root starts the server as user 65534.
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
		for name, mode := range map[string]os.FileMode{folder: modes.folder, path: modes.file, filepath.Dir(binary): 0o755} {
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
		if err == nil || !strings.Contains(string(output), path) || !strings.Contains(string(output), "that the server's user may write it") {
			t.Errorf("flowcallbackd on a read-only file in a folder with mode %v: %v, output %s; want the path and the advice", modes.folder, err, output)
		}
	}
}

// The image's user can read an --auth file that root owns, if the file's group is the user's.
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
			t.Errorf("start with an auth file of mode %v: %v, log %s; want started = %t", mode, err, log.String(), ready)
		}
	}
}
