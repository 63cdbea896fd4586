package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

const project = "project"

// Waits runs the suite of the waiting side: engine.Opener, Reader and Feed. start returns a
// new, empty subject.
func Waits(t *testing.T, start func(*testing.T) *WaitsSubject) {
	cases := map[string]func(*testing.T, *WaitsSubject){
		"opening twice returns the first wait":             opensOnce,
		"opening a settled key returns its outcome":        opensSettled,
		"wait of another project is not found":             otherProject,
		"poll returns as soon as the wait is settled":      pollsWait,
		"poll returns as soon as the deadline passes":      pollsDeadline,
		"poll returns when its time is over":               pollsTimeout,
		"poll returns when its context ends":               pollsContext,
		"poll on another copy returns with the outcome":    pollsAnother,
		"callback during cancel settles or is refused":     racesCancel,
		"callback during open settles or is not found":     racesOpen,
		"open during cancel returns the one wait":          racesOpenCancel,
		"racing opens open one wait":                       opensOnceInRace,
		"list walks every wait once while others are open": lists,
		"list filters by status and workflow":              filters,
		"list goes from the oldest on, too":                listsOldest,
		"list begins now":                                  listsFromNow,
		"list shows a passed deadline at once":             listsExpired,
		"expiry that was shown once stands":                expiryStands,
		"closed engine ends polls and refuses":             closes,
		"cancelling is idempotent and keeps an outcome":    cancels,
		"feed has every wait that left waiting, in order":  feeds,
		"feed goes on from now":                            feedsFromNow,
		"feed skips nothing while others write":            feedsConcurrently,
		"feed poll returns with the next outcome":          pollsFeed,
		"cursor survives a reopen":                         cursorSurvives,
		"open stores who asks what, and finds it by tags":  storesQuestions,
		"every filter and order lists what it says":        filtersAll,
		"deadlines move while the wait waits":              movesDeadline,
		"cancelled waits keep the reason and who gave it":  keepsReason,
		"opened waits can be followed":                     followsOpened,
		"counts are exact up to the limit":                 counts,
		"outputs that break the schema leave no trace":     judgesOutputs,
		"racing callbacks of a typed state settle it once": racesTyped,
		"cursor of another server is refused":              foreignCursors,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { run(t, start(t)) })
	}
}

func opensOnce(t *testing.T, s *WaitsSubject) {
	request := open("state")
	request.Input = []byte(`{"order":4711}`)
	request.ExecutionID = "execution"
	first, opened, err := s.Engine.OpenWait(t.Context(), project, request, "")
	if err != nil || !opened {
		t.Fatalf("OpenWait: opened %t, %v; want true", opened, err)
	}
	if first.ProjectID != project || first.WorkflowID != request.WorkflowID || first.RunID != request.RunID || first.StateID != request.StateID ||
		first.ExecutionID != "execution" || first.Status != waits.Waiting || string(first.Input) != `{"order":4711}` || first.Outcome != nil ||
		first.SettledAt != nil || first.ExpiresAt.Sub(first.CreatedAt) != day || first.CreatedAt.Location() != time.UTC {
		t.Errorf("OpenWait = %+v", first)
	}
	request.ExecutionID, request.Input, request.TimeoutSeconds = "another", nil, 1
	second, opened, err := s.Engine.OpenWait(t.Context(), project, request, "")
	if want := []waits.WaitDiffers{waits.WaitDiffersTimeoutSeconds, waits.WaitDiffersInput}; !slices.Equal(second.Differs, want) {
		t.Errorf("OpenWait again: differs %v, want %v", second.Differs, want)
	}
	second.Differs = nil
	if err != nil || opened || !equal(first, second) {
		t.Errorf("OpenWait again = %+v, %t, %v; want %+v, false", second, opened, err, first)
	}
	if got := s.get(t, first.WaitID); !equal(got, first) {
		t.Errorf("GetWait = %+v, want %+v", got, first)
	}
}

func opensSettled(t *testing.T, s *WaitsSubject) {
	wait := s.open(t, "state")
	s.settle(t, wait, `{"a":1}`)
	again, opened, err := s.Engine.OpenWait(t.Context(), project, open("state"), "")
	if err != nil || opened || again.WaitID != wait.WaitID || again.Status != waits.Success || string(again.Outcome.Output) != `{"a":1}` || again.SettledAt == nil {
		t.Errorf("OpenWait of a settled key = %+v, %t, %v", again, opened, err)
	}
}

func otherProject(t *testing.T, s *WaitsSubject) {
	wait := s.open(t, "state")
	if _, err := s.Engine.GetWait(t.Context(), "another", wait.WaitID, 0); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("GetWait of another project: %v, want %v", err, engine.ErrNotFound)
	}
	if err := s.Engine.CancelWait(t.Context(), "another", wait.WaitID, "", ""); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("CancelWait of another project: %v, want %v", err, engine.ErrNotFound)
	}
	if _, err := s.Engine.GetWait(t.Context(), project, "unknown", 0); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("GetWait of an unknown id: %v, want %v", err, engine.ErrNotFound)
	}
	if page, err := s.Engine.ListWaits(t.Context(), "another", listing(10), 0); err != nil || len(page.Waits) != 0 {
		t.Errorf("ListWaits of another project = %+v, %v; want none", page, err)
	}
	s.settle(t, wait, `{}`)
	if page, err := s.Engine.ListOutcomes(t.Context(), "another", "", 10, 0); err != nil || len(page.Outcomes) != 0 {
		t.Errorf("ListOutcomes of another project = %+v, %v; want none", page, err)
	}
}

func pollsWait(t *testing.T, s *WaitsSubject) {
	wait := s.open(t, "state")
	settled := poll(s.Engine, wait.WaitID)
	s.settle(t, wait, `{"a":1}`)
	if got := <-settled; got.err != nil || got.wait.Status != waits.Success {
		t.Errorf("GetWait while it was settled = %+v, %v", got.wait, got.err)
	}
}

func pollsDeadline(t *testing.T, s *WaitsSubject) {
	wait := s.open(t, "state")
	expired := poll(s.Engine, wait.WaitID)
	s.Advance(t, day)
	if got := <-expired; got.err != nil || got.wait.Status != waits.Expired || !got.wait.SettledAt.Equal(wait.ExpiresAt) {
		t.Errorf("GetWait while its deadline passed = %+v, %v", got.wait, got.err)
	}
}

func pollsTimeout(t *testing.T, s *WaitsSubject) {
	wait := s.open(t, "state")
	for _, d := range []time.Duration{0, time.Millisecond} {
		if got, err := s.Engine.GetWait(t.Context(), project, wait.WaitID, d); err != nil || got.Status != waits.Waiting {
			t.Errorf("GetWait for %s = %+v, %v; want it waiting", d, got, err)
		}
	}
}

func pollsContext(t *testing.T, s *WaitsSubject) {
	wait := s.open(t, "state")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Engine.GetWait(ctx, project, wait.WaitID, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("GetWait with an ended context: %v, want %v", err, context.Canceled)
	}
	if _, err := s.Engine.ListOutcomes(ctx, project, "", 10, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("ListOutcomes with an ended context: %v, want %v", err, context.Canceled)
	}
}

func pollsAnother(t *testing.T, s *WaitsSubject) {
	if s.Another == nil {
		t.Skip("the store has only one engine")
	}
	another := s.Another(t)
	wait := s.open(t, "state")
	settled := poll(another, wait.WaitID)
	s.settle(t, wait, `{"a":1}`)
	if got := <-settled; got.err != nil || got.wait.Status != waits.Success {
		t.Errorf("GetWait on another copy while it was settled = %+v, %v", got.wait, got.err)
	}
}

// A callback and a cancel race. If the callback is accepted, its outcome stands; if it is
// refused, the wait is cancelled.
func racesCancel(t *testing.T, s *WaitsSubject) {
	for i := range 20 {
		wait := s.open(t, fmt.Sprint(i))
		var group sync.WaitGroup
		var callbackErr error
		group.Go(func() {
			_, callbackErr = s.Engine.Callback(t.Context(), engine.Callback{Key: key(wait), Request: Success(`{}`)})
		})
		s.cancel(t, wait)
		group.Wait()
		got := s.get(t, wait.WaitID)
		switch {
		case callbackErr == nil && got.Status != waits.Success:
			t.Errorf("Callback was accepted, but the wait is %s", got.Status)
		case callbackErr != nil && (!errors.Is(callbackErr, engine.ErrCancelled) || got.Status != waits.Cancelled):
			t.Errorf("Callback: %v, and the wait is %s; want %v and cancelled", callbackErr, got.Status, engine.ErrCancelled)
		}
	}
}

// A callback and an open race. If the callback is accepted, the wait has its outcome.
func racesOpen(t *testing.T, s *WaitsSubject) {
	for i := range 20 {
		request := open(callback.StateID(fmt.Sprint(i)))
		var group sync.WaitGroup
		var callbackErr error
		group.Go(func() {
			key := engine.Key{ProjectID: project, WorkflowID: request.WorkflowID, RunID: request.RunID, StateID: request.StateID}
			_, callbackErr = s.Engine.Callback(t.Context(), engine.Callback{Key: key, Request: Success(`{}`)})
		})
		opened, _, err := s.Engine.OpenWait(t.Context(), project, request, "")
		if err != nil {
			t.Fatalf("OpenWait: %v", err)
		}
		group.Wait()
		got := s.get(t, opened.WaitID)
		switch {
		case callbackErr == nil && got.Status != waits.Success:
			t.Errorf("Callback was accepted, but the wait is %s", got.Status)
		case callbackErr != nil && (!errors.Is(callbackErr, engine.ErrNotFound) || got.Status != waits.Waiting):
			t.Errorf("Callback: %v, and the wait is %s; want %v and waiting", callbackErr, got.Status, engine.ErrNotFound)
		}
	}
}

// Opening a wait again while it is cancelled returns that wait, before or after the cancel, and
// does not revive it.
func racesOpenCancel(t *testing.T, s *WaitsSubject) {
	for i := range 20 {
		wait := s.open(t, fmt.Sprint(i))
		var group sync.WaitGroup
		group.Go(func() { s.cancel(t, wait) })
		again, opened, err := s.Engine.OpenWait(t.Context(), project, open(wait.StateID), "")
		group.Wait()
		if err != nil || opened || again.WaitID != wait.WaitID || again.Status != waits.Waiting && again.Status != waits.Cancelled {
			t.Errorf("OpenWait during CancelWait = %+v, %t, %v; want the same wait, waiting or cancelled", again, opened, err)
		}
		if got := s.get(t, wait.WaitID); got.Status != waits.Cancelled {
			t.Errorf("the wait is %s after CancelWait, want cancelled", got.Status)
		}
	}
}

func opensOnceInRace(t *testing.T, s *WaitsSubject) {
	const racers = 8
	ids := make([]string, racers)
	var opened atomic.Int64
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() {
			wait, isNew, err := s.Engine.OpenWait(t.Context(), project, open("state"), "")
			if err != nil {
				t.Errorf("OpenWait: %v", err)
			}
			if isNew {
				opened.Add(1)
			}
			ids[i] = wait.WaitID
		})
	}
	group.Wait()
	if slices.Sort(ids); opened.Load() != 1 || len(slices.Compact(ids)) != 1 {
		t.Errorf("%d racing opens opened %d waits: %v", racers, opened.Load(), ids)
	}
}

func lists(t *testing.T, s *WaitsSubject) {
	var want []string
	for i := range 25 {
		want = append(want, s.open(t, fmt.Sprint("state ", i)).WaitID)
	}
	slices.Reverse(want)
	var got []string
	params := listing(7)
	for {
		page, err := s.Engine.ListWaits(t.Context(), project, params, 0)
		if err != nil {
			t.Fatalf("ListWaits: %v", err)
		}
		for _, wait := range page.Waits {
			got = append(got, wait.WaitID)
		}
		if page.NextCursor == nil {
			break
		}
		params.Cursor = page.NextCursor
		s.open(t, fmt.Sprint("later ", len(got)))
	}
	if !slices.Equal(got, want) {
		t.Errorf("ListWaits walked %v, want %v", got, want)
	}
}

func filters(t *testing.T, s *WaitsSubject) {
	waiting, success, cancelled := s.open(t, "waiting"), s.open(t, "success"), s.open(t, "cancelled")
	other := open("other")
	other.WorkflowID = "other"
	elsewhere, _, err := s.Engine.OpenWait(t.Context(), project, other, "")
	if err != nil {
		t.Fatalf("OpenWait: %v", err)
	}
	s.settle(t, success, `{}`)
	s.cancel(t, cancelled)
	for _, test := range []struct {
		status   waits.Status
		workflow string
		want     []string
	}{
		{"", "", []string{elsewhere.WaitID, cancelled.WaitID, success.WaitID, waiting.WaitID}},
		{waits.Waiting, "", []string{elsewhere.WaitID, waiting.WaitID}},
		{waits.Waiting, "other", []string{elsewhere.WaitID}},
		{waits.Success, "", []string{success.WaitID}},
		{waits.Cancelled, "", []string{cancelled.WaitID}},
		{waits.Fail, "", nil},
		{"", "workflow", []string{cancelled.WaitID, success.WaitID, waiting.WaitID}},
	} {
		if got := s.list(t, test.status, test.workflow); !slices.Equal(got, test.want) {
			t.Errorf("ListWaits(status %q, workflow %q) = %v, want %v", test.status, test.workflow, got, test.want)
		}
	}
}

func listsExpired(t *testing.T, s *WaitsSubject) {
	wait := s.open(t, "state")
	s.Advance(t, day)
	if got := s.list(t, waits.Waiting, ""); len(got) != 0 {
		t.Errorf("ListWaits(waiting) past the deadline = %v, want none", got)
	}
	if got := s.list(t, waits.Expired, ""); !slices.Equal(got, []string{wait.WaitID}) {
		t.Errorf("ListWaits(expired) past the deadline = %v, want %v", got, wait.WaitID)
	}
	if got := s.get(t, wait.WaitID); got.Status != waits.Expired || got.SettledAt == nil {
		t.Errorf("GetWait past the deadline = %+v", got)
	}
}

// Deadlines pass during many callbacks. If a wait was shown as expired, no callback may have
// settled it.
func expiryStands(t *testing.T, s *WaitsSubject) {
	const n = 100
	var all []waits.Wait
	for i := range n {
		all = append(all, s.open(t, fmt.Sprint(i)))
	}
	large := `{"a":"` + strings.Repeat("x", 30_000) + `"}` // so that the commits take time
	s.Advance(t, day-10*time.Millisecond)
	var group sync.WaitGroup
	var settled [n]bool
	var done atomic.Int64
	for i, wait := range all {
		group.Go(func() {
			_, err := s.Engine.Callback(t.Context(), engine.Callback{Key: key(wait), Request: Success(large)})
			settled[i] = err == nil
			done.Add(1)
		})
	}
	shown := map[string]bool{}
	for done.Load() < n {
		for _, id := range s.list(t, waits.Expired, "") {
			shown[id] = true
		}
		wait := all[len(shown)%n]
		if got := s.get(t, wait.WaitID); got.Status == waits.Expired {
			shown[wait.WaitID] = true
		}
	}
	group.Wait()
	for i, wait := range all {
		if shown[wait.WaitID] && settled[i] {
			t.Errorf("wait %d was shown as expired, and its callback answered as settled", i)
		}
	}
}

func closes(t *testing.T, s *WaitsSubject) {
	wait := s.open(t, "state")
	before := s.Engine
	polled := poll(s.Engine, wait.WaitID)
	s.Reopen(t)
	if got := <-polled; got.err != nil && !errors.Is(got.err, engine.ErrUnavailable) {
		t.Errorf("GetWait while the engine was closed: %v, want %v", got.err, engine.ErrUnavailable)
	}
	_, err := before.GetWait(t.Context(), project, wait.WaitID, 0)
	_, _, openErr := before.OpenWait(t.Context(), project, open("another"), "")
	_, listErr := before.ListWaits(t.Context(), project, listing(1), 0)
	_, feedErr := before.ListOutcomes(t.Context(), project, "", 1, 0)
	for call, err := range map[string]error{"GetWait": err, "OpenWait": openErr, "ListWaits": listErr, "ListOutcomes": feedErr, "Ready": before.Ready(t.Context())} {
		if !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("%s of a closed engine: %v, want %v", call, err, engine.ErrUnavailable)
		}
	}
}

func cancels(t *testing.T, s *WaitsSubject) {
	wait, settled := s.open(t, "cancelled"), s.open(t, "settled")
	s.settle(t, settled, `{"a":1}`)
	for range 2 {
		s.cancel(t, wait)
		s.cancel(t, settled)
	}
	if got := s.get(t, wait.WaitID); got.Status != waits.Cancelled || got.SettledAt == nil {
		t.Errorf("GetWait after CancelWait = %+v", got)
	}
	if got := s.get(t, settled.WaitID); got.Status != waits.Success || got.Outcome == nil {
		t.Errorf("GetWait of a settled wait after CancelWait = %+v", got)
	}
	if got := s.follow(t, ""); !slices.Equal(got, []string{settled.WaitID, wait.WaitID}) {
		t.Errorf("feed = %v, want each of them once", got)
	}
}

func open(state callback.StateID) waits.OpenWaitRequest {
	return waits.OpenWaitRequest{WorkflowID: "workflow", RunID: "run", StateID: state, TimeoutSeconds: int(day / time.Second)}
}

func listing(limit int) waits.ListWaitsParams { return waits.ListWaitsParams{Limit: &limit} }

func key(w waits.Wait) engine.Key {
	return engine.Key{ProjectID: w.ProjectID, WorkflowID: w.WorkflowID, RunID: w.RunID, StateID: w.StateID}
}

func (s *WaitsSubject) open(t *testing.T, state string) waits.Wait {
	t.Helper()
	wait, opened, err := s.Engine.OpenWait(t.Context(), project, open(callback.StateID(state)), "")
	if err != nil || !opened {
		t.Fatalf("OpenWait(%s): opened %t, %v", state, opened, err)
	}
	return wait
}

func (s *WaitsSubject) settle(t *testing.T, wait waits.Wait, output string) {
	t.Helper()
	if _, err := s.Engine.Callback(t.Context(), engine.Callback{Key: key(wait), Request: Success(output)}); err != nil {
		t.Fatalf("Callback(%s): %v", wait.StateID, err)
	}
}

func (s *WaitsSubject) cancel(t *testing.T, wait waits.Wait) {
	t.Helper()
	if err := s.Engine.CancelWait(t.Context(), project, wait.WaitID, "", ""); err != nil {
		t.Fatalf("CancelWait(%s): %v", wait.StateID, err)
	}
}

func (s *WaitsSubject) get(t *testing.T, waitID string) waits.Wait {
	t.Helper()
	wait, err := s.Engine.GetWait(t.Context(), project, waitID, 0)
	if err != nil {
		t.Fatalf("GetWait(%s): %v", waitID, err)
	}
	return wait
}

type polled struct {
	wait waits.Wait
	err  error
}

// poll starts a GetWait that blocks until the wait leaves waiting.
func poll(e WaitsEngine, waitID string) <-chan polled {
	answer := make(chan polled, 1)
	go func() {
		wait, err := e.GetWait(context.Background(), project, waitID, time.Minute)
		answer <- polled{wait, err}
	}()
	return answer
}

func (s *WaitsSubject) list(t *testing.T, status waits.Status, workflow string) (ids []string) {
	t.Helper()
	params := listing(100)
	if status != "" {
		params.Status = &status
	}
	if workflow != "" {
		params.WorkflowID = &workflow
	}
	page, err := s.Engine.ListWaits(t.Context(), project, params, 0)
	if err != nil {
		t.Fatalf("ListWaits(%q, %q): %v", status, workflow, err)
	}
	for _, wait := range page.Waits {
		ids = append(ids, wait.WaitID)
	}
	return ids
}

func equal(a, b waits.Wait) bool {
	return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b)
}

func listsOldest(t *testing.T, s *WaitsSubject) {
	var want, got []string
	for i := range 5 {
		want = append(want, s.open(t, fmt.Sprint(i)).WaitID)
	}
	s.settle(t, s.open(t, "settled"), `{}`)
	params := listing(2)
	params.Order, params.Status = new(waits.Oldest), new(waits.Waiting)
	for {
		page, err := s.Engine.ListWaits(t.Context(), project, params, 0)
		if err != nil {
			t.Fatalf("ListWaits: %v", err)
		}
		for _, wait := range page.Waits {
			got = append(got, wait.WaitID)
		}
		if page.NextCursor == nil {
			t.Fatal("a page of the order oldest has no cursor")
		}
		if params.Cursor != nil && *page.NextCursor == *params.Cursor {
			break
		}
		params.Cursor = page.NextCursor
	}
	if !slices.Equal(got, want) {
		t.Errorf("ListWaits, oldest first = %v, want %v", got, want)
	}
}

// A list of the order oldest that begins now has the waits that are opened from then on.
func listsFromNow(t *testing.T, s *WaitsSubject) {
	params := listing(10)
	params.Order, params.Cursor = new(waits.Oldest), new(engine.AfterNow)
	for _, state := range []string{"of a new project", "another"} {
		page, err := s.Engine.ListWaits(t.Context(), project, params, 0)
		if err != nil || len(page.Waits) != 0 || page.NextCursor == nil {
			t.Fatalf("ListWaits from now on = %+v, %v; want an empty page with a cursor", page, err)
		}
		opened := s.open(t, state)
		after := params
		after.Cursor = page.NextCursor
		page, err = s.Engine.ListWaits(t.Context(), project, after, time.Minute)
		if err != nil || len(page.Waits) != 1 || page.Waits[0].WaitID != opened.WaitID {
			t.Errorf("ListWaits with that cursor = %+v, %v; want %s", page, err, opened.WaitID)
		}
	}
}
