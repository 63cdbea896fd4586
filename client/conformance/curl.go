package conformance

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// curl returns a request as a command for bash. sent are its headers with the credentials, which the command takes from
// the environment.
func curl(endpoint string, q request, sent http.Header) string {
	command := "curl -i -X " + q.method
	if q.method == http.MethodHead {
		command = "curl --head" // with -X it would wait for a body
	}
	parts := []string{command + " " + quoted(endpoint+q.path)}
	if _, given := q.header["Content-Type"]; !given {
		parts = append(parts, "-H 'Content-Type:'") // else curl says that it is a form
	}
	for _, name := range slices.Sorted(maps.Keys(q.header)) {
		for _, value := range q.header[name] {
			header := name + ": " + value
			if value == "" {
				header = name + ";" // how curl sends an empty one
			}
			parts = append(parts, "-H "+quoted(header))
		}
	}
	if sent.Get("X-Auth-Token") != "" {
		parts = append(parts, `-H "X-Auth-Token: $FLOWCALLBACK_TOKEN"`)
	}
	const most = 500
	switch {
	case q.method == http.MethodHead:
	case len(q.body) > most:
		parts = append(parts, fmt.Sprintf("--data-binary @- # %d bytes, beginning with %q", len(q.body), q.body[:60]))
	case q.body != "":
		parts = append(parts, "--data-binary "+quoted(q.body))
	}
	if sent.Get("Authorization") != "" {
		parts = append(parts, "# and a signature")
	}
	return strings.Join(parts, " ")
}

// quoted returns a text as a word of bash, on one line.
func quoted(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	var word strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\'' || c == '\\':
			word.WriteString("\\" + string(c))
		case c < ' ' || c >= utf8.RuneSelf:
			fmt.Fprintf(&word, `\x%02x`, c)
		default:
			word.WriteByte(c)
		}
	}
	return "$'" + word.String() + "'"
}
