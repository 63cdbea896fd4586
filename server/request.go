package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"
)

type requestIDKey struct{}

// requestID returns the id that identify gave the request.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// always are the headers of every answer; nobody changes them.
var always = http.Header{
	"Cache-Control":           {"no-store"},
	"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
	"Referrer-Policy":         {"no-referrer"},
	"X-Content-Type-Options":  {"nosniff"},
}

// identify gives every request an id of 128 random bits, answers it as X-Request-Id, and
// keeps answers out of caches and browsers from making anything of them. An id that the
// sender brings is not taken over, so that ids are unique and nobody writes into the log.
func identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		var bits [16]byte
		_, _ = rand.Read(bits[:]) // never fails (crypto/rand)
		id := hex.EncodeToString(bits[:])
		header := c.Response().Header()
		header.Set("X-Request-Id", id)
		maps.Copy(header, always)
		if c.Request().TLS != nil {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		c.SetRequest(c.Request().WithContext(context.WithValue(c.Request().Context(), requestIDKey{}, id)))
		return next(c)
	}
}

// logRequests writes one line a request, after its answer. It names the route, not the
// path: ids of runs and states stay out of the log, and so does everything in bodies.
func logRequests(logger *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			err := next(c)
			if err != nil {
				c.Error(err) // answers it, so that the status is known
			}
			if errors.Is(err, ErrTooManyAttempts) {
				return nil // who guesses does not fill the log; that it began is in it
			}
			ctx := c.Request().Context()
			attributes := []slog.Attr{
				slog.String("request_id", requestID(ctx)),
				slog.String("method", c.Request().Method),
				slog.String("route", c.Path()),
				slog.Int("status", c.Response().Status),
				slog.Duration("duration", time.Since(start)),
			}
			if code, ok := c.Get(codeKey).(string); ok {
				attributes = append(attributes, slog.String("error_code", code))
			}
			if isRefusal(err) { // which the sender is not told, and whose words are ours
				attributes = append(attributes, slog.String("reason", err.Error()))
			}
			logger.LogAttrs(ctx, slog.LevelInfo, "request", attributes...)
			return nil
		}
	}
}

// isRefusal reports whether somebody was not let in.
func isRefusal(err error) bool {
	return errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrForbidden)
}

// recoverPanics turns a panic of a handler into an error.
func recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
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
}
