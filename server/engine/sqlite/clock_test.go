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

// Deadlines are absolute times. If the clock is set back, expired waits stay expired. If it is
// set forward, settled waits stay settled.
func TestClockSetBackAndForward(t *testing.T) {
	f := newFile(t, sqlite.Options{Retention: 24 * time.Hour})
	open := func(state string, timeout time.Duration) string {
		wait, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(state), TimeoutSeconds: int(timeout / time.Second)}, "")
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

	f.advance(t, -50*time.Hour) // back: no deadline has passed
	if err := callback("long"); err != nil || status(short) != waits.Waiting {
		t.Errorf("after the clock was set back: Callback error %v, status of the other wait %s; want no error and waiting", err, status(short))
	}
	f.advance(t, 51*time.Hour) // forward, past the first deadline
	if err := callback("short"); !errors.Is(err, engine.ErrExpired) || status(short) != waits.Expired {
		t.Errorf("past the deadline: Callback error %v, status %s; want %v and expired", err, status(short), engine.ErrExpired)
	}
	f.advance(t, -51*time.Hour) // back to before the deadline
	if err := callback("short"); !errors.Is(err, engine.ErrExpired) || status(short) != waits.Expired {
		t.Errorf("expired wait after the clock was set back: Callback error %v, status %s; want %v and expired", err, status(short), engine.ErrExpired)
	}
	f.reopen(t)
	f.advance(t, 50*time.Hour) // the real time again
	if status(untouched) != waits.Waiting || status(long) != waits.Success {
		t.Errorf("with the correct clock: status %s and %s, want waiting and success", status(untouched), status(long))
	}
	if err := callback("untouched"); err != nil {
		t.Errorf("Callback with the correct clock: %v", err)
	}
	page, err := f.ListOutcomes(t.Context(), "p", "", 10, 0)
	if err != nil || len(page.Outcomes) != 3 || page.Outcomes[0].WaitID != long || page.Outcomes[1].WaitID != short || page.Outcomes[2].WaitID != untouched {
		t.Errorf("ListOutcomes = %+v, %v; want the waits in the order of settlement", page, err)
	}
}

// A long-poll that ends past the deadline reports the wait as expired, even if the sweeper has
// not yet expired it.
func TestPollEndsPastTheDeadline(t *testing.T) {
	f := newFile(t, sqlite.Options{})
	for i := range 10 {
		wait, _, err := f.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 3600}, "")
		if err != nil {
			t.Fatal(err)
		}
		status := make(chan waits.Status, 1)
		go func() {
			got, err := f.GetWait(t.Context(), "p", wait.WaitID, 100*time.Millisecond) // shorter than the sweeper's interval
			if err != nil {
				t.Errorf("GetWait: %v", err)
			}
			status <- got.Status
		}()
		f.advance(t, 2*time.Hour)
		if got := <-status; got != waits.Expired {
			t.Errorf("GetWait that ended past the deadline: status %s, want expired", got)
		}
	}
}
