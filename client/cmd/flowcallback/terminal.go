package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/flowcallback/flowcallback/gen/waits"
)

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// idWidth returns how many columns each of the four ids in a table of waits may take, so that the
// table fits the terminal; 0 means any number.
func (a *app) idWidth() int {
	const others, least = 40, 8 // the other columns and the spaces in between
	width := columns(a.stdout)
	if width == 0 || a.wide {
		return 0
	}
	return max(least, (width-others)/4)
}

// hasColor reports whether output to w may have colour: on a terminal, unless NO_COLOR is set
// (no-color.org) or the terminal is dumb.
func hasColor(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// colors are the terminal's escape sequences for the statuses.
var colors = map[waits.Status]string{
	waits.Waiting: "\x1b[33m", waits.Success: "\x1b[32m", waits.Fail: "\x1b[31m", waits.Expired: "\x1b[90m", waits.Cancelled: "\x1b[90m",
}

// colored returns a status in its colour if w shows colours.
func colored(w io.Writer, status waits.Status) string {
	if !hasColor(w) {
		return string(status)
	}
	return colors[status] + string(status) + "\x1b[0m"
}

// countDown shows on a terminal how much time a wait has left, until stop is called.
func countDown(ctx context.Context, w io.Writer, wait waits.Wait) (stop func()) {
	if !isTerminal(w) || wait.Status != waits.Waiting {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var showing sync.WaitGroup
	showing.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			fmt.Fprintf(w, "\r\x1b[Kwaiting, %s left", span(time.Until(wait.ExpiresAt)))
			select {
			case <-ctx.Done():
				fmt.Fprint(w, "\r\x1b[K")
				return
			case <-ticker.C:
			}
		}
	})
	return func() {
		cancel()
		showing.Wait()
	}
}

// span formats a duration in its two largest units.
func span(d time.Duration) string {
	s := int(max(0, d).Seconds())
	switch {
	case s >= 86400:
		return fmt.Sprintf("%dd%dh", s/86400, s/3600%24)
	case s >= 3600:
		return fmt.Sprintf("%dh%dm", s/3600, s/60%60)
	case s >= 60:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	default:
		return fmt.Sprintf("%ds", s)
	}
}
