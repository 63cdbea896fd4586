package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"
)

// underWay is the context that a request is carried out in. It knows the request's id. Where
// it is to last, it does not end when the sender leaves.
type underWay struct {
	context.Context
	id    string
	lasts bool

	result string // of a callback, once it is known
}

func (u *underWay) Done() <-chan struct{} {
	if u.lasts {
		return nil
	}
	return u.Context.Done()
}

func (u *underWay) Err() error {
	if u.lasts {
		return nil
	}
	return u.Context.Err()
}

func (u *underWay) Deadline() (time.Time, bool) {
	if u.lasts {
		return time.Time{}, false
	}
	return u.Context.Deadline()
}

type underWayKey struct{}

func (u *underWay) Value(key any) any {
	if key == (underWayKey{}) {
		return u
	}
	return u.Context.Value(key)
}

// underWayIn returns what ctx is of a request, nil if it is of none.
func underWayIn(ctx context.Context) *underWay {
	u, _ := ctx.Value(underWayKey{}).(*underWay)
	return u
}

// requestID returns the id of the request that is carried out in ctx.
func requestID(ctx context.Context) string {
	if u := underWayIn(ctx); u != nil {
		return u.id
	}
	return ""
}

const requestIDHeader = "X-Request-Id"

// idOf returns the id that identify gave the request.
func idOf(c echo.Context) string { return c.Response().Header().Get(requestIDHeader) }

// always are the headers of every answer; nobody changes them.
var always = http.Header{
	"Cache-Control":           {"no-store"},
	"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
	"Referrer-Policy":         {"no-referrer"},
	"X-Content-Type-Options":  {"nosniff"},
}

// everyRequest is what goes around each request, found or not: it gets an id and a line in
// the log, and a panic becomes an error.
func everyRequest(logger *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			identify(c)
			err := recovered(next, c)
			if err != nil {
				c.Error(err) // answers it, so that the status is known
			}
			logRequest(logger, c, err, time.Since(start))
			return nil
		}
	}
}

// identify gives the request an id of 128 random bits, answers it as X-Request-Id, and
// keeps answers out of caches and browsers from making anything of them. An id that the
// sender brings is not taken over, so that ids are unique and nobody writes into the log.
func identify(c echo.Context) {
	header := c.Response().Header()
	maps.Copy(header, always)
	header.Set(requestIDHeader, rand.Text())
	if c.Request().TLS != nil {
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// logRequest writes one line about a request that was answered. It names the route, not the
// path: ids of runs and states stay out of the log, and so does everything in bodies.
func logRequest(logger *slog.Logger, c echo.Context, err error, took time.Duration) {
	ctx := c.Request().Context()
	if errors.Is(err, ErrTooManyAttempts) || !logger.Enabled(ctx, slog.LevelInfo) {
		return // who guesses does not fill the log; that it began is in it
	}
	attributes := []slog.Attr{
		slog.String("request_id", idOf(c)),
		slog.String("method", c.Request().Method),
		slog.String("route", c.Path()),
		slog.Int("status", c.Response().Status),
		slog.Duration("duration", took),
	}
	if code, ok := c.Get(codeKey).(string); ok {
		attributes = append(attributes, slog.String("error_code", code))
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		attributes = append(attributes, slog.String("trace_id", span.TraceID().String()))
	}
	if isRefusal(err) { // which the sender is not told, and whose words are ours
		attributes = append(attributes, slog.String("reason", err.Error()))
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "request", attributes...)
}

// isRefusal reports whether somebody was not let in.
func isRefusal(err error) bool {
	return errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrForbidden)
}

// recovered calls the handler and turns a panic of it into an error.
func recovered(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			panic(p)
		default:
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return next(c)
}
