package client

import (
	"fmt"
	"strings"
)

// A CallError says which call has failed, and for what. Every error of a call for a state or a
// wait is one; the cause is in its chain.
type CallError struct {
	Operation string // such as "succeed" or "cancel"
	State     State  // the zero value if the call was for a wait
	WaitID    string // empty if the call was for a state
	Err       error
}

// Error returns the operation, what it was for, and the cause, in one line.
func (e *CallError) Error() string {
	cause := strings.TrimPrefix(e.Err.Error(), "client: ")
	if e.WaitID != "" {
		return fmt.Sprintf("client: %s wait %s: %s", e.Operation, printable(e.WaitID), cause)
	}
	return fmt.Sprintf("client: %s state %s of run %s of %s: %s", e.Operation, printable(e.State.State), printable(e.State.Run), printable(e.State.Workflow), cause)
}

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }

// forState adds the operation and the state to an error.
func forState(err *error, operation string, state State) {
	if *err != nil {
		*err = &CallError{Operation: operation, State: state, Err: *err}
	}
}

// forWait adds the operation and the wait to an error.
func forWait(err *error, operation, waitID string) {
	if *err != nil {
		*err = &CallError{Operation: operation, WaitID: waitID, Err: *err}
	}
}
