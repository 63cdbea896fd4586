package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
)

// An Action is what a caller wants to do.
type Action string

// The actions.
const (
	ActionCallback Action = "callback" // settle states
	ActionWait     Action = "wait"     // open, read, change, cancel and follow waits
	ActionAsk      Action = "ask"      // ask what the credentials allow, which all credentials may
)

// A Principal is whose the credentials of a call are.
type Principal struct {
	Name     string // empty if the server does not authenticate
	Projects []string
	Allow    []Action
}

// AnyProject in the projects of a principal means all.
const AnyProject = "*"

// Anyone returns the principal of a server that does not authenticate: it has no name, and may do
// everything. Its lists must not be changed.
func Anyone() Principal { return anyone }

var anyone = Principal{Projects: []string{AnyProject}, Allow: []Action{ActionCallback, ActionWait}}

// A Call is a request before it is authorized. Nothing in it was checked.
type Call struct {
	Request   *http.Request // read Body instead of Request.Body
	Address   string        // IP address of the client, as the trusted proxies report it
	ProjectID string        // decoded
	Action    Action
	// Body reads the body within the server's limits. Check everything in the headers first,
	// so that callers without credentials cannot make the server read. An error of Body must
	// be returned.
	Body func() ([]byte, error)
}

// Authorize decides whether a call is permitted, and returns the principal that makes it. It refuses with ErrUnauthenticated,
// ErrForbidden or ErrTooManyAttempts, wrapped with a reason for the log. The reason must
// have no credentials in it.
type Authorize func(context.Context, Call) (Principal, error)

// Errors of Authorize.
var (
	// ErrUnauthenticated: missing or wrong credentials.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden: valid credentials without the permission or the project.
	ErrForbidden = errors.New("not permitted")
	// ErrTooManyAttempts: too many wrong credentials within a short time.
	ErrTooManyAttempts = errors.New("too many failed attempts")
)

// authorize refuses requests that decide does not permit. Until then the memory of the body
// belongs to the address, then to the principal.
func authorize(decide Authorize, action Action, bodies bodies) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			projectID, err := pathValue(c, "project_id", c.Param("project_id"))
			if err != nil {
				return err
			}
			var held *share // of a body that the credentials needed
			defer func() {
				if held != nil {
					held.release()
				}
			}()
			principal, err := decide(c.Request().Context(), Call{
				Request: asSent(c.Request()), Address: requestIn(c).client, ProjectID: projectID, Action: action,
				Body: func() ([]byte, error) {
					body, memory, err := bodies.read(c, ownerOf(c))
					if err != nil {
						return nil, err
					}
					held = memory
					return body.Bytes(), nil
				},
			})
			if err != nil {
				return err
			}
			requestIn(c).principal = principal
			if principal.Name != "" && held != nil {
				held.prove(principal.Name)
			}
			return next(c)
		}
	}
}
