package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// waitSeconds is the parameter by which a request asks to be held back. It means that only
// to operations that declare it, whose contract check then bounds it.
const waitSeconds = "wait_seconds"

// slots are what is under way: as many as the channel holds.
type slots chan struct{}

// choose returns which slots a request takes one of. Requests that ask to be held back are
// counted apart: they may be many, and keep nobody else out.
func choose(requests, polls slots, operation *contract.Operation) func(*http.Request) slots {
	mayPoll := operation.HasQuery(waitSeconds)
	return func(r *http.Request) slots {
		if mayPoll && r.URL.Query().Has(waitSeconds) {
			return polls
		}
		return requests
	}
}

// refuseWhenFull refuses with engine.ErrOverloaded, before anything of its body is read, a
// request that limitInFlight would have to refuse.
func refuseWhenFull(requests, polls slots, operation *contract.Operation) echo.MiddlewareFunc {
	of := choose(requests, polls, operation)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if slots := of(c.Request()); len(slots) == cap(slots) {
				leaveUnread(c)
				return engine.ErrOverloaded
			}
			return next(c)
		}
	}
}

// limitInFlight refuses with engine.ErrOverloaded what is more than may be under way. It
// comes after the body, so that a slot is not held while somebody sends.
func limitInFlight(requests, polls slots, operation *contract.Operation) echo.MiddlewareFunc {
	of := choose(requests, polls, operation)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			slots := of(c.Request())
			select {
			case slots <- struct{}{}:
			default:
				return engine.ErrOverloaded
			}
			defer func() { <-slots }()
			return next(c)
		}
	}
}

// limitBody reads the body into memory, refusing with *http.MaxBytesError one of more than
// limit bytes: before reading where the sender announces its size, else as soon as it is
// too much. What comes after it can read the body without waiting for the sender. It takes
// of memory what the body fills, until the request is answered.
func limitBody(limit int64, memory *semaphore.Weighted) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.ContentLength == 0 {
				r.Body = contract.NewBody(nil)
				return next(c)
			}
			if r.ContentLength > limit {
				leaveUnread(c)
				return &http.MaxBytesError{Limit: limit}
			}
			b := buffer{memory: memory}
			defer b.release()
			body := r.Body
			if r.ContentLength < 0 {
				body = http.MaxBytesReader(c.Response().Writer, body, limit)
			}
			if err := b.read(body, r.ContentLength, limit); err != nil {
				leaveUnread(c)
				return &readError{err}
			}
			r.Body = contract.NewBody(b.data)
			return next(c)
		}
	}
}

// leaveUnread has the connection closed with the answer, unless the body is small: else
// net/http would wait for the rest of it before it answers.
func leaveUnread(c echo.Context) {
	if n := c.Request().ContentLength; n < 0 || n > firstRead {
		c.Response().Header().Set("Connection", "close")
	}
}

const (
	firstRead = 4 << 10 // the memory that a body gets before any of it has arrived
	growth    = 8       // how many times as much it gets whenever that is full
)

// buffer is a body in memory that is accounted for.
type buffer struct {
	data   []byte
	memory *semaphore.Weighted
	taken  int64
}

// read reads to the end of body, whose size was announced, -1 if it was not. The buffer
// grows as the body arrives, up to its size or limit, and fails with engine.ErrOverloaded
// where there is no memory left for it.
func (b *buffer) read(body io.Reader, announced, limit int64) error {
	most := announced
	if announced < 0 {
		most = limit + 1 // one more, to see that it is too large
	}
	for size := min(most, firstRead); ; size = min(most, growth*size) {
		if !b.memory.TryAcquire(size - b.taken) {
			return fmt.Errorf("memory for bodies: %w", engine.ErrOverloaded)
		}
		b.taken = size
		whole := make([]byte, size)
		n := copy(whole, b.data)
		for n < len(whole) {
			read, err := body.Read(whole[n:])
			n += read
			b.data = whole[:n]
			if errors.Is(err, io.EOF) && (announced < 0 || int64(n) == announced) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		if announced == size {
			return nil
		}
	}
}

// release gives the memory back.
func (b *buffer) release() { b.memory.Release(b.taken) }

// readError is a body that did not arrive whole.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// limitTime ends the request's context after limit, besides the seconds that the request,
// found valid by now, asks to wait. Only who waits can leave: any other request, once it
// has arrived whole, is carried out even if its sender closes the connection, or the half
// of it that it sends on, which net/http takes for leaving.
func limitTime(limit time.Duration, operation *contract.Operation) echo.MiddlewareFunc {
	mayPoll := operation.HasQuery(waitSeconds)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			seconds := 0
			if mayPoll {
				seconds, _ = strconv.Atoi(c.QueryParam(waitSeconds))
			}
			parent := &underWay{Context: c.Request().Context(), id: idOf(c), lasts: seconds == 0}
			ctx, cancel := context.WithTimeout(parent, limit+time.Duration(seconds)*time.Second)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
			return next(c)
		}
	}
}
