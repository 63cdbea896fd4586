package temporal

import (
	"context"
	"net/url"

	"google.golang.org/grpc/metadata"
)

// resourceHeader is a header in which Temporal's client sends the workflow id as a hint for
// proxies. The client fails if the id is not printable ASCII.
const resourceHeader = "temporal-resource-id"

// withResource sets that header for workflow ids with which the client would fail.
func withResource(ctx context.Context, workflowID string) context.Context {
	if isPrintable(workflowID) {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, resourceHeader, "workflow:"+url.QueryEscape(workflowID))
}

// isPrintable reports whether text is printable ASCII, as the value of a gRPC header must be.
func isPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return false
		}
	}
	return true
}
