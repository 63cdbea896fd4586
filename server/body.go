package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	initialSize  = 4 << 10 // of a body's buffer, in bytes
	growthFactor = 2       // of a buffer that is full

	// A body must arrive at minBodyRate bytes a second. Each part of it may be late by
	// bodyGrace.
	minBodyRate = 16 << 10
	bodyGrace   = 5 * time.Second
)

// bodies reads request bodies within limits.
type bodies struct {
	limit  int64 // of one body
	memory *memory
}

// read reads the body into memory, so that later middleware does not wait for the sender. It
// refuses a body larger than the limit with *http.MaxBytesError: before it reads, if the
// request states the length, else as soon as the limit is exceeded. It refuses a slow one
// with os.ErrDeadlineExceeded, and one for which there is no memory with
// engine.ErrOverloaded. The body takes memory of the owner until it is released; held is nil
// if the body was read before.
func (b bodies) read(c echo.Context, o owner) (body *contract.Body, held *share, err error) {
	r := c.Request()
	if body, ok := r.Body.(*contract.Body); ok {
		return body, nil, nil
	}
	buffer := buffer{share: share{memory: b.memory, owner: o}}
	if r.ContentLength != 0 {
		err = b.fill(&buffer, c)
	}
	if err != nil {
		buffer.release()
		return nil, nil, err
	}
	body = contract.NewBody(buffer.data)
	r.Body = body
	return body, &buffer.share, nil
}

func (b bodies) fill(buffer *buffer, c echo.Context) error {
	r := c.Request()
	if r.ContentLength > b.limit {
		return &http.MaxBytesError{Limit: b.limit}
	}
	source := r.Body
	if r.ContentLength < 0 {
		source = http.MaxBytesReader(c.Response().Writer, source, b.limit)
	}
	connection := http.NewResponseController(c.Response())
	buffer.arrive(func() { _ = connection.SetReadDeadline(time.Unix(1, 0)) })
	err := buffer.read(source, r.ContentLength, b.limit, func(size int64) {
		_ = connection.SetReadDeadline(time.Now().Add(bodyGrace + time.Duration(size)*time.Second/minBodyRate))
	})
	if dropped := buffer.arrived(); dropped && err != nil {
		err = fmt.Errorf("the body was slow, and its memory was needed: %w", engine.ErrOverloaded)
	}
	if err != nil {
		return &readError{err}
	}
	_ = connection.SetReadDeadline(time.Time{}) // net/http sets it for the next request
	return nil
}

// readBody reads the body for the principal of the request, unless its credentials needed
// the body.
func (b bodies) readBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		_, held, err := b.read(c, ownerOf(c))
		if err != nil {
			return err
		}
		if held != nil {
			defer held.release()
		}
		return next(c)
	}
}

// ownerOf returns the owner of a request's memory: its principal, or its address.
func ownerOf(c echo.Context) owner {
	r := requestIn(c)
	if r.principal.Name != "" {
		return owner{r.principal.Name, true}
	}
	return owner{r.client, false}
}

// closeAfterResponse sets Connection: close, so that net/http does not drain a large unread
// body. In HTTP/2, where it would end the other requests of the connection, the body's stream
// ends by itself.
func closeAfterResponse(c echo.Context) {
	if c.Request().ProtoMajor > 1 {
		return
	}
	_, isRead := c.Request().Body.(*contract.Body)
	if n := c.Request().ContentLength; !isRead && (n < 0 || n > initialSize) {
		c.Response().Header().Set("Connection", "close")
	}
}

// closeIfChunked ends the connection after a request with Transfer-Encoding. If it has a
// Content-Length too, which net/http hides, RFC 9112, section 6.1, demands that: a proxy may
// have seen another end of the body.
func closeIfChunked(c echo.Context) {
	if r := c.Request(); r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		c.Response().Header().Set("Connection", "close")
	}
}

// buffer is a body whose memory is accounted for.
type buffer struct {
	share
	data []byte
}

// read reads the whole body. length is its stated length, or -1. The buffer grows as the
// body arrives, up to the length or the limit; before each part, read calls expect with its
// size. read returns engine.ErrOverloaded if there is no memory left.
func (b *buffer) read(body io.Reader, length, limit int64, expect func(size int64)) error {
	largest := length
	if length < 0 {
		largest = limit + 1 // the limit, and one byte to see that it is exceeded
	}
	for size := min(largest, initialSize); ; size = min(largest, growthFactor*size) {
		part := size - int64(len(b.data))
		if !b.take(part) {
			return fmt.Errorf("memory for bodies: %w", engine.ErrOverloaded)
		}
		expect(part)
		if b.isDropped() { // before expect, which moved the deadline
			return os.ErrDeadlineExceeded
		}
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

// readError is an error from reading a body.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }
