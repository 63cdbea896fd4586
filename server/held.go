package server

import (
	"context"

	"github.com/flowcallback/flowcallback/gen/waitsserver"
)

func (h *waitsHandler) ListHeld(ctx context.Context, r waitsserver.ListHeldRequestObject) (waitsserver.ListHeldResponseObject, error) {
	if h.holder == nil {
		return nil, errNotOffered
	}
	page, err := h.holder.ListHeld(ctx, r.ProjectID, r.Params)
	if err != nil {
		return nil, err
	}
	return waitsserver.ListHeld200JSONResponse{Body: page, Headers: waitsserver.ListHeld200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}

func (h *waitsHandler) DropHeld(ctx context.Context, r waitsserver.DropHeldRequestObject) (waitsserver.DropHeldResponseObject, error) {
	if h.holder == nil {
		return nil, errNotOffered
	}
	if err := h.holder.DropHeld(ctx, r.ProjectID, r.HeldID); err != nil {
		return nil, err
	}
	return waitsserver.DropHeld204Response{Headers: waitsserver.DropHeld204ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}
