package server

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// waitSeconds is the parameter by which a request asks to be held back. It means that only
// to operations that declare it, whose contract check then bounds it.
const waitSeconds = "wait_seconds"

// slots are what is under way: as many as the channel holds.
type slots chan struct{}

// limitInFlight refuses with engine.ErrOverloaded what is more than may be under way, before
// anything of it is read, so that memory stays bounded. Requests that ask to be held back
// are counted apart: they may be many, and keep nobody else out.
func limitInFlight(requests, polls slots, operation *contract.Operation) echo.MiddlewareFunc {
	mayPoll := operation.HasQuery(waitSeconds)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			slots := requests
			if mayPoll && strings.Contains(c.Request().URL.RawQuery, waitSeconds+"=") {
				slots = polls
			}
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
// too much. What comes after it can read the body without waiting for the sender.
func limitBody(limit int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.ContentLength == 0 {
				r.Body = contract.NewBody(nil)
				return next(c)
			}
			if r.ContentLength > limit {
				c.Response().Header().Set("Connection", "close") // the body is not read, so the connection is of no more use
				return &http.MaxBytesError{Limit: limit}
			}
			body, err := readBody(c.Response().Writer, r, limit)
			if err != nil {
				return &readError{err}
			}
			r.Body = contract.NewBody(body)
			return next(c)
		}
	}
}

// readBody reads to the end: into memory of just the size, where the sender announced it.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength < 0 {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	data := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, data)
	return data, err
}

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
			parent := &underWay{c.Request().Context(), idOf(c), seconds == 0}
			ctx, cancel := context.WithTimeout(parent, limit+time.Duration(seconds)*time.Second)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
			return next(c)
		}
	}
}
