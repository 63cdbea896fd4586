package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi/contract"
)

// request is a request of a case.
type request struct {
	method, path string
	header       http.Header
	body         string
	anyRefusal   bool // the contract leaves the status open
	isProject    bool // it tries another project id
	isSigned     bool // it is about a header, which a signature covers
	counts       bool // it is about many characters that are several bytes, and several units in UTF-16
}

// An answer is a response of the server.
type answer struct {
	status int
	header http.Header
	body   []byte
	code   callback.ErrorCode // of an error body
	broken error              // what the contract says against the response
	signed bool               // the request was
	curl   string             // the request, as a command for a shell
}

// isBusy reports whether the request may be sent again, as a client would.
func (a answer) isBusy() bool {
	switch a.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

// isOtherProject reports whether the answer may be about another project than that of the credentials: the contract
// leaves to gateways how they refuse it.
func (a answer) isOtherProject() bool {
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests: // too many failed attempts
		return true
	default:
		return a.status == http.StatusNotFound && a.code != callback.CodeNotFound
	}
}

func (a answer) String() string {
	return strings.TrimSpace(fmt.Sprintf("%d %.200s", a.status, bytes.TrimSpace(a.body)))
}

// noAnswer is the error of a request without a response.
type noAnswer struct {
	error
	timeout bool
}

func (e noAnswer) Unwrap() error { return e.error }

type runner struct {
	endpoint  string
	project   string
	probe     request // a callback for an unknown state
	published *contract.Contract
	options   Options
	holds     bool           // the server answers callbacks for unknown states with 200
	busy      *atomic.Bool   // a request was given up because the server is busy
	curl      string         // the last request
	opened    map[State]bool // the states that were used
}

const (
	firstPause = 100 * time.Millisecond
	// mostTries limits how often a request is sent if there is no answer. The server may be unable to answer it.
	mostTries = 5
)

// isKnown reports whether a state was opened, or will be.
func (r *runner) isKnown(s State) bool {
	return r.opened[s.key()] || r.options.IsKnown != nil && r.options.IsKnown(s.key())
}

// check returns why a request cannot be sent, or is not allowed by the contract, because of an id that somebody gave.
func (r *runner) check(ctx context.Context, q request) error {
	sent, err := http.NewRequestWithContext(ctx, q.method, r.endpoint+q.path, strings.NewReader(q.body))
	if err != nil {
		return err
	}
	sent.Header = q.header.Clone()
	for name := range sent.Header {
		switch value := sent.Header.Get(name); { // RFC 9110, section 5.5
		case strings.ContainsFunc(value, unicode.IsControl):
			return fmt.Errorf("%s: has a control character", name)
		case value != strings.TrimSpace(value):
			return fmt.Errorf("%s: has a blank at an end", name)
		}
	}
	operation, values := r.published.Match(sent)
	if operation == nil {
		return fmt.Errorf("%s %s is no callback", q.method, q.path)
	}
	return operation.CheckRequest(ctx, sent, values)
}

// send sends a request. It sends it again, as a caller would, if the server is busy or the connection breaks.
func (r *runner) send(ctx context.Context, q request) (a answer, err error) {
	pause, waited := firstPause, time.Duration(0)
	for try := 1; ; try++ {
		a, err = r.sendOnce(ctx, q)
		var lost noAnswer
		isBusy := err == nil && a.isBusy()
		if ctx.Err() != nil || !isBusy && (try == mostTries || !errors.As(err, &lost) || lost.timeout) {
			return a, err
		}
		next := pause
		if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && isBusy {
			next = max(next, time.Duration(seconds)*time.Second)
		}
		if next > r.options.Retry-waited {
			r.busy.Store(isBusy)
			return a, err
		}
		if next >= time.Second && r.options.Waiting != nil {
			because := "there is no answer"
			if isBusy {
				because = fmt.Sprintf("it answers %d", a.status)
			}
			r.options.Waiting(next, because)
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return a, ctx.Err()
		}
		pause, waited = 2*pause, waited+next
	}
}

func (r *runner) sendOnce(ctx context.Context, q request) (a answer, err error) {
	attempt, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	sent, err := http.NewRequestWithContext(attempt, q.method, r.endpoint+q.path, strings.NewReader(q.body))
	if err != nil {
		return a, err
	}
	sent.Header = q.header.Clone()
	sent.Close = r.options.Retry < 0 // a connection that was kept may have ended
	if err := r.options.Authenticate(sent, []byte(q.body)); err != nil {
		return a, err
	}
	a.signed = sent.Header.Get("Authorization") != ""
	a.curl = curl(r.endpoint, q, sent.Header)
	r.curl = a.curl
	response, err := r.options.Transport.RoundTrip(sent)
	if err == nil {
		defer response.Body.Close()
		a.body, err = io.ReadAll(io.LimitReader(response.Body, 1<<20))
	}
	switch {
	case ctx.Err() != nil:
		return a, ctx.Err()
	case attempt.Err() != nil:
		return a, noAnswer{fmt.Errorf("there is no answer within %s", r.options.Timeout), true}
	case err != nil:
		return a, noAnswer{fmt.Errorf("there is no answer: %w", err), false}
	}
	a.status, a.header = response.StatusCode, response.Header
	var refusal callback.CallbackError
	if json.Unmarshal(a.body, &refusal) == nil {
		a.code = refusal.ErrorCode
	}
	if operation, _ := r.published.Match(sent); operation != nil {
		a.broken = operation.CheckResponse(ctx, sent, response.StatusCode, response.Header, a.body)
	}
	return a, nil
}
