package server

import (
	"context"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/openapi/contract"
)

// request is what handlers know of the HTTP request.
type request struct{ id, principal string }

type requestKey struct{}

// requestOf returns the request that an operation's context carries.
func requestOf(ctx context.Context) request {
	r, _ := ctx.Value(requestKey{}).(request)
	return r
}

// requestContext sets the context that an operation runs in. It carries the request id and
// the principal, and ends after limit, plus the time that a long-poll asks to wait.
//
// Only long-polls are cancelled when the client disconnects. Any other request that has
// arrived is carried out: net/http also cancels when a client only closes the sending half
// of its connection, and such a client still reads the response.
func requestContext(limit time.Duration, operation *contract.Operation) echo.MiddlewareFunc {
	pollTime := longPollTime(operation)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			ctx := context.WithValue(r.Context(), requestKey{}, request{id: requestID(c), principal: principalOf(c)})
			wait := pollTime(r)
			if wait == 0 {
				ctx = context.WithoutCancel(ctx)
			}
			ctx, cancel := context.WithTimeout(ctx, limit+wait)
			defer cancel()
			c.SetRequest(r.WithContext(ctx))
			return next(c)
		}
	}
}
