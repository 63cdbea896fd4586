package main

import (
	"bytes"
	"testing"
)

// Lines that are queued at close are written. A write after close neither blocks nor panics,
// also one that reports dropped lines.
func TestLogWriterAfterClose(t *testing.T) {
	var out bytes.Buffer
	var l *logWriter
	release := make(chan struct{})
	l = newLogWriter(writerFunc(func(p []byte) (int, error) { <-release; return out.Write(p) }), func(int64) { _, _ = l.Write([]byte("dropped\n")) })
	const line = "line\n"
	const fit = logBuffer / len(line)
	for range 2*fit + 10 { // one buffer may be on its way
		_, _ = l.Write([]byte(line))
	}
	close(release)
	l.close()
	<-l.done
	if got := bytes.Count(out.Bytes(), []byte(line)); got < fit || !bytes.Contains(out.Bytes(), []byte("dropped\n")) {
		t.Errorf("%d lines were written, want at least %d and a report of the dropped ones", got, fit)
	}
	for range fit + 10 {
		_, _ = l.Write([]byte("late\n"))
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
