package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/flowcallback/flowcallback/server/servertest"
)

// onTerminal runs a command whose output is a terminal's, and returns what the person sees.
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

// seen reads to the end of what is on a terminal, whose end is an error.
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
		t.Errorf("in a pipe: %q", text)
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
			t.Errorf("%s: %q; want colour %t", name, text, test.colored)
		}
		if !strings.Contains(text, "AGE") || !strings.Contains(text, "23h59m") {
			t.Errorf("%s: %q; want ages and the time left", name, text)
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
			t.Fatalf("await showed %q and ended: %v", text.String(), err)
		}
	}
	s.run(t, 0, with([]string{"succeed"}, with(state("one"), "--output", `{"a":1}`)...)...)
	text.WriteString(seen(terminal))
	if err := command.Wait(); err != nil || !strings.HasSuffix(text.String(), "\r\x1b[Ksuccess {\"a\":1}\r\n") {
		t.Errorf("await showed %q, %v; want the count-down gone and the outcome", text.String(), err)
	}
}

func TestOldestFirst(t *testing.T) {
	s := start(t)
	for _, id := range []string{"one", "two"} {
		s.run(t, 0, with([]string{"waits", "open"}, state(id)...)...)
	}
	text, _ := s.run(t, 0, "waits", "list", "--oldest")
	if one, two := strings.Index(text, " one "), strings.Index(text, " two "); one < 0 || two < one {
		t.Errorf("waits list --oldest printed\n%s", text)
	}
}

func TestCompletion(t *testing.T) {
	s := start(t)
	for _, name := range []string{"bash", "zsh", "fish"} {
		script, _ := s.run(t, 0, "completion", name)
		if !strings.Contains(script, "flowcallback") {
			t.Errorf("completion %s printed %q", name, script)
		}
	}
	script, _ := s.run(t, 0, "completion", "bash")
	binary := servertest.Build(t, "client/cmd/flowcallback")
	shell := exec.CommandContext(t.Context(), "bash", "-c", `
		_init_completion() { COMPREPLY=(); cur="${COMP_WORDS[COMP_CWORD]}"; prev=; words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; }
		_get_comp_words_by_ref() { :; }
		eval "$SCRIPT"
		COMP_WORDS=(flowcallback waits "") COMP_CWORD=2 COMP_LINE="flowcallback waits " COMP_POINT=19
		"$(complete -p flowcallback | sed 's/.*-F \([^ ]*\).*/\1/')"
		printf '%s\n' "${COMPREPLY[@]}"`)
	shell.Env = append(shell.Environ(), "SCRIPT="+script, "PATH="+filepath.Dir(binary)+":/usr/bin:/bin")
	output, err := shell.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "await") || !strings.Contains(string(output), "follow") {
		t.Errorf("completing \"flowcallback waits \" in bash: %v\n%s", err, output)
	}
}

func TestDoctor(t *testing.T) {
	s := start(t)
	fine, _ := s.run(t, 0, "doctor")
	for _, want := range []string{"ok     settings", "credentials: none", "ok     endpoint", "ok     contract", "ok     clocks", "ok     credentials"} {
		if !strings.Contains(fine, want) {
			t.Errorf("doctor lacks %q:\n%s", want, fine)
		}
	}
	sick := func(name string, status int, want string, answer http.HandlerFunc) {
		server := httptest.NewServer(answer)
		defer server.Close()
		text, _ := shell{environment: []string{"FLOWCALLBACK_PROJECT_ID=p", "FLOWCALLBACK_TOKEN=secret"}}.run(t, status, "--endpoint", server.URL, "doctor")
		if !strings.Contains(text, want) || strings.Contains(text, "secret") {
			t.Errorf("%s: doctor printed\n%s\nwant %q", name, text, want)
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
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	sick("wrong credentials", 4, "WRONG  credentials", answer("", "", 401, refused))
	sick("another contract", 1, "WRONG  contract", answer("openapi: 3.0.3", "", 200, `{"waits":[]}`))
	sick("another time", 1, "WRONG  clocks", answer("", "Mon, 02 Jan 2006 15:04:05 GMT", 200, `{"waits":[]}`))
	sick("without a contract", 0, "does not publish its contract", answer("", "", 404, `{"error_code":"APIGW.0101","error_msg":"The API does not exist."}`))
	text, _ := shell{environment: []string{"FLOWCALLBACK_PROJECT_ID=p"}}.run(t, 5, "--endpoint", "http://127.0.0.1:1", "doctor")
	if !strings.Contains(text, "WRONG  endpoint") {
		t.Errorf("nobody there: doctor printed\n%s", text)
	}
	text, _ = shell{}.run(t, 2, "doctor")
	if !strings.Contains(text, "WRONG  settings") {
		t.Errorf("no settings: doctor printed\n%s", text)
	}
}

func TestConformance(t *testing.T) {
	s := start(t)
	report := filepath.Join(t.TempDir(), "report.xml")
	text, _ := s.run(t, 0, "conformance", "--junit", report)
	if !strings.Contains(text, "PASSED  OF") || strings.Contains(text, "FAILED") {
		t.Errorf("conformance of our server printed\n%s", text)
	}
	xml, err := os.ReadFile(report)
	if err != nil || !strings.Contains(string(xml), `failures="0"`) || !strings.Contains(string(xml), `<testcase classname="callback.body" name="error is one too long"`) {
		t.Errorf("the report: %v\n%.500s", err, xml)
	}
	sloppy := httptest.NewServer(http.NotFoundHandler())
	defer sloppy.Close()
	text, stderr := s.run(t, 1, "--endpoint", sloppy.URL, "conformance", "--junit", report)
	if !strings.Contains(text, "FAILED  body: result is success") || !strings.Contains(stderr, "does not conform") {
		t.Errorf("conformance of a sloppy server printed\n%s%s", text, stderr)
	}
	if xml, err = os.ReadFile(report); err != nil || !strings.Contains(string(xml), "<failure message=") {
		t.Errorf("its report: %v\n%.500s", err, xml)
	}
}
