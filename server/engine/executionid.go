package engine

import (
	"crypto/rand"
	"fmt"
	"unicode/utf8"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// ExecutionID returns the execution id of a run whose wait was opened without one: the run
// id if it fits, because that is the id that the flow's operators know, else a new random
// UUID (RFC 9562, version 4).
func ExecutionID(runID callback.RunID) string {
	id := string(runID)
	if id != "" && utf8.RuneCountInString(id) <= callback.ExecutionIDMaxLength {
		return id
	}
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails (crypto/rand)
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
