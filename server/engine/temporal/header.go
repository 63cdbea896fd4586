package temporal

import (
	"context"
	"net/url"

	"google.golang.org/grpc/metadata"
)

// resourceHeader is what Temporal's client sends a workflow's id in, besides in the request:
// a hint for proxies. It cannot carry every id, and the client fails where it cannot.
const resourceHeader = "temporal-resource-id"

// withResource returns a ctx in which that header is set, where the client could not.
func withResource(ctx context.Context, workflowID string) context.Context {
	if isPrintable(workflowID) {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, resourceHeader, "workflow:"+url.QueryEscape(workflowID))
}

// isPrintable reports whether text can be the value of a gRPC header: printable ASCII.
func isPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return false
		}
	}
	return true
}
