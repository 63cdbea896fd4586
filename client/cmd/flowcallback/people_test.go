package main_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/flowcallback/flowcallback/server/servertest"
)

// onTerminal starts the command on a pseudo-terminal. It returns the command and the terminal
// to read from.
func (s shell) onTerminal(t *testing.T, environment []string, arguments ...string) (*exec.Cmd, io.Reader) {
	t.Helper()
	command := s.command(t, arguments...)
	command.Env, command.Stdin = append(command.Env, environment...), nil
	terminal, err := pty.StartWithSize(command, &pty.Winsize{Rows: 24, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return command, terminal
}

// seen reads the terminal until it closes. The read error at that point is expected.
func seen(terminal io.Reader) string {
	var text bytes.Buffer
	_, _ = io.Copy(&text, terminal)
	return text.String()
}

func TestColorIsForTerminals(t *testing.T) {
	s := start(t)
	s.run(t, 0, with([]string{"waits", "open"}, state("one")...)...)
	list := []string{"waits", "list"}
	if text, _ := s.run(t, 0, list...); strings.Contains(text, "\x1b") {
		t.Errorf("waits list in a pipe printed %q, want no colour", text)
	}
	for name, test := range map[string]struct {
		environment []string
		colored     bool
	}{
		"a terminal":         {[]string{"TERM=xterm"}, true},
		"NO_COLOR":           {[]string{"TERM=xterm", "NO_COLOR=1"}, false},
		"a dumb terminal":    {[]string{"TERM=dumb"}, false},
		"an empty NO_COLOR=": {[]string{"TERM=xterm", "NO_COLOR="}, true},
	} {
		_, terminal := s.onTerminal(t, test.environment, list...)
		text := seen(terminal)
		if colored := strings.Contains(text, "\x1b[33mwaiting\x1b[0m"); colored != test.colored || !strings.Contains(text, "waiting") {
			t.Errorf("%s: waits list printed %q; want colour %t", name, text, test.colored)
		}
		if !strings.Contains(text, "AGE") || !strings.Contains(text, "23h59m") {
			t.Errorf("%s: waits list printed %q; want the age and the time left", name, text)
		}
	}
}

func TestAwaitShowsTheTimeLeft(t *testing.T) {
	s := start(t)
	id, _ := s.run(t, 0, with([]string{"waits", "open", "--timeout", "90s"}, state("one")...)...)
	command, terminal := s.onTerminal(t, []string{"TERM=xterm"}, "waits", "await", id)
	var text strings.Builder
	for buffer := make([]byte, 1024); !strings.Contains(text.String(), "waiting, 1m"); {
		n, err := terminal.Read(buffer)
		text.Write(buffer[:n])
		if err != nil {
			t.Fatalf("waits await printed %q and ended: %v", text.String(), err)
		}
	}
	s.run(t, 0, with([]string{"succeed"}, with(state("one"), "--output", `{"a":1}`)...)...)
	text.WriteString(seen(terminal))
	if err := command.Wait(); err != nil || !strings.HasSuffix(text.String(), "\r\x1b[Ksuccess {\"a\":1}\r\n") {
		t.Errorf("waits await printed %q, %v; want the countdown erased and the outcome printed", text.String(), err)
	}
}

func TestOldestFirst(t *testing.T) {
	s := start(t)
	for _, id := range []string{"one", "two"} {
		s.run(t, 0, with([]string{"waits", "open"}, state(id)...)...)
	}
	text, _ := s.run(t, 0, "waits", "list", "--oldest")
	if one, two := strings.Index(text, " one "), strings.Index(text, " two "); one < 0 || two < one {
		t.Errorf("waits list --oldest printed\n%s\nwant state one before state two", text)
	}
}

// --json applies to every command, and to errors.
func TestJSONEverywhere(t *testing.T) {
	s := start(t)
	for name, test := range map[string]struct {
		arguments []string
		status    int
	}{
		"doctor":      {[]string{"doctor", "--json"}, 0},
		"conformance": {[]string{"conformance", "--json"}, 0},
		"refusal":     {with([]string{"succeed", "--json"}, state("unknown")...), 3},
		"usage":       {[]string{"succeed", "--json", "--workflow-id", "w"}, 2},
	} {
		stdout, stderr := s.run(t, test.status, test.arguments...)
		lines := 0
		for line := range strings.Lines(stdout + "\n" + stderr) {
			if line = strings.TrimSpace(line); line != "" {
				if lines++; !json.Valid([]byte(line)) {
					t.Errorf("%s: line %q is not JSON", name, line)
				}
			}
		}
		if lines == 0 {
			t.Errorf("%s printed nothing", name)
		}
		if want := `"exit_status":3,"status_code":404,"error_code":"FGS.5002"`; name == "refusal" && !strings.Contains(stderr, want) {
			t.Errorf("refusal: stderr %q, want %s", stderr, want)
		}
	}
}

func TestDoctor(t *testing.T) {
	s := start(t)
	fine, _ := s.run(t, 0, "doctor")
	for _, want := range []string{"ok     settings", "credentials: none", "ok     endpoint", "ok     contract", "ok     clocks", "ok     readiness", "ok     callbacks", "ok     waits"} {
		if !strings.Contains(fine, want) {
			t.Errorf("doctor printed\n%s\nwant %q", fine, want)
		}
	}
	sick := func(name string, status int, want string, answer http.HandlerFunc) {
		server := httptest.NewServer(answer)
		defer server.Close()
		text, _ := shell{environment: []string{"FLOWCALLBACK_PROJECT_ID=p", "FLOWCALLBACK_TOKEN=secret"}}.run(t, status, "--endpoint", server.URL, "doctor")
		if !strings.Contains(text, want) || strings.Contains(text, "secret") {
			t.Errorf("%s: doctor printed\n%s\nwant %q and no secret", name, text, want)
		}
	}
	refused := `{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information."}`
	answer := func(document, date string, status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if date != "" {
				w.Header().Set("Date", date)
			}
			if r.URL.Path == "/openapi/callback.yaml" && document != "" {
				fmt.Fprint(w, document)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			switch {
			case r.URL.Path == "/readyz":
				w.WriteHeader(http.StatusNotFound)
			case r.Method == http.MethodPost && status != 401 && status != 403:
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"error_code":"FGS.3002","error_msg":"Invalid parameters."}`)
			default:
				w.WriteHeader(status)
				fmt.Fprint(w, body)
			}
		}
	}
	sick("wrong credentials", 4, "WRONG  callbacks", answer("", "", 401, refused))
	sick("project that is not allowed", 4, "WRONG  callbacks", answer("", "", 403, `{"error_code":"FSS.0403","error_msg":"Permission denied."}`))
	sick("not ready", 1, "WRONG  readiness", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		answer("", "", 200, `{"waits":[]}`)(w, r)
	})
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	plain, _ := shell{environment: []string{"FLOWCALLBACK_PROJECT_ID=p"}}.run(t, 1, "--endpoint", strings.Replace(secure.URL, "https", "http", 1), "doctor")
	if !strings.Contains(plain, "must begin with https://") {
		t.Errorf("http to an https port: doctor printed\n%s", plain)
	}
	sick("different contract", 1, "WRONG  contract", answer("openapi: 3.0.3", "", 200, `{"waits":[]}`))
	sick("wrong clock", 1, "WRONG  clocks", answer("", "Mon, 02 Jan 2006 15:04:05 GMT", 200, `{"waits":[]}`))
	sick("no published contract", 0, "does not publish its contract", answer("", "", 404, `{"error_code":"APIGW.0101","error_msg":"The API does not exist."}`))
	text, _ := shell{environment: []string{"FLOWCALLBACK_PROJECT_ID=p"}}.run(t, 5, "--endpoint", "http://127.0.0.1:1", "doctor")
	if !strings.Contains(text, "WRONG  endpoint") {
		t.Errorf("no server: doctor printed\n%s\nwant the endpoint to be wrong", text)
	}
	text, _ = shell{}.run(t, 2, "doctor")
	if !strings.Contains(text, "WRONG  settings") {
		t.Errorf("no settings: doctor printed\n%s\nwant the settings to be wrong", text)
	}
}

func TestConformance(t *testing.T) {
	s := start(t)
	report := filepath.Join(t.TempDir(), "report.xml")
	reads := func(parts ...string) {
		t.Helper()
		xml, err := os.ReadFile(report)
		for _, part := range parts {
			if err != nil || !strings.Contains(string(xml), part) {
				t.Errorf("the JUnit report does not have %s: %v\n%.500s", part, err, xml)
			}
		}
	}
	s.environment = append(s.environment, "PATH="+os.Getenv("PATH")) // for sh
	text, _ := s.run(t, 0, "conformance", "--junit", report)
	if strings.Contains("\n"+text, "\nFAILED  ") || !strings.HasSuffix(text, "settling: not tested; give it states with --waits, --open-with or --states") || !strings.Contains(text, "SKIPPED settling: there is no state that waits (") {
		t.Errorf("conformance without states printed\n%s\nwant no failed case, and that settling was not tested", text)
	}
	reads(`errors="0" failures="0" skipped="`, `"`, `<testcase classname="callback.body" name="error is one too long"`, `<skipped message="there is no state that waits">`)

	text, _ = s.run(t, 0, "conformance", "--waits", "--strict", "--junit", report)
	if strings.Contains("\n"+text, "\nFAILED  ") || strings.Contains("\n"+text, "\nSKIPPED ") || strings.Contains(text, "not tested") {
		t.Errorf("conformance --waits printed\n%s\nwant that all is tested and passes", text)
	}
	reads(`failures="0" skipped="0"`)

	opener := servertest.Build(t, "client/cmd/flowcallback") + ` waits open --workflow-id w --run-id "Run$$" --state-id s --json`
	text, _ = s.run(t, 0, "conformance", "--only", "settling: a", "--open-with", opener, "--json")
	if !strings.Contains(text, `"name":"a success is answered with the execution","status":"passed"`) || !strings.Contains(text, `"skipped":"states cannot be cancelled here"`) {
		t.Errorf("conformance --open-with printed\n%s", text)
	}
	states := filepath.Join(t.TempDir(), "states")
	if err := os.WriteFile(states, []byte(`{"workflow_id":"w","run_id":"r","state_id":"s"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, 0, "waits", "open", "--workflow-id", "w", "--run-id", "r", "--state-id", "s")
	text, stderr := s.run(t, 2, "conformance", "--only", "settling: a", "--states", states, "--json")
	if strings.Count(text, `"status":"passed"`) != 1 || !strings.Contains(text, `"skipped":"there is no state that waits"`) || !strings.Contains(stderr, "cases had no state; give it ") {
		t.Errorf("conformance --states with one state printed\n%s%s\nwant one case that passed", text, stderr)
	}
	all := ""
	for i := range 50 { // some are the others without their last letter
		id := fmt.Sprint("step-", 50-i)
		s.run(t, 0, "waits", "open", "--workflow-id", "w", "--run-id", "r", "--state-id", id)
		all += fmt.Sprintf(`{"workflow_id":"w","run_id":"r","state_id":%q,"wait_id":"w"}`+"\n", id)
	}
	if err := os.WriteFile(states, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, stderr := s.run(t, 0, "conformance", "--only", "settling", "--states", states); strings.Contains("\n"+text, "\nFAILED  ") {
		t.Errorf("conformance --states printed\n%s%s\nwant no failed case", text, stderr)
	}
	if err := os.WriteFile(states, []byte("\ufeff{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr := s.run(t, 2, "conformance", "--states", states); !strings.Contains(stderr, "line 1") || !strings.Contains(stderr, "want an object") {
		t.Errorf("conformance --states with a byte order mark: stderr %q", stderr)
	}
	if _, stderr := s.run(t, 2, "conformance", "--only", "settling", "--junit", report); !strings.Contains(stderr, "nothing was tried") {
		t.Errorf("conformance that tries nothing: stderr %q", stderr)
	}
	reads(`errors="1"`, "nothing was tried")
	s.run(t, 2, "conformance", "--states", "/nonexistent", "--junit", report)
	reads(`errors="1"`, "no such file")
	twice := `{"workflow_id":"w","run_id":"r","state_id":"s"}` + "\n"
	if err := os.WriteFile(states, []byte(twice+twice), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr := s.run(t, 2, "conformance", "--states", states); !strings.Contains(stderr, "line 2: the state is there twice") {
		t.Errorf("conformance --states with a state twice: stderr %q", stderr)
	}
	s.run(t, 0, "conformance", "--only", "settling: a success without", "--open-with", "sleep 9 & "+opener)
	s.run(t, 2, "conformance", "--waits", "--states", states)
	if _, stderr := s.run(t, 2, "conformance", "--open-with", "echo nothing to open >&2; exit 3"); !strings.Contains(stderr, "nothing to open") {
		t.Errorf("conformance with a command that fails: stderr %q", stderr)
	}
	s.run(t, 2, "conformance", "--only", "nothing is called so")
	if text, _ = s.run(t, 0, "conformance", "--list"); !strings.Contains(text, "body: error is one too long\n") || !strings.Contains(text, "settling: of two outcomes that race, one wins") {
		t.Errorf("conformance --list printed\n%s", text)
	}

	absent := httptest.NewServer(http.NotFoundHandler())
	defer absent.Close()
	if _, stderr := s.run(t, 1, "--endpoint", absent.URL, "conformance"); !strings.Contains(stderr, "no such API here") || strings.Count(stderr, "\n") > 1 {
		t.Errorf("conformance against another program: stderr %q, want one line", stderr)
	}
	if err := os.WriteFile(report, []byte(`<testsuite failures="0"></testsuite>`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, 5, "--endpoint", "http://127.0.0.1:1", "conformance", "--junit", report)
	reads(`errors="1"`, "cannot be reached") // not the report of an earlier run
	for _, wrong := range [][]string{
		{"--endpoint", "ftp://127.0.0.1"},
		{"--endpoint", "http://127.0.0.1?x=1"},
		{"--junit", filepath.Join(t.TempDir(), "no", "folder")},
		{"--list", "--junit", report},
		{"--list", "--only", "nothing is called so"},
		{"--cacert", "/no/file"},
		{"--states", os.DevNull},
	} {
		at := 0
		if wrong[0] == "--endpoint" || wrong[0] == "--cacert" {
			at = len(wrong) // flags of every command stand before it
		}
		s.run(t, 2, slices.Insert(slices.Clone(wrong), at, "conformance")...)
	}
	for command, says := range map[string]string{"sleep 30": "has not ended within 1s", "exit 3": "exit status 3", "echo '{}'": "want an object"} {
		text, stderr := s.run(t, 2, "--attempt-timeout", "1s", "conformance", "--open-with", command)
		if !strings.Contains(stderr, says) || strings.Contains(stderr, command) && command != "echo '{}'" || !strings.Contains(text, " request ") {
			t.Errorf("--open-with %s: %s; stdout %s; want %q, and what was found until then", command, stderr, text, says)
		}
	}
	sloppy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-Id", "4711")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error_code":"FGS.5002","error_msg":"no"}`))
	}))
	defer sloppy.Close()
	secure := httptest.NewTLSServer(sloppy.Config.Handler)
	defer secure.Close()
	certificate := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, 5, "--endpoint", secure.URL, "conformance")
	s.run(t, 1, "--endpoint", secure.URL, "--cacert", certificate, "conformance")
	text, stderr = s.run(t, 1, "--endpoint", sloppy.URL, "conformance", "--junit", report)
	if !strings.Contains(text, "FAILED  body: result is left out") || !strings.Contains(text, "curl -i -X POST") || !strings.Contains(stderr, "does not conform") {
		t.Errorf("conformance against a wrong server printed\n%s%s\nwant failed cases", text, stderr)
	}
	reads("<failure message=", "curl -i -X POST")
	rude := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-Id", "4711")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("{\"error_code\":\"FGS.5002\",\"error_msg\":\"\u009b31m\\u001b[31m\\n::error::no\"}"))
	}))
	defer rude.Close()
	for _, command := range [][]string{{"conformance"}, with([]string{"succeed"}, state("s")...), {"waits", "get", "x"}, {"doctor"}} {
		status := map[bool]int{true: 1, false: 3}[command[0] == "conformance"]
		if command[0] == "doctor" {
			status = 1
		}
		text, stderr := s.run(t, status, append([]string{"--endpoint", rude.URL}, command...)...)
		if strings.ContainsAny(text+stderr, "\x1b\u009b") || strings.Contains(text+stderr, "\n::") {
			t.Errorf("flowcallback %q lets the server control the terminal: %q %q", command, text, stderr)
		}
	}
	if _, stderr := s.run(t, 2, "--endpoint", rude.URL, "--retry", "0", "conformance", "--waits"); !strings.Contains(stderr, "--waits: this server has no API for waits") {
		t.Errorf("conformance --waits without an API for waits: stderr %q", stderr)
	}
	for _, endpoint := range []string{"http://user:hunter2@127.0.0.1", "http://user:hun%ter2@127.0.0.1", "user:hunter2@127.0.0.1", "http://127.0.0.1?token=hunter2"} {
		for _, command := range [][]string{{"conformance"}, {"waits", "list"}} {
			if _, stderr := s.run(t, 2, append([]string{"--endpoint", endpoint}, command...)...); !strings.Contains(stderr, "want ") || strings.Contains(stderr, "ter2") {
				t.Errorf("endpoint %s: flowcallback %q: stderr %q", endpoint, command, stderr)
			}
		}
	}
	s.run(t, 2, "--attempt-timeout", "0", "conformance")
	if _, stderr := s.run(t, 2, "--project-id", strings.Repeat("p", 65), "conformance"); !strings.Contains(stderr, "project_id: must have at most 64") {
		t.Errorf("conformance with a long project id: stderr %q", stderr)
	}
	if text, _ = s.run(t, 1, "--endpoint", sloppy.URL, "conformance", "--fail-fast"); strings.Count("\n"+text, "\nFAILED  ") != 1 {
		t.Errorf("conformance --fail-fast printed\n%s\nwant one failed case", text)
	}
}

// Credentials of a project are no reason for a false alarm: what they forbid, and what cannot be signed, is skipped.
func TestConformanceWithCredentials(t *testing.T) {
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(auth, []byte("principals:\n  - {name: keys, projects: [project], allow: [callback, wait], access_key: KEY, secret_key: "+strings.Repeat("0123456789abcdef", 2)+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := servertest.Start(t, "--engine", "sqlite:"+filepath.Join(t.TempDir(), "waits.db"), "--auth", auth)
	s := shell{environment: []string{"FLOWCALLBACK_ENDPOINT=" + server.URL, "FLOWCALLBACK_PROJECT_ID=project", "HUAWEICLOUD_SDK_AK=KEY", "HUAWEICLOUD_SDK_SK=" + strings.Repeat("0123456789abcdef", 2)}}
	text, _ := s.run(t, 0, "conformance", "--waits", "--strict")
	if strings.Contains("\n"+text, "\nFAILED  ") || !strings.Contains(text, "path: the credentials are for another project") || !strings.Contains(text, "header: a request with this header cannot be signed") {
		t.Errorf("conformance with keys printed\n%s", text)
	}
	s.run(t, 4, "--project-id", "another", "conformance")
}

func TestHeld(t *testing.T) {
	server := servertest.Start(t, "--engine", "sqlite:"+filepath.Join(t.TempDir(), "waits.db"), "--unknown", "hold")
	s := shell{environment: []string{"FLOWCALLBACK_ENDPOINT=" + server.URL, "FLOWCALLBACK_PROJECT_ID=project", "FLOWCALLBACK_RETRY=0"}}
	s.run(t, 0, with([]string{"succeed"}, state("mistyped")...)...)
	table, _ := s.run(t, 0, "held", "list")
	lines := strings.Split(table, "\n")
	if len(lines) != 2 || !strings.Contains(lines[1], "mistyped") || !strings.Contains(lines[1], "success") {
		t.Fatalf("held list printed\n%s\nwant the mistyped state", table)
	}
	id := strings.Fields(lines[1])[0]
	s.run(t, 0, "held", "drop", id)
	s.run(t, 3, "held", "drop", id)
	s.run(t, 2, "held", "drop")
	if list, _ := s.run(t, 0, "held", "list", "--json"); list != "" {
		t.Errorf("held list after the drop printed %q, want nothing", list)
	}
}

// A follower that has missed outcomes is told by a status of its own.
func TestFollowOfAnotherHistory(t *testing.T) {
	s := start(t)
	if _, stderr := s.run(t, 9, "waits", "follow", "--after", "4711-mzxw6ytboi2dcnrz"); !strings.Contains(stderr, "FLOWCALLBACK.CURSOR_FOREIGN") {
		t.Errorf("waits follow with a cursor of another server: stderr %q, want the code", stderr)
	}
}
