package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// Errors, for errors.Is.
var (
	// ErrInvalid: the request breaks the contract. It was not sent, or, if the chain has an
	// *Error, the server refused it.
	ErrInvalid = errors.New("invalid")
	// ErrUnreachable: no attempt got a response.
	ErrUnreachable = errors.New("unreachable")
	// ErrUnauthorized: missing or wrong credentials.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden: valid credentials without the permission.
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound: no state waits under these ids. ErrExpired and ErrCancelled are
	// ErrNotFound too.
	ErrNotFound = errors.New("not found")
	// ErrExpired: the deadline of the state has passed.
	ErrExpired = errors.New("expired")
	// ErrCancelled: the wait was cancelled.
	ErrCancelled = errors.New("cancelled")
	// ErrConflict: the state already has another outcome, which stands.
	ErrConflict = errors.New("conflict")
	// ErrOutput: the output is not what the side that waits has asked for. It is ErrInvalid too.
	ErrOutput = errors.New("output refused")
	// ErrNotWaiting: the wait has left waiting, so it cannot be changed.
	ErrNotWaiting = errors.New("not waiting")
	// ErrCursor: the outcomes feed cannot continue after the cursor, and its reader may have
	// missed outcomes: retention has deleted them, or the cursor is of another history, for
	// example of a server before its backup was restored.
	ErrCursor = errors.New("cursor cannot be continued")
)

// Error is a response that is not a success. If the response does not come from this API (a
// redirect, or the page of a proxy), Code is empty and Message describes it.
type Error struct {
	StatusCode int
	Code       callback.ErrorCode // such as FGS.5002
	Message    string
	RequestID  string // for the operators of the server
}

// Error returns the code, the message, the status and the request id in one line. Control
// characters, which a server could send to a terminal or a log, are escaped.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Code != "" {
		b.WriteString(printable(string(e.Code)) + ": ")
	}
	fmt.Fprintf(&b, "%s (HTTP %d", printable(e.Message), e.StatusCode)
	if e.RequestID != "" {
		b.WriteString(", request " + printable(e.RequestID))
	}
	b.WriteString(")")
	return b.String()
}

// printable escapes the characters of a text that are not printable.
func printable(text string) string {
	quoted := strconv.Quote(text)
	if quoted == `"`+text+`"` {
		return text
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// Is reports whether the response means one of the Err… values.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrConflict:
		return e.Code == callback.CodeConflict
	case ErrOutput:
		return e.Code == callback.CodeOutput
	case ErrNotWaiting:
		return e.Code == callback.CodeNotWaiting
	case ErrCursor:
		return e.Code == callback.CodeCursorForeign || e.Code == callback.CodeCursorGone
	case ErrExpired:
		return e.Code == callback.CodeExpired
	case ErrCancelled:
		return e.Code == callback.CodeCancelled
	case ErrInvalid:
		return e.StatusCode == http.StatusBadRequest && e.Code != callback.CodeConflict
	case ErrUnauthorized:
		return e.StatusCode == http.StatusUnauthorized
	case ErrForbidden:
		return e.StatusCode == http.StatusForbidden
	case ErrNotFound:
		return e.StatusCode == http.StatusNotFound && isContractCode(e.Code)
	}
	return false
}

// isContractCode reports whether a code comes from the contract's error body, and not from a
// gateway in front of the service, whose 404 means that there is no such API.
func isContractCode(code callback.ErrorCode) bool {
	return code != "" && !strings.HasPrefix(string(code), "APIGW.")
}

// responseError decodes the body of an error response: the contract's, or that of the
// vendor's gateways, {"error":{"code","message"}}.
func responseError(status int, header http.Header, body []byte) *Error {
	var fields struct {
		ErrorCode callback.ErrorCode `json:"error_code"`
		ErrorMsg  string             `json:"error_msg"`
		RequestID string             `json:"request_id"`
		Error     struct {           // of the vendor's gateways
			Code    callback.ErrorCode `json:"code"`
			Message string             `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &fields) // a body that is not JSON leaves them empty
	e := &Error{StatusCode: status, Code: fields.ErrorCode, Message: fields.ErrorMsg, RequestID: fields.RequestID}
	if e.Code == "" && e.Message == "" {
		e.Code, e.Message = fields.Error.Code, fields.Error.Message
	}
	if e.RequestID == "" {
		e.RequestID = header.Get("X-Request-Id")
	}
	if e.Message == "" {
		e.Message = "unexpected response: " + describe(status, header, body)
	}
	return e
}

// describe describes a response without quoting it.
func describe(status int, header http.Header, body []byte) string {
	if location := header.Get("Location"); location != "" {
		return fmt.Sprintf("%s to %q; redirects are not followed; is the endpoint right?", http.StatusText(status), location)
	}
	if len(body) == 0 {
		return http.StatusText(status) + " with an empty body"
	}
	return fmt.Sprintf("%s with %d bytes of %s; is the endpoint right?", http.StatusText(status), len(body), header.Get("Content-Type"))
}
