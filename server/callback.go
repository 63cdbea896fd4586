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
	executionID, err := h.engine.Callback(ctx, engine.Callback{
		Key:       engine.Key{ProjectID: r.ProjectID, WorkflowID: r.WorkflowID, RunID: r.Params.RunID, StateID: r.Params.StateID},
		Request:   *r.Body,
		Principal: requestOf(ctx).principal.Name,
	})
	if err != nil {
		return nil, err
	}
	return callbackserver.CreateCallbackWorkflow200JSONResponse{
		Body:    callback.Response{ExecutionID: executionID},
		Headers: callbackserver.CreateCallbackWorkflow200ResponseHeaders{XRequestID: requestOf(ctx).id},
	}, nil
}
