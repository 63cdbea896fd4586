// Package server puts the contract in front of an engine: it enforces callback.yaml and
// waits.yaml on every request before a thin handler runs, and turns whatever goes wrong
// into the contract's error body. It is importable: New takes any engine.Engine.
//
// It validates nothing itself (openapi/contract does), stores nothing (the engine does),
// opens no socket and reads no environment (its caller does).
package server

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/flowcallback/flowcallback/gen/callbackserver"
	"github.com/flowcallback/flowcallback/gen/waitsserver"
	"github.com/flowcallback/flowcallback/openapi"
	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// Config are the choices of New; the zero value is the default of each.
type Config struct {
	// MaxBody is the largest request body that is taken, in bytes; a larger one is
	// answered with 413 before it is read. Default: 256 KiB.
	MaxBody int64

	// MaxMemory is how many bytes of request bodies may be in memory at once; what would
	// take more is answered with 503 at once. A body counts as it arrives, so that who
	// sends slowly keeps nobody out. Default: 64 MiB, and at least one body of MaxBody.
	MaxMemory int64

	// MaxRequests is how many requests, whose bodies have arrived, may be under way at once,
	// long-polls apart; one more is answered with 503 at once. Default: 4096.
	MaxRequests int

	// MaxPolls is how many long-polls may be under way at once; one more is answered with
	// 503 at once. They take nothing from MaxRequests. Default: 16384.
	MaxPolls int

	// Timeout bounds the time that an engine may take over a request, besides what the
	// request itself asks to wait; past it the answer is 503. Default: 30 seconds.
	Timeout time.Duration

	// Authorize decides whether a request may go on. Default: every request may, so
	// whoever leaves it out sees to it that only friends reach the handler.
	Authorize Authorize

	// Draining is done when the program begins to shut down: long-polls then answer at
	// once with what they have. Default: never.
	Draining context.Context

	// Metrics gets the server's metrics, and is served at /metrics to whoever Authorize lets
	// wait in all projects. What else is registered with it, such as an engine, is served
	// along. Default: a new one.
	Metrics *prometheus.Registry

	// Logger gets one line a request, and the causes of failures that the sender is not
	// told. Bodies, ids of runs and states, and credentials are never logged. Default:
	// slog.Default().
	Logger *slog.Logger
}

func (c *Config) setDefaults() {
	if c.MaxBody == 0 {
		c.MaxBody = 256 << 10
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = 64 << 20
	}
	c.MaxMemory = max(c.MaxMemory, c.MaxBody+1)
	if c.MaxRequests == 0 {
		c.MaxRequests = 4096
	}
	if c.MaxPolls == 0 {
		c.MaxPolls = 16384
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Authorize == nil {
		c.Authorize = func(context.Context, Call) (string, error) { return "", nil }
	}
	if c.Draining == nil {
		c.Draining = context.Background()
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// New returns the handler of the whole service over e. Where e also implements
// engine.Waits, the waits API works; else it is answered with 501. The error tells that
// the embedded contract cannot be loaded.
//
// It never answers the published path with a redirect: the vendor's Go SDK takes one for
// success.
func New(e engine.Engine, config Config) (http.Handler, error) {
	config.setDefaults()
	published, err := contract.Callback()
	if err != nil {
		return nil, err
	}
	own, err := contract.Waits()
	if err != nil {
		return nil, err
	}
	publishedJSON, err := published.JSON()
	if err != nil {
		return nil, err
	}
	router := echo.New()
	router.Binder = binder{}
	router.HTTPErrorHandler = problemHandler(config.Logger)
	router.Use(everyRequest(config.Logger))

	requests, polls := make(slots, config.MaxRequests), make(slots, config.MaxPolls)
	observed := newMetrics(config.Metrics, requests, polls)
	memory := semaphore.NewWeighted(config.MaxMemory)
	// The path of a request, from the outside in, once its operation is known.
	path := func(action Action, operations []*contract.Operation) map[string][]echo.MiddlewareFunc {
		middlewares := map[string][]echo.MiddlewareFunc{}
		for _, operation := range operations {
			middlewares[operation.ID()] = []echo.MiddlewareFunc{once(
				observed.observe(action, operation),
				refuseWhenFull(requests, polls, operation),
				limitBody(config.MaxBody, memory),
				limitInFlight(requests, polls, operation),
				authorize(config.Authorize, action),
				enforce(operation),
				limitTime(config.Timeout, operation),
			)}
		}
		return middlewares
	}
	callbackserver.RegisterHandlersWithOptions(router,
		callbackserver.NewStrictHandler(&callbackHandler{engine: e}, nil),
		callbackserver.RegisterHandlersOptions{OperationMiddlewares: path(ActionCallback, published.Operations())})
	waitsserver.RegisterHandlersWithOptions(router,
		waitsserver.NewStrictHandler(newWaitsHandler(config.Draining, e), nil),
		waitsserver.RegisterHandlersOptions{OperationMiddlewares: path(ActionWait, own.Operations())})

	document := func(text string) echo.HandlerFunc {
		return func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", []byte(text)) }
	}
	router.Match(readable, "/openapi/callback.yaml", document(openapi.Callback))
	router.Match(readable, "/openapi/waits.yaml", document(openapi.Waits))
	router.Match(readable, "/openapi/callback.json", func(c echo.Context) error {
		return c.JSONBlob(http.StatusOK, publishedJSON)
	})
	servePages(router)
	router.GET("/metrics", serveMetrics(config.Metrics), authorize(config.Authorize, ActionWait))
	router.Match(readable, "/healthz", alive)
	router.Match(readable, "/readyz", ready(e))
	return router, nil
}

// once puts the middlewares together at the first request, from the outside in. Echo would
// do it for each request anew. Its handler must be of one route.
func once(middlewares ...echo.MiddlewareFunc) echo.MiddlewareFunc {
	var composed atomic.Pointer[echo.HandlerFunc]
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if whole := composed.Load(); whole != nil {
			return *whole
		}
		whole := next
		for _, middleware := range slices.Backward(middlewares) {
			whole = middleware(whole)
		}
		composed.Store(&whole)
		return whole
	}
}

// readable are the methods of what is there to be read.
var readable = []string{http.MethodGet, http.MethodHead}

// alive answers as long as the process serves requests at all.
func alive(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// ready answers 200 while the engine can settle callbacks, else 503.
func ready(e engine.Engine) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := e.Ready(c.Request().Context()); err != nil {
			return err
		}
		return c.String(http.StatusOK, "ready\n")
	}
}
