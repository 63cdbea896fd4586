package documents

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// notRun lists documents whose console blocks do not run here, with the reason.
var notRun = map[string]string{
	"server/engine/temporal/README.md": "it builds Temporal's command, which takes minutes; `make e2e` runs the example",
}

// withPostgres runs the documents that need PostgreSQL and nginx.
var (
	withPostgres  = flag.Bool("postgres", false, "run the documents that need PostgreSQL and nginx; make postgres-test does")
	needsPostgres = []string{"server/engine/postgres/README.md"}
)

// longest is how long a command may take. The first one builds the commands.
const longest = 5 * time.Minute

// TestDocuments runs the console blocks of each document in a copy of the project, in order,
// and compares what they print. Addresses are replaced by free ones.
func TestDocuments(t *testing.T) {
	root := projectRoot(t)
	for _, document := range documents(t, root) {
		blocks := readBlocks(t, filepath.Join(root, document))
		if len(blocks) == 0 {
			continue
		}
		t.Run(document, func(t *testing.T) {
			if reason, ok := notRun[document]; ok {
				t.Skip(reason)
			}
			if slices.Contains(needsPostgres, document) && !*withPostgres {
				t.Skip("without PostgreSQL; make postgres-test runs it")
			}
			s := newSession(t, copyProject(t, root))
			for _, b := range blocks {
				for _, step := range b.steps() {
					if !s.terminal(t, b.terminal).run(t, s, fmt.Sprintf("%s:%d", document, step.line), step) {
						return
					}
				}
			}
		})
	}
	for document := range notRun {
		if !slices.Contains(documents(t, root), document) {
			t.Errorf("notRun lists %s, which does not exist", document)
		}
	}
}

// linkTarget matches a relative link or image of a document.
var linkTarget = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

// Every relative link of a document leads to a file.
func TestLinks(t *testing.T) {
	root := projectRoot(t)
	for _, document := range documents(t, root) {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range linkTarget.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(document), match[1])); err != nil {
				t.Errorf("%s links %s: %v", document, match[1], err)
			}
		}
	}
}

func projectRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// files returns the files of the project that git tracks, or would.
func files(t *testing.T, root string, patterns ...string) []string {
	t.Helper()
	command := exec.Command("git", append([]string{"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"}, patterns...)...)
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	var found []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(output), "\x00"), "\x00") {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil {
			found = append(found, name)
		}
	}
	return found
}

func documents(t *testing.T, root string) []string { return files(t, root, "*.md") }

// copyProject returns a copy of the project, as a fresh clone would have it.
func copyProject(t *testing.T, root string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range files(t, root) {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, data, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// A session has the terminals of a document.
type session struct {
	folder    string
	addresses *strings.Replacer // free addresses for those in the document
	listen    string
	terminals map[string]*terminal
}

func newSession(t *testing.T, folder string) *session {
	t.Helper()
	var replacements []string
	listen := ""
	for _, port := range []string{"8080", "8081", "8082", "8443", "5433"} { // that the documents name
		free := freePort(t)
		if listen == "" {
			listen = free
		}
		replacements = append(replacements, "127.0.0.1:"+port, "127.0.0.1:"+free, "localhost:"+port, "localhost:"+free)
	}
	s := &session{folder: folder, listen: "127.0.0.1:" + listen, terminals: map[string]*terminal{}, addresses: strings.NewReplacer(replacements...)}
	for _, name := range []string{"Makefile", "server/operations/nginx.conf"} {
		s.replaceIn(t, name)
	}
	return s
}

// replaceIn replaces the addresses in a file.
func (s *session) replaceIn(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join(s.folder, name)
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(s.addresses.Replace(string(text))), 0o644) //nolint:gosec // nginx reads it
	}
	if err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// A terminal is a shell that runs commands one after another.
type terminal struct {
	stdin   *os.File
	printed *output
	seen    int // of the printed bytes
}

// terminal returns the terminal with the given name, and starts it the first time.
func (s *session) terminal(t *testing.T, name string) *terminal {
	t.Helper()
	if found := s.terminals[name]; found != nil {
		return found
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("bash")
	printed := &output{grown: make(chan struct{}, 1)}
	shell.Dir, shell.Stdin, shell.Stdout, shell.Stderr = s.folder, reader, printed, printed
	shell.Env = append(os.Environ(), "HOME="+s.folder, "GOPATH="+goEnv(t, "GOPATH"), "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"),
		"GOFLAGS=-buildvcs=false", "FLOWCALLBACKD_LISTEN="+s.listen, "FLOWCALLBACK_CONFIG=", "MAKEFLAGS=", "NO_COLOR=1")
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.WaitDelay = 10 * time.Second // for what it has left running
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	reader.Close()
	s.terminals[name] = &terminal{stdin: writer, printed: printed}
	t.Cleanup(func() {
		writer.Close()
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGTERM)
		_ = shell.Wait()
	})
	return s.terminals[name]
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

// run runs a step and reports whether it printed what the document shows.
func (x *terminal) run(t *testing.T, s *session, place string, step step) bool {
	t.Helper()
	// curl shows progress if its output is not a terminal, which it is for a reader.
	command := strings.ReplaceAll(s.addresses.Replace(step.command), "curl -i ", "curl -i -s ")
	want := slices.Clone(step.want)
	for i, line := range want {
		want[i] = s.addresses.Replace(line)
	}
	const done = "-- done --"
	expression := "^" + pattern(want)
	switch {
	case command != "" && step.running:
		fmt.Fprintf(x.stdin, "%s\n", command)
	case command != "":
		fmt.Fprintf(x.stdin, "%s\necho; echo '%s'\n", command, done)
		// A last line without a newline, such as curl's, gets one from the first echo.
		expression = "^" + strings.TrimSuffix(pattern(want), `\n`) + `\n*` + done + `\n`
	}
	if step.running {
		expression = runningPattern(want)
	}
	matched, printed := x.printed.await(x.seen, regexp.MustCompile(expression))
	if !matched {
		t.Errorf("%s: %s\nprinted\n%s\nwant\n%s", place, command, printed, strings.Join(want, "\n"))
		return false
	}
	x.seen += len(printed)
	return true
}

// output is what a shell has printed.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	grown  chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.grown <- struct{}{}:
	default:
	}
	o.buffer.Write(bytes.ReplaceAll(p, []byte("\r"), nil)) // of HTTP headers
	return len(p), nil
}

// await blocks until what was printed after the first bytes matches. It returns the text up
// to the end of the match, or all of it.
func (o *output) await(from int, expression *regexp.Regexp) (matched bool, printed string) {
	timeout := time.After(longest)
	for {
		o.mu.Lock()
		text := o.buffer.String()[from:]
		o.mu.Unlock()
		if at := expression.FindStringIndex(text); at != nil {
			return true, text[:at[1]]
		}
		if strings.Contains(text, "-- done --\n") {
			return false, text
		}
		select {
		case <-o.grown:
		case <-timeout:
			return false, text
		}
	}
}
