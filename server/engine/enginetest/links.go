package enginetest

import (
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// Links runs the suite of engine.Linker. start returns a new, empty subject whose engine
// implements it.
func Links(t *testing.T, start func(*testing.T) *WaitsSubject) {
	cases := map[string]func(*testing.T, *WaitsSubject, engine.Linker){
		"link opens its wait, also after a restart":  linkOpens,
		"link is over at its time and with its wait": linkEnds,
		"withdrawn link opens nothing":               linkWithdrawn,
		"link settles its wait and no other":         linkSettles,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			run(t, s, s.Engine.(engine.Linker))
		})
	}
}

func newLink(secret string) engine.NewLink {
	return engine.NewLink{Digest: sha256.Sum256([]byte(secret)), Allow: []callback.Result{callback.Fail}, To: "Ines Moreau", Principal: "order-flow"}
}

func linkOpens(t *testing.T, s *WaitsSubject, e engine.Linker) {
	wait := s.open(t, "state")
	created, err := e.CreateLink(t.Context(), project, wait.WaitID, newLink("secret"))
	if err != nil || !created.ExpiresAt.Equal(wait.ExpiresAt) {
		t.Fatalf("CreateLink = %+v, %v; want a link until the deadline", created, err)
	}
	s.Reopen(t)
	e = s.Engine.(engine.Linker)
	link, of, err := e.FollowLink(t.Context(), sha256.Sum256([]byte("secret")))
	if err != nil || of.WaitID != wait.WaitID || link.LinkID != created.LinkID || link.To != "Ines Moreau" || link.CreatedBy != "order-flow" || !slices.Equal(link.Allow, []callback.Result{callback.Fail}) {
		t.Errorf("FollowLink = %+v, %+v, %v; want the link and its wait", link, of, err)
	}
	if _, _, err := e.FollowLink(t.Context(), sha256.Sum256([]byte("another"))); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("FollowLink of another secret: %v, want %v", err, engine.ErrNotFound)
	}
	if links, err := e.ListLinks(t.Context(), project, wait.WaitID); err != nil || len(links) != 1 || links[0].LinkID != created.LinkID {
		t.Errorf("ListLinks = %+v, %v; want the link", links, err)
	}
	s.settle(t, wait, `{}`)
	if _, of, err := e.FollowLink(t.Context(), sha256.Sum256([]byte("secret"))); err != nil || of.Status != waits.Success {
		t.Errorf("FollowLink of a settled wait = %+v, %v; want it settled", of, err)
	}
	if _, err := e.CreateLink(t.Context(), project, wait.WaitID, newLink("late")); !errors.Is(err, engine.ErrNotWaiting) {
		t.Errorf("CreateLink for a settled wait: %v, want %v", err, engine.ErrNotWaiting)
	}
}

func linkEnds(t *testing.T, s *WaitsSubject, e engine.Linker) {
	wait := s.open(t, "state")
	short := newLink("short")
	short.Timeout = time.Minute
	for _, link := range []engine.NewLink{short, newLink("whole")} {
		if _, err := e.CreateLink(t.Context(), project, wait.WaitID, link); err != nil {
			t.Fatal(err)
		}
	}
	s.Advance(t, time.Hour)
	if _, _, err := e.FollowLink(t.Context(), short.Digest); !errors.Is(err, engine.ErrExpired) {
		t.Errorf("FollowLink past the time of the link: %v, want %v", err, engine.ErrExpired)
	}
	if _, of, err := e.FollowLink(t.Context(), newLink("whole").Digest); err != nil || of.Status != waits.Waiting {
		t.Errorf("FollowLink = %+v, %v; want the wait", of, err)
	}
	s.Advance(t, day)
	if _, of, err := e.FollowLink(t.Context(), newLink("whole").Digest); err != nil || of.Status != waits.Expired {
		t.Errorf("FollowLink past the deadline = %+v, %v; want the expired wait", of, err)
	}
}

func linkWithdrawn(t *testing.T, s *WaitsSubject, e engine.Linker) {
	wait := s.open(t, "state")
	link, err := e.CreateLink(t.Context(), project, wait.WaitID, newLink("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"of another project": e.WithdrawLink(t.Context(), "another", wait.WaitID, link.LinkID),
		"of another wait":    e.WithdrawLink(t.Context(), project, s.open(t, "another").WaitID, link.LinkID),
		"that is unknown":    e.WithdrawLink(t.Context(), project, wait.WaitID, "unknown"),
	} {
		if !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("WithdrawLink %s: %v, want %v", name, err, engine.ErrNotFound)
		}
	}
	if err := e.WithdrawLink(t.Context(), project, wait.WaitID, link.LinkID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.FollowLink(t.Context(), newLink("secret").Digest); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("FollowLink of a withdrawn link: %v, want %v", err, engine.ErrNotFound)
	}
}

func linkSettles(t *testing.T, s *WaitsSubject, e engine.Linker) {
	wait, other := s.open(t, "state"), s.open(t, "other")
	short := newLink("short")
	short.Timeout = time.Minute
	var ids []string
	for _, link := range []engine.NewLink{newLink("good"), newLink("withdrawn"), short} {
		created, err := e.CreateLink(t.Context(), project, wait.WaitID, link)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, created.LinkID)
	}
	if err := e.WithdrawLink(t.Context(), project, wait.WaitID, ids[1]); err != nil {
		t.Fatal(err)
	}
	s.Advance(t, time.Hour)
	settle := func(of waits.Wait, secret string) error {
		digest := sha256.Sum256([]byte(secret))
		_, err := s.Engine.Callback(t.Context(), engine.Callback{Key: key(of), Request: Success(`{}`), Link: &digest})
		return err
	}
	for _, test := range []struct {
		of     waits.Wait
		secret string
		want   error
	}{{wait, "unknown", engine.ErrNotFound}, {wait, "withdrawn", engine.ErrNotFound}, {wait, "short", engine.ErrExpired}, {other, "good", engine.ErrNotFound}} {
		if err := settle(test.of, test.secret); !errors.Is(err, test.want) {
			t.Errorf("Callback of %s by the link %s: %v, want %v", test.of.StateID, test.secret, err, test.want)
		}
	}
	for _, w := range []waits.Wait{wait, other} {
		if got := s.get(t, w.WaitID); got.Status != waits.Waiting {
			t.Errorf("state %s is %s after refused links, want waiting", w.StateID, got.Status)
		}
	}
	for range 2 {
		if err := settle(wait, "good"); err != nil {
			t.Errorf("Callback by the link of the wait: %v", err)
		}
	}
}
