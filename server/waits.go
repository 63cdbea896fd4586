package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsserver"
	"github.com/flowcallback/flowcallback/server/engine"
)

// waitsHandler implements the API of the side that waits.
type waitsHandler struct {
	engine   engine.Waits
	draining context.Context
}

var _ waitsserver.StrictServerInterface = (*waitsHandler)(nil)

func newWaitsHandler(draining context.Context, e engine.Engine) *waitsHandler {
	keeper, ok := e.(engine.Waits)
	if !ok {
		keeper = noWaits{}
	}
	return &waitsHandler{engine: keeper, draining: draining}
}

func (h *waitsHandler) OpenWait(ctx context.Context, r waitsserver.OpenWaitRequestObject) (waitsserver.OpenWaitResponseObject, error) {
	wait, opened, err := h.engine.OpenWait(ctx, r.ProjectID, *r.Body)
	if err != nil {
		return nil, err
	}
	if opened {
		return waitsserver.OpenWait201JSONResponse{Body: wait, Headers: waitsserver.OpenWait201ResponseHeaders{XRequestID: requestID(ctx)}}, nil
	}
	return waitsserver.OpenWait200JSONResponse{Body: wait, Headers: waitsserver.OpenWait200ResponseHeaders{XRequestID: requestID(ctx)}}, nil
}

func (h *waitsHandler) GetWait(ctx context.Context, r waitsserver.GetWaitRequestObject) (waitsserver.GetWaitResponseObject, error) {
	enough, stop := h.enough(ctx, r.Params.WaitSeconds)
	defer stop()
	wait, err := h.engine.GetWait(ctx, r.ProjectID, r.WaitID, enough)
	if err != nil {
		return nil, err
	}
	return waitsserver.GetWait200JSONResponse{Body: wait, Headers: waitsserver.GetWait200ResponseHeaders{XRequestID: requestID(ctx)}}, nil
}

func (h *waitsHandler) ListWaits(ctx context.Context, r waitsserver.ListWaitsRequestObject) (waitsserver.ListWaitsResponseObject, error) {
	page, err := h.engine.ListWaits(ctx, r.ProjectID, r.Params)
	if err != nil {
		return nil, err
	}
	return waitsserver.ListWaits200JSONResponse{Body: page, Headers: waitsserver.ListWaits200ResponseHeaders{XRequestID: requestID(ctx)}}, nil
}

func (h *waitsHandler) CancelWait(ctx context.Context, r waitsserver.CancelWaitRequestObject) (waitsserver.CancelWaitResponseObject, error) {
	if err := h.engine.CancelWait(ctx, r.ProjectID, r.WaitID); err != nil {
		return nil, err
	}
	return waitsserver.CancelWait204Response{Headers: waitsserver.CancelWait204ResponseHeaders{XRequestID: requestID(ctx)}}, nil
}

func (h *waitsHandler) ListOutcomes(ctx context.Context, r waitsserver.ListOutcomesRequestObject) (waitsserver.ListOutcomesResponseObject, error) {
	enough, stop := h.enough(ctx, r.Params.WaitSeconds)
	defer stop()
	var after string
	if r.Params.After != nil {
		after = *r.Params.After
	}
	page, err := h.engine.ListOutcomes(ctx, r.ProjectID, after, *r.Params.Limit, enough)
	if err != nil {
		return nil, err
	}
	return waitsserver.ListOutcomes200JSONResponse{Body: page, Headers: waitsserver.ListOutcomes200ResponseHeaders{XRequestID: requestID(ctx)}}, nil
}

// enough returns a channel that is closed when a long-poll has lasted as many seconds, or
// the server is draining. (The contract check has filled in the default of seconds.)
func (h *waitsHandler) enough(ctx context.Context, seconds *int) (enough <-chan struct{}, stop func()) {
	polling, cancel := context.WithTimeout(ctx, time.Duration(*seconds)*time.Second)
	unhook := context.AfterFunc(h.draining, cancel)
	return polling.Done(), func() {
		unhook()
		cancel()
	}
}

// noWaits stands in for an engine that keeps its waits elsewhere.
type noWaits struct{}

var errNoWaits = fmt.Errorf("the engine keeps its waits elsewhere: %w", errors.ErrUnsupported)

func (noWaits) OpenWait(context.Context, string, waits.OpenWaitRequest) (waits.Wait, bool, error) {
	return waits.Wait{}, false, errNoWaits
}

func (noWaits) GetWait(context.Context, string, string, <-chan struct{}) (waits.Wait, error) {
	return waits.Wait{}, errNoWaits
}

func (noWaits) ListWaits(context.Context, string, waits.ListWaitsParams) (waits.WaitPage, error) {
	return waits.WaitPage{}, errNoWaits
}

func (noWaits) CancelWait(context.Context, string, string) error { return errNoWaits }

func (noWaits) ListOutcomes(context.Context, string, string, int, <-chan struct{}) (waits.OutcomePage, error) {
	return waits.OutcomePage{}, errNoWaits
}
