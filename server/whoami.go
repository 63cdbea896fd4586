package server

import (
	"context"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsserver"
	"github.com/flowcallback/flowcallback/server/engine"
)

// offers returns what an engine offers beside callbacks.
func (h *waitsHandler) offers() (all []string) {
	for _, group := range []struct {
		name string
		is   bool
	}{
		{"open", h.opener != nil}, {"read", h.reader != nil}, {"count", h.counter != nil}, {"feed", h.feed != nil}, {"hold", h.holder != nil}, {"links", h.linker != nil},
	} {
		if group.is {
			all = append(all, group.name)
		}
	}
	return all
}

// engineName returns what an engine says of its store, or "".
func engineName(e engine.Engine) string {
	if named, ok := e.(engine.Namer); ok {
		return named.Name()
	}
	return ""
}

func (h *waitsHandler) Whoami(ctx context.Context, _ waitsserver.WhoamiRequestObject) (waitsserver.WhoamiResponseObject, error) {
	p := requestOf(ctx).principal
	answer := waits.Principal{Name: p.Name, Projects: append([]string{}, p.Projects...), Allow: []string{}, Engine: h.store, Offers: h.offers()}
	for _, action := range p.Allow {
		answer.Allow = append(answer.Allow, string(action))
	}
	return waitsserver.Whoami200JSONResponse{Body: answer, Headers: waitsserver.Whoami200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
}
