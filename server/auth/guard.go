package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flowcallback/flowcallback/openapi/signature"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/attempts"
)

// Options configure New. A zero field has the default that its comment names.
type Options struct {
	// AllProjects refuses principals that are restricted to some projects. Set it if the
	// engine does not separate projects.
	AllProjects bool
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger receives a line when failed attempts of an address begin to be limited.
	// Default: slog.Default().
	Logger *slog.Logger
}

// A Guard authorizes calls. Its methods are safe for concurrent use.
type Guard struct {
	path       string
	now        func() time.Time
	principals atomic.Pointer[[]*principal]
	failures   *attempts.Counter
	options    Options
}

// New reads the principals from the file at path. The error names the line that is wrong.
func New(path string, options Options) (*Guard, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	g := &Guard{path: path, now: options.Now, options: options, failures: attempts.New(options.Now, options.Logger)}
	return g, g.Reload()
}

// Reload reads the file again. If the file is wrong, the old principals stay in use.
func (g *Guard) Reload() error {
	principals, err := load(g.path, g.options.AllProjects)
	if err != nil {
		return err
	}
	g.principals.Store(&principals)
	return nil
}

// Authorize implements server.Authorize. It answers all wrong credentials with the same error.
// It reads the body only to verify a signature whose access key, date and signed headers are
// right, so a caller can find out whether an access key exists, which is not a secret.
func (g *Guard) Authorize(_ context.Context, call server.Call) (server.Principal, error) {
	p, reason, err := g.authenticate(call)
	switch {
	case err != nil:
		return server.Principal{}, err
	case errors.Is(reason, errNone):
		return server.Principal{}, fmt.Errorf("%w: %w", server.ErrUnauthenticated, reason)
	case reason != nil && !g.failures.Count(call.Address):
		return server.Principal{}, server.ErrTooManyAttempts
	case reason != nil:
		return server.Principal{}, fmt.Errorf("%w: %w", server.ErrUnauthenticated, reason)
	case !p.may(call.Action, call.ProjectID):
		return server.Principal{}, fmt.Errorf("%s may not %s in this project: %w", p.name, call.Action, server.ErrForbidden)
	default:
		return server.Principal{Name: p.name, Projects: p.projects, Allow: p.actions}, nil
	}
}

// Reasons for a 401, for the log.
var (
	errNone      = errors.New("no credentials")
	errMany      = errors.New("more than one credential")
	errToken     = errors.New("unknown token")
	errMalformed = errors.New("the header Authorization is not an SDK-HMAC-SHA256 signature")
	errSignature = errors.New("unknown access key or wrong signature")
	errTime      = errors.New("X-Sdk-Date outside the 15-minute window: compare the clocks")
	errCovers    = errors.New("the signature does not cover X-Sdk-Date or a workflow header")
)

// authenticate returns the principal of a call, or the reason for a 401. err is an error from
// reading the body.
func (g *Guard) authenticate(call server.Call) (p *principal, reason, err error) {
	tokens := call.Request.Header.Values("X-Auth-Token")
	authorizations := call.Request.Header.Values("Authorization")
	switch {
	case len(tokens) == 0 && len(authorizations) == 0:
		return nil, errNone, nil
	case len(tokens) == 1 && len(authorizations) == 0:
		return g.byToken(tokens[0])
	case len(tokens) == 0 && len(authorizations) == 1:
		if token, ok := g.scraperToken(call, authorizations[0]); ok {
			return g.byToken(token)
		}
		return g.bySignature(call, authorizations[0])
	default: // it is not clear which one the caller means
		return nil, errMany, nil
	}
}

// scraperToken returns the token of a Prometheus scraper, which sends it as Authorization:
// Bearer. Operations of the contract take tokens in X-Auth-Token only.
func (g *Guard) scraperToken(call server.Call, header string) (token string, ok bool) {
	if call.Request.URL.Path != "/metrics" {
		return "", false
	}
	return strings.CutPrefix(header, "Bearer ")
}

// byToken compares the token with every principal, so that the time reveals nothing.
func (g *Guard) byToken(token string) (p *principal, reason, err error) {
	reason = errToken
	hash := sha256.Sum256([]byte(token))
	for _, candidate := range *g.principals.Load() {
		if candidate.tokenHash != nil && subtle.ConstantTimeCompare(candidate.tokenHash, hash[:]) == 1 {
			p, reason = candidate, nil
		}
	}
	return p, reason, nil
}

func (g *Guard) bySignature(call server.Call, header string) (p *principal, reason, err error) {
	authorization, parseErr := signature.Parse(header)
	if parseErr != nil {
		return nil, errMalformed, nil
	}
	for _, candidate := range *g.principals.Load() {
		if candidate.accessKey != "" && subtle.ConstantTimeCompare([]byte(candidate.accessKey), []byte(authorization.AccessKey)) == 1 {
			p = candidate
		}
	}
	switch {
	case p == nil:
		return nil, errSignature, nil
	case !g.isTimely(call.Request):
		return nil, errTime, nil
	case !authorization.Covers(mustCover(call.Action)...):
		return nil, errCovers, nil
	}
	body, err := call.Body()
	if err != nil {
		return nil, nil, err
	}
	if !authorization.Verify(call.Request, body, p.secretKey) {
		return nil, errSignature, nil
	}
	return p, nil, nil
}

// mustCover returns the headers that a signature must cover: the time, and the state. Host is not among them, because
// the vendor's SDK for Go leaves it out.
func mustCover(action server.Action) []string {
	if action == server.ActionCallback {
		return []string{signature.DateHeader, "X-Workflow-Run-Id", "X-Workflow-State-Id"}
	}
	return []string{signature.DateHeader}
}

// isTimely reports whether a request was signed recently.
func (g *Guard) isTimely(r *http.Request) bool {
	signed, err := signature.Time(r)
	return err == nil && g.now().Sub(signed).Abs() <= signature.MaxClockSkew
}
