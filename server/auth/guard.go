package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/flowcallback/flowcallback/openapi/signature"
	"github.com/flowcallback/flowcallback/server"
)

// Options configure New. A zero field has the default that its comment names.
type Options struct {
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
	attempts   *attempts
}

// New reads the principals from the file at path. The error names the line that is wrong.
func New(path string, options Options) (*Guard, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	g := &Guard{path: path, now: options.Now, attempts: newAttempts(options.Now, options.Logger)}
	return g, g.Reload()
}

// Reload reads the file again. If the file is wrong, the old principals stay in use.
func (g *Guard) Reload() error {
	principals, err := load(g.path)
	if err != nil {
		return err
	}
	g.principals.Store(&principals)
	return nil
}

// Authorize implements server.Authorize. It answers wrong credentials with the same error and
// after the same work, whether the principal exists or not.
func (g *Guard) Authorize(_ context.Context, call server.Call) (principal string, err error) {
	who, claimed, reason := g.authenticate(call)
	if errors.Is(reason, errNone) {
		return "", because(reason, server.ErrUnauthenticated)
	}
	if err := g.attempts.judge(call.Request.RemoteAddr, claimed, who); err != nil {
		return "", because(reason, err)
	}
	if !who.may(call.Action, call.ProjectID) {
		return "", fmt.Errorf("%s may not %s in this project: %w", who.name, call.Action, server.ErrForbidden)
	}
	return who.name, nil
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

// because adds the reason, if there is one. Valid credentials that are refused while attempts
// are limited have none.
func because(reason, refusal error) error {
	if reason == nil {
		return refusal
	}
	return fmt.Errorf("%w: %w", refusal, reason)
}

// authenticate returns the principal of a call, or nil and the reason. claimed is the access
// key in the call, if it has one.
func (g *Guard) authenticate(call server.Call) (who *principal, claimed string, reason error) {
	tokens := call.Request.Header.Values("X-Auth-Token")
	authorizations := call.Request.Header.Values("Authorization")
	switch {
	case len(tokens) == 0 && len(authorizations) == 0:
		return nil, "", errNone
	case len(tokens) == 1 && len(authorizations) == 0:
		return g.byToken(tokens[0]), "", errToken
	case len(tokens) == 0 && len(authorizations) == 1:
		return g.bySignature(call, authorizations[0])
	default: // it is not clear which one the caller means
		return nil, "", errMany
	}
}

// byToken compares the token with every principal, so that the time reveals nothing.
func (g *Guard) byToken(token string) (who *principal) {
	hash := sha256.Sum256([]byte(token))
	for _, p := range *g.principals.Load() {
		if p.tokenHash != nil && subtle.ConstantTimeCompare(p.tokenHash, hash[:]) == 1 {
			who = p
		}
	}
	return who
}

func (g *Guard) bySignature(call server.Call, header string) (who *principal, claimed string, reason error) {
	authorization, err := signature.Parse(header)
	if err != nil {
		return nil, "", errMalformed
	}
	unknown := &principal{secretKey: "verified in place of an unknown principal's secret"}
	who = unknown
	for _, p := range *g.principals.Load() {
		if p.accessKey != "" && subtle.ConstantTimeCompare([]byte(p.accessKey), []byte(authorization.AccessKey)) == 1 {
			who = p
		}
	}
	verified := authorization.Verify(call.Request, call.Body, who.secretKey)
	switch {
	case !verified || who == unknown:
		return nil, authorization.AccessKey, errSignature
	case !g.isTimely(call.Request):
		return nil, authorization.AccessKey, errTime
	case !authorization.Covers(mustCover(call.Action)...):
		return nil, authorization.AccessKey, errCovers
	default:
		return who, authorization.AccessKey, nil
	}
}

// mustCover returns the headers that a signature must cover: the time, and the state.
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
