package main_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// A backup made during callbacks contains every wait settled before the backup started.
func TestBackup(t *testing.T) {
	folder := t.TempDir()
	engine := "sqlite:" + filepath.Join(folder, "waits.db")
	s := servertest.Start(t, "--engine", engine)
	c := newClient(t, s)
	const n = 200
	var ids [n]string
	settle := func(i int) {
		wait, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: fmt.Sprint(i)}, client.OpenOptions{})
		if err == nil {
			_, err = c.Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: fmt.Sprint(i)}, nil)
		}
		if err != nil {
			t.Error(err)
		}
		ids[i] = wait.WaitID
	}
	forEach(n/2, 8, settle)
	done := make(chan struct{})
	go func() {
		defer close(done)
		forEach(n/2, 8, func(i int) { settle(n/2 + i) })
	}()
	copied := filepath.Join(folder, "copy.db")
	backup := func() ([]byte, error) {
		return exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), "--engine", engine, "backup", copied).CombinedOutput()
	}
	if output, err := backup(); err != nil || string(output) != copied+"\n" {
		t.Fatalf("backup: %v, want the path of the copy printed\n%s", err, output)
	}
	if output, err := backup(); err == nil || !strings.Contains(string(output), "exists") {
		t.Errorf("backup to an existing file: %v, want an error with \"exists\"\n%s", err, output)
	}
	check := func(file string) (string, error) {
		output, err := exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), "--engine", "sqlite:"+file, "check").CombinedOutput()
		return string(output), err
	}
	for _, file := range []string{strings.TrimPrefix(engine, "sqlite:"), copied} {
		if output, err := check(file); err != nil || output != file+" is not damaged\n" {
			t.Errorf("check of %s: %v, want \"is not damaged\"\n%s", file, err, output)
		}
	}
	if output, err := check(filepath.Join(folder, "no.db")); err == nil || !strings.Contains(output, "no such file") {
		t.Errorf("check of a missing file: %v, want \"no such file\"\n%s", err, output)
	}
	<-done
	s.Stop(t)

	restored := newClient(t, servertest.Start(t, "--engine", "sqlite:"+copied))
	for i := range n / 2 {
		if wait, err := restored.Waits.Get(t.Context(), ids[i]); err != nil || wait.Status != waits.Success {
			t.Errorf("status of wait %d in the backup = %s, %v; want success", i, wait.Status, err)
		}
	}
}

// compact works on a file that no server uses, and keeps what it has.
func TestCompact(t *testing.T) {
	engine := file(t)
	compact := func() (string, error) {
		output, err := exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), "--engine", engine, "compact").CombinedOutput()
		return string(output), err
	}
	s := servertest.Start(t, "--engine", engine)
	if output, err := compact(); err == nil || !strings.Contains(output, "open in another process") {
		t.Errorf("compact while a server uses the file: %v, output %s; want \"open in another process\"", err, output)
	}
	s.Stop(t)
	if output, err := compact(); err != nil || !strings.Contains(output, "MiB after") {
		t.Errorf("compact: %v, output %s; want the sizes", err, output)
	}
	if output, err := exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), "--engine", "sqlite:/no/such.db", "compact").CombinedOutput(); err == nil {
		t.Errorf("compact of no file: no error, output %s", output)
	}
}

// A container's health check runs "flowcallbackd health".
func TestHealth(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t))
	health := func(address string) (string, error) {
		output, err := exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), "--listen", address, "health").CombinedOutput()
		return string(output), err
	}
	address := strings.TrimPrefix(s.URL, "http://")
	for _, listen := range []string{address, strings.Replace(address, "127.0.0.1", "", 1), strings.Replace(address, "127.0.0.1", "0.0.0.0", 1)} {
		if output, err := health(listen); err != nil || output != "ready\n" {
			t.Errorf("health with --listen %s: %v, output %q; want ready", listen, err, output)
		}
	}
	s.Stop(t)
	if output, err := health(address); err == nil {
		t.Errorf("health of a stopped server: no error, want one; output %s", output)
	}
}
