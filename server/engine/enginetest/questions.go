package enginetest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

func storesQuestions(t *testing.T, s *WaitsSubject) {
	request := open("state")
	request.Title, request.Tags = "May order 4711 go out?", []string{"orders", "é \"quoted\""}
	opened, _, err := s.Engine.OpenWait(t.Context(), project, request, "order-flow")
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]waits.Wait{"OpenWait": opened, "GetWait": s.get(t, opened.WaitID)} {
		if got.Title != request.Title || !slices.Equal(got.Tags, request.Tags) || got.OpenedBy != "order-flow" {
			t.Errorf("%s = %+v; want the title, the tags and who opened it", name, got)
		}
	}
	again, _, err := s.Engine.OpenWait(t.Context(), project, request, "another")
	if err != nil || again.OpenedBy != "order-flow" || len(again.Differs) != 0 {
		t.Errorf("OpenWait again = %+v, %v; want the wait, without differences", again, err)
	}
	request.Title, request.Tags = "Another?", nil
	again, _, err = s.Engine.OpenWait(t.Context(), project, request, "")
	if want := []waits.WaitDiffers{waits.WaitDiffersTitle, waits.WaitDiffersTags}; err != nil || !slices.Equal(again.Differs, want) {
		t.Errorf("OpenWait with another title and without tags: differs %v, %v; want %v", again.Differs, err, want)
	}
	s.Reopen(t)
	params := listing(10)
	params.Tag = new(`é "quoted"`)
	if page, err := s.Engine.ListWaits(t.Context(), project, params, 0); err != nil || len(page.Waits) != 1 || !slices.Equal(page.Waits[0].Tags, opened.Tags) {
		t.Errorf("ListWaits by tag after a restart = %+v, %v; want the wait", page, err)
	}
}

// filtersAll compares lists with random filters and orders with what a loop over all waits finds.
func filtersAll(t *testing.T, s *WaitsSubject) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	workflow := func() string { return pick("order", "order-approval", "order-payment", "refund") }
	var all []waits.Wait
	for i := range 300 {
		request := open(callback.StateID(fmt.Sprint(pick("a", "b"), i)))
		if i%3 == 0 {
			request.StateID = callback.StateID(pick("a", "b"))
		}
		request.WorkflowID, request.RunID = workflow(), callback.RunID(fmt.Sprint("run ", random.IntN(20)))
		request.TimeoutSeconds = 3600 * (1 + random.IntN(5))
		for range random.IntN(3) {
			if tag := pick("urgent", "orders", "é"); !slices.Contains(request.Tags, tag) {
				request.Tags = append(request.Tags, tag)
			}
		}
		wait, opened, err := s.Engine.OpenWait(t.Context(), project, request, "")
		if err != nil {
			t.Fatal(err)
		}
		if !opened {
			continue
		}
		switch random.IntN(5) {
		case 0:
			s.settle(t, wait, `{}`)
		case 1:
			s.cancel(t, wait)
		}
		if i%50 == 0 {
			s.Advance(t, time.Second)
		}
		if i == 150 { // half of them are in the sets, half are not yet
			s.Reopen(t)
		}
		all = append(all, wait)
	}
	s.Advance(t, 90*time.Minute) // some expire
	for i := range all {
		all[i] = s.get(t, all[i].WaitID)
	}
	for range 200 {
		params := listing(1 + random.IntN(60))
		var filters []func(waits.Wait) bool
		filter := func(set func(), passes func(waits.Wait) bool) {
			if random.IntN(4) == 0 {
				set()
				filters = append(filters, passes)
			}
		}
		one := all[random.IntN(len(all))]
		filter(func() { params.Status = &one.Status }, func(w waits.Wait) bool { return w.Status == one.Status })
		filter(func() { params.WorkflowID = &one.WorkflowID }, func(w waits.Wait) bool { return w.WorkflowID == one.WorkflowID })
		prefix := pick("o", "order", "order-", "r", "x")
		filter(func() { params.WorkflowPrefix = &prefix }, func(w waits.Wait) bool { return strings.HasPrefix(w.WorkflowID, prefix) })
		filter(func() { params.RunID = &one.RunID }, func(w waits.Wait) bool { return w.RunID == one.RunID })
		filter(func() { params.StateID = &one.StateID }, func(w waits.Wait) bool { return w.StateID == one.StateID })
		tag := pick("urgent", "orders", "é", "none")
		filter(func() { params.Tag = &tag }, func(w waits.Wait) bool { return slices.Contains(w.Tags, tag) })
		filter(func() { params.OpenedBefore = &one.CreatedAt }, func(w waits.Wait) bool { return w.CreatedAt.Before(one.CreatedAt) })
		filter(func() { params.ExpiresBefore = &one.ExpiresAt }, func(w waits.Wait) bool { return w.ExpiresAt.Before(one.ExpiresAt) })
		order := []waits.Order{waits.Newest, waits.Oldest, waits.Deadline}[random.IntN(3)]
		params.Order = &order

		var want []string
		matching := slices.DeleteFunc(slices.Clone(all), func(w waits.Wait) bool {
			return slices.ContainsFunc(filters, func(passes func(waits.Wait) bool) bool { return !passes(w) })
		})
		switch order {
		case waits.Newest:
			slices.Reverse(matching)
		case waits.Deadline:
			slices.SortStableFunc(matching, func(a, b waits.Wait) int { return cmp.Compare(a.ExpiresAt.UnixMilli(), b.ExpiresAt.UnixMilli()) })
		}
		for _, w := range matching {
			want = append(want, w.WaitID)
		}
		if got := s.walk(t, params); !slices.Equal(got, want) {
			t.Fatalf("ListWaits(%s) = %d waits, want %d:\n%v\n%v", describe(params), len(got), len(want), got, want)
		}
	}
}

// walk returns the ids of all pages.
func (s *WaitsSubject) walk(t *testing.T, params waits.ListWaitsParams) (ids []string) {
	t.Helper()
	for range 1000 {
		page, err := s.Engine.ListWaits(t.Context(), project, params, 0)
		if err != nil {
			t.Fatalf("ListWaits(%s): %v", describe(params), err)
		}
		for _, wait := range page.Waits {
			ids = append(ids, wait.WaitID)
		}
		if page.NextCursor == nil || params.Cursor != nil && *page.NextCursor == *params.Cursor {
			return ids
		}
		params.Cursor = page.NextCursor
	}
	t.Fatalf("ListWaits(%s) does not end", describe(params))
	return nil
}

func describe(p waits.ListWaitsParams) string {
	text := ""
	add := func(name string, value any) { text += fmt.Sprintf(" %s=%v", name, value) }
	if p.Status != nil {
		add("status", *p.Status)
	}
	if p.WorkflowID != nil {
		add("workflow_id", *p.WorkflowID)
	}
	if p.WorkflowPrefix != nil {
		add("workflow_prefix", *p.WorkflowPrefix)
	}
	if p.RunID != nil {
		add("run_id", *p.RunID)
	}
	if p.StateID != nil {
		add("state_id", *p.StateID)
	}
	if p.Tag != nil {
		add("tag", *p.Tag)
	}
	if p.OpenedBefore != nil {
		add("opened_before", p.OpenedBefore)
	}
	if p.ExpiresBefore != nil {
		add("expires_before", p.ExpiresBefore)
	}
	if p.Order != nil {
		add("order", *p.Order)
	}
	return text
}

func movesDeadline(t *testing.T, s *WaitsSubject) {
	change := func(wait waits.Wait, timeout time.Duration) (waits.Wait, error) {
		return s.Engine.ChangeWait(t.Context(), project, wait.WaitID, waits.ChangeWaitRequest{TimeoutSeconds: int(timeout / time.Second)})
	}
	longer, shorter := s.open(t, "longer"), s.open(t, "shorter")
	moved, err := change(longer, 3*day)
	if err != nil || !moved.ExpiresAt.After(longer.ExpiresAt.Add(day)) || moved.Status != waits.Waiting {
		t.Fatalf("ChangeWait = %+v, %v; want a later deadline", moved, err)
	}
	if _, err := change(shorter, time.Hour); err != nil {
		t.Fatal(err)
	}
	s.Reopen(t)
	s.Advance(t, 2*time.Hour)
	if got := s.get(t, shorter.WaitID); got.Status != waits.Expired || !got.SettledAt.Equal(got.ExpiresAt) || got.ExpiresAt.Equal(shorter.ExpiresAt) {
		t.Errorf("wait with a deadline that was moved forward = %+v; want it expired at the new one", got)
	}
	s.Advance(t, day) // past the first deadline
	if got := s.get(t, longer.WaitID); got.Status != waits.Waiting || !got.ExpiresAt.Equal(moved.ExpiresAt) {
		t.Errorf("wait with a deadline that was moved back = %+v; want it waiting until %s", got, moved.ExpiresAt)
	}
	s.settle(t, longer, `{}`)
	for name, wait := range map[string]waits.Wait{"settled": longer, "expired": shorter} {
		if _, err := change(wait, day); !errors.Is(err, engine.ErrNotWaiting) {
			t.Errorf("ChangeWait of a wait that is %s: %v, want %v", name, err, engine.ErrNotWaiting)
		}
	}
	if _, err := s.Engine.ChangeWait(t.Context(), "another", longer.WaitID, waits.ChangeWaitRequest{TimeoutSeconds: 1}); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("ChangeWait of another project: %v, want %v", err, engine.ErrNotFound)
	}
	if got := s.follow(t, ""); !slices.Equal(got, []string{shorter.WaitID, longer.WaitID}) {
		t.Errorf("feed = %v, want the expired wait and the settled one, once each", got)
	}
}

func keepsReason(t *testing.T, s *WaitsSubject) {
	wait := s.open(t, "state")
	for _, reason := range []string{"withdrawn", "later"} { // the first stands
		if err := s.Engine.CancelWait(t.Context(), project, wait.WaitID, reason, "order-flow"); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.Engine.ListOutcomes(t.Context(), project, "", 10, 0)
	if err != nil || len(page.Outcomes) != 1 {
		t.Fatalf("ListOutcomes = %+v, %v; want one", page, err)
	}
	for name, got := range map[string]waits.Wait{"GetWait": s.get(t, wait.WaitID), "ListOutcomes": page.Outcomes[0]} {
		if got.CancelReason != "withdrawn" || got.SettledBy != "order-flow" || got.Outcome != nil || got.Status != waits.Cancelled {
			t.Errorf("%s = %+v; want it cancelled by order-flow with the reason, without an outcome", name, got)
		}
	}
}

func followsOpened(t *testing.T, s *WaitsSubject) {
	params := listing(10)
	params.Order = new(waits.Oldest)
	next := func(wait time.Duration) waits.WaitPage {
		page, err := s.Engine.ListWaits(t.Context(), project, params, wait)
		if err != nil || page.NextCursor == nil {
			t.Errorf("ListWaits = %+v, %v; want a cursor", page, err)
			return page
		}
		params.Cursor = page.NextCursor
		return page
	}
	if page := next(0); len(page.Waits) != 0 {
		t.Fatalf("ListWaits of an empty project = %+v", page)
	}
	for i := range 3 {
		followed := make(chan waits.WaitPage, 1)
		go func() { followed <- next(time.Minute) }()
		wait := s.open(t, fmt.Sprint(i))
		if page := <-followed; len(page.Waits) != 1 || page.Waits[0].WaitID != wait.WaitID {
			t.Fatalf("ListWaits while a wait was opened = %+v, want %s", page, wait.WaitID)
		}
	}
	if page := next(time.Millisecond); len(page.Waits) != 0 {
		t.Errorf("ListWaits after the last wait = %+v, want none", page)
	}
}

func counts(t *testing.T, s *WaitsSubject) {
	count := func(params waits.CountWaitsParams) waits.WaitCounts {
		t.Helper()
		counts, err := s.Engine.CountWaits(t.Context(), project, params)
		if err != nil {
			t.Fatal(err)
		}
		return counts
	}
	if got := count(waits.CountWaitsParams{}); got != (waits.WaitCounts{}) {
		t.Errorf("counts of an empty project = %+v", got)
	}
	for i := range waits.CountedWaitsMaximum {
		s.open(t, fmt.Sprint(i))
	}
	request := open("late")
	request.WorkflowID, request.TimeoutSeconds = "short", 60
	if _, _, err := s.Engine.OpenWait(t.Context(), project, request, ""); err != nil {
		t.Fatal(err)
	}
	s.Advance(t, time.Hour)
	if got := count(waits.CountWaitsParams{}); got.Waiting != (waits.Count{Waits: waits.CountedWaitsMaximum}) || got.Expired.Waits != 1 {
		t.Errorf("counts = %+v; want %d waiting, exactly, and 1 expired", got, waits.CountedWaitsMaximum)
	}
	s.open(t, "one more")
	if got := count(waits.CountWaitsParams{}); got.Waiting != (waits.Count{Waits: waits.CountedWaitsMaximum, More: true}) {
		t.Errorf("counts with one more = %+v; want more than %d waiting", got, waits.CountedWaitsMaximum)
	}
	if got := count(waits.CountWaitsParams{WorkflowID: new("short")}); got.Waiting.Waits != 0 || got.Expired.Waits != 1 {
		t.Errorf("counts of a workflow = %+v; want 1 expired", got)
	}
}
