package client

import (
	"fmt"
	"net/http"
)

// A State identifies the state of a run that waits. Its ids are opaque.
type State struct {
	Workflow string // id of the flow definition
	Run      string // id of the run
	State    string // id of the state
}

// StateFromHeader reads a State from the headers that the vendor's runtime sends to an HTTP
// function that runs as a state: X-Cff-Workflow-Id, X-Cff-Workflow-Run-Id and
// X-Cff-Workflow-State-Id, or the same without Cff. The error names a missing header.
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
