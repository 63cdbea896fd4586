package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsserver"
	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// waitsHandler implements the API of the waiting side. An interface that the engine does
// not implement is nil.
type waitsHandler struct {
	opener  engine.Opener
	reader  engine.Reader
	counter engine.Counter
	feed    engine.Feed
	holder  engine.Holder
	store   string // what the engine says of its store
	links
	stopping context.Context
}

var _ waitsserver.StrictServerInterface = (*waitsHandler)(nil)

func newWaitsHandler(config Config, e engine.Engine, own *contract.Contract) *waitsHandler {
	h := &waitsHandler{stopping: config.Stopping, links: newLinks(config, e, own), store: engineName(e)}
	h.opener, _ = e.(engine.Opener)
	h.reader, _ = e.(engine.Reader)
	h.counter, _ = e.(engine.Counter)
	h.feed, _ = e.(engine.Feed)
	h.holder, _ = e.(engine.Holder)
	return h
}

// errNotOffered is the answer to an operation that the engine does not implement.
var errNotOffered = fmt.Errorf("operation of another engine: %w", errors.ErrUnsupported)

func (h *waitsHandler) OpenWait(ctx context.Context, r waitsserver.OpenWaitRequestObject) (waitsserver.OpenWaitResponseObject, error) {
	if h.opener == nil {
		return nil, errNotOffered
	}
	wait, opened, err := h.opener.OpenWait(ctx, r.ProjectID, *r.Body, requestOf(ctx).principal.Name)
	if err != nil {
		return nil, err
	}
	if opened {
		return waitsserver.OpenWait201JSONResponse{Body: wait, Headers: waitsserver.OpenWait201ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
	}
	return waitsserver.OpenWait200JSONResponse{Body: wait, Headers: waitsserver.OpenWait200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}

func (h *waitsHandler) ChangeWait(ctx context.Context, r waitsserver.ChangeWaitRequestObject) (waitsserver.ChangeWaitResponseObject, error) {
	if h.opener == nil {
		return nil, errNotOffered
	}
	wait, err := h.opener.ChangeWait(ctx, r.ProjectID, r.WaitID, *r.Body)
	if err != nil {
		return nil, err
	}
	return waitsserver.ChangeWait200JSONResponse{Body: wait, Headers: waitsserver.ChangeWait200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}

func (h *waitsHandler) CancelWait(ctx context.Context, r waitsserver.CancelWaitRequestObject) (waitsserver.CancelWaitResponseObject, error) {
	if h.opener == nil {
		return nil, errNotOffered
	}
	reason := ""
	if r.Params.Reason != nil {
		reason = *r.Params.Reason
	}
	if err := h.opener.CancelWait(ctx, r.ProjectID, r.WaitID, reason, requestOf(ctx).principal.Name); err != nil {
		return nil, err
	}
	return waitsserver.CancelWait204Response{Headers: waitsserver.CancelWait204ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}

func (h *waitsHandler) GetWait(ctx context.Context, r waitsserver.GetWaitRequestObject) (waitsserver.GetWaitResponseObject, error) {
	if h.reader == nil {
		return nil, errNotOffered
	}
	wait, err := longPoll(ctx, h.stopping, *r.Params.WaitSeconds, func(ctx context.Context, wait time.Duration) (waits.Wait, error) {
		return h.reader.GetWait(ctx, r.ProjectID, r.WaitID, wait)
	})
	if err != nil {
		return nil, err
	}
	return waitsserver.GetWait200JSONResponse{Body: wait, Headers: waitsserver.GetWait200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}

func (h *waitsHandler) ListWaits(ctx context.Context, r waitsserver.ListWaitsRequestObject) (waitsserver.ListWaitsResponseObject, error) {
	if h.reader == nil {
		return nil, errNotOffered
	}
	page, err := longPoll(ctx, h.stopping, *r.Params.WaitSeconds, func(ctx context.Context, wait time.Duration) (waits.WaitPage, error) {
		return h.reader.ListWaits(ctx, r.ProjectID, r.Params, wait)
	})
	if err != nil {
		return nil, err
	}
	return waitsserver.ListWaits200JSONResponse{Body: page, Headers: waitsserver.ListWaits200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}

func (h *waitsHandler) CountWaits(ctx context.Context, r waitsserver.CountWaitsRequestObject) (waitsserver.CountWaitsResponseObject, error) {
	if h.counter == nil {
		return nil, errNotOffered
	}
	counts, err := h.counter.CountWaits(ctx, r.ProjectID, r.Params)
	if err != nil {
		return nil, err
	}
	return waitsserver.CountWaits200JSONResponse{Body: counts, Headers: waitsserver.CountWaits200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}
