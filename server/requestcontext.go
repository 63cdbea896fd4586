package server

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi/contract"
)

const (
	requestIDHeader = "X-Request-Id"
	requestOfEcho   = "request"
)

// request is what the middleware and the handlers know of an HTTP request.
type request struct {
	http      *http.Request // as it was received
	id        string        // 128 random bits
	client    string        // the IP address, as the trusted proxies report it
	principal Principal     // the zero value before it is authorized
	errorCode callback.ErrorCode
	response  *share // the memory of the response; nil if it takes none
}

// newRequest makes the request of c, and sets the response header X-Request-Id. It ignores an id
// in the request, so that ids are unique and callers cannot write into the log.
func newRequest(c echo.Context) *request {
	r := &request{http: c.Request(), id: rand.Text(), client: c.RealIP()}
	c.Set(requestOfEcho, r)
	c.Response().Header()[requestIDHeader] = []string{r.id}
	return r
}

// requestIn returns the request of c.
func requestIn(c echo.Context) *request { return c.Get(requestOfEcho).(*request) }

// base returns the address of the server, as the request names it.
func (r *request) base() string {
	if r.http.TLS != nil {
		return "https://" + r.http.Host
	}
	return "http://" + r.http.Host
}

type requestKey struct{}

// requestOf returns the request that an operation's context carries.
func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

// requestContext sets the context that an operation runs in. It carries the request, and ends
// after limit, plus the time that a long-poll asks to wait.
//
// Only reads are cancelled when the client disconnects. Any change that has arrived is carried
// out: net/http also cancels when a client only closes the sending half of its connection, and
// such a client still reads the response.
func requestContext(limit time.Duration, operation *contract.Operation) echo.MiddlewareFunc {
	pollTime := longPollTime(operation)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.Method == http.MethodGet {
				ctx := context.WithValue(r.Context(), requestKey{}, requestIn(c))
				ctx, cancel := context.WithTimeout(ctx, limit+pollTime(r))
				defer cancel()
				c.SetRequest(r.WithContext(ctx))
				return next(c)
			}
			ctx := &changeContext{Context: r.Context(), request: requestIn(c), deadline: time.Now().Add(limit)}
			defer ctx.end()
			c.SetRequest(r.WithContext(ctx))
			return next(c)
		}
	}
}

// changeContext is the context of a change: it ends at its deadline, and not before. It starts a
// timer only for those who wait for its end, because most changes are carried out long before.
type changeContext struct {
	context.Context // for values

	request  *request
	deadline time.Time

	mu    sync.Mutex
	done  chan struct{}
	timer *time.Timer
}

// Deadline implements context.Context.
func (c *changeContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Err implements context.Context.
func (c *changeContext) Err() error {
	if time.Now().Before(c.deadline) {
		return nil
	}
	return context.DeadlineExceeded
}

// Done implements context.Context.
func (c *changeContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		done := make(chan struct{})
		c.done = done
		c.timer = time.AfterFunc(time.Until(c.deadline), func() { close(done) })
	}
	return c.done
}

// Value implements context.Context.
func (c *changeContext) Value(key any) any {
	if key == (requestKey{}) {
		return c.request
	}
	return c.Context.Value(key)
}

// end stops the timer. Nobody may wait for the end of the context any more.
func (c *changeContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}
