package client

import (
	"fmt"
	"net/http"
)

// A State names one state of one run of a flow, that which waits. Its ids are opaque.
type State struct {
	Workflow string // id of the flow's definition
	Run      string
	State    string
}

// StateFromHeader reads a State from the headers of a request: X-Cff-Workflow-Id,
// X-Cff-Workflow-Run-Id and X-Cff-Workflow-State-Id, which the vendor's runtime sends to an
// HTTP function that runs as a state, or else the same without Cff. The error names the
// header that is missing.
func StateFromHeader(header http.Header) (State, error) {
	var s State
	for name, id := range map[string]*string{"Workflow-Id": &s.Workflow, "Workflow-Run-Id": &s.Run, "Workflow-State-Id": &s.State} {
		if *id = header.Get("X-Cff-" + name); *id == "" {
			*id = header.Get("X-" + name)
		}
		if *id == "" {
			return State{}, fmt.Errorf("client: header X-Cff-%s is missing: the request does not come from a flow: %w", name, ErrInvalid)
		}
	}
	return s, nil
}
