package sqlite_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// A clock that is set back revives nothing, and one that is set forward loses nothing that
// was settled: deadlines are instants, and what has expired stays so.
func TestClockSetBackAndForward(t *testing.T) {
	f := newFile(t, sqlite.Options{Retention: 24 * time.Hour})
	open := func(state string, timeout time.Duration) string {
		wait, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(state), TimeoutSeconds: int(timeout / time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		return wait.WaitID
	}
	callback := func(state string) error {
		_, err := f.Callback(t.Context(), engine.Callback{Key: engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: callback.StateID(state)}, Request: enginetest.Success(`{}`)})
		return err
	}
	status := func(id string) waits.Status {
		wait, err := f.GetWait(t.Context(), "p", id, 0)
		if err != nil {
			t.Fatal(err)
		}
		return wait.Status
	}
	short, long, untouched := open("short", time.Hour), open("long", 100*time.Hour), open("untouched", 2*time.Hour)

	f.advance(t, -50*time.Hour) // back: nothing is due, and what is settled now is in order
	if err := callback("long"); err != nil || status(short) != waits.Waiting {
		t.Errorf("after the clock went back: Callback %v, the other wait is %s", err, status(short))
	}
	f.advance(t, 51*time.Hour) // forward beyond the first deadline
	if err := callback("short"); !errors.Is(err, engine.ErrExpired) || status(short) != waits.Expired {
		t.Errorf("past the deadline: Callback %v, and the wait is %s", err, status(short))
	}
	f.advance(t, -51*time.Hour) // and back again
	if err := callback("short"); !errors.Is(err, engine.ErrExpired) || status(short) != waits.Expired {
		t.Errorf("after the clock went back, what had expired: Callback %v, and it is %s", err, status(short))
	}
	f.reopen(t)
	f.advance(t, 50*time.Hour) // as it was
	if status(untouched) != waits.Waiting || status(long) != waits.Success {
		t.Errorf("with the clock right again: %s and %s, want waiting and success", status(untouched), status(long))
	}
	if err := callback("untouched"); err != nil {
		t.Errorf("Callback with the clock right again: %v", err)
	}
	page, err := f.ListOutcomes(t.Context(), "p", "", 10, 0)
	if err != nil || len(page.Outcomes) != 3 || page.Outcomes[0].WaitID != long || page.Outcomes[1].WaitID != short || page.Outcomes[2].WaitID != untouched {
		t.Errorf("feed = %+v, %v; want the order in which they were settled", page, err)
	}
}

// A long-poll that ends past the deadline reports the wait as expired, even before the
// sweeper has seen it.
func TestPollEndsPastTheDeadline(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	for i := range 10 {
		wait, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 3600})
		if err != nil {
			t.Fatal(err)
		}
		status := make(chan waits.Status, 1)
		go func() {
			got, err := f.GetWait(t.Context(), "p", wait.WaitID, 100*time.Millisecond) // the sweeper comes later
			if err != nil {
				t.Errorf("GetWait: %v", err)
			}
			status <- got.Status
		}()
		f.advance(t, 2*time.Hour)
		if got := <-status; got != waits.Expired {
			t.Errorf("a poll that ended past the deadline said %s", got)
		}
	}
}
