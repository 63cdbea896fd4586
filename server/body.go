package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// readBody reads the body into memory, so that later middleware does not wait for the
// sender. It refuses a body larger than limit with *http.MaxBytesError: before it reads, if
// the request states the length, else as soon as the limit is exceeded. The body takes its
// share of memory until the response is sent.
func readBody(limit int64, memory *semaphore.Weighted) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.ContentLength == 0 {
				r.Body = contract.NewBody(nil)
				return next(c)
			}
			if r.ContentLength > limit {
				closeAfterResponse(c)
				return &http.MaxBytesError{Limit: limit}
			}
			b := buffer{memory: memory}
			defer b.release()
			body := r.Body
			if r.ContentLength < 0 {
				body = http.MaxBytesReader(c.Response().Writer, body, limit)
			}
			if err := b.read(body, r.ContentLength, limit); err != nil {
				closeAfterResponse(c)
				return &readError{err}
			}
			r.Body = contract.NewBody(b.data)
			return next(c)
		}
	}
}

// closeAfterResponse sets Connection: close, so that net/http does not drain a large unread
// body.
func closeAfterResponse(c echo.Context) {
	if n := c.Request().ContentLength; n < 0 || n > initialSize {
		c.Response().Header().Set("Connection", "close")
	}
}

const (
	initialSize  = 4 << 10 // of a buffer, in bytes
	growthFactor = 8       // of a buffer that is full
)

// buffer is a body whose memory is accounted for.
type buffer struct {
	data   []byte
	memory *semaphore.Weighted
	taken  int64
}

// read reads the whole body. length is its stated length, or -1. The buffer grows as the
// body arrives, up to the length or the limit. read returns engine.ErrOverloaded if there
// is no memory left.
func (b *buffer) read(body io.Reader, length, limit int64) error {
	largest := length
	if length < 0 {
		largest = limit + 1 // the limit, and one byte to see that it is exceeded
	}
	for size := min(largest, initialSize); ; size = min(largest, growthFactor*size) {
		if !b.memory.TryAcquire(size - b.taken) {
			return fmt.Errorf("memory for bodies: %w", engine.ErrOverloaded)
		}
		b.taken = size
		grown := make([]byte, size)
		n := copy(grown, b.data)
		for n < len(grown) {
			read, err := body.Read(grown[n:])
			n += read
			b.data = grown[:n]
			if errors.Is(err, io.EOF) && (length < 0 || int64(n) == length) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		if length == size {
			return nil
		}
	}
}

// release returns the memory.
func (b *buffer) release() { b.memory.Release(b.taken) }

// readError is an error from reading a body.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }
