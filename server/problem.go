package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// A problem is how an error is answered. This file is the only place that chooses a failing
// status, or a code of the contract's error body.
type problem struct {
	status     int
	code       string
	message    string
	retryAfter int // seconds; 0: nothing is said
}

// Codes that begin with FGS, FSS and APIGW are the vendor's (its error examples and its
// published table of codes); the others are this project's.
var (
	invalid     = problem{status: http.StatusBadRequest, code: "FGS.3002", message: "Invalid parameters."}
	mediaType   = problem{status: http.StatusUnsupportedMediaType, code: "FLOWCALLBACK.MEDIA_TYPE", message: "Unsupported media type."}
	noRoute     = problem{status: http.StatusNotFound, code: "APIGW.0101", message: "The API does not exist: check the path."}
	noMethod    = problem{status: http.StatusMethodNotAllowed, code: "FLOWCALLBACK.METHOD", message: "The method is not allowed here; the header Allow has those that are."}
	timedOut    = problem{status: http.StatusRequestTimeout, code: "FLOWCALLBACK.TIMEOUT", message: "The request body did not arrive in time."}
	tooLarge    = problem{status: http.StatusRequestEntityTooLarge, code: "FSS.0413", message: "The request body is too large:"}
	unavailable = problem{status: http.StatusServiceUnavailable, code: "FSS.0503", message: "Service unavailable; try again a little later.", retryAfter: 1}
	internal    = problem{status: http.StatusInternalServerError, code: "FSS.0500", message: "Internal server error."}
)

// problems says which error is answered how; the first that errors.Is finds counts.
var problems = []struct {
	is error
	problem
}{
	{ErrUnauthenticated, problem{status: http.StatusUnauthorized, code: "APIGW.0301", message: "Incorrect IAM authentication information."}},
	{ErrForbidden, problem{status: http.StatusForbidden, code: "FSS.0403", message: "Permission denied."}},
	{ErrTooManyAttempts, problem{status: http.StatusTooManyRequests, code: "FSS.0429", message: "Too many failed attempts; try again later.", retryAfter: 10}},
	{engine.ErrNotFound, problem{status: http.StatusNotFound, code: "FGS.5002", message: "Function flow not found."}},
	{engine.ErrConflict, problem{status: http.StatusBadRequest, code: "FLOWCALLBACK.CONFLICT", message: "The state has another outcome already; the first one stands."}},
	{engine.ErrExpired, problem{status: http.StatusNotFound, code: "FLOWCALLBACK.EXPIRED", message: "The deadline of the state has passed."}},
	{engine.ErrCancelled, problem{status: http.StatusNotFound, code: "FLOWCALLBACK.CANCELLED", message: "The wait was cancelled."}},
	{engine.ErrCursor, invalid.because("the cursor is not one of this server")},
	{engine.ErrTooLarge, tooLarge.because("the engine of this server takes no outcome as large")},
	{engine.ErrOverloaded, unavailable},
	{engine.ErrUnavailable, unavailable},
	{errors.ErrUnsupported, problem{status: http.StatusNotImplemented, code: "FLOWCALLBACK.NOT_IMPLEMENTED", message: "The engine of this server does not offer this operation: its waits are kept elsewhere (with Temporal, they are the pending activities of the runs)."}},
	{os.ErrDeadlineExceeded, timedOut},
	{context.DeadlineExceeded, unavailable},
	{context.Canceled, unavailable}, // the sender has left; nobody reads this
}

func problemOf(err error) problem {
	var violation *contract.Violation
	var large *http.MaxBytesError
	var routing *echo.HTTPError
	switch {
	case errors.As(err, &violation) && violation.MediaType:
		return mediaType.because(violation.Error())
	case errors.As(err, &violation):
		return invalid.because(violation.Error())
	case errors.As(err, &large):
		return tooLarge.because("at most " + strconv.FormatInt(large.Limit, 10) + " bytes are taken")
	}
	for _, p := range problems {
		if errors.Is(err, p.is) {
			return p.problem
		}
	}
	switch {
	case errors.As(err, new(*readError)):
		return invalid.because("body: did not arrive whole")
	case !errors.As(err, &routing):
		return internal
	case routing.Code == http.StatusNotFound:
		return noRoute
	case routing.Code == http.StatusMethodNotAllowed:
		return noMethod
	case routing.Code < http.StatusInternalServerError:
		return invalid // a binder's words are Go's, not the contract's
	default:
		return internal
	}
}

// because adds what in particular is wrong.
func (p problem) because(reason string) problem {
	p.message += " " + reason
	return p
}

// codeKey is where the code of an answer that failed is left for the log.
const codeKey = "error_code"

// problemHandler answers errors. Where the sender is told nothing of the cause, it is
// logged here.
func problemHandler(logger *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		ctx := c.Request().Context()
		p := problemOf(err)
		c.Set(codeKey, p.code)
		if p.status == internal.status || p.status == unavailable.status {
			logger.LogAttrs(ctx, slog.LevelError, "request failed", slog.String("request_id", idOf(c)), slog.Any("error", err))
		}
		if p.retryAfter != 0 {
			c.Response().Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
		}
		if c.Request().Method == http.MethodHead {
			_ = c.NoContent(p.status)
			return
		}
		// An error of writing means that the sender has left.
		_ = c.JSON(p.status, callback.Error{ErrorCode: p.code, ErrorMsg: p.message, RequestID: idOf(c)})
	}
}
