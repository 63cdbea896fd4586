package browser

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// rows is a JavaScript expression for the questions in the table, comma-separated.
const rows = "[...document.querySelectorAll('tbody .q')].map((q) => q.textContent).join()"

// cell returns a JavaScript expression for the text of a part of a row.
func cell(question, part string) string {
	return fmt.Sprintf("[...document.querySelectorAll('tbody tr')].find((r) => r.querySelector('.q').textContent === %q)?.querySelector(%q)?.textContent.trim()", question, part)
}

// The list shows what changes: a new wait when somebody asks for it, a decision in its place. The tabs and
// the title count.
func TestListIsLive(t *testing.T) {
	f := start(t)
	b := open(t, f.console(""))
	b.shows(t, "Nothing waits for you", "flowcallback waits open")
	first := f.ask(t, "order-approval", "First?", client.OpenOptions{Timeout: time.Hour})
	b.until(t, rows+" === 'First?'") // at once, because there is nothing to move
	b.until(t, "document.title === '(1) Waits · Flowcallback'")
	f.ask(t, "order-approval", "Second?", client.OpenOptions{Timeout: 2 * time.Hour})
	b.shows(t, "1 new wait")
	if got := value[string](t, b, rows); got != "First?" {
		t.Errorf("a new wait moved the list: %s", got)
	}
	b.press(t, "Show")
	b.until(t, rows+" === 'First?,Second?'")
	b.until(t, "document.title === '(2) Waits · Flowcallback'")
	f.succeed(t, first)
	b.until(t, cell("First?", ".badge")+" === 'Approved'")
	b.until(t, "document.querySelector('.tabs').innerText.replaceAll('\\n', ' ') === 'Waiting 1 Approved 1 Rejected 0 Expired 0 Cancelled 0'")
	b.until(t, "document.title === '(1) Waits · Flowcallback'")
	b.press(t, "Approved 1")
	b.until(t, rows+" === 'First?'")
	b.until(t, "location.search === '?status=success'")
	b.press(t, "Waiting 1")
	b.until(t, rows+" === 'Second?'")
}

// A row can be clicked anywhere. A long id loses its middle on the screen; the whole is in the page and on hover.
func TestRows(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "First?", client.OpenOptions{})
	b := open(t, f.console(""))
	b.until(t, rows+" === 'First?'")
	if got := value[string](t, b, "document.querySelector('tbody .id').textContent + '/' + document.querySelector('tbody .id').title"); got != run+"/"+run {
		t.Errorf("the id is %q, want the whole", got)
	}
	soon := f.ask(t, "order-approval", "Soon?", client.OpenOptions{Timeout: 14 * time.Minute})
	f.ask(t, "order-approval", "At once?", client.OpenOptions{Timeout: 4 * time.Minute})
	b.shows(t, "2 new waits")
	b.press(t, "Show")
	b.until(t, "document.querySelector('.left.soon')?.innerText.startsWith('13 min') && document.querySelector('.left.urgent')?.innerText.startsWith('3 min')")
	f.succeed(t, soon)
	if !value[bool](t, b, "document.querySelector('tbody .id').getBoundingClientRect().width < 130") {
		t.Error("the id is not shortened")
	}
	b.run(t, chromedp.Click("tbody tr:last-child .left-col", chromedp.ByQuery))
	b.until(t, "location.pathname.endsWith('"+wait.WaitID+"')")
	b.press(t, "Ids")
	b.run(t, chromedp.Evaluate("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }", nil))
	b.click(t, "[aria-label='Copy run id']")
	b.until(t, fmt.Sprintf("window.copied === %q && document.querySelector('#polite').textContent === 'Run id copied'", run))
}

// The order is by deadline, or as somebody chooses, and is in the address.
func TestListOrder(t *testing.T) {
	f := start(t)
	for i, title := range []string{"Long?", "Short?", "Middle?"} {
		f.ask(t, "order-approval", title, client.OpenOptions{Timeout: []time.Duration{3, 1, 2}[i] * time.Hour})
	}
	b := open(t, f.console(""))
	b.until(t, rows+" === 'Short?,Middle?,Long?'")
	for order, want := range map[string]string{"newest": "Middle?,Short?,Long?", "oldest": "Long?,Short?,Middle?"} {
		b.run(t, chromedp.SetValue("[name=sort]", order, chromedp.ByQuery), chromedp.Evaluate("document.querySelector('[name=sort]').dispatchEvent(new Event('change'))", nil))
		b.until(t, fmt.Sprintf("%s === %q && location.search === '?sort=%s'", rows, want, order))
	}
	b.run(t, chromedp.Reload())
	b.until(t, "document.querySelector('[name=sort]')?.value === new URLSearchParams(location.search).get('sort')")
}

// A search finds the beginning of a workflow, and whole runs, states, wait ids and tags, in every status.
func TestSearch(t *testing.T) {
	f := start(t)
	tagged := f.ask(t, "refund-approval", "Tagged?", client.OpenOptions{Tags: []string{"urgent"}})
	settled := f.ask(t, "order-approval", "Settled?", client.OpenOptions{})
	f.succeed(t, settled)
	both := f.ask(t, "urgent-approval", "Begins so?", client.OpenOptions{})
	f.ask(t, "data-export", "Tagged, too?", client.OpenOptions{Tags: []string{"urgent"}})
	b := open(t, f.console(""))
	b.calm = []string{"status of 404"} // of a text that looks like a wait id
	for text, want := range map[string]string{
		"order": "Settled?", "refund-approval": "Tagged?", "urgent": "Tagged, too?,Begins so?,Tagged?", tagged.WaitID: "Tagged?", string(both.StateID): "Begins so?",
		run: "Tagged, too?,Begins so?,Settled?,Tagged?", "approval": "", "Order": "",
	} {
		b.fill(t, "#q", text)
		b.until(t, fmt.Sprintf("new URLSearchParams(location.search).get('q') === %q && %s === %q", text, rows, want))
		if want == "" {
			b.shows(t, "No wait matches “"+text+"”", "Clear search")
		} else {
			b.shows(t, "All")
		}
	}
	b.fill(t, "#q", "order")
	b.until(t, "document.querySelector('.tabs').innerText.replaceAll('\\n', ' ') === 'All 1 Waiting 0 Approved 1 Rejected 0 Expired 0 Cancelled 0'")
	b.until(t, cell("Settled?", ".badge")+" === 'Approved'")
}

// With 300 ms of latency, and a list that takes longer than the pauses between questions, all of 1,002 waits are
// reached by scrolling. Idle, the page costs less than 1 KiB a second.
func TestManyWaitsOverASlowLine(t *testing.T) {
	f := start(t)
	var all sync.WaitGroup
	const many = 1002
	for i := range 8 {
		all.Go(func() {
			for n := i; n < many; n += 8 {
				_, err := f.client.Waits.Open(t.Context(), client.State{Workflow: "order-approval", Run: "run", State: fmt.Sprint(n)}, client.OpenOptions{Title: fmt.Sprintf("May order %d go out?", n)})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	l := newLine(t, f.URL)
	l.eachRequest(func(r *http.Request) {
		<-time.After(300 * time.Millisecond)
		if r.URL.Query().Get("limit") == "50" && !r.URL.Query().Has("cursor") {
			<-time.After(2200 * time.Millisecond) // the first page
		}
	})
	b := open(t, l.URL+"/console/"+project)
	b.until(t, "document.querySelectorAll('tbody .q').length >= 50")
	b.until(t, "document.title.startsWith('(1000+) ')")
	if value[bool](t, b, "document.querySelector('.news') !== null") {
		t.Error("waits that were there before are news")
	}
	b.until(t, fmt.Sprintf("(scrollTo(0, document.documentElement.scrollHeight), document.querySelectorAll('tbody .q').length === %d)", many))
	if got := value[int](t, b, "new Set([...document.querySelectorAll('tbody tr')].map((r) => r.dataset.id)).size"); got != many {
		t.Errorf("the list shows %d different waits, want %d", got, many)
	}
	if value[bool](t, b, "document.querySelector('.news') !== null") {
		t.Error("after a while, waits that were there before are news")
	}
	<-time.After(2 * time.Second) // the last count
	before := l.bytes.Load()
	const idle = 30 // longer than a poll
	<-time.After(idle * time.Second)
	if perSecond := (l.bytes.Load() - before) / idle; perSecond >= 1024 {
		t.Errorf("an idle page costs %d bytes a second, want less than 1024", perSecond)
	} else {
		t.Logf("an idle page costs %d bytes a second", perSecond)
	}
}

// The way back from a wait leads to its row, without asking for the list again. What happened meanwhile is shown.
func TestBackToTheRow(t *testing.T) {
	f := start(t)
	var fortySix waits.Wait
	for i := range 60 {
		wait := f.ask(t, "order-approval", fmt.Sprintf("%02d?", i), client.OpenOptions{Timeout: time.Duration(i+1) * time.Hour})
		if i == 46 {
			fortySix = wait
		}
	}
	b := open(t, f.console(""))
	b.until(t, "(scrollTo(0, document.documentElement.scrollHeight), document.querySelectorAll('tbody .q').length === 60)")
	b.press(t, "40?")
	b.until(t, "document.querySelector('h1')?.textContent === '40?' && document.activeElement.matches('h1')")
	b.run(t, chromedp.Reload())
	b.until(t, "document.querySelector('h1')?.textContent === '40?'")
	b.run(t, chromedp.NavigateBack())
	b.until(t, "document.querySelectorAll('tbody .q').length >= 50")
	b.run(t, chromedp.Evaluate("scrollTo(0, 1500)", nil))
	b.press(t, "45?")
	b.until(t, "document.querySelector('h1')?.textContent === '45?'")
	var asked int
	b.run(t, chromedp.Evaluate("performance.clearResourceTimings()", nil))
	f.succeed(t, fortySix)
	b.press(t, "Waits")
	b.until(t, "document.activeElement.textContent === '45?'")
	b.until(t, "Math.abs(scrollY - 1500) < 5")
	b.run(t, chromedp.Evaluate("performance.getEntriesByType('resource').filter((e) => e.name.includes('limit=50')).length", &asked))
	if asked != 0 {
		t.Errorf("the way back asked for the list %d times, want 0", asked)
	}
	b.until(t, cell("46?", ".badge")+" === 'Approved'") // while it was left
}

// Letters move, select and search, unless somebody has switched them off.
func TestLetterKeys(t *testing.T) {
	f := start(t)
	f.ask(t, "order-approval", "First?", client.OpenOptions{Timeout: time.Hour})
	f.ask(t, "order-approval", "Second?", client.OpenOptions{Timeout: 2 * time.Hour})
	b := open(t, f.console(""))
	b.until(t, rows+" === 'First?,Second?'")
	b.keys(t, "jj")
	b.until(t, "document.activeElement.textContent === 'Second?'")
	b.keys(t, "kx")
	b.until(t, "document.querySelectorAll('tbody :checked').length === 1")
	b.shows(t, "1 selected")
	b.run(t, input.DispatchKeyEvent(input.KeyDown).WithKey("/").WithText("/"))
	b.until(t, "document.activeElement.id === 'q' && document.activeElement.value === ''")
	b.keys(t, kb.Tab)
	b.click(t, ".me")
	b.press(t, "Letter keys in lists")
	b.run(t, chromedp.Evaluate("document.querySelector('#me').hidePopover()", nil))
	b.keys(t, "jx")
	if got := value[int](t, b, "document.querySelectorAll('tbody :checked').length"); got != 1 {
		t.Errorf("switched off, X selected: %d rows", got)
	}
}

// Several waits are cancelled after one more question, with a reason. One that was decided meanwhile stays so,
// and the page says it.
func TestCancelSeveral(t *testing.T) {
	f := start(t)
	var opened []waits.Wait
	for i, title := range []string{"One?", "Two?", "Three?"} {
		opened = append(opened, f.ask(t, "order-approval", title, client.OpenOptions{Timeout: time.Duration(i+1) * time.Hour}))
	}
	l := newLine(t, f.URL)
	b := open(t, l.URL+"/console/"+project)
	b.until(t, rows+" === 'One?,Two?,Three?'")
	b.click(t, "thead [type=checkbox]")
	b.shows(t, "3 selected")
	b.press(t, "Cancel 3 waits…")
	b.shows(t, "Cancel 3 waits?", "This cannot be undone.")
	b.fill(t, "#why", strings.Repeat("x", 201))
	b.shows(t, "1 too many")
	b.press(t, "Cancel 3 waits")
	if got := f.get(t, opened[0].WaitID); got.Status != waits.Waiting {
		t.Fatalf("a reason of 201 characters was sent")
	}
	b.press(t, "Keep them")
	b.shows(t, "3 selected")
	b.press(t, "Cancel 3 waits…")
	b.fill(t, "#why", "the shop is closed")
	var once sync.Once
	var deleted atomic.Int64
	l.eachRequest(func(r *http.Request) {
		if r.Method == http.MethodDelete {
			deleted.Add(1)
			once.Do(func() { f.succeed(t, opened[1]) })
		}
	})
	b.run(t, chromedp.Evaluate("document.querySelector('dialog form').requestSubmit(); document.querySelector('dialog form').requestSubmit()", nil))
	b.shows(t, "2 waits were cancelled. 1 wait had been decided before, and stays so.")
	b.until(t, cell("One?", ".badge")+" === 'Cancelled' && "+cell("Two?", ".badge")+" === 'Approved'")
	if got := f.get(t, opened[2].WaitID); got.Status != waits.Cancelled || got.CancelReason != "the shop is closed" {
		t.Errorf("wait = %s %q, want cancelled with the reason", got.Status, got.CancelReason)
	}
	if got := deleted.Load(); got != 3 {
		t.Errorf("3 waits were cancelled with %d requests", got)
	}
}

// Without a network the list says since when, and goes on by itself. Nothing that happened meanwhile is missed.
func TestOfflineAndBack(t *testing.T) {
	f := start(t)
	first := f.ask(t, "order-approval", "First?", client.OpenOptions{Timeout: time.Hour})
	f.ask(t, "order-approval", "Second?", client.OpenOptions{Timeout: 2 * time.Hour})
	l := newLine(t, f.URL)
	l.eachRequest(shortPolls)
	b := open(t, l.URL+"/console/"+project)
	b.calm = []string{"net::ERR"}
	b.until(t, rows+" === 'First?,Second?'")
	l.cut(true)
	b.shows(t, "The server cannot be reached", "Offline", "You see the waits as they were at")
	f.succeed(t, first)
	f.ask(t, "order-approval", "Third?", client.OpenOptions{Timeout: 3 * time.Hour})
	l.cut(false)
	b.press(t, "Try now")
	b.until(t, cell("First?", ".badge")+" === 'Approved'")
	b.shows(t, "1 new wait", "Live")
	b.until(t, "!document.body.innerText.includes('cannot be reached')")
}

// A page that is opened without a network says so, and shows the list once there is one.
func TestOpenedOffline(t *testing.T) {
	f := start(t)
	f.ask(t, "order-approval", "First?", client.OpenOptions{})
	l := newLine(t, f.URL)
	l.eachRequest(func(r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			panic(http.ErrAbortHandler)
		}
	})
	b := open(t, l.URL+"/console/"+project)
	b.calm = []string{"net::ERR"}
	b.shows(t, "The server cannot be reached")
	l.eachRequest(func(*http.Request) {})
	b.press(t, "Try now")
	b.until(t, rows+" === 'First?'")
}

// More waits at once than are followed one by one, and a cursor that the server does not know any more: the page says that
// much has changed, the numbers are right, and nothing is missing after "Show".
func TestBurstAndLostCursor(t *testing.T) {
	f := start(t)
	f.ask(t, "order-approval", "First?", client.OpenOptions{Timeout: time.Hour})
	l := newLine(t, f.URL)
	var isForeign atomic.Bool
	l.eachRequest(func(r *http.Request) {
		shortPolls(r)
		if query := r.URL.Query(); isForeign.Load() && query.Has("after") && query.Get("after") != "now" {
			query.Set("after", "999999999")
			r.URL.RawQuery = query.Encode()
		}
	})
	b := open(t, l.URL+"/console/"+project)
	b.until(t, rows+" === 'First?'")
	burst := func(from, to int) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for n := from + i; n < to; n += 8 {
					f.ask(t, "order-approval", fmt.Sprint(n), client.OpenOptions{Timeout: 2 * time.Hour})
				}
			})
		}
		all.Wait()
	}
	l.cut(true)
	b.calm = []string{"net::ERR"}
	burst(0, 150)
	l.cut(false)
	b.press(t, "Try now")
	b.shows(t, "Much has changed")
	burst(150, 180)
	b.until(t, "document.title.startsWith('(181) ')")
	b.press(t, "Show")
	b.until(t, "(scrollTo(0, document.documentElement.scrollHeight), document.querySelectorAll('tbody .q').length === 181 || document.body.innerText.includes('new wait') && ([...document.querySelectorAll('button')].find((e) => e.innerText === 'Show')?.click(), false))")
	isForeign.Store(true)
	b.calm = []string{"net::ERR", "status of 4"}
	b.shows(t, "Much has changed")
	isForeign.Store(false)
	b.press(t, "Show")
	b.until(t, "!document.body.innerText.includes('Much has changed')")
}

// A search that lost its network once finds all the same. What was typed does not follow one into a wait.
func TestSearchIsPatient(t *testing.T) {
	f := start(t)
	f.ask(t, "special-approval", "Begins so?", client.OpenOptions{})
	wait := f.ask(t, "order-approval", "Tagged?", client.OpenOptions{Tags: []string{"special"}})
	l := newLine(t, f.URL)
	var once sync.Once
	l.eachRequest(func(r *http.Request) {
		if r.URL.Query().Has("tag") && r.URL.Query().Has("limit") {
			once.Do(func() { panic(http.ErrAbortHandler) })
		}
	})
	b := open(t, l.URL+"/console/"+project+"?q=special")
	b.calm = []string{"net::ERR"}
	b.until(t, rows+" === 'Tagged?,Begins so?'")
	b.until(t, "document.querySelector('#q').value === 'special'")
	b.run(t, chromedp.Evaluate("{ const f = document.querySelector('#q'); f.value = 'zzz'; f.dispatchEvent(new Event('input')); document.querySelector('a.q').click(); }", nil))
	<-time.After(600 * time.Millisecond)
	if got := value[string](t, b, "location.pathname"); !strings.HasSuffix(got, wait.WaitID) {
		t.Errorf("what was typed before led to %s", got)
	}
	b.goTo(t, l.URL+"/console/"+project+"?q=zzz")
	b.press(t, "Clear search")
	b.until(t, "document.querySelector('#q').value === ''")
}

// A page of the list that is refused is asked for once.
func TestRefusedPage(t *testing.T) {
	f := start(t)
	for i := range 60 {
		f.ask(t, "order-approval", fmt.Sprint(i), client.OpenOptions{})
	}
	l := newLine(t, f.URL)
	var asked atomic.Int64
	l.eachRequest(func(r *http.Request) {
		if query := r.URL.Query(); query.Get("limit") == "50" && query.Has("cursor") {
			asked.Add(1)
			query.Set("cursor", "wrong")
			r.URL.RawQuery = query.Encode()
		}
	})
	b := open(t, l.URL+"/console/"+project)
	b.calm = []string{"status of 400"}
	b.until(t, "(scrollTo(0, document.documentElement.scrollHeight), document.body.innerText.includes('The server does not take this address'))")
	<-time.After(2 * time.Second)
	if got := asked.Load(); got != 1 {
		t.Errorf("the page was asked for %d times, want once", got)
	}
}

// What happens while the list is read again is shown after it.
func TestChangesWhileTheListIsRead(t *testing.T) {
	f := start(t)
	first := f.ask(t, "order-approval", "First?", client.OpenOptions{Timeout: time.Hour})
	l := newLine(t, f.URL)
	var isHeld atomic.Bool
	held, release := make(chan struct{}), make(chan struct{})
	l.eachAnswer(func(r *http.Request, body []byte) []byte {
		if query := r.URL.Query(); isHeld.Load() && query.Get("limit") == "50" {
			close(held)
			<-release
		}
		return body
	})
	b := open(t, l.URL+"/console/"+project)
	b.until(t, rows+" === 'First?'")
	f.ask(t, "order-approval", "Second?", client.OpenOptions{Timeout: 2 * time.Hour})
	b.shows(t, "1 new wait")
	isHeld.Store(true)
	b.press(t, "Show")
	<-held
	isHeld.Store(false)
	f.ask(t, "order-approval", "Third?", client.OpenOptions{Timeout: 3 * time.Hour})
	f.succeed(t, first)
	b.until(t, cell("First?", ".badge")+" === 'Approved'")
	b.shows(t, "2 new waits")
	close(release)
	b.until(t, rows+" === 'First?,Second?'")
	b.until(t, cell("First?", ".badge")+" === 'Approved'")
	b.shows(t, "1 new wait")
}

// Numbers that could not be counted are counted later. In the list of all, a decision is no new wait.
func TestCountsAfterAFailure(t *testing.T) {
	f := start(t)
	first := f.ask(t, "order-approval", "First?", client.OpenOptions{Timeout: time.Hour})
	l := newLine(t, f.URL)
	var isAway atomic.Bool
	l.eachRequest(func(r *http.Request) {
		if isAway.Load() && strings.HasSuffix(r.URL.Path, "/count") {
			panic(http.ErrAbortHandler)
		}
	})
	b := open(t, l.URL+"/console/"+project+"?q=order-approval")
	b.calm = []string{"net::ERR"}
	b.until(t, "document.title.startsWith('(1) ')")
	isAway.Store(true)
	f.succeed(t, first)
	b.until(t, cell("First?", ".badge")+" === 'Approved'")
	f.ask(t, "order-approval", "Second?", client.OpenOptions{Timeout: 2 * time.Hour})
	f.ask(t, "order-approval", "Third?", client.OpenOptions{Timeout: 2 * time.Hour})
	b.shows(t, "2 new waits")
	isAway.Store(false)
	b.until(t, "document.title.startsWith('(2) ')")
}

// While the list is on its way, lines stand where rows will be, and a reader is told.
func TestLoading(t *testing.T) {
	f := start(t)
	f.ask(t, "order-approval", "First?", client.OpenOptions{})
	l := newLine(t, f.URL)
	release := make(chan struct{})
	l.eachRequest(func(r *http.Request) {
		if r.URL.Query().Get("limit") == "50" {
			<-release
		}
	})
	b := open(t, l.URL+"/console/"+project)
	b.until(t, "document.querySelectorAll('.bone').length > 8 && document.querySelector('main [role=status]').textContent === 'Loading waits'")
	b.wantGood(t, "loading", 1280)
	close(release)
	b.until(t, rows+" === 'First?' && document.querySelector('.bone') === null")
}
