package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// printJSON prints a value on one line.
func (a *app) printJSON(value any) error { return encodeJSON(a.stdout, value) }

func encodeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// printError prints the error that ended the command, on standard error.
func (a *app) printError(status int, err error) {
	text := errorText(status, err)
	if !a.json {
		fmt.Fprintf(a.stderr, "flowcallback: %s\n", text)
		return
	}
	line := struct {
		Error      string             `json:"error"`
		ExitStatus int                `json:"exit_status"`
		StatusCode int                `json:"status_code,omitempty"`
		ErrorCode  callback.ErrorCode `json:"error_code,omitempty"`
		RequestID  string             `json:"request_id,omitempty"`
	}{Error: text, ExitStatus: status}
	var response *client.Error
	if errors.As(err, &response) {
		line.StatusCode, line.ErrorCode, line.RequestID = response.StatusCode, response.Code, response.RequestID
	}
	_ = encodeJSON(a.stderr, line) // there is nowhere left to report to
}

// printOutcome prints the outcome of a wait.
func (a *app) printOutcome(wait waits.Wait) error {
	if a.json {
		return a.printJSON(wait)
	}
	if wait.Outcome == nil {
		return nil // the error message has the status
	}
	_, err := fmt.Fprintln(a.stdout, outcomeText(wait))
	return err
}

// printWaits prints waits as a table.
func (a *app) printWaits(list iter.Seq2[waits.Wait, error]) error {
	if a.json {
		for wait, err := range list {
			if err != nil {
				return err
			}
			if err := a.printJSON(wait); err != nil {
				return err
			}
		}
		return nil
	}
	id := a.idWidth()
	table := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "WAIT ID\tWORKFLOW\tRUN\tSTATE\tAGE\tLEFT\tSTATUS")
	now := time.Now()
	for wait, err := range list {
		if err != nil {
			return err
		}
		age, left := now.Sub(wait.CreatedAt), ""
		if wait.SettledAt != nil {
			age = wait.SettledAt.Sub(wait.CreatedAt)
		}
		if wait.Status == waits.Waiting {
			left = span(wait.ExpiresAt.Sub(now))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shortened(wait.WaitID, id), shortened(printable(wait.WorkflowID), id), shortened(printable(string(wait.RunID)), id), shortened(printable(string(wait.StateID)), id),
			span(age), left, colored(a.stdout, wait.Status))
	}
	return table.Flush()
}

// printSettled prints one outcome of the feed.
func (a *app) printSettled(settled client.Settled) error {
	if a.json {
		return a.printJSON(struct {
			waits.Wait
			Cursor string `json:"cursor,omitempty"`
		}{settled.Wait, settled.Cursor})
	}
	text := strings.TrimPrefix(outcomeText(settled.Wait), string(settled.Status))
	return write(a.stdout, settled.SettledAt.Format(time.RFC3339), settled.WaitID,
		printable(settled.WorkflowID), printable(string(settled.RunID)), printable(string(settled.StateID)), colored(a.stdout, settled.Status)+text)
}

func write(w io.Writer, columns ...any) error {
	_, err := fmt.Fprintln(w, columns...)
	return err
}

func outcomeText(wait waits.Wait) string {
	switch {
	case wait.Outcome == nil:
		return string(wait.Status)
	case wait.Outcome.Error != "":
		return fmt.Sprintf("%s %q %s", wait.Status, wait.Outcome.Error, plainJSON(wait.Outcome.Output))
	default:
		return fmt.Sprintf("%s %s", wait.Status, plainJSON(wait.Outcome.Output))
	}
}

// printable quotes an id that would confuse a terminal, a table, or a runner of CI that takes
// lines with :: or ## at their beginning for commands.
func printable(id string) string {
	if strings.HasPrefix(id, "::") || strings.HasPrefix(id, "##") {
		return strconv.Quote(id)
	}
	if quoted := strconv.Quote(id); quoted != `"`+id+`"` {
		return quoted
	}
	return id
}

// plain returns a text from elsewhere on one line, with escapes for what controls a terminal.
func plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}

// plainJSON is plain for JSON, of which it keeps the value. Characters that only join others stay.
func plainJSON(text []byte) string {
	var compact bytes.Buffer
	if json.Compact(&compact, text) != nil {
		return plain(string(text))
	}
	var b strings.Builder
	for _, r := range compact.String() {
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			fmt.Fprintf(&b, `\u%04x`, r) // all are below U+10000
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
