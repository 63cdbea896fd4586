package main

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// logBuffer limits the bytes of lines that wait to be written. More lines are dropped.
	logBuffer = 1 << 20
	// logFlushTimeout limits how long the last lines may take at exit.
	logFlushTimeout = time.Second
)

// logWriter writes lines in a goroutine of its own, as many at once as there are, so that a log
// that is not read does not block the server. It counts the lines that it drops.
type logWriter struct {
	mu      sync.Mutex
	lines   []byte
	dropped int64

	news chan struct{} // there are lines
	stop chan struct{}
	done chan struct{}
}

func newLogWriter(w io.Writer, reportDropped func(n int64)) *logWriter {
	l := &logWriter{news: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		var lines []byte
		for last := false; !last; {
			select {
			case <-l.news:
			case <-l.stop:
				last = true
			}
			var dropped int64
			lines, dropped = l.take(lines[:0])
			_, _ = w.Write(lines) // a reader that has gone is no reason to stop
			if dropped > 0 {
				reportDropped(dropped)
			}
		}
		lines, _ = l.take(nil) // the last report
		_, _ = w.Write(lines)
	}()
	return l
}

// take returns the lines that wait, and the number of those that were dropped. The next lines
// are collected in buffer.
func (l *logWriter) take(buffer []byte) (lines []byte, dropped int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines, dropped = l.lines, l.dropped
	l.lines, l.dropped = buffer, 0
	return lines, dropped
}

// Write adds a line. It never waits for the log's reader, and may be called after close:
// handlers that outlive the server may still log.
func (l *logWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	if len(l.lines)+len(line) > logBuffer {
		l.dropped++
	} else {
		l.lines = append(l.lines, line...)
	}
	l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
	return len(line), nil
}

// close writes the last lines, if they can be written soon.
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
