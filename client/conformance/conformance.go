// Package conformance tests a server against the published contract: every limit and one past
// it, headers, bodies, and the form of every response. The cases are read from the contract,
// so they follow its changes.
//
// It calls back unknown states, so a conforming server settles nothing. A server that holds
// callbacks for unknown states keeps them. It does not measure time, and tests no other
// operation.
package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi/contract"
)

// ErrCredentials means that the server refused the credentials. Run ends with it, because every further
// request would count as a failed attempt.
var ErrCredentials = errors.New("the credentials were refused")

// A Case is one request, and whether the contract allows it.
type Case struct {
	Group, Name string
	Allowed     bool

	request
}

// A Result is the result of a case. Err is nil if the server conforms.
type Result struct {
	Case

	Err  error
	Took time.Duration
}

// DefaultTimeout is the default of Options.Timeout.
const DefaultTimeout = 30 * time.Second

// Options configure Run. A zero field has the default that its comment names.
type Options struct {
	// Authenticate adds credentials to a request with the given body. Default: none.
	Authenticate func(r *http.Request, body []byte) error
	// Timeout limits each request. Default: DefaultTimeout.
	Timeout time.Duration
	// Transport sends the requests; redirects are not followed. Default:
	// http.DefaultTransport.
	Transport http.RoundTripper
}

// Run sends the request of each case to the service at endpoint, such as
// http://127.0.0.1:8080, and calls done with each result. What the server does wrong is in
// the results; the error is about the contract, the endpoint or ctx.
func Run(ctx context.Context, endpoint string, cases []Case, options Options, done func(Result)) error {
	if options.Timeout == 0 {
		options.Timeout = DefaultTimeout
	}
	if options.Transport == nil {
		options.Transport = http.DefaultTransport
	}
	if options.Authenticate == nil {
		options.Authenticate = func(*http.Request, []byte) error { return nil }
	}
	base, err := url.Parse(endpoint)
	if err != nil || base.Host == "" {
		return fmt.Errorf("endpoint %q: want a URL such as http://127.0.0.1:8080", endpoint)
	}
	published, err := contract.Callback()
	if err != nil {
		return err
	}
	for _, c := range cases {
		start := time.Now()
		err := c.try(ctx, strings.TrimSuffix(endpoint, "/"), published, options)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrCredentials) {
			return err // all other cases would fail in the same way
		}
		done(Result{c, err, time.Since(start)})
	}
	return nil
}

func (c Case) try(ctx context.Context, endpoint string, published *contract.Contract, options Options) error {
	ctx, cancel := context.WithTimeout(ctx, options.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, c.method, endpoint+c.path, strings.NewReader(c.body))
	if err != nil {
		return err
	}
	r.Header = c.header.Clone()
	if err := options.Authenticate(r, []byte(c.body)); err != nil {
		return err
	}
	answer, err := options.Transport.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("no response: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("reading the response: %w", err)
	}
	return c.judge(ctx, r, answer, body, published)
}

// judge returns what is wrong with a response.
func (c Case) judge(ctx context.Context, r *http.Request, answer *http.Response, body []byte, published *contract.Contract) error {
	said := fmt.Sprintf("%d %.200s", answer.StatusCode, bytes.TrimSpace(body))
	switch {
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrCredentials, said)
	case answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("the server failed: %s", said)
	}
	if operation, _ := published.Match(r); operation != nil {
		if err := operation.CheckResponse(ctx, r, answer.StatusCode, answer.Header, body); err != nil {
			return fmt.Errorf("the response breaks the contract: %w: %s", err, said)
		}
	}
	broken := answer.StatusCode == http.StatusBadRequest && bytes.Contains(body, []byte(callback.CodeInvalid))
	switch {
	case c.Allowed && answer.StatusCode != http.StatusNotFound:
		return fmt.Errorf("the request is allowed and the state is unknown, so want 404: %s", said)
	case !c.Allowed && c.anyRefusal && (answer.StatusCode < http.StatusBadRequest || bytes.Contains(body, []byte(callback.CodeNotFound))):
		return fmt.Errorf("the request was not refused: %s", said)
	case !c.Allowed && !c.anyRefusal && !broken:
		return fmt.Errorf("want 400 with %s: %s", callback.CodeInvalid, said)
	}
	return nil
}

// request is the request of a case.
type request struct {
	method, path string
	header       http.Header
	body         string
	anyRefusal   bool // the contract leaves the status open
}

// unknownID returns an id that no server knows.
func unknownID() string { return "conformance-" + rand.Text() }
