// Package conformance tests a server against the published contract: every limit and one past
// it, headers, bodies, the form of every response, and, given states that wait, what settling one
// means. The cases are read from the contract, so they follow its changes.
//
// Without states it calls back unknown ones, so a server settles nothing. A server that holds
// callbacks for unknown states keeps them. It measures no time, and tests no other operation.
package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi/contract"
)

// Errors of Run. Each ends it, because all cases would fail for the same cause.
var (
	// ErrCredentials: the server refuses the credentials.
	ErrCredentials = errors.New("the credentials were refused")
	// ErrUnreachable: there is no answer.
	ErrUnreachable = errors.New("the server cannot be reached")
	// ErrUnavailable: the server answers that it is busy, or fails.
	ErrUnavailable = errors.New("the server is not available")
	// ErrMock: every callback is answered with 200, and a state takes two outcomes. So do mocks of the contract, such as
	// Prism's, which know no states.
	ErrMock = errors.New("this settles nothing")
	// ErrNoAPI: something answers, and it does not have this API at this address.
	ErrNoAPI = errors.New("no such API here")
)

// NoState is the reason to skip a case that needs a state.
const NoState = "there is no state that waits"

// ErrNoState means that there is no further state that waits. The cases that need one are skipped.
var ErrNoState = errors.New("no state that waits")

// A Case is one request and whether the contract allows it, or one test of what settling means.
type Case struct {
	Group, Name string
	Allowed     bool
	// Strict: the contract does not say it; this project's server promises it.
	Strict bool

	request

	// What a case about a state does. Its request has {project_id}, {workflow_id}, {run_id} and {state_id} where the
	// ids go.
	State    Status // that it needs; empty: the request is the case
	Steps    []Step
	MustRead bool // it is skipped if the waiting side cannot be read
	Rounds   int  // how often it is tried, each time with another state; once if there are no more
}

// Data is a case for programs in other languages.
type Data struct {
	Group   string      `json:"group"`
	Name    string      `json:"name"`
	Allowed bool        `json:"allowed"`
	Strict  bool        `json:"strict,omitempty"`
	Method  string      `json:"method"`
	Path    string      `json:"path"`
	Header  http.Header `json:"header,omitempty"`
	Body    []byte      `json:"body_base64,omitempty"` // as it is sent; not always UTF-8
	// AnyRefusal: the contract leaves open with which status the request is refused, 4xx or 501. NotCode is not
	// the code: with it the request was carried out.
	AnyRefusal bool               `json:"any_refusal,omitempty"`
	NotCode    callback.ErrorCode `json:"not_code,omitempty"`
	// About is "project" if the case tries other projects, which credentials may not allow, and "header" if it
	// tries headers, which may be impossible to sign.
	About string `json:"about,omitempty"`
	// Status and Code are the answer to a request with one; a server that holds callbacks for unknown states answers
	// 200 instead of 404.
	Status int                `json:"status,omitempty"`
	Code   callback.ErrorCode `json:"code,omitempty"`

	State    Status `json:"state,omitempty"`
	Steps    []Step `json:"steps,omitempty"`
	MustRead bool   `json:"must_read,omitempty"`
	Rounds   int    `json:"rounds,omitempty"`
}

// Data returns the case as data.
func (c Case) Data() Data {
	d := Data{
		Group: c.Group, Name: c.Name, Allowed: c.Allowed, Strict: c.Strict, Method: c.method, Path: c.path, Header: c.header, Body: []byte(c.body), AnyRefusal: c.anyRefusal,
		State: c.State, Steps: c.Steps, MustRead: c.MustRead, Rounds: c.Rounds,
	}
	switch {
	case c.isProject:
		d.About = "project"
	case c.isSigned:
		d.About = "header"
	}
	switch {
	case c.State != "":
	case c.anyRefusal:
		d.NotCode = callback.CodeNotFound
	case c.Allowed:
		d.Status, d.Code = http.StatusNotFound, callback.CodeNotFound
	default:
		d.Status, d.Code = http.StatusBadRequest, callback.CodeInvalid
	}
	return d
}

// A Result is the result of a case. Err is nil if the server conforms.
type Result struct {
	Case

	Err     error
	Skipped string // why the case was not tried; empty if it was
	Took    time.Duration
	Curl    string // the last request, as a command for a shell, without credentials
}

// A State is a state that waits.
type State struct {
	Workflow string `json:"workflow_id"`
	Run      string `json:"run_id"`
	State    string `json:"state_id"`
	WaitID   string `json:"wait_id,omitempty"` // for Received and Cancel, if they need it
}

// key returns the ids of the state.
func (s State) key() State { return State{Workflow: s.Workflow, Run: s.Run, State: s.State} }

// An Outcome is what the waiting side receives.
type Outcome struct {
	Result string          `json:"result"`
	Error  string          `json:"error,omitempty"`
	Output json.RawMessage `json:"output"`
}

// Defaults of Options.
const (
	DefaultTimeout = 30 * time.Second
	DefaultRetry   = time.Minute
)

// Options configure Run. A zero field has the default that its comment names.
type Options struct {
	// ProjectID is the project of all requests. Default: the example of the contract.
	ProjectID string
	// Authenticate adds credentials to a request with the given body. Default: none.
	Authenticate func(r *http.Request, body []byte) error
	// Timeout limits each request. Default: DefaultTimeout.
	Timeout time.Duration
	// Retry limits how long a request waits in all to be sent again, because the server is busy or there is no answer;
	// negative: not at all. Default: DefaultRetry.
	Retry time.Duration
	// Waiting is called before each pause of a second or more, with its cause, also from two goroutines at once.
	// Default: it is not called.
	Waiting func(pause time.Duration, because string)
	// Transport sends the requests; redirects are not followed. Default:
	// http.DefaultTransport.
	Transport http.RoundTripper
	// Strict tries the cases that the contract leaves open too.
	Strict bool

	// Open returns a state that waits and that nobody else uses, or ErrNoState. Default: there is none, so
	// settling is not tested.
	Open func(context.Context) (State, error)
	// IsKnown reports whether a state is one that Open will return. It is left alone until then. Default: none is known.
	IsKnown func(State) bool
	// Expired returns a state whose deadline has passed. Default: it is not tested.
	Expired func(context.Context) (State, error)
	// Cancel cancels a state. Default: it is not tested.
	Cancel func(context.Context, State) error
	// Received returns the outcome that the waiting side received, nil if there is none. Default: it is not tested.
	Received func(context.Context, State) (*Outcome, error)
}

func (o *Options) setDefaults() {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Retry == 0 {
		o.Retry = DefaultRetry
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Authenticate == nil {
		o.Authenticate = func(*http.Request, []byte) error { return nil }
	}
}

// CheckEndpoint returns what is wrong with an endpoint.
func CheckEndpoint(endpoint string) error {
	base, err := url.Parse(endpoint)
	switch {
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		return errors.New("the endpoint: want a URL such as http://127.0.0.1:8080") // it may have a password
	case base.User != nil:
		return errors.New("the endpoint: want no user name and no password")
	case base.RawQuery != "" || base.Fragment != "":
		return errors.New("the endpoint: want no query and no fragment")
	}
	return nil
}

// Run tries each case at the service at endpoint, such as http://127.0.0.1:8080, and calls done with
// each result. What the server does wrong is in the results; the error is ErrCredentials, ErrUnreachable,
// ErrUnavailable, ErrNoAPI or ErrMock with an explanation, or about the endpoint, ctx, or a function in options. The
// results until then are right.
func Run(ctx context.Context, endpoint string, cases []Case, options Options, done func(Result)) error {
	options.setDefaults()
	if err := CheckEndpoint(endpoint); err != nil {
		return err
	}
	published, err := contract.Callback()
	if err != nil {
		return err
	}
	list, err := newCaseList(options.ProjectID)
	if err != nil {
		return err
	}
	r := &runner{
		endpoint: strings.TrimSuffix(endpoint, "/"), project: list.projectID, probe: list.probe(), published: published,
		options: options, busy: new(atomic.Bool), opened: map[State]bool{},
	}
	if err := r.preflight(ctx); err != nil {
		return err
	}
	for _, c := range cases {
		if c.Strict && !options.Strict {
			continue
		}
		start := time.Now()
		err := r.try(ctx, c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if source := (sourceError{}); errors.As(err, &source) {
			return err
		}
		result := Result{Case: c, Err: err, Took: time.Since(start), Curl: r.curl}
		isBusy := r.busy.Swap(false)
		if lost := (noAnswer{}); isBusy || errors.As(err, &lost) { // is it this request, or is the server gone?
			if err := r.preflight(ctx); err != nil {
				if !isBusy {
					done(result) // it may be what ended the server
				}
				return err
			}
		}
		if skipped := skip(""); errors.As(err, &skipped) {
			result.Err, result.Skipped = nil, string(skipped)
		}
		done(result)
	}
	return nil
}

// A sourceError is an error of a function in Options, which says nothing about the server.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

// A skip is the reason why a case was not tried.
type skip string

func (s skip) Error() string { return string(s) }

// try tries a case.
func (r *runner) try(ctx context.Context, c Case) error {
	if c.State != "" {
		return r.settle(ctx, c)
	}
	a, err := r.send(ctx, c.request)
	switch {
	case err != nil:
		return err
	case c.isProject && a.isOtherProject():
		r.busy.Store(false)
		return skip("the credentials are for another project")
	case a.status == http.StatusUnauthorized && c.isSigned && a.signed:
		return skip("a request with this header cannot be signed")
	}
	return c.judge(a, r.holds)
}
