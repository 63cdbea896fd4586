package server

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"
)

// everyRequest is the outermost middleware, for requests without a route too: it sets the
// request id and the headers of every response, turns a panic into an error, writes the access
// log, and lingers after refusals.
func everyRequest(logger *slog.Logger) echo.MiddlewareFunc {
	refused := newLinger()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			setResponseHeaders(c)
			request := newRequest(c)
			closeIfChunked(c)
			err := callRecovered(next, c)
			if err != nil {
				c.Error(err) // responds now, so that the status is known
			}
			logRequest(logger, c, request, err, time.Since(start))
			refused.drain(c)
			return nil
		}
	}
}

// logRequest writes one line about a request. It names the route, not the path, so that ids
// of runs and states stay out of the log, as bodies do.
func logRequest(logger *slog.Logger, c echo.Context, request *request, err error, took time.Duration) {
	ctx := c.Request().Context()
	level := slog.LevelInfo
	switch {
	case isHealthCheck(c) && c.Response().Status == http.StatusOK, isDisconnected(c, err):
		level = slog.LevelDebug
	case errors.Is(err, ErrTooManyAttempts):
		level = slog.LevelDebug // package auth reports how many there are
	}
	if !logger.Enabled(ctx, level) {
		return
	}
	attributes := []slog.Attr{
		slog.String("request_id", request.id),
		slog.String("method", c.Request().Method),
		slog.String("route", c.Path()),
		slog.Int("status", c.Response().Status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		slog.String("client", request.client),
	}
	if request.principal.Name != "" {
		attributes = append(attributes, slog.String("principal", request.principal.Name))
	}
	if isDisconnected(c, err) {
		attributes = append(attributes, slog.Bool("disconnected", true))
	}
	if request.errorCode != "" {
		attributes = append(attributes, slog.String("error_code", string(request.errorCode)))
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		attributes = append(attributes, slog.String("trace_id", span.TraceID().String()))
	}
	if errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrForbidden) { // the caller is not told the reason
		attributes = append(attributes, slog.String("reason", err.Error()))
	}
	logger.LogAttrs(ctx, level, "request", attributes...)
}

// isHealthCheck reports whether a request asks for the health of the server.
func isHealthCheck(c echo.Context) bool { return c.Path() == "/healthz" || c.Path() == "/readyz" }
