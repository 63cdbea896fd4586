package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsserver"
	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/attempts"
	"github.com/flowcallback/flowcallback/server/engine"
)

// LinkPrincipal begins the principals of those who decide by link.
const LinkPrincipal = "link:"

// actionLink is the action of operations that a link authorizes, and nothing else.
const actionLink = "link"

// errLinkForbids: the link does not allow the result.
var errLinkForbids = errors.New("the link does not allow this result")

// links implements the operations on links, and those that links open.
type links struct {
	engine    engine.Engine
	linker    engine.Linker // nil if the engine has no links
	outcome   *contract.Operation
	guesses   *attempts.Counter
	publicURL string
	judge     func(schema, output []byte) error
}

func newLinks(config Config, e engine.Engine, own *contract.Contract) links {
	l := links{engine: e, judge: outputJudge(own), outcome: own.Operation("settleByLink"), guesses: attempts.New(time.Now, config.Logger), publicURL: strings.TrimSuffix(config.PublicURL, "/")}
	l.linker, _ = e.(engine.Linker)
	return l
}

// linkAccess serves an operation for whoever has the link, and keeps what it answers from pages
// that it links to.
func linkAccess(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		setPageHeaders(c.Response().Header(), linkPolicy)
		return next(c)
	}
}

// CreateLink implements the operation createLink.
func (l links) CreateLink(ctx context.Context, r waitsserver.CreateLinkRequestObject) (waitsserver.CreateLinkResponseObject, error) {
	if l.linker == nil {
		return nil, errNotOffered
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	secret := base64.RawURLEncoding.EncodeToString(random[:])
	link := engine.NewLink{Digest: sha256.Sum256([]byte(secret)), Allow: r.Body.Allow, To: r.Body.To, Principal: requestOf(ctx).principal.Name}
	if r.Body.ExpiresInSeconds != nil {
		link.Timeout = time.Duration(*r.Body.ExpiresInSeconds) * time.Second
	}
	created, err := l.linker.CreateLink(ctx, r.ProjectID, r.WaitID, link)
	if err != nil {
		return nil, err
	}
	base := l.publicURL
	if base == "" {
		base = requestOf(ctx).base()
	}
	return waitsserver.CreateLink201JSONResponse{
		Body:    waits.CreatedLink{URL: base + "/l/" + secret, LinkID: created.LinkID, ExpiresAt: created.ExpiresAt},
		Headers: waitsserver.CreateLink201ResponseHeaders{XRequestID: requestOf(ctx).id},
	}, nil
}

// ListLinks implements the operation listLinks.
func (l links) ListLinks(ctx context.Context, r waitsserver.ListLinksRequestObject) (waitsserver.ListLinksResponseObject, error) {
	if l.linker == nil {
		return nil, errNotOffered
	}
	list, err := l.linker.ListLinks(ctx, r.ProjectID, r.WaitID)
	if err != nil {
		return nil, err
	}
	return waitsserver.ListLinks200JSONResponse{Body: waits.LinkList{Links: list}, Headers: waitsserver.ListLinks200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}

// WithdrawLink implements the operation withdrawLink.
func (l links) WithdrawLink(ctx context.Context, r waitsserver.WithdrawLinkRequestObject) (waitsserver.WithdrawLinkResponseObject, error) {
	if l.linker == nil {
		return nil, errNotOffered
	}
	if err := l.linker.WithdrawLink(ctx, r.ProjectID, r.WaitID, r.LinkID); err != nil {
		return nil, err
	}
	return waitsserver.WithdrawLink204Response{Headers: waitsserver.WithdrawLink204ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}

// followed is a link that a request has followed.
type followed struct {
	waits.Link
	digest [32]byte
	wait   waits.Wait
}

// principal returns who decides by the link, for the record.
func (f *followed) principal() string {
	if f.To != "" {
		return LinkPrincipal + f.To
	}
	return LinkPrincipal + "#" + f.LinkID // no name begins so
}

// follow returns the link with a secret, or engine.ErrNotFound, or engine.ErrExpired if the link is
// over. Guesses beyond a limit are refused
// with ErrTooManyAttempts.
func (l links) follow(ctx context.Context, secret string) (*followed, error) {
	if l.linker == nil {
		return nil, errNotOffered
	}
	digest := sha256.Sum256([]byte(secret))
	link, wait, err := l.linker.FollowLink(ctx, digest)
	switch {
	case errors.Is(err, engine.ErrNotFound) && !l.guesses.Count(requestOf(ctx).client):
		return nil, ErrTooManyAttempts
	case err != nil:
		return nil, err
	}
	return &followed{link, digest, wait}, nil
}

// settle settles the wait of a link.
func (l links) settle(ctx context.Context, f *followed, request callback.Request) (executionID string, err error) {
	if !slices.Contains(f.Allow, request.Result) {
		return "", errLinkForbids
	}
	w := f.wait
	return l.engine.Callback(ctx, engine.Callback{
		Key:     engine.Key{ProjectID: w.ProjectID, WorkflowID: w.WorkflowID, RunID: w.RunID, StateID: w.StateID},
		Request: request, Principal: f.principal(), Link: &f.digest,
	})
}

func (l links) followAndSettle(ctx context.Context, secret string, request callback.Request) (waits.LinkAnswer, error) {
	f, err := l.follow(ctx, secret)
	if err != nil {
		return waits.LinkAnswer{}, err
	}
	executionID, err := l.settle(ctx, f, request)
	return waits.LinkAnswer{ExecutionID: executionID}, err
}

// SettleByLink implements the operation settleByLink.
func (l links) SettleByLink(ctx context.Context, r waitsserver.SettleByLinkRequestObject) (waitsserver.SettleByLinkResponseObject, error) {
	answer, err := l.followAndSettle(ctx, r.Token, callback.Request{Result: r.Body.Result, Error: r.Body.Error, Output: r.Body.Output})
	if err != nil {
		return nil, err
	}
	return waitsserver.SettleByLink200JSONResponse{Body: answer, Headers: waitsserver.SettleByLink200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}

// SucceedByLink implements the operation succeedByLink.
func (l links) SucceedByLink(ctx context.Context, r waitsserver.SucceedByLinkRequestObject) (waitsserver.SucceedByLinkResponseObject, error) {
	answer, err := l.followAndSettle(ctx, r.Token, callback.Request{Result: callback.Success, Output: bytes.TrimSpace(*r.Body)})
	if err != nil {
		return nil, err
	}
	return waitsserver.SucceedByLink200JSONResponse{Body: answer, Headers: waitsserver.SucceedByLink200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}

// FailByLink implements the operation failByLink.
func (l links) FailByLink(ctx context.Context, r waitsserver.FailByLinkRequestObject) (waitsserver.FailByLinkResponseObject, error) {
	answer, err := l.followAndSettle(ctx, r.Token, callback.Request{Result: callback.Fail, Error: r.Params.Reason, Output: bytes.TrimSpace(*r.Body)})
	if err != nil {
		return nil, err
	}
	return waitsserver.FailByLink200JSONResponse{Body: answer, Headers: waitsserver.FailByLink200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}
