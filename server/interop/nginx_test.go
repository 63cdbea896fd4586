package interop_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
)

// Signatures of the SDKs and of this project's client survive nginx with the configuration in server/operations, on a
// port that is not the default. Some cover the header Host, which has the port.
func TestNginx(t *testing.T) {
	text, err := os.ReadFile("../operations/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	configuration := string(text)
	withoutPort := strings.Replace(configuration, "$http_host", "$host", 1)
	if withoutPort == configuration {
		t.Fatal("the configuration does not pass $http_host on")
	}
	endpoint, waiting := start(t, "--trusted-proxy", "127.0.0.1/32")
	proxy, proxyWithoutPort := nginx(t, configuration, endpoint), nginx(t, withoutPort, endpoint)
	senders := map[string]func(*testing.T, request) (string, *failure){"client": callClient}
	for name, sdk := range sdks {
		senders[name] = sdk.call
	}
	for name, send := range senders {
		t.Run(name, func(t *testing.T) {
			r := request{
				Endpoint: proxy, AK: accessKey, SK: secretKey, Project: "project",
				Workflow: "workflow", Run: "run", State: name, Result: "success", Output: []byte(`{"amount":12.50}`),
			}
			wait, err := waiting.Waits.Open(t.Context(), client.State{Workflow: r.Workflow, Run: r.Run, State: r.State}, client.OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if id, failed := send(t, r); failed != nil || id != wait.ExecutionID {
				t.Errorf("through nginx: execution %q, error %+v; want %q", id, failed, wait.ExecutionID)
			}
			r.Endpoint = proxyWithoutPort
			if _, failed := send(t, r); name != "Go" && (failed == nil || failed.Status != 401) { // the Go SDK does not sign Host
				t.Errorf("through nginx that drops the port: error %+v, want 401; then this test cannot fail", failed)
			}
		})
	}
	t.Run("the page for a body that nginx refuses has no code", func(t *testing.T) {
		r := request{
			Endpoint: proxy, AK: accessKey, SK: secretKey, Project: "project", Workflow: "workflow", Run: "run", State: "large", Result: "success",
			Output: []byte(`{"text":"` + strings.Repeat("x", 300<<10) + `"}`),
		}
		if _, failed := callClient(t, r); failed == nil || failed.Status != http.StatusRequestEntityTooLarge || failed.Code != "" {
			t.Errorf("error %+v, want 413 without a code", failed)
		}
	})
}

// callClient sends a callback with this project's client.
func callClient(t *testing.T, r request) (executionID string, failed *failure) {
	t.Helper()
	c, err := client.New(r.Endpoint, r.Project, client.WithAKSK(r.AK, r.SK, ""))
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.Succeed(t.Context(), client.State{Workflow: r.Workflow, Run: r.Run, State: r.State}, r.Output)
	var refused *client.Error
	switch {
	case errors.As(err, &refused):
		return "", &failure{Status: refused.StatusCode, Code: string(refused.Code), Message: refused.Message, RequestID: refused.RequestID}
	case err != nil:
		t.Fatal(err)
	}
	return id, nil
}

// nginx runs nginx with a configuration whose addresses it replaces, and returns its endpoint.
func nginx(t *testing.T, configuration, backend string) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	folder := t.TempDir()
	server := strings.TrimPrefix(backend, "http://")
	configuration = strings.NewReplacer(
		"127.0.0.1:8081", server, "127.0.0.1:8082", server, "127.0.0.1:8080", address, "bin/nginx.pid", "nginx.pid").Replace(configuration)
	file := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(file, []byte("daemon off;\n"+configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx" // Debian's, which is not in everybody's PATH
	}
	command := exec.Command(path, "-p", folder, "-c", file)
	var log strings.Builder
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatalf("%v (`make interop` installs nginx)", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		<-ended
	})
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ended: %v\n%s", err, log.String())
		case <-time.After(20 * time.Millisecond):
		}
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return fmt.Sprint("http://", address)
		}
	}
	t.Fatal("nginx does not listen")
	return ""
}
