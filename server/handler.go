package server

import (
	"context"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/callbackserver"
	"github.com/flowcallback/flowcallback/server/engine"
)

// callbackHandler implements the published operation.
type callbackHandler struct{ engine engine.Engine }

var _ callbackserver.StrictServerInterface = (*callbackHandler)(nil)

func (h *callbackHandler) CreateCallbackWorkflow(ctx context.Context, r callbackserver.CreateCallbackWorkflowRequestObject) (callbackserver.CreateCallbackWorkflowResponseObject, error) {
	key := engine.Key{ProjectID: r.ProjectID, WorkflowID: r.WorkflowID, RunID: r.Params.XWorkflowRunID, StateID: r.Params.XWorkflowStateID}
	if u := underWayIn(ctx); u != nil {
		u.result = string(r.Body.Result)
	}
	executionID, err := h.engine.Callback(ctx, key, *r.Body)
	if err != nil {
		return nil, err
	}
	return callbackserver.CreateCallbackWorkflow200JSONResponse{
		Body:    callback.Response{ExecutionID: executionID},
		Headers: callbackserver.CreateCallbackWorkflow200ResponseHeaders{XRequestID: requestID(ctx)},
	}, nil
}
