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

// clockSkew is how far a signature's time may lie from ours, as the vendor has it.
const clockSkew = 15 * time.Minute

// Options are the choices of New; the zero value is the default of each.
type Options struct {
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger hears when somebody begins to be slowed down. Default: slog.Default().
	Logger *slog.Logger
}

// A Guard knows who may call. Its methods are safe for concurrent use.
type Guard struct {
	path       string
	now        func() time.Time
	principals atomic.Pointer[[]*principal]
	attempts   *attempts
}

// New reads the principals of the file at path. Its error names the line that is wrong.
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

// Reload reads the file anew. Calls under way go on; where the file is wrong, everything
// stays as it was.
func (g *Guard) Reload() error {
	principals, err := load(g.path)
	if err != nil {
		return err
	}
	g.principals.Store(&principals)
	return nil
}

// Authorize implements server.Authorize. What it refuses, it refuses with the same words
// and after the same work, whether the principal exists or not.
func (g *Guard) Authorize(_ context.Context, call server.Call) (caller string, err error) {
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

// Why somebody is nobody, for the log.
var (
	errNone      = errors.New("no credentials")
	errMany      = errors.New("more than one credential")
	errToken     = errors.New("a token of nobody")
	errMalformed = errors.New("a header Authorization that is no SDK-HMAC-SHA256 signature")
	errSignature = errors.New("an unknown access key, or a signature that is not its")
	errTime      = errors.New("a signature of another time: compare the clocks")
	errCovers    = errors.New("a signature that leaves out X-Sdk-Date or a workflow header")
)

// because adds the reason, if there is one: right credentials are refused without, while
// others guess.
func because(reason, refusal error) error {
	if reason == nil {
		return refusal
	}
	return fmt.Errorf("%w: %w", refusal, reason)
}

// authenticate returns the principal whose credentials the call has, or nil and why; and
// the access key that it claims, if any.
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
	default: // none of them can be meant
		return nil, "", errMany
	}
}

// byToken compares with every principal, so that the time tells nothing.
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
	nobody := &principal{secretKey: "the secret of nobody, to verify against all the same"}
	who = nobody
	for _, p := range *g.principals.Load() {
		if p.accessKey != "" && subtle.ConstantTimeCompare([]byte(p.accessKey), []byte(authorization.AccessKey)) == 1 {
			who = p
		}
	}
	verified := authorization.Verify(call.Request, call.Body, who.secretKey)
	switch {
	case !verified || who == nobody:
		return nil, authorization.AccessKey, errSignature
	case !g.isTimely(call.Request):
		return nil, authorization.AccessKey, errTime
	case !authorization.Covers(mustCover(call.Action)...):
		return nil, authorization.AccessKey, errCovers
	default:
		return who, authorization.AccessKey, nil
	}
}

// mustCover are the headers that a signature must cover: those that say when, and which
// state is meant.
func mustCover(action server.Action) []string {
	if action == server.ActionCallback {
		return []string{signature.DateHeader, "X-Workflow-Run-Id", "X-Workflow-State-Id"}
	}
	return []string{signature.DateHeader}
}

func (g *Guard) isTimely(r *http.Request) bool {
	signed, err := signature.Time(r)
	return err == nil && g.now().Sub(signed).Abs() <= clockSkew
}
