// Package server is the HTTP handler of the service. It enforces callback.yaml and
// waits.yaml on every request before a thin handler runs, and answers errors with the
// contract's error body. New takes any engine.Engine, so programs can embed it.
//
// The package validates nothing itself (openapi/contract does), stores nothing (the engine
// does), opens no socket and reads no environment (the caller does). README.md shows how to
// use it, and ARCHITECTURE.md how it works.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowcallback/flowcallback/gen/callbackserver"
	"github.com/flowcallback/flowcallback/gen/waitsserver"
	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// Defaults of Config.
const (
	DefaultMaxBody     = 256 << 10
	DefaultMaxMemory   = 64 << 20
	DefaultMaxRequests = 4096
	DefaultMaxPolls    = 16384
	DefaultTimeout     = 30 * time.Second
)

// Config configures New. A zero field has the default that its comment names.
type Config struct {
	// MaxBody is the largest request body, in bytes. A larger one is answered with 413,
	// before it is read if the request states its length. Default: DefaultMaxBody.
	MaxBody int64

	// MaxMemory limits the bytes of request bodies that are in memory at once. A request
	// beyond it is answered with 503 immediately. A body counts as it arrives. One principal
	// and one address get at most half of it; a quarter is reserved for principals. When
	// memory is short, bodies that have been arriving for more than a second are answered
	// with 503. Default: DefaultMaxMemory; at least four bodies of MaxBody. Responses of the waits API that are
	// being written have the same limits, in addition.
	MaxMemory int64

	// MaxRequests limits how many requests run at once after their bodies have arrived,
	// not counting long-polls. One more is answered with 503 immediately. Default:
	// DefaultMaxRequests.
	MaxRequests int

	// MaxPolls limits how many long-polls run at once. One more is answered with 503
	// immediately. Default: DefaultMaxPolls.
	MaxPolls int

	// Timeout limits the time that the engine may take for a request, in addition to the
	// time that a long-poll asks to wait. After it the answer is 503. Default:
	// DefaultTimeout.
	Timeout time.Duration

	// Authorize decides whether a request is permitted. Default: every request is, so
	// everyone who can reach the handler may use it.
	Authorize Authorize

	// Hosts are the host names that requests may have, besides localhost and IP addresses;
	// AnyHost allows all. A request for another name is answered with 421. Set it if the
	// server does not authenticate. Default: all names are allowed.
	Hosts []string

	// PublicURL is how people reach the server, such as https://flows.example.com. Links begin
	// so. Default: as the request for a link reached it.
	PublicURL string

	// TrustedProxies are the networks of proxies whose header X-Forwarded-For names the
	// client. Default: none; the client is the other end of the connection.
	TrustedProxies []netip.Prefix

	// Draining is done when the program will stop soon. /readyz then answers 503, and
	// everything else goes on. Default: never done.
	Draining context.Context

	// Stopping is done when the program stops. Long-polls then answer immediately with what
	// they have, and bodies that are still arriving are refused. Default: never done.
	Stopping context.Context

	// Metrics receives the metrics of the server, and is served at /metrics to principals
	// that may wait in all projects. Default: a new registry.
	Metrics *prometheus.Registry

	// Logger receives one line for each request, and the causes of failures that the
	// caller is not told. Bodies, run ids, state ids and credentials are never logged.
	// Default: slog.Default().
	Logger *slog.Logger
}

func (c *Config) setDefaults() {
	if c.MaxBody == 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = DefaultMaxMemory
	}
	c.MaxMemory = max(c.MaxMemory, 4*(c.MaxBody+1))
	if c.MaxRequests == 0 {
		c.MaxRequests = DefaultMaxRequests
	}
	if c.MaxPolls == 0 {
		c.MaxPolls = DefaultMaxPolls
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Authorize == nil {
		c.Authorize = func(context.Context, Call) (Principal, error) { return Anyone(), nil }
	}
	if c.Draining == nil {
		c.Draining = context.Background()
	}
	if c.Stopping == nil {
		c.Stopping = context.Background()
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// New returns the handler of the service over the engine e. Operations of the waits API
// work if e implements their interface (engine.Opener, engine.Reader, engine.Feed), and
// else are answered with 501. The error says that the embedded contract cannot be loaded.
//
// The handler never answers the published path with a redirect, which the vendor's Go SDK
// takes for success.
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
	codes, err := published.ErrorCodes()
	if err != nil {
		return nil, err
	}
	router := echo.New()
	router.Binder = binder{}
	router.HTTPErrorHandler = errorHandler(codes, config.Logger)
	router.IPExtractor = clientAddress(config.TrustedProxies)
	router.Use(everyRequest(config.Logger))
	if config.Hosts != nil {
		router.Use(checkHost(config.Hosts))
	}

	answers := responses{newMemory(config.MaxMemory)}
	bodies := bodies{config.MaxBody, newMemory(config.MaxMemory)}
	context.AfterFunc(config.Stopping, bodies.memory.dropArriving)
	middlewares := config.operationMiddlewares(bodies, answers, engineName(e))
	callbackserver.RegisterHandlersWithOptions(router,
		callbackserver.NewStrictHandler(&callbackHandler{engine: e}, nil),
		callbackserver.RegisterHandlersOptions{OperationMiddlewares: middlewares(published.Operations())})
	waitsserver.RegisterHandlersWithOptions(router,
		waitsserver.NewStrictHandler(newWaitsHandler(config, e, own), []waitsserver.StrictMiddlewareFunc{answers.account}),
		waitsserver.RegisterHandlersOptions{OperationMiddlewares: middlewares(own.Operations())})

	serveDocuments(router)
	if err := servePages(router, config.Authorize); err != nil {
		return nil, err
	}
	router.GET("/metrics", serveMetrics(config.Metrics), authorize(config.Authorize, ActionWait, bodies))
	router.GET("/healthz", healthy)
	router.GET("/readyz", ready(config.Draining, e))
	return headAsGet(router), nil
}

// operationMiddlewares returns the middleware of each operation, by operationId, from the
// outermost to the innermost.
func (c *Config) operationMiddlewares(bodies bodies, answers responses, store string) func([]*contract.Operation) map[string][]echo.MiddlewareFunc {
	running := admission{requests: make(slots, c.MaxRequests), polls: make(slots, c.MaxPolls)}
	observed := newMetrics(c.Metrics, running, store)
	return func(operations []*contract.Operation) map[string][]echo.MiddlewareFunc {
		middlewares := map[string][]echo.MiddlewareFunc{}
		for _, operation := range operations {
			access := authorize(c.Authorize, Action(operation.Action()), bodies)
			if operation.Action() == actionLink {
				access = linkAccess
			}
			middlewares[operation.ID()] = []echo.MiddlewareFunc{chain(
				observed.observe(Action(operation.Action()), operation),
				running.refuseWhenFull(operation),
				access,
				bodies.readBody,
				answers.release,
				running.take(operation),
				enforce(operation),
				requestContext(c.Timeout, operation),
			)}
		}
		return middlewares
	}
}

// chain composes middlewares at the first request, from the outermost to the innermost.
// Echo itself would compose them for each request. The result must serve one route only.
func chain(middlewares ...echo.MiddlewareFunc) echo.MiddlewareFunc {
	var composed atomic.Pointer[echo.HandlerFunc]
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if handler := composed.Load(); handler != nil {
			return *handler
		}
		handler := next
		for _, middleware := range slices.Backward(middlewares) {
			handler = middleware(handler)
		}
		composed.Store(&handler)
		return handler
	}
}

// errDraining is the answer of /readyz while the server drains.
var errDraining = fmt.Errorf("draining: %w", engine.ErrUnavailable)

// sentKey is the context key of a HEAD request as it was sent.
type sentKey struct{}

// headAsGet handles HEAD requests like GET. net/http leaves out the body, because it looks at
// the method of its own request.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			sent := r
			r = sent.WithContext(context.WithValue(sent.Context(), sentKey{}, sent))
			r.Method = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

// asSent returns the request as it was sent, for credentials that cover the method.
func asSent(r *http.Request) *http.Request {
	if sent, ok := r.Context().Value(sentKey{}).(*http.Request); ok {
		return sent
	}
	return r
}

// healthy answers 200 while the process serves requests.
func healthy(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// ready answers 200 while the engine can settle callbacks and the server does not drain, else
// 503.
func ready(draining context.Context, e engine.Engine) echo.HandlerFunc {
	return func(c echo.Context) error {
		if draining.Err() != nil {
			return errDraining
		}
		if err := e.Ready(c.Request().Context()); err != nil {
			return err
		}
		return c.String(http.StatusOK, "ready\n")
	}
}
