package server

import (
	"context"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsserver"
)

func (*waitsHandler) Whoami(ctx context.Context, _ waitsserver.WhoamiRequestObject) (waitsserver.WhoamiResponseObject, error) {
	p := requestOf(ctx).principal
	answer := waits.Principal{Name: p.Name, Projects: append([]string{}, p.Projects...), Allow: []string{}}
	for _, action := range p.Allow {
		answer.Allow = append(answer.Allow, string(action))
	}
	return waitsserver.Whoami200JSONResponse{Body: answer, Headers: waitsserver.Whoami200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}
