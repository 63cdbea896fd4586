package main

import (
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// logQueue is how many lines may wait to be written. More are dropped.
	logQueue = 4096
	// logFlushTimeout limits how long the last lines may take at exit.
	logFlushTimeout = time.Second
)

// logWriter writes lines in a goroutine of its own, so that a log that is not read does not
// block the server. It counts the lines that it drops.
type logWriter struct {
	lines   chan []byte
	dropped atomic.Int64
	stop    chan struct{}
	done    chan struct{}
}

func newLogWriter(w io.Writer, reportDropped func(n int64)) *logWriter {
	l := &logWriter{lines: make(chan []byte, logQueue), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for line := l.next(); line != nil; line = l.next() {
			_, _ = w.Write(line) // a reader that has gone is no reason to stop
			if n := l.dropped.Swap(0); n > 0 {
				reportDropped(n)
			}
		}
	}()
	return l
}

// next blocks until there is a line, and returns it. After close it returns the queued lines
// and then nil.
func (l *logWriter) next() []byte {
	select {
	case line := <-l.lines:
		return line
	case <-l.stop:
	}
	select {
	case line := <-l.lines:
		return line
	default:
		return nil
	}
}

// Write queues a line. It never blocks, and may be called after close: handlers that outlive
// the server may still log.
func (l *logWriter) Write(line []byte) (int, error) {
	select {
	case l.lines <- append([]byte(nil), line...):
	default:
		l.dropped.Add(1)
	}
	return len(line), nil
}

// close writes the queued lines, if they can be written soon.
func (l *logWriter) close() {
	close(l.stop)
	select {
	case <-l.done:
	case <-time.After(logFlushTimeout):
	}
}

// newLogger returns a logger that writes to w in the given format, and a function that ends
// it.
func newLogger(format, level string, w io.Writer) (logger *slog.Logger, stop func(), err error) {
	var options slog.HandlerOptions
	var minimum slog.Level
	if err := minimum.UnmarshalText([]byte(level)); err != nil {
		return nil, nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", level)
	}
	options.Level = minimum
	writer := newLogWriter(w, func(n int64) {
		logger.Warn("log lines were dropped, because they were not read fast enough", "lines", n)
	})
	switch format {
	case "text":
		logger = slog.New(slog.NewTextHandler(writer, &options))
	case "json":
		logger = slog.New(slog.NewJSONHandler(writer, &options))
	default:
		writer.close()
		return nil, nil, fmt.Errorf("--log-format %q: want text or json", format)
	}
	return logger, writer.close, nil
}
