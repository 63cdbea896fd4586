package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/flowcallback/flowcallback/server/servertest"
)

// interactive are shells without the user's settings, and so without any package for completion,
// and how each loads the script.
var interactive = map[string]struct {
	command []string
	load    string
}{
	"bash": {[]string{"bash", "--norc", "--noprofile", "-i"}, `source <(flowcallback completion bash)`},
	"zsh":  {[]string{"zsh", "-f", "-i"}, `source <(flowcallback completion zsh)`},
}

// inShell types keys into an interactive shell that has loaded the script, and returns what the
// terminal shows until it has the wanted text, or after some seconds.
func inShell(t *testing.T, name, keys, want string) (screen string) {
	t.Helper()
	shell := interactive[name]
	if _, err := exec.LookPath(shell.command[0]); err != nil {
		t.Skip(err)
	}
	folder := t.TempDir()
	if err := os.Symlink(servertest.Build(t, "client/cmd/flowcallback"), filepath.Join(folder, "flowcallback")); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), shell.command[0], shell.command[1:]...)
	command.Env = []string{"PATH=" + folder + ":" + os.Getenv("PATH"), "HOME=" + folder, "TERM=dumb", "PS1=% ", "PROMPT=% "}
	command.Dir = folder
	terminal, err := pty.StartWithSize(command, &pty.Winsize{Rows: 40, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = command.Process.Kill(); terminal.Close(); _ = command.Wait() }()
	shown := make(chan string, 1000)
	go func() {
		for buffer := make([]byte, 4096); ; {
			n, err := terminal.Read(buffer)
			if err != nil {
				return
			}
			shown <- string(buffer[:n])
		}
	}()
	enter := func(text string) {
		if _, err := terminal.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	until := func(text string) bool {
		for deadline := time.After(10 * time.Second); ; {
			if strings.Contains(screen, text) {
				return true
			}
			select {
			case more := <-shown:
				screen += more
			case <-deadline:
				return false
			}
		}
	}
	enter(shell.load + "; echo loa''ded\n")
	if !until("loaded\r\n") {
		t.Fatalf("%s did not load the script:\n%s", name, screen)
	}
	screen = ""
	enter(keys)
	if !until(want) {
		t.Errorf("%s after %q shows\n%q\nwant %q in it", name, keys, screen, want)
	}
	return screen
}

func TestCompletionInRealShells(t *testing.T) {
	for name := range interactive {
		for keys, want := range map[string]string{
			"flowcallback wai\t":                                "flowcallback waits ",
			"flowcallback waits li\t\t":                         "links",
			"flowcallback waits list --statu\t":                 "--status ",
			"flowcallback waits list --status canc\t":           "--status cancelled",
			"flowcallback --json waits list --status=exp\t":     "--status=expired",
			"flowcallback succeed --workflow-id waits --wait\t": "--wait-id",
			"flowcallback waits list --status=\t\t":             "cancelled",
			"flowcallback completion fi\t":                      "completion fish",
		} {
			inShell(t, name, keys, want)
		}
	}
}

// Nothing on the line is evaluated, not even while it is completed.
func TestCompletionEvaluatesNothing(t *testing.T) {
	for name := range interactive {
		file := filepath.Join(t.TempDir(), "evaluated")
		for _, word := range []string{"'$(touch " + file + ")'", "'`touch " + file + "`'", "'; touch " + file + ";'"} {
			inShell(t, name, "flowcallback waits list --run-id "+word+" --status canc\t", "cancelled")
			if _, err := os.Stat(file); err == nil {
				t.Fatalf("%s evaluated %s", name, word)
			}
		}
	}
}

func TestCompletionInFish(t *testing.T) {
	if _, err := exec.LookPath("fish"); err != nil {
		t.Skip(err)
	}
	folder := t.TempDir()
	if err := os.Symlink(servertest.Build(t, "client/cmd/flowcallback"), filepath.Join(folder, "flowcallback")); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"flowcallback waits exte":                 "extend\tgive a wait a new deadline",
		"flowcallback waits list --status canc":   "cancelled",
		"flowcallback waits list --expires":       "--expires-before\t",
		"flowcallback waits list --tag x --oldes": "--oldest\t",
	} {
		command := exec.CommandContext(t.Context(), "fish", "--no-config", "-c", `flowcallback completion fish | source; complete -C "`+line+`"`)
		command.Env = []string{"PATH=" + folder + ":" + os.Getenv("PATH"), "HOME=" + folder}
		if output, err := command.CombinedOutput(); err != nil || !strings.HasPrefix(string(output), want) {
			t.Errorf("fish completes %q with %q, %v; want %q", line, output, err, want)
		}
	}
}
