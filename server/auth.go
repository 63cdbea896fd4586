package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// An Action is what a caller wants to do.
type Action string

// The actions there are: settling states, and the side that waits for them.
const (
	ActionCallback Action = "callback"
	ActionWait     Action = "wait"
)

// A Call is a request that has not been let in yet. Nothing in it has been checked but the
// size of the body.
type Call struct {
	Request   *http.Request // its body is not to be read; here it is:
	Body      []byte
	ProjectID string // decoded
	Action    Action
}

// Authorize decides whether a call may go on, and returns the caller's name, empty where
// callers prove nothing. It refuses with ErrUnauthenticated, ErrForbidden or
// ErrTooManyAttempts, wrapped with a reason for the log, which holds no credentials.
type Authorize func(context.Context, Call) (caller string, err error)

// What Authorize refuses with.
var (
	// ErrUnauthenticated: no credentials, or wrong ones.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden: right credentials without the permission or the project.
	ErrForbidden = errors.New("not permitted")
	// ErrTooManyAttempts: too many wrong credentials lately.
	ErrTooManyAttempts = errors.New("too many failed attempts")
)

// authorize is the door; what decides is the given function.
func authorize(decide Authorize, action Action) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			projectID, err := pathValue(c, "project_id", c.Param("project_id"))
			if err != nil {
				return err
			}
			r := c.Request()
			var body []byte
			if b, ok := r.Body.(*contract.Body); ok {
				body = b.Bytes()
			}
			caller, err := decide(r.Context(), Call{Request: r, Body: body, ProjectID: projectID, Action: action})
			if err != nil {
				return err
			}
			if caller != "" {
				c.SetRequest(r.WithContext(engine.WithCaller(r.Context(), caller)))
			}
			return next(c)
		}
	}
}
