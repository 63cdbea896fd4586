package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// This file is the only place that turns an error into an HTTP status and an error code.
// The contract lists the status and the message of each code.

// A failure is how an error is answered.
type failure struct {
	code       callback.ErrorCode
	detail     string // appended to the message of the code
	retryAfter int    // seconds; 0 sends no Retry-After
}

var unavailable = failure{code: callback.CodeUnavailable, retryAfter: 1}

// failures lists how errors are answered. The first entry that errors.Is finds counts.
var failures = []struct {
	is error
	failure
}{
	{ErrUnauthenticated, failure{code: callback.CodeUnauthenticated}},
	{ErrForbidden, failure{code: callback.CodeForbidden}},
	{errHost, failure{code: callback.CodeHost}},
	{ErrTooManyAttempts, failure{code: callback.CodeTooManyAttempts, retryAfter: 10}},
	{engine.ErrNotFound, failure{code: callback.CodeNotFound}},
	{engine.ErrConflict, failure{code: callback.CodeConflict}},
	{engine.ErrExpired, failure{code: callback.CodeExpired}},
	{engine.ErrCancelled, failure{code: callback.CodeCancelled}},
	{engine.ErrCursor, failure{code: callback.CodeInvalid, detail: "the cursor is not from this server"}},
	{engine.ErrCursorForeign, failure{code: callback.CodeCursorForeign, detail: "Start again without after if that does not matter."}},
	{engine.ErrLinks, failure{code: callback.CodeLinks}},
	{errLinkForbids, failure{code: callback.CodeForbidden, detail: "The link does not allow this result."}},
	{engine.ErrNotWaiting, failure{code: callback.CodeNotWaiting}},
	{engine.ErrTooLarge, failure{code: callback.CodeTooLarge, detail: "the store of this server accepts no outcome of this size"}},
	{engine.ErrOverloaded, unavailable},
	{engine.ErrUnavailable, unavailable},
	{errors.ErrUnsupported, failure{code: callback.CodeNotImplemented}},
	{os.ErrDeadlineExceeded, failure{code: callback.CodeTimeout}},
	{context.DeadlineExceeded, unavailable},
	{context.Canceled, unavailable}, // see isDisconnected
}

// failureOf returns how an error is answered.
func failureOf(err error) failure {
	var violation *contract.Violation
	var large *http.MaxBytesError
	var gone *engine.CursorGoneError
	var output *engine.OutputError
	var moved *engine.MovedError
	switch {
	case errors.As(err, &violation) && violation.MediaType:
		return failure{code: callback.CodeMediaType, detail: violation.Error()}
	case errors.As(err, &violation):
		return failure{code: callback.CodeInvalid, detail: violation.Error()}
	case errors.As(err, &output):
		return failure{code: callback.CodeOutput, detail: output.Rule}
	case errors.As(err, &moved):
		return failure{code: callback.CodeNotFound, detail: "The flow was reset, and goes on in run " + moved.RunID + "."}
	case errors.As(err, &gone):
		return failure{code: callback.CodeCursorGone, detail: "Those that are kept begin after " + gone.Oldest}
	case errors.As(err, &large):
		return failure{code: callback.CodeTooLarge, detail: fmt.Sprintf("the limit is %d bytes", large.Limit)}
	}
	for _, f := range failures {
		if errors.Is(err, f.is) {
			return f.failure
		}
	}
	if errors.As(err, new(*readError)) {
		return failure{code: callback.CodeInvalid, detail: "body: did not arrive completely"}
	}
	return failure{code: routingCode(err)}
}

// routingCode returns the code of an error of echo: no such route, or a value that it
// cannot bind. Any other error is an internal one.
func routingCode(err error) callback.ErrorCode {
	var routing *echo.HTTPError
	switch {
	case !errors.As(err, &routing):
		return callback.CodeInternal
	case routing.Code == http.StatusNotFound:
		return callback.CodeNoRoute
	case routing.Code == http.StatusMethodNotAllowed:
		return callback.CodeMethodNotAllowed
	case routing.Code < http.StatusInternalServerError:
		return callback.CodeInvalid
	default:
		return callback.CodeInternal
	}
}

// isDisconnected reports whether a request failed because its client has disconnected. Nobody
// reads the response.
func isDisconnected(c echo.Context, err error) bool {
	return errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil
}

// errorHandler answers errors. It logs the cause of those whose answer does not tell it.
func errorHandler(codes map[callback.ErrorCode]contract.ErrorCode, logger *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		closeAfterResponse(c) // also where no route was found
		f := failureOf(err)
		requestIn(c).errorCode = f.code
		cause := f.code == callback.CodeInternal || f.code == callback.CodeUnavailable
		if cause && !isDisconnected(c, err) && !errors.Is(err, errDraining) {
			logger.LogAttrs(c.Request().Context(), slog.LevelError, "request failed", slog.String("request_id", requestIn(c).id), slog.Any("error", err))
		}
		if f.retryAfter != 0 {
			c.Response().Header().Set("Retry-After", strconv.Itoa(f.retryAfter))
		}
		answer := codes[f.code]
		if f.detail != "" {
			answer.Message += " " + f.detail
		}
		// A write error means that the client has disconnected.
		_ = c.JSON(answer.Status, callback.CallbackError{ErrorCode: f.code, ErrorMsg: answer.Message, RequestID: requestIn(c).id})
	}
}
