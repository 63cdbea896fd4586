package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// What an error means, for errors.Is.
var (
	// ErrInvalid: the request breaks the contract, whether the server said so or it was
	// not sent at all. (An *Error in the chain tells that the server said it.)
	ErrInvalid = errors.New("invalid")
	// ErrUnreachable: no answer came, for as long as it was tried.
	ErrUnreachable = errors.New("unreachable")
	// ErrUnauthorized: no credentials, or wrong ones.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden: right credentials without the permission.
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound: nothing waits under these ids. ErrExpired and ErrCancelled are
	// ErrNotFound too: the server knows more then.
	ErrNotFound = errors.New("not found")
	// ErrExpired: the deadline of the state has passed.
	ErrExpired = errors.New("expired")
	// ErrCancelled: the wait was withdrawn.
	ErrCancelled = errors.New("cancelled")
	// ErrConflict: the state has another outcome already, which stands.
	ErrConflict = errors.New("conflict")
)

// Error is an answer that is not the one hoped for. Where the answer was not of this API at
// all (a redirect, a page of a proxy), Code is empty and Message says what came.
type Error struct {
	StatusCode int
	Code       string // such as FGS.5002
	Message    string
	RequestID  string // to quote when asking the operators of the server
}

// Error returns the code, the message, the status and the request's id in one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Code != "" {
		b.WriteString(e.Code + ": ")
	}
	fmt.Fprintf(&b, "%s (HTTP %d", e.Message, e.StatusCode)
	if e.RequestID != "" {
		b.WriteString(", request " + e.RequestID)
	}
	b.WriteString(")")
	return b.String()
}

// Is matches the Err… values of this package.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrConflict:
		return e.Code == "FLOWCALLBACK.CONFLICT"
	case ErrExpired:
		return e.Code == "FLOWCALLBACK.EXPIRED"
	case ErrCancelled:
		return e.Code == "FLOWCALLBACK.CANCELLED"
	case ErrInvalid:
		return e.StatusCode == http.StatusBadRequest && e.Code != "FLOWCALLBACK.CONFLICT"
	case ErrUnauthorized:
		return e.StatusCode == http.StatusUnauthorized
	case ErrForbidden:
		return e.StatusCode == http.StatusForbidden
	case ErrNotFound:
		return e.StatusCode == http.StatusNotFound && e.Code != "APIGW.0101" // which is no such route
	}
	return false
}

// answerError reads an answer that failed: the contract's body, or the one that the
// vendor's gateways send in its place, {"error":{"code","message"}}.
func answerError(status int, header http.Header, body []byte) *Error {
	var fields struct {
		ErrorCode string `json:"error_code"`
		ErrorMsg  string `json:"error_msg"`
		RequestID string `json:"request_id"`
		Error     struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &fields) // what is no JSON leaves them empty
	e := &Error{StatusCode: status, Code: fields.ErrorCode, Message: fields.ErrorMsg, RequestID: fields.RequestID}
	if e.Code == "" && e.Message == "" {
		e.Code, e.Message = fields.Error.Code, fields.Error.Message
	}
	if e.RequestID == "" {
		e.RequestID = header.Get("X-Request-Id")
	}
	if e.Message == "" {
		e.Message = "unexpected answer: " + describe(status, header, body)
	}
	return e
}

// describe says what came without repeating it.
func describe(status int, header http.Header, body []byte) string {
	if location := header.Get("Location"); location != "" {
		return fmt.Sprintf("%s to %q, which is not followed; is the endpoint right?", http.StatusText(status), location)
	}
	if len(body) == 0 {
		return http.StatusText(status) + " with an empty body"
	}
	return fmt.Sprintf("%s with %d bytes of %s; is the endpoint right?", http.StatusText(status), len(body), header.Get("Content-Type"))
}
