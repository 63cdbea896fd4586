package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/openapi/contract"
)

// An Action is what a caller wants to do.
type Action string

// The actions.
const (
	ActionCallback Action = "callback" // settle states
	ActionWait     Action = "wait"     // open, read, cancel and follow waits
)

// A Call is a request before it is authorized. Only the size of its body was checked.
type Call struct {
	Request   *http.Request // read Body instead of Request.Body
	Body      []byte
	ProjectID string // decoded
	Action    Action
}

// Authorize decides whether a call is permitted, and returns the principal that makes it,
// or "" if the server does not authenticate. It refuses with ErrUnauthenticated,
// ErrForbidden or ErrTooManyAttempts, wrapped with a reason for the log. The reason must
// have no credentials in it.
type Authorize func(context.Context, Call) (principal string, err error)

// Errors of Authorize.
var (
	// ErrUnauthenticated: missing or wrong credentials.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden: valid credentials without the permission or the project.
	ErrForbidden = errors.New("not permitted")
	// ErrTooManyAttempts: too many wrong credentials within a short time.
	ErrTooManyAttempts = errors.New("too many failed attempts")
)

const principalKey = "principal"

// principalOf returns the principal of an authorized request.
func principalOf(c echo.Context) string {
	principal, _ := c.Get(principalKey).(string)
	return principal
}

// authorize refuses requests that decide does not permit.
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
			principal, err := decide(r.Context(), Call{Request: r, Body: body, ProjectID: projectID, Action: action})
			if err != nil {
				return err
			}
			if principal != "" {
				c.Set(principalKey, principal)
			}
			return next(c)
		}
	}
}
