package server

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// slots limits how many requests run at once: a request holds one place in the channel.
type slots chan struct{}

// admission limits how many requests run at once. Long-polls are counted apart from other
// requests, because they are many and cost little.
type admission struct{ requests, polls slots }

// slotsOf returns which slots a request for the operation takes.
func (a admission) slotsOf(operation *contract.Operation) func(*http.Request) slots {
	isPoll := isLongPoll(operation)
	return func(r *http.Request) slots {
		if isPoll(r) {
			return a.polls
		}
		return a.requests
	}
}

// refuseWhenFull refuses a request with engine.ErrOverloaded before its body is read, if
// take would refuse it afterwards.
func (a admission) refuseWhenFull(operation *contract.Operation) echo.MiddlewareFunc {
	slotsOf := a.slotsOf(operation)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if s := slotsOf(c.Request()); len(s) == cap(s) {
				return engine.ErrOverloaded
			}
			return next(c)
		}
	}
}

// take takes a slot while the request runs, or refuses the request with
// engine.ErrOverloaded. It runs after the body has arrived, so that slow senders hold no
// slots.
func (a admission) take(operation *contract.Operation) echo.MiddlewareFunc {
	slotsOf := a.slotsOf(operation)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			s := slotsOf(c.Request())
			select {
			case s <- struct{}{}:
			default:
				return engine.ErrOverloaded
			}
			defer func() { <-s }()
			return next(c)
		}
	}
}
