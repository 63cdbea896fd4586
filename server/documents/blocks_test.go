package documents

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// A block is a fenced block of a document that shows a terminal.
type block struct {
	line     int
	terminal string // its name; "" is the terminal of blocks without a comment
	running  bool   // its last command keeps running
	output   bool   // it shows only what a running command printed later
	text     []string
}

// comment stands before a block whose terminal is not the usual one, such as
// <!-- terminal: server, keeps running -->
var comment = regexp.MustCompile(`^<!-- terminal: ([a-z]+), (keeps running|output) -->$`)

// readBlocks returns the console blocks of a document, in order.
func readBlocks(t *testing.T, path string) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var next, current block
	inside, skipped := false, false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case inside && line == "```":
			inside = false
			blocks = append(blocks, current)
		case inside:
			current.text = append(current.text, line)
		case skipped:
			skipped = line != "```"
		case line == "```console", line == "```" && next.output:
			current, next, inside = next, block{}, true
			current.line = i + 2
		case strings.HasPrefix(line, "```"):
			skipped = true
		default:
			if match := comment.FindStringSubmatch(line); match != nil {
				next = block{terminal: match[1], running: match[2] == "keeps running", output: match[2] == "output"}
			}
		}
	}
	return blocks
}

// A step is one command and what it prints.
type step struct {
	line    int
	command string
	want    []string
	running bool
}

// steps splits a block at its prompts, "$ ". A command continues on a line after a
// backslash, and on lines with the prompt "> ".
func (b block) steps() (steps []step) {
	if b.output {
		return []step{{line: b.line, want: b.text, running: true}}
	}
	continued := false
	for i, line := range b.text {
		command, isPrompt := strings.CutPrefix(line, "$ ")
		more, isMore := strings.CutPrefix(line, "> ")
		switch last := len(steps) - 1; {
		case isPrompt:
			steps = append(steps, step{line: b.line + i, command: command})
		case continued:
			steps[last].command += "\n" + line
			command = line
		case isMore && len(steps[last].want) == 0:
			steps[last].command += "\n" + more
			command = more
		default:
			steps[last].want = append(steps[last].want, line)
			command = ""
		}
		continued = strings.HasSuffix(command, `\`)
	}
	if len(steps) > 0 {
		steps[len(steps)-1].running = b.running
	}
	return steps
}

// pattern returns a regular expression for the printed lines. In a line, … matches any text. A
// line that is only … matches any number of lines.
func pattern(want []string) string {
	var b strings.Builder
	for _, line := range want {
		if line == "…" {
			b.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`) + `\n`)
	}
	return b.String()
}

// runningPattern returns a regular expression for lines that a running command prints. Its
// access log may come between them.
func runningPattern(want []string) string {
	lines := make([]string, len(want))
	for i, line := range want {
		lines[i] = pattern([]string{line})
	}
	return "(?m)^" + strings.Join(lines, `(?:time=[^\n]* msg=request [^\n]*\n)*`)
}

func TestBlocks(t *testing.T) {
	path := t.TempDir() + "/x.md"
	text := "```console\n$ a \\\n    b\nout …\n$ c <<END\n> d\n> END\n```\n<!-- terminal: server, keeps running -->\n```console\n$ e\n```\n```go\n$ not\n```\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range readBlocks(t, path) {
		for _, s := range b.steps() {
			got = append(got, fmt.Sprintf("%d %s %q %q %t", s.line, b.terminal, s.command, s.want, s.running))
		}
	}
	want := []string{`2  "a \\\n    b" ["out …"] false`, `5  "c <<END\nd\nEND" [] false`, `11 server "e" [] true`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("steps:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if p := "^" + pattern([]string{"a…c", "…", "z"}) + "$"; !regexp.MustCompile(p).MatchString("abc\nd\ne\nz\n") || regexp.MustCompile(p).MatchString("abd\nz\n") {
		t.Errorf("pattern %s does not match as described", p)
	}
	if p := runningPattern([]string{"a", "b"}) + "$"; !regexp.MustCompile(p).MatchString("before\na\ntime=1 level=INFO msg=request status=200\nb\n") || regexp.MustCompile(p).MatchString("a\nother\nb\n") {
		t.Errorf("pattern %s does not match as described", p)
	}
}
