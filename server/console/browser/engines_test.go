package browser

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// callbackOnly is an engine that settles and tells nothing.
type callbackOnly struct{ store *sqlite.Engine }

func (e callbackOnly) Callback(ctx context.Context, c engine.Callback) (string, error) {
	return e.store.Callback(ctx, c)
}
func (e callbackOnly) Ready(ctx context.Context) error { return e.store.Ready(ctx) }
func (callbackOnly) Name() string                      { return "Temporal, namespace default" }

// reading is an engine that lists what waits now, newest first, as that over Temporal does.
type reading struct{ callbackOnly }

func (e reading) GetWait(ctx context.Context, projectID, waitID string, wait time.Duration) (waits.Wait, error) {
	return e.store.GetWait(ctx, projectID, waitID, wait)
}

func (e reading) ListWaits(ctx context.Context, projectID string, params waits.ListWaitsParams, _ time.Duration) (waits.WaitPage, error) {
	if params.Status != nil && *params.Status != waits.Waiting || params.Order != nil && *params.Order != waits.Newest || params.Tag != nil || params.ExpiresBefore != nil {
		return waits.WaitPage{}, errors.ErrUnsupported
	}
	params.Status = new(waits.Waiting)
	page, err := e.store.ListWaits(ctx, projectID, params, 0)
	for i := range page.Waits { // it tells no deadline
		page.Waits[i].ExpiresAt = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
	}
	return page, err
}

// unavailable is an engine whose store is away while isAway.
type unavailable struct {
	*sqlite.Engine

	isAway *atomic.Bool
}

func (e unavailable) Callback(ctx context.Context, c engine.Callback) (string, error) {
	if e.isAway.Load() {
		return "", engine.ErrUnavailable
	}
	return e.Engine.Callback(ctx, c)
}

func (e unavailable) ListWaits(ctx context.Context, projectID string, params waits.ListWaitsParams, wait time.Duration) (waits.WaitPage, error) {
	if e.isAway.Load() {
		return waits.WaitPage{}, engine.ErrUnavailable
	}
	return e.Engine.ListWaits(ctx, projectID, params, wait)
}

// serve serves an engine over a store, and returns the server's address.
func serve(t *testing.T, over func(*sqlite.Engine) engine.Engine) (url string, store *sqlite.Engine) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waits.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	handler, err := server.New(over(store), server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s.URL, store
}

func openWait(t *testing.T, store *sqlite.Engine, title string) waits.Wait {
	t.Helper()
	wait, _, err := store.OpenWait(t.Context(), project, waits.OpenWaitRequest{WorkflowID: "order-approval", RunID: run, StateID: "approve", TimeoutSeconds: 3600, Title: title}, "")
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// Over an engine that offers less, the console shows what there is, says what there is not, and asks for
// nothing that is refused.
func TestEngineThatOnlyReads(t *testing.T) {
	url, store := serve(t, func(s *sqlite.Engine) engine.Engine { return reading{callbackOnly{s}} })
	wait := openWait(t, store, "May it go out?")
	b := open(t, url+"/console/"+project)
	b.until(t, rows+" === 'May it go out?'")
	b.shows(t, "Temporal, namespace default lists what waits now", "It does not count, sort, find tags or list what was decided.", "no deadline")
	if got := value[string](t, b, "document.querySelector('.tabs').innerText.trim() + document.querySelectorAll('[name=sort], [type=checkbox], .live').length"); got != "Waiting0" {
		t.Errorf("the list offers %q; want one tab without a number, and nothing else", got)
	}
	b.fill(t, "#q", "order")
	b.until(t, "location.search === '?q=order' && "+rows+" === 'May it go out?'")
	b.press(t, "May it go out?")
	b.shows(t, "Your decision")
	if value[bool](t, b, "document.querySelector('[popovertarget=more]') !== null") {
		t.Error("the page offers a menu of what the engine does not do")
	}
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "The flow went on")
	if got, err := store.GetWait(t.Context(), project, wait.WaitID, 0); err != nil || got.Status != waits.Success {
		t.Errorf("wait = %+v, %v", got, err)
	}
}

func TestEngineWithoutLists(t *testing.T) {
	url, _ := serve(t, func(s *sqlite.Engine) engine.Engine { return callbackOnly{s} })
	b := open(t, url+"/console/"+project)
	b.shows(t, "This engine keeps no list of waits", "Temporal, namespace default takes callbacks")
	b.wantGood(t, "501", 1280)
}

// While the store is away, the list says so, and it recovers without a reload. The page of a wait says that the
// decision may or may not have arrived.
func TestUnavailableStore(t *testing.T) {
	var isAway atomic.Bool
	url, store := serve(t, func(s *sqlite.Engine) engine.Engine { return unavailable{s, &isAway} })
	wait := openWait(t, store, "May it go out?")
	isAway.Store(true)
	b := open(t, url+"/console/"+project)
	b.calm = []string{"status of 503"}
	b.shows(t, "The server cannot answer now", "Trying again in")
	b.wantGood(t, "503", 1280)
	isAway.Store(false)
	b.press(t, "Try now")
	b.press(t, "May it go out?")
	isAway.Store(true)
	b.press(t, "Reject")
	b.fill(t, "#reason", "no")
	b.press(t, "Reject")
	b.shows(t, "It is not known whether this arrived. Sending it again does no harm.")
	isAway.Store(false)
	b.press(t, "Send again")
	b.shows(t, "The flow was told no")
	if got, err := store.GetWait(t.Context(), project, wait.WaitID, 0); err != nil || got.Status != waits.Fail || got.Outcome.Error != "no" {
		t.Errorf("wait = %+v, %v", got, err)
	}
}

// Behind a proxy that serves it below a path, the console works.
func TestBelowAPath(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{})
	l := newLine(t, f.URL)
	l.eachRequest(func(r *http.Request) {
		r.URL.Path, r.URL.RawPath = r.URL.Path[min(len("/flows"), len(r.URL.Path)):], ""
	})
	b := open(t, l.URL+"/flows/console/"+project)
	b.press(t, "May it go out?")
	b.until(t, "location.pathname === '/flows/console/project/"+wait.WaitID+"'")
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "The flow went on")
	b.press(t, "API")
	b.shows(t, "A serverless flow pauses")
}
