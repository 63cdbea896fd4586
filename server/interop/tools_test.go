package interop_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/server/servertest"
)

const documents = "../../openapi/"

// tool returns a command that runs a tool pinned in lint/package.json.
func tool(t *testing.T, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("lint", "node_modules", ".bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v (`make contract-lint` installs the tools)", err)
	}
	command := exec.CommandContext(t.Context(), path, arguments...)
	command.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true", "NO_COLOR=1")
	return command
}

func document(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(documents + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTools checks the contract with third-party OpenAPI tools.
func TestTools(t *testing.T) {
	t.Run("Redocly finds no violation of its recommended rules", redocly)
	t.Run("Spectral finds no violation, and no integer or array without limits", func(t *testing.T) {
		if output, err := tool(t, "spectral", "lint", "-r", "lint/spectral.yaml", "--fail-severity=hint",
			document(t, "callback.yaml"), document(t, "waits.yaml")).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
	})
	t.Run("types that openapi-typescript generates compile", types)
	t.Run("Prism between the SDK and the server finds no violation", prism)
	t.Run("validators of others agree on every edge", validators)
	t.Run("tests that Portman generates pass", portman)
	t.Run("each kind of change is seen, with oasdiff or by hand", changes)
	t.Run("a change since the last release has a version and a line in the changelog", versions)
}

func redocly(t *testing.T) {
	for _, name := range []string{"callback.yaml", "waits.yaml", "published/waits.yaml"} {
		output, err := tool(t, "redocly", "lint", "--extends=recommended", "--format=json", document(t, name)).Output()
		var report struct {
			Problems []struct{ RuleID, Message string }
		}
		if err != nil || json.Unmarshal(output, &report) != nil {
			t.Errorf("%s: %v\n%s", name, err, output)
		}
		for _, problem := range report.Problems {
			// x-known-values refers to it, where Redocly does not look
			if problem.Message != `Component: "ErrorCode" is never used.` {
				t.Errorf("%s: %s: %s", name, problem.RuleID, problem.Message)
			}
		}
	}
}

func types(t *testing.T) {
	folder := t.TempDir()
	usable, err := os.ReadFile("lint/usable.ts")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "usable.ts"), usable, 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := tool(t, "openapi-typescript", document(t, "callback.yaml"), "-o", filepath.Join(folder, "callback.ts")).CombinedOutput(); err != nil {
		t.Fatalf("openapi-typescript: %v\n%s", err, output)
	}
	if output, err := tool(t, "tsc", "--noEmit", "--strict", "--target", "es2022", "--moduleResolution", "bundler", "--module", "esnext",
		filepath.Join(folder, "usable.ts")).CombinedOutput(); err != nil {
		t.Errorf("tsc: %v\n%s", err, output)
	}
}

// prism sends SDK calls through a validating proxy and checks each status and error code. The
// proxy replaces a response that violates the contract with its own error.
func prism(t *testing.T) {
	s := servertest.Start(t, "--engine", "sqlite:"+filepath.Join(t.TempDir(), "waits.db"))
	url, end := startPrism(t, "proxy", document(t, "callback.yaml"), s.URL, "--errors")
	waiting, err := client.New(s.URL, "project")
	if err != nil {
		t.Fatal(err)
	}
	open := func(state string) {
		if _, err := waiting.Waits.Open(t.Context(), client.State{Workflow: "workflow", Run: "run", State: state}, client.OpenOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	type call struct {
		result, reason, output string
		open                   bool
		again                  string // output of a second callback, if not empty
		status                 int
		code                   string
	}
	calls := []call{
		{result: "success", output: `{"message":"success","result":200}`, open: true, status: 200},
		{result: "fail", reason: "payment declined", output: `{"attempts":[1,2.5,null]}`, open: true, status: 200},
		{result: "success", output: `{"a":1}`, open: true, again: `{"a":2}`, status: 400, code: "FLOWCALLBACK.CONFLICT"},
		{result: "success", output: `{}`, status: 404, code: "FGS.5002"},
		{result: "fail", open: true, status: 200}, // skipped for the Node SDK, which sends an invalid request
	}
	try := func(name string, i int, test call) {
		r := request{
			Endpoint: url, AK: accessKey, SK: secretKey, Project: "project", Workflow: "workflow", Run: "run",
			State: fmt.Sprint(name, "-", i), Result: test.result, Error: test.reason,
		}
		if test.output != "" {
			r.Output = json.RawMessage(test.output)
		}
		if test.open {
			open(r.State)
		}
		_, failed := sdks[name].call(t, r)
		if test.again != "" {
			r.Output = json.RawMessage(test.again)
			_, failed = sdks[name].call(t, r)
		}
		got := failure{Status: 200}
		if failed != nil {
			got = *failed
		}
		if got.Status != test.status || got.Code != test.code {
			t.Errorf("callback %d of the %s SDK through Prism: %+v, want %d %s", i, name, got, test.status, test.code)
		}
	}
	for name, sdk := range sdks {
		for i, test := range calls {
			if test.output != "" || sdk.bareFail == test.status {
				try(name, i, test)
			}
		}
	}
	if log := end(); strings.Contains(log, "iolation") || !strings.Contains(log, "has returned 200") {
		t.Errorf("Prism logged a violation or no successful callback:\n%s", log)
	}
}

// startPrism runs Prism. It returns its address, and a function that ends it and returns what it logged.
func startPrism(t *testing.T, arguments ...string) (url string, end func() string) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	command := tool(t, "prism", append(arguments, "--port", port)...)
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.Contains(lines.Text(), "is listening") {
	}
	logged := make(chan string, 1)
	go func() {
		var log strings.Builder
		for lines.Scan() {
			fmt.Fprintln(&log, lines.Text())
		}
		logged <- log.String()
	}()
	end = sync.OnceValue(func() string {
		_ = command.Process.Kill()
		log := <-logged
		_ = command.Wait()
		return log
	})
	t.Cleanup(func() { end() })
	return "http://127.0.0.1:" + port, end
}

func portman(t *testing.T) {
	s := servertest.Start(t, "--demo")
	config, err := filepath.Abs("lint/portman.json")
	if err != nil {
		t.Fatal(err)
	}
	command := tool(t, "portman", "--local", document(t, "callback.yaml"), "--baseUrl", s.URL,
		"--portmanConfigFile", config, "--runNewman", "--output", "collection.json")
	command.Dir = t.TempDir() // Portman writes files to its working directory
	output, err := command.CombinedOutput()
	if n := strings.Count(string(output), "✓"); err != nil || n < 20 {
		t.Errorf("portman: %v, %d assertions passed, want at least 20\n%s", err, n, output)
	}
}
