// Package conformance walks the edges of the published contract against a server that claims
// it: every limit and one past it, headers, bodies, and the shape of every answer. What it
// sends and expects is read from the contract, so that it follows when the contract changes.
//
// It calls back states that nobody waits for, so a conforming server settles nothing; one
// that holds callbacks for unknown states would keep them. It measures no time, and judges
// no other operation.
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

	"github.com/flowcallback/flowcallback/openapi/contract"
)

// A Case is one request and what the contract says of it.
type Case struct {
	Group, Name string
	Allowed     bool // else it must be refused

	request
}

// A Result is what came of a case: nil for a server that does as the contract says.
type Result struct {
	Case

	Err  error
	Took time.Duration
}

// Options are the choices of Run; the zero value is the default of each.
type Options struct {
	// Authenticate adds credentials to a request whose body is given. Default: none.
	Authenticate func(r *http.Request, body []byte) error
	// Timeout bounds each request. Default: 30 seconds.
	Timeout time.Duration
	// Transport makes the requests. Default: http.DefaultTransport. Redirects are not
	// followed.
	Transport http.RoundTripper
}

// Run makes the request of each case to the service at endpoint, such as
// http://127.0.0.1:8080, and calls done with each result. The error is that of the contract,
// the endpoint or ctx; what a server does wrong is in the results.
func Run(ctx context.Context, endpoint string, cases []Case, options Options, done func(Result)) error {
	if options.Timeout == 0 {
		options.Timeout = 30 * time.Second
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
		return fmt.Errorf("no answer: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return c.judge(ctx, r, answer, body, published)
}

// judge says what is wrong with an answer.
func (c Case) judge(ctx context.Context, r *http.Request, answer *http.Response, body []byte, published *contract.Contract) error {
	said := fmt.Sprintf("%d %.200s", answer.StatusCode, bytes.TrimSpace(body))
	switch {
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("the credentials were refused: %s", said)
	case answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("the server failed: %s", said)
	}
	if operation, _ := published.Match(r); operation != nil {
		if err := operation.CheckAnswer(ctx, r, answer.StatusCode, answer.Header, body); err != nil {
			return fmt.Errorf("the answer breaks the contract: %w: %s", err, said)
		}
	}
	broken := answer.StatusCode == http.StatusBadRequest && bytes.Contains(body, []byte(brokenCode))
	switch {
	case c.Allowed && answer.StatusCode != http.StatusNotFound:
		return fmt.Errorf("it is allowed, and nobody waits for this state, so 404 was wanted: %s", said)
	case !c.Allowed && c.anyRefusal && (answer.StatusCode < http.StatusBadRequest || bytes.Contains(body, []byte(unknownCode))):
		return fmt.Errorf("it was not refused: %s", said)
	case !c.Allowed && !c.anyRefusal && !broken:
		return fmt.Errorf("400 with %s was wanted: %s", brokenCode, said)
	}
	return nil
}

const (
	brokenCode  = "FGS.3002" // of a request that breaks the contract (the published page)
	unknownCode = "FGS.5002" // of one that does not, for a state that nobody waits for
)

// request is what a case sends.
type request struct {
	method, path string
	header       http.Header
	body         string
	anyRefusal   bool // the contract leaves open with which status
}

// unknown is an id that nobody has.
func unknown() string { return "conformance-" + rand.Text() }

var errContract = errors.New("the contract has no such part")
