package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// shell runs the command with the given environment and standard input.
type shell struct {
	environment []string
	stdin       string
}

func (s shell) command(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), servertest.Build(t, "client/cmd/flowcallback"), arguments...)
	command.Env = append([]string{"HOME=" + t.TempDir()}, s.environment...)
	command.Stdin = strings.NewReader(s.stdin)
	return command
}

// run runs the command, checks its exit status and returns what it printed.
func (s shell) run(t *testing.T, status int, arguments ...string) (stdout, stderr string) {
	t.Helper()
	command := s.command(t, arguments...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := command.ProcessState.ExitCode(); got != status {
		t.Errorf("flowcallback %q exited with status %d, want %d\nstdout: %s\nstderr: %s", arguments, got, status, out.String(), errs.String())
	}
	if prefix := map[bool]string{false: "flowcallback: ", true: `{"error":"`}[slices.Contains(arguments, "--json")]; status != 0 && !strings.HasPrefix(errs.String(), prefix) {
		t.Errorf("flowcallback %q printed to stderr %q, want the prefix %q", arguments, errs.String(), prefix)
	}
	return strings.TrimSuffix(out.String(), "\n"), errs.String()
}

func start(t *testing.T) shell {
	t.Helper()
	s := servertest.Start(t, "--engine", "sqlite:"+filepath.Join(t.TempDir(), "waits.db"))
	return shell{environment: []string{"FLOWCALLBACK_ENDPOINT=" + s.URL, "FLOWCALLBACK_PROJECT_ID=project", "FLOWCALLBACK_RETRY=0"}}
}

func state(id string) []string {
	return []string{"--workflow-id", "workflow", "--run-id", "run", "--state-id", id}
}

func with(arguments []string, more ...string) []string {
	return append(arguments[:len(arguments):len(arguments)], more...)
}

func TestFromOpenToOutcome(t *testing.T) {
	s := start(t)
	id, _ := s.run(t, 0, with([]string{"waits", "open"}, with(state("one"), "--timeout", "1h", "--input", `{"order":4711}`)...)...)
	if again, _ := s.run(t, 0, with([]string{"waits", "open"}, state("one")...)...); again != id {
		t.Errorf("the second waits open printed %q, want %q", again, id)
	}

	await := s.command(t, "waits", "await", id)
	awaited, err := await.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := await.Start(); err != nil {
		t.Fatal(err)
	}
	if execution, _ := s.run(t, 0, with([]string{"succeed"}, with(state("one"), "--output", `{"ok":1.0}`)...)...); execution != "run" {
		t.Errorf("succeed printed %q, want run", execution)
	}
	text, _ := io.ReadAll(awaited)
	if err := await.Wait(); err != nil || string(text) != "success {\"ok\":1.0}\n" {
		t.Errorf("waits await printed %q, %v; want the success", text, err)
	}

	listed, _ := s.run(t, 0, "waits", "list", "--status", "success")
	if !strings.Contains(listed, "WAIT ID") || !strings.Contains(listed, id) || strings.Contains(listed, "waiting") {
		t.Errorf("waits list --status success printed\n%s\nwant only wait %s", listed, id)
	}
	listed, _ = s.run(t, 0, "waits", "list", "--json")
	var wait waits.Wait
	if err := json.Unmarshal([]byte(listed), &wait); err != nil || wait.WaitID != id || string(wait.Input) != `{"order":4711}` {
		t.Errorf("waits list --json printed %s (%v), want wait %s with its input", listed, err, id)
	}
	if out, _ := s.run(t, 0, with([]string{"succeed", "--json"}, with(state("one"), "--output", `{"ok":1.0}`)...)...); out != `{"execution_id":"run"}` {
		t.Errorf("succeed --json printed %s, want the execution id", out)
	}
}

// What comes from elsewhere does not control the terminal, and keeps its value.
func TestOutputDoesNotControlTheTerminal(t *testing.T) {
	s := start(t)
	const value, want = "{\"a\":\"\u009b31m\u2028\u202e\u007f é 👩\u200d💻\"}", "{\"a\":\"\\u009b31m\\u2028\\u202e\\u007f é 👩\u200d💻\"}"
	id, _ := s.run(t, 0, with([]string{"waits", "open"}, with(state("s"), "--input", value)...)...)
	s.run(t, 0, with([]string{"succeed"}, with(state("s"), "--output", value)...)...)
	if got, _ := s.run(t, 0, "waits", "await", id); got != "success "+want {
		t.Errorf("waits await printed %q, want success %q", got, want)
	}
	if got, _ := s.run(t, 0, "waits", "get", id); strings.Count(got, want) != 2 {
		t.Errorf("waits get printed %q, want %q as input and output", got, want)
	}
}

func TestOutputFromFileAndStandardInput(t *testing.T) {
	s := start(t)
	file := filepath.Join(t.TempDir(), "output.json")
	if err := os.WriteFile(file, []byte(`{"from":"file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.stdin = "{\"from\":\"stdin\"}\n"
	for output, want := range map[string]string{"@" + file: `fail "why" {"from":"file"}`, "-": `fail "why" {"from":"stdin"}`} {
		id, _ := s.run(t, 0, with([]string{"waits", "open"}, state(output)...)...)
		s.run(t, 0, with([]string{"fail"}, with(state(output), "--error", "why", "--output", output)...)...)
		if got, _ := s.run(t, 6, "waits", "await", id); got != want {
			t.Errorf("waits await printed %q, want %q", got, want)
		}
	}
}

func TestFollow(t *testing.T) {
	s := start(t)
	follow := s.command(t, "waits", "follow", "--json")
	out, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(out)
	for _, id := range []string{"one", "two"} {
		wait, _ := s.run(t, 0, with([]string{"waits", "open"}, state(id)...)...)
		s.run(t, 0, "waits", "cancel", wait)
		var raw map[string]any
		if err := decoder.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		cursor, _ := raw["cursor"].(string)
		if raw["wait_id"] != wait || raw["status"] != "cancelled" || cursor == "" {
			t.Errorf("waits follow printed %v, want the cancelled wait %s with a cursor", raw, wait)
		}
	}
	if err := follow.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = follow.Wait()
	if status := follow.ProcessState.ExitCode(); status != 130 {
		t.Errorf("waits follow exited with status %d after SIGINT, want 130", status)
	}
}

func TestExitStatus(t *testing.T) {
	s := start(t)
	settled, _ := s.run(t, 0, with([]string{"waits", "open"}, state("settled")...)...)
	s.run(t, 0, with([]string{"succeed"}, state("settled")...)...)
	cancelled, _ := s.run(t, 0, with([]string{"waits", "open"}, state("cancelled")...)...)
	s.run(t, 0, "waits", "cancel", cancelled)

	expiring, _ := s.run(t, 0, with([]string{"waits", "open", "--timeout", "1s"}, state("expiring")...)...)

	answering := func(status int) shell {
		stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(stub.Close)
		return shell{environment: []string{"FLOWCALLBACK_ENDPOINT=" + stub.URL, "FLOWCALLBACK_PROJECT_ID=p", "FLOWCALLBACK_RETRY=0"}}
	}
	for name, test := range map[string]struct {
		shell     shell
		status    int
		want      string
		arguments []string
	}{
		"server failed":           {answering(500), 1, "HTTP 500", with([]string{"succeed"}, state("s")...)},
		"output is not JSON":      {s, 2, "output: ", with([]string{"succeed"}, with(state("s"), "--output", "{")...)},
		"output is not an object": {s, 2, "must be a JSON object", with([]string{"succeed"}, with(state("s"), "--output", "[]")...)},
		"output is empty":         {s, 2, "is empty", with([]string{"succeed"}, with(state("s"), "--output", "")...)},
		"stdin is empty":          {s, 2, "is empty", with([]string{"succeed"}, with(state("s"), "--output", "-")...)},
		"input is not JSON":       {s, 2, "--input: want a JSON object", with([]string{"waits", "open"}, with(state("s"), "--input", "x")...)},
		"input is not an object":  {s, 2, "--input: want a JSON object", with([]string{"waits", "open"}, with(state("s"), "--input", "[]")...)},
		"invalid variable":        {shell{environment: []string{"FLOWCALLBACK_JSON=maybe"}}, 2, "FLOWCALLBACK_JSON", []string{"waits", "list"}},
		"misspelt command":        {s, 2, `unknown command "scuceed"`, with([]string{"scuceed"}, state("s")...)},
		"misspelt subcommand":     {s, 2, `unknown command "opne"`, with([]string{"waits", "opne"}, state("s")...)},
		"token with newline":      {shell{environment: append(s.environment, "FLOWCALLBACK_TOKEN=x\n")}, 2, "contains white space", []string{"waits", "list"}},
		"negative timeout":        {s, 2, "negative", []string{"--attempt-timeout", "-1s", "waits", "list"}},
		"no such route":           {shell{environment: append(s.environment, s.environment[0]+"/v2")}, 1, "APIGW.0101", with([]string{"succeed"}, state("s")...)},
		"cancel after settle":     {s, 3, "not cancelled: no longer waiting: success", []string{"waits", "cancel", settled}},
		"HTTPS to HTTP server":    {shell{environment: append(s.environment, strings.Replace(s.environment[0], "http:", "https:", 1), "FLOWCALLBACK_RETRY=1h")}, 5, "HTTPS", with([]string{"succeed"}, state("s")...)},
		"no such file":            {s, 2, "no such file", with([]string{"succeed"}, with(state("s"), "--output", "@/no/such/file")...)},
		"reason too long":         {s, 2, "error: must have at most", with([]string{"fail"}, with(state("s"), "--error", strings.Repeat("x", 999))...)},
		"empty run id":            {s, 2, "X-Workflow-Run-Id: must have at least 1 character", []string{"succeed", "--workflow-id", "w", "--run-id", "", "--state-id", "s"}},
		"missing flag":            {s, 2, `"run-id`, []string{"succeed", "--workflow-id", "w", "--state-id", "s"}},
		"unknown flag":            {s, 2, "--help", []string{"succeed", "--bogus"}},
		"unknown command":         {s, 2, "unknown command", []string{"bogus"}},
		"extra argument":          {s, 2, "unexpected argument", with([]string{"succeed"}, with(state("s"), "bogus")...)},
		"missing argument":        {s, 2, "WAIT_ID is missing", []string{"waits", "await"}},
		"missing endpoint":        {shell{}, 2, "--endpoint is missing", []string{"waits", "list", "--project-id", "p"}},
		"endpoint not a URL":      {s, 2, "want a URL", []string{"--endpoint", "127.0.0.1:8080", "waits", "list"}},
		"fractional timeout":      {s, 2, "whole seconds", with([]string{"waits", "open"}, with(state("s"), "--timeout", "1.5s")...)},
		"timeout too long":        {s, 2, "timeout_seconds: must be at most", with([]string{"waits", "open"}, with(state("s"), "--timeout", "9999h")...)},
		"unknown status":          {s, 2, "status: must be waiting", []string{"waits", "list", "--status", "done"}},
		"unknown state":           {s, 3, "--unknown=hold", with([]string{"succeed"}, state("unknown")...)},
		"different outcome":       {s, 3, "FLOWCALLBACK.CONFLICT", with([]string{"fail"}, state("settled")...)},
		"callback cancelled":      {s, 3, "FLOWCALLBACK.CANCELLED", with([]string{"succeed"}, state("cancelled")...)},
		"await cancelled":         {s, 8, "ended with status cancelled", []string{"waits", "await", cancelled}},
		"await expired":           {s, 7, "ended with status expired", []string{"waits", "await", expiring}},
		"wrong credentials":       {answering(401), 4, "HTTP 401", with([]string{"succeed"}, state("s")...)},
		"no permission":           {answering(403), 4, "HTTP 403", with([]string{"succeed"}, state("s")...)},
		"no server":               {s, 5, "refused", with([]string{"--endpoint", "http://127.0.0.1:1", "succeed"}, state("s")...)},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr := test.shell.run(t, test.status, test.arguments...)
			if !strings.Contains(stderr, test.want) || stdout != "" {
				t.Errorf("stdout %q, stderr %q; want %q in stderr and an empty stdout", stdout, stderr, test.want)
			}
		})
	}
}

// Flags take precedence over the environment, and the environment over the file.
func TestConfig(t *testing.T) {
	s := start(t)
	endpoint := strings.TrimPrefix(s.environment[0], "FLOWCALLBACK_ENDPOINT=")
	config := func(text string) string {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := config("endpoint: " + endpoint + "\nproject-id: of the file\njson: true\n")
	project := func(s shell, arguments ...string) string {
		out, _ := s.run(t, 0, append(arguments, with([]string{"waits", "open", "--json"}, state("s")...)...)...)
		var wait waits.Wait
		if err := json.Unmarshal([]byte(out), &wait); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		return wait.ProjectID
	}
	for want, got := range map[string]string{
		"of the file":        project(shell{}, "--config", whole),
		"of the environment": project(shell{environment: []string{"FLOWCALLBACK_PROJECT_ID=of the environment"}}, "--config", whole),
		"of the vendor's":    project(shell{environment: []string{"HUAWEICLOUD_SDK_PROJECT_ID=of the vendor's", "FLOWCALLBACK_CONFIG=" + whole}}),
		"of the flag":        project(shell{environment: []string{"FLOWCALLBACK_PROJECT_ID=of the environment"}}, "--config", whole, "--project-id", "of the flag"),
	} {
		if got != want {
			t.Errorf("project %q, want %q", got, want)
		}
	}

	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "flowcallback"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(whole, filepath.Join(home, "flowcallback", "config.yaml")); err != nil {
		t.Fatal(err)
	}
	if got := project(shell{environment: []string{"XDG_CONFIG_HOME=" + home}}); got != "of the file" {
		t.Errorf("project %q, want the project from the file at the default path", got)
	}

	for text, want := range map[string]string{
		"endpoint: x\nbogus: y\n": "line 2: bogus: is not a flag",
		"- a\n":                   "want lines of",
		"retry: often\n":          "line 1: retry: ",
		"endpoint: [a, b]\n":      "line 1: endpoint: want one value",
		"a: [\n":                  "yaml: ",
	} {
		if _, stderr := (shell{}).run(t, 2, "--config", config(text), "waits", "list"); !strings.Contains(stderr, want) {
			t.Errorf("config %q: stderr %s, want %q", text, stderr, want)
		}
	}
	(shell{}).run(t, 2, "--config", "/no/such/file", "waits", "list")
}

func TestHelp(t *testing.T) {
	for _, arguments := range [][]string{
		{},
		{"succeed"},
		{"fail"},
		{"waits"},
		{"waits", "open"},
		{"waits", "get"},
		{"waits", "count"},
		{"waits", "extend"},
		{"waits", "link"},
		{"waits", "links"},
		{"waits", "unlink"},
		{"whoami"},
		{"waits", "await"},
		{"waits", "list"},
		{"waits", "cancel"},
		{"waits", "follow"},
		{"doctor"},
		{"completion"},
		{"conformance"},
	} {
		stdout, err := (shell{}).command(t, with(arguments, "--help")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		stdout = servertest.WithoutVersion(stdout)
		golden := filepath.Join("testdata", strings.Join(with([]string{"help"}, arguments...), "-")+".txt")
		if *update {
			if err := os.WriteFile(golden, stdout, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || !bytes.Equal(stdout, want) {
			t.Errorf("%q --help differs from %s (%v); \"go test -update\" rewrites the file. It printed:\n%s", arguments, golden, err, stdout)
		}
	}
}
