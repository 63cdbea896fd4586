package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

func TestDecide(t *testing.T) {
	deadline := time.UnixMilli(1000)
	before, after := deadline.Add(-time.Millisecond), deadline.Add(time.Millisecond)
	for _, test := range []struct {
		claim  string
		stored engine.Stored
		now    time.Time
		settle bool
		err    error
	}{
		{"waiting state is settled", engine.Stored{Status: waits.Waiting, Deadline: deadline}, before, true, nil},
		{"waiting state without a deadline is settled", engine.Stored{Status: waits.Waiting}, after, true, nil},
		{"waiting state at its deadline is expired", engine.Stored{Status: waits.Waiting, Deadline: deadline}, deadline, false, engine.ErrExpired},
		{"waiting state past its deadline is expired", engine.Stored{Status: waits.Waiting, Deadline: deadline}, after, false, engine.ErrExpired},
		{"same success is a repeat", engine.Stored{Status: waits.Success, Same: true}, after, false, nil},
		{"same fail is a repeat", engine.Stored{Status: waits.Fail, Same: true}, after, false, nil},
		{"repeat is accepted past the deadline", engine.Stored{Status: waits.Success, Deadline: deadline, Same: true}, after, false, nil},
		{"another success is a conflict", engine.Stored{Status: waits.Success}, before, false, engine.ErrConflict},
		{"another fail is a conflict", engine.Stored{Status: waits.Fail}, before, false, engine.ErrConflict},
		{"expired state is expired", engine.Stored{Status: waits.Expired, Same: true}, before, false, engine.ErrExpired},
		{"cancelled state is cancelled", engine.Stored{Status: waits.Cancelled, Same: true}, before, false, engine.ErrCancelled},
		{"unknown state is not found", engine.Stored{}, before, false, engine.ErrNotFound},
	} {
		t.Run(test.claim, func(t *testing.T) {
			settle, err := engine.Decide(test.stored, test.now)
			if settle != test.settle || !errors.Is(err, test.err) {
				t.Errorf("Decide(%+v, %v) = %t, %v; want %t, %v", test.stored, test.now, settle, err, test.settle, test.err)
			}
		})
	}
}
