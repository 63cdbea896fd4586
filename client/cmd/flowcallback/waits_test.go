package main_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/flowcallback/flowcallback/gen/waits"
)

func (s shell) open(t *testing.T, id string, more ...string) (waitID string) {
	t.Helper()
	waitID, _ = s.run(t, 0, with([]string{"waits", "open"}, with(state(id), more...)...)...)
	return waitID
}

// wantParts fails the test unless the text has all of the parts.
func wantParts(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s printed\n%s\nwant %q in it", what, text, part)
		}
	}
}

func TestQuestions(t *testing.T) {
	s := start(t)
	schema := `{"type":"object","required":["carrier"],"properties":{"carrier":{"type":"string"}}}`
	id := s.open(t, "one", "--title", "May it go out?", "--tag", "urgent", "--tag", "orders", "--timeout", "1d12h", "--output-schema", schema)
	shown, _ := s.run(t, 0, "waits", "get", id)
	wantParts(t, "waits get", shown, "May it go out?", "waiting", "1d11h", "urgent, orders", schema)
	_, warning := s.run(t, 0, with([]string{"waits", "open"}, with(state("one"), "--title", "Another?")...)...)
	wantParts(t, "waits open with another title", warning, "stays as it is; it differs in timeout_seconds, output_schema, title, tags")

	extended, _ := s.run(t, 0, "waits", "extend", id, "--timeout", "7d", "--json")
	var wait waits.Wait
	if err := json.Unmarshal([]byte(extended), &wait); err != nil || wait.ExpiresAt.Sub(wait.CreatedAt).Hours() < 167 {
		t.Errorf("waits extend printed %s, %v; want a deadline in a week", extended, err)
	}
	_, refused := s.run(t, 1, "succeed", "--wait-id", id)
	wantParts(t, "succeed without the output", refused, "FLOWCALLBACK.OUTPUT", "output.carrier: is missing")
	if execution, _ := s.run(t, 0, "succeed", "--wait-id", id, "--output", `{"carrier":"post"}`); execution != "run" {
		t.Errorf("succeed --wait-id printed %q, want run", execution)
	}
	s.run(t, 3, "waits", "extend", id, "--timeout", "1h")
	s.run(t, 2, "waits", "extend", id)
	s.run(t, 2, "succeed")
	counts, _ := s.run(t, 0, "waits", "count", "--tag", "urgent")
	wantParts(t, "waits count", counts, "0 waiting", "1 success")
	who, _ := s.run(t, 0, "whoami")
	wantParts(t, "whoami", who, "does not authenticate", "callback, wait")
}

func TestLinks(t *testing.T) {
	s := start(t)
	id := s.open(t, "one")
	url, _ := s.run(t, 0, "waits", "link", id, "--to", "Ines Moreau", "--allow", "success", "--timeout", "1d")
	list, _ := s.run(t, 0, "waits", "links", id)
	wantParts(t, "waits links", list, "LINK ID", "Ines Moreau", "success", "23h59m")
	if strings.Contains(list, url[strings.LastIndex(url, "/")+1:]) {
		t.Errorf("waits links printed the secret of the link:\n%s", list)
	}
	answer, err := http.Get(url)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("GET of the link: %v, %v; want 200", answer, err)
	}
	answer.Body.Close()
	s.run(t, 0, "waits", "unlink", id, "--link-id", "1")
	s.run(t, 3, "waits", "unlink", id, "--link-id", "1")
}

func TestCancelByFilter(t *testing.T) {
	s := start(t)
	for _, id := range []string{"one", "two", "three"} {
		s.open(t, id)
	}
	_, refused := s.run(t, 2, "waits", "cancel", "--run-id", "run")
	wantParts(t, "waits cancel in a pipe", refused, "Cancel 3 waits?", "--yes")
	s.run(t, 2, "waits", "cancel")
	s.run(t, 2, "waits", "cancel", "some-id", "--run-id", "run")
	for _, arguments := range [][]string{ // of variables of the shell that are not set
		{"waits", "cancel", "", "--run-id", "run", "--yes"},
		{"waits", "cancel", "--run-id", "", "--workflow-id", "workflow", "--yes"},
		{"waits", "list", "--run-id", ""},
		{"waits", "follow", "--workflow-id", ""},
	} {
		_, refused := s.run(t, 2, arguments...)
		wantParts(t, strings.Join(arguments, " "), refused, "is empty")
	}

	command := s.command(t, "waits", "cancel", "--run-id", "run")
	command.Stdin = nil
	terminal, err := pty.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if _, err := terminal.WriteString("n\n"); err != nil {
		t.Fatal(err)
	}
	wantParts(t, "waits cancel with the answer no", seen(terminal), "Cancel 3 waits? [y/N]", "nothing was cancelled")

	if listed, _ := s.run(t, 0, "waits", "list", "--status", "cancelled", "--json"); listed != "" {
		t.Fatalf("waits were cancelled: %s", listed)
	}
	s.run(t, 0, "waits", "cancel", "--run-id", "run", "--reason", "withdrawn", "--yes")
	listed, _ := s.run(t, 0, "waits", "list", "--status", "cancelled", "--json", "--limit", "2")
	if strings.Count(listed, `"cancel_reason":"withdrawn"`) != 2 {
		t.Errorf("waits list --limit 2 printed\n%s\nwant two waits with the reason", listed)
	}
}

// On a terminal the table fits. In a pipe, with --wide and with --json ids are whole.
func TestListFitsTheTerminal(t *testing.T) {
	s := start(t)
	long := strings.Repeat("0123456789", 6)
	s.run(t, 0, "waits", "open", "--workflow-id", "order-approval", "--run-id", long, "--state-id", long)
	list := func(more ...string) string {
		command := s.command(t, with([]string{"waits", "list"}, more...)...)
		command.Env, command.Stdin = append(command.Env, "TERM=dumb"), nil
		terminal, err := pty.StartWithSize(command, &pty.Winsize{Rows: 24, Cols: 80})
		if err != nil {
			t.Fatal(err)
		}
		defer terminal.Close()
		return seen(terminal)
	}
	for _, line := range strings.Split(list(), "\r\n") {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("line of %d columns on a terminal of 80: %s", n, line)
		}
	}
	wantParts(t, "waits list on a terminal", list(), "0123…56789", "waiting")
	wantParts(t, "waits list --wide", list("--wide"), long)
	piped, _ := s.run(t, 0, "waits", "list")
	wantParts(t, "waits list in a pipe", piped, long)
}

// The cursor file makes every outcome arrive, also after a command that fails.
func TestFollowExec(t *testing.T) {
	s := start(t)
	s.environment = append(s.environment, "PATH="+os.Getenv("PATH"))
	folder := t.TempDir()
	cursor, log := filepath.Join(folder, "cursor"), filepath.Join(folder, "log")
	for _, id := range []string{"one", "two"} {
		s.open(t, id)
		s.run(t, 0, with([]string{"succeed"}, with(state(id), "--output", `{"n":1.10}`)...)...)
	}
	program := "cat >> " + log + "; echo >> " + log + "; ! grep -q '\"state_id\":\"two\"' " + log
	_, failed := s.run(t, 1, "waits", "follow", "--cursor-file", cursor, "--exec", program)
	wantParts(t, "waits follow --exec", failed, "--exec for wait", "exit status 1")
	if _, err := os.Stat(cursor); err == nil {
		t.Error("the cursor was kept although a command of its response failed")
	}
	stop := s.command(t, "waits", "follow", "--cursor-file", cursor, "--exec", "cat >> "+log+"; echo >> "+log)
	if err := stop.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := os.Stat(cursor); return err == nil })
	interrupt(t, stop)
	text, err := os.ReadFile(log)
	if err != nil || strings.Count(string(text), `"state_id":"one"`) != 2 || strings.Count(string(text), `"output":{"n":1.10}`) != 4 {
		t.Errorf("the commands received\n%s\n%v; want both outcomes twice, with every digit", text, err)
	}
}

// now is when the command was first started, also if that run has handed nothing on.
func TestFollowFromNow(t *testing.T) {
	s := start(t)
	s.environment = append(s.environment, "PATH="+os.Getenv("PATH"))
	cursor, log := filepath.Join(t.TempDir(), "cursor"), filepath.Join(t.TempDir(), "log")
	s.run(t, 0, "succeed", "--wait-id", s.open(t, "before"))
	first := s.command(t, "waits", "follow", "--after", "now", "--cursor-file", cursor)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := os.Stat(cursor); return err == nil })
	interrupt(t, first)
	id := s.open(t, "between")
	s.run(t, 0, "succeed", "--wait-id", id)
	second := s.command(t, "waits", "follow", "--after", "now", "--cursor-file", cursor, "--exec", "cat > "+log+".new; mv "+log+".new "+log)
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := os.Stat(log); return err == nil })
	interrupt(t, second)
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), id) {
		t.Errorf("the command received %s, %v; want the outcome of %s", text, err, id)
	}
}

// Outcomes are sent in the form of Standard Webhooks, until they are accepted.
func TestFollowForward(t *testing.T) {
	s := start(t)
	secret := []byte("0123456789abcdef0123456789abcdef")
	s.environment = append(s.environment, "FLOWCALLBACK_WEBHOOK_SECRET=whsec_"+base64.StdEncoding.EncodeToString(secret))
	var received atomic.Int64
	bodies := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "." + string(body)))
		if got, want := r.Header.Get("webhook-signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
			t.Errorf("webhook-signature = %s, want %s", got, want)
		}
		if received.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		bodies <- string(body)
	}))
	defer hook.Close()
	follow := s.command(t, "waits", "follow", "--after", "now", "--workflow-id", "workflow", "--forward-to", hook.URL)
	var errs strings.Builder
	follow.Stderr = &errs
	before := s.open(t, "before")
	s.run(t, 0, "succeed", "--wait-id", before)
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	id := s.open(t, "one")
	waitFor(t, func() bool { // until it follows, because now is when it asks
		s.run(t, 0, "succeed", "--wait-id", s.open(t, "try "+string(rune('a'+received.Load()%26))))
		return received.Load() > 0
	})
	s.run(t, 0, "succeed", "--wait-id", id)
	for {
		if body := <-bodies; strings.Contains(body, id) {
			break
		} else if strings.Contains(body, before) {
			t.Errorf("an outcome of before was sent: %s", body)
		}
	}
	interrupt(t, follow)
	wantParts(t, "waits follow --forward-to", errs.String(), "503", "sending again until it is accepted")
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for range 200 {
		if done() {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatal("it did not happen within some seconds")
}

func interrupt(t *testing.T, command *exec.Cmd) {
	t.Helper()
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _ = command.Wait(); command.ProcessState.ExitCode() != 130 {
		t.Errorf("exit status after an interrupt: %d, want 130", command.ProcessState.ExitCode())
	}
}

// A misspelled command or flag is answered with the one that was meant.
func TestSuggestions(t *testing.T) {
	s := start(t)
	for command, want := range map[string]string{
		"succed":                       "did you mean succeed?",
		"waits lst":                    "did you mean list?",
		"waits list --workflow x":      "unknown flag --workflow; did you mean --workflow-id?",
		"waits list --statu x":         "did you mean --status?",
		"waits list --endpoit=x":       "did you mean --endpoint?",
		"waits list --opened-before x": "2026-11-23T08:00:00Z",
		"waits list --limit 0":         "--limit 0: want at least 1",
	} {
		_, text := s.run(t, 2, strings.Fields(command)...)
		wantParts(t, command, text, want)
	}
	for _, command := range []string{"help", "version", "help waits list"} {
		if out, _ := s.run(t, 0, strings.Fields(command)...); out == "" {
			t.Errorf("%s printed nothing", command)
		}
	}
}

// On a terminal, help fits its width, and goes on below where the text of a line begins.
func TestHelpFitsTheTerminal(t *testing.T) {
	for _, arguments := range [][]string{{"--help"}, {"waits", "list", "--help"}, {"waits", "follow", "--help"}} {
		command := (shell{}).command(t, arguments...)
		command.Stdin = nil
		terminal, err := pty.StartWithSize(command, &pty.Winsize{Rows: 24, Cols: 80})
		if err != nil {
			t.Fatal(err)
		}
		defer terminal.Close()
		text := seen(terminal)
		for _, line := range strings.Split(text, "\r\n") {
			if n := len([]rune(line)); n > 80 && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("%q printed a line of %d columns on a terminal of 80: %s", arguments, n, line)
			}
		}
		if len(arguments) == 3 && arguments[1] == "list" {
			wantParts(t, "waits list --help", text, "--status STATUS           only waits with this STATUS: waiting, success,\r\n                             fail, expired or cancelled")
		}
	}
}
