package server

import (
	"context"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsserver"
)

func (h *waitsHandler) ListOutcomes(ctx context.Context, r waitsserver.ListOutcomesRequestObject) (waitsserver.ListOutcomesResponseObject, error) {
	if h.feed == nil {
		return nil, errNotOffered
	}
	var after string
	if r.Params.After != nil {
		after = *r.Params.After
	}
	page, err := longPoll(ctx, h.stopping, *r.Params.WaitSeconds, func(ctx context.Context, wait time.Duration) (waits.OutcomePage, error) {
		return h.feed.ListOutcomes(ctx, r.ProjectID, after, *r.Params.Limit, wait)
	})
	if err != nil {
		return nil, err
	}
	return waitsserver.ListOutcomes200JSONResponse{Body: page, Headers: waitsserver.ListOutcomes200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}
