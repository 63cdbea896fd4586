package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"
)

// printHelp prints help. On a terminal, lines that are too long go on below where their text
// begins.
func printHelp(w io.Writer, template string, data any) {
	var help bytes.Buffer
	cli.DefaultPrintHelp(&help, template, data)
	_, _ = io.WriteString(w, wrapped(help.String(), columns(w))) // there is nowhere to report to
}

// columns returns the width of the terminal, or 0 if w is none.
func columns(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok || !isTerminal(w) {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// item matches the beginning of a line in a list: a flag or a command, and the spaces after it.
var item = regexp.MustCompile(`^ +\S.*?\S {2,}`)

// wrapped breaks the lines of a text at a width; 0 breaks none.
func wrapped(text string, width int) string {
	const least = 20 // of text in a line
	if width == 0 {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if begin := item.FindString(line); begin != "" {
			indent = len(begin)
		}
		if width-indent < least {
			indent = 6
		}
		for rest := strings.TrimSuffix(line, "\n"); ; {
			runes := []rune(rest)
			if len(runes) <= width {
				out.WriteString(rest + "\n")
				break
			}
			at := strings.LastIndex(string(runes[:width+1]), " ")
			if at <= indent { // the first word is too long, such as a URL
				next := strings.Index(rest[min(indent, len(rest)):], " ")
				if next < 0 {
					out.WriteString(rest + "\n")
					break
				}
				at = indent + next
			}
			out.WriteString(strings.TrimRight(rest[:at], " ") + "\n")
			rest = strings.Repeat(" ", indent) + strings.TrimLeft(rest[at:], " ")
		}
	}
	return out.String()
}
