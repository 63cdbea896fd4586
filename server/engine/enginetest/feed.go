package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

func feeds(t *testing.T, s *WaitsSubject) {
	success, expired, fail, cancelled := s.open(t, "success"), s.open(t, "expired"), s.open(t, "fail"), s.open(t, "cancelled")
	s.open(t, "waiting")
	if page, err := s.Engine.ListOutcomes(t.Context(), project, "", 10, 0); err != nil || len(page.Outcomes) != 0 || page.Next == "" {
		t.Errorf("ListOutcomes of an empty feed = %+v, %v; want none and a cursor", page, err)
	}
	s.settle(t, success, `{"a":1}`)
	s.cancel(t, cancelled)
	if _, err := s.Engine.Callback(t.Context(), engine.Callback{Key: key(fail), Request: Fail("why", `{}`)}); err != nil {
		t.Fatalf("Callback: %v", err)
	}
	page, err := s.Engine.ListOutcomes(t.Context(), project, "", 2, 0)
	if err != nil || len(page.Outcomes) != 2 || page.Outcomes[0].WaitID != success.WaitID || page.Outcomes[1].WaitID != cancelled.WaitID ||
		page.Outcomes[1].Outcome != nil || page.Outcomes[0].Outcome == nil {
		t.Errorf("ListOutcomes = %+v, %v", page, err)
	}
	if got := s.follow(t, page.Next); !slices.Equal(got, []string{fail.WaitID}) {
		t.Errorf("feed after the first page = %v, want %v", got, fail.WaitID)
	}
	s.Advance(t, day)
	next, err := s.Engine.ListOutcomes(t.Context(), project, "", 10, time.Minute)
	for err == nil && len(next.Outcomes) < 5 {
		next, err = s.Engine.ListOutcomes(t.Context(), project, "", 10, time.Minute)
	}
	if err != nil || !slices.ContainsFunc(next.Outcomes, func(w waits.Wait) bool { return w.WaitID == expired.WaitID && w.Status == waits.Expired }) {
		t.Errorf("feed past the deadline = %+v, %v; want %v in it", next, err, expired.WaitID)
	}
}

func feedsConcurrently(t *testing.T, s *WaitsSubject) {
	const writers, each = 8, 25
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				wait, _, err := s.Engine.OpenWait(t.Context(), project, open(callback.StateID(fmt.Sprint(w, "/", i))), "")
				if err == nil {
					_, err = s.Engine.Callback(t.Context(), engine.Callback{Key: key(wait), Request: Success(`{}`)})
				}
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	seen := map[string]int{}
	cursor := ""
	for len(seen) < writers*each && !t.Failed() {
		page, err := s.Engine.ListOutcomes(t.Context(), project, cursor, 10, time.Minute)
		if err != nil {
			t.Fatalf("ListOutcomes(%q): %v", cursor, err)
		}
		for _, wait := range page.Outcomes {
			seen[wait.WaitID]++
		}
		cursor = page.Next
	}
	group.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("wait %s is in the feed %d times", id, n)
		}
	}
}

func pollsFeed(t *testing.T, s *WaitsSubject) {
	wait := s.open(t, "state")
	arrived := make(chan waits.OutcomePage, 1)
	go func() {
		page, err := s.Engine.ListOutcomes(t.Context(), project, "", 10, time.Minute)
		if err != nil {
			t.Errorf("ListOutcomes: %v", err)
		}
		arrived <- page
	}()
	s.settle(t, wait, `{}`)
	if page := <-arrived; len(page.Outcomes) != 1 || page.Outcomes[0].WaitID != wait.WaitID {
		t.Errorf("ListOutcomes while one was settled = %+v", page)
	}
}

func cursorSurvives(t *testing.T, s *WaitsSubject) {
	first, second := s.open(t, "first"), s.open(t, "second")
	s.settle(t, first, `{}`)
	page, err := s.Engine.ListOutcomes(t.Context(), project, "", 10, 0)
	if err != nil {
		t.Fatalf("ListOutcomes: %v", err)
	}
	s.Reopen(t)
	s.settle(t, second, `{}`)
	if got := s.follow(t, page.Next); !slices.Equal(got, []string{second.WaitID}) {
		t.Errorf("feed after a reopen = %v, want %v", got, second.WaitID)
	}
}

func foreignCursors(t *testing.T, s *WaitsSubject) {
	for cursor, want := range map[string]error{
		"x": engine.ErrCursor, "-1": engine.ErrCursor, "01": engine.ErrCursor, "1e3": engine.ErrCursor, "99999999999999999999": engine.ErrCursor,
		"4711": engine.ErrCursorForeign, "0-mzxw6ytboi2dcnrz": engine.ErrCursorForeign,
	} {
		if _, err := s.Engine.ListOutcomes(t.Context(), project, cursor, 10, 0); !errors.Is(err, want) {
			t.Errorf("ListOutcomes(%q): %v, want %v", cursor, err, want)
		}
	}
	params := listing(10)
	params.Cursor = new("x")
	if _, err := s.Engine.ListWaits(t.Context(), project, params, 0); !errors.Is(err, engine.ErrCursor) {
		t.Errorf("ListWaits with a foreign cursor: %v, want %v", err, engine.ErrCursor)
	}
}

// follow reads the feed to its present end.
func feedsFromNow(t *testing.T, s *WaitsSubject) {
	s.settle(t, s.open(t, "before"), `{}`)
	page, err := s.Engine.ListOutcomes(t.Context(), project, engine.AfterNow, 10, 0)
	if err != nil || len(page.Outcomes) != 0 {
		t.Fatalf("ListOutcomes(%s) = %+v, %v; want none", engine.AfterNow, page, err)
	}
	wait := s.open(t, "after")
	s.settle(t, wait, `{}`)
	if got := s.follow(t, page.Next); !slices.Equal(got, []string{wait.WaitID}) {
		t.Errorf("feed from now on = %v, want %s", got, wait.WaitID)
	}
}

func (s *WaitsSubject) follow(t *testing.T, after string) (ids []string) {
	t.Helper()
	for {
		page, err := s.Engine.ListOutcomes(t.Context(), project, after, 100, 0)
		if err != nil {
			t.Fatalf("ListOutcomes(%q): %v", after, err)
		}
		if len(page.Outcomes) == 0 {
			return ids
		}
		for _, wait := range page.Outcomes {
			ids = append(ids, wait.WaitID)
		}
		after = page.Next
	}
}
