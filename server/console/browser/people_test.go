package browser

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// signedIn opens a page of the project's console as the principal with a token.
func (f fixture) signedIn(t *testing.T, token, below string) *tab {
	t.Helper()
	b := open(t, f.console(below))
	b.fill(t, "#token", token+"\r")
	b.until(t, "document.querySelector('.me') !== null && document.querySelector('#token') === null")
	return b
}

// Where credentials are needed, the sign-in comes first, without an error before anybody did something. The tab
// keeps the token; another does not have it; signing out forgets it.
func TestSignIn(t *testing.T) {
	f, tokens := startWithTokens(t, "ada projects: ['*'], allow: [callback, wait]")
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{})
	b := open(t, f.page(wait))
	b.shows(t, "Sign in", "Access token")
	if got := value[string](t, b, "document.querySelector('#token-e').textContent"); got != "" {
		t.Errorf("before an attempt the page says %q", got)
	}
	if got := value[int](t, b, "performance.getEntriesByType('resource').filter((e) => e.name.includes('/v1/')).length"); got != 0 {
		t.Errorf("before an attempt the page asked %d times, and each would count as wrong", got)
	}
	b.calm = []string{"status of 401"}
	b.fill(t, "#token", "wrong\r")
	b.shows(t, "This server does not know that token.")
	b.until(t, "document.activeElement.id === 'token'")
	b.calm = nil
	for len(b.faults) > 0 {
		<-b.faults
	}
	b.fill(t, "#token", tokens["ada"]+"\r")
	b.shows(t, "May it go out?", "ada") // where one was going
	b.run(t, chromedp.Reload())
	b.shows(t, "May it go out?", "ada")
	b.click(t, ".me")
	b.shows(t, "Signed in as ada", "May decide waits, and open, move or cancel them.")
	b.press(t, "Sign out")
	b.shows(t, "Access token")
	if got := value[string](t, b, "JSON.stringify(sessionStorage) + JSON.stringify(localStorage)"); strings.Contains(got, tokens["ada"]) {
		t.Error("the token is still kept after signing out")
	}
	b.run(t, chromedp.Reload())
	b.shows(t, "Access token")
}

// What one may not do is not offered, and the page says why.
func TestRights(t *testing.T) {
	f, tokens := startWithTokens(t, "ada projects: ['*'], allow: [callback, wait]", "viewer projects: [project], allow: [wait]", "worker projects: [project], allow: [callback]",
		"stranger projects: [other], allow: [callback, wait]")
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{})
	viewer := f.signedIn(t, tokens["viewer"], "/"+wait.WaitID)
	viewer.shows(t, "Not yours to decide", "who may look but not decide", "Sign in as somebody else")
	if value[bool](t, viewer, "[...document.querySelectorAll('button')].some((b) => ['Approve', 'Reject'].includes(b.innerText))") {
		t.Error("somebody who may not decide is offered to")
	}
	worker := f.signedIn(t, tokens["worker"], "")
	worker.shows(t, "You may not see what waits", "worker")
	stranger := f.signedIn(t, tokens["stranger"], "/"+wait.WaitID)
	stranger.shows(t, "You may not see this project", "stranger", "Go to my project")
	stranger.press(t, "Go to my project")
	stranger.shows(t, "Nothing waits for you")
	stranger.until(t, "location.pathname.endsWith('/console/other')")
	stranger.press(t, "API")
	stranger.shows(t, "Calling back a flow", "stranger")
	stranger.click(t, ".me")
	stranger.press(t, "Sign out")
	stranger.shows(t, "Access token")
}

// The project is chosen from those of the credentials, and remembered. Without authentication any id is valid,
// and an unknown one is empty.
func TestProjects(t *testing.T) {
	f := start(t)
	f.ask(t, "order-approval", "May it go out?", client.OpenOptions{})
	b := open(t, f.URL+"/console/")
	b.shows(t, "Which project?")
	b.fill(t, "#which", project+"\r")
	b.until(t, rows+" === 'May it go out?'")
	b.goTo(t, f.URL+"/console/another%2Fone")
	b.shows(t, "Nothing waits for you")
	b.goTo(t, f.URL+"/console/")
	b.until(t, "location.pathname.endsWith('/console/another%2Fone')")
	b.click(t, ".project")
	b.press(t, project)
	b.until(t, rows+" === 'May it go out?'")
	b.goTo(t, f.URL+"/console/?project="+project+"&status=success") // as addresses were once
	b.until(t, "location.pathname.endsWith('/console/project') && location.search === '?status=success'")
	b.goTo(t, f.console("/01980c2e-7f5d-7cc3-98b5-31b3f3a1d2aa"))
	b.calm = []string{"status of 404"}
	b.shows(t, "No such wait in this project", "All waits")
}

// From the sign-in to the approval, the keyboard is enough. A key that is held does not confirm.
func TestKeyboardAlone(t *testing.T) {
	f, tokens := startWithTokens(t, "ada projects: ['*'], allow: [callback, wait]")
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{OutputSchema: []byte(`{"type":"object","required":["insured","note"],"properties":{"note":{"type":"string","maxLength":20},"insured":{"type":"boolean"}}}`)})
	b := open(t, f.console(""))
	b.until(t, "document.activeElement?.id === 'token'")
	b.keys(t, tokens["ada"]+kb.Enter)
	b.until(t, rows+" === 'May it go out?'")
	focused := func(what string) string {
		return "document.activeElement.matches(" + "'" + what + "')"
	}
	tabTo := func(what string) {
		t.Helper()
		for range 40 {
			if value[bool](t, b, focused(what)) {
				if !value[bool](t, b, "document.activeElement.matches(':focus-visible')") {
					t.Errorf("the focus on %s is not seen", what)
				}
				return
			}
			b.keys(t, kb.Tab)
		}
		t.Fatalf("40 times Tab does not lead to %s", what)
	}
	tabTo("a.q")
	b.keys(t, kb.Enter)
	b.until(t, focused("h1"))
	tabTo("[name=note]")
	b.keys(t, "by truck")
	tabTo("[type=radio]")
	b.keys(t, " ")
	b.until(t, "document.activeElement.checked")
	tabTo(".acts .primary")
	b.keys(t, kb.Enter)
	b.until(t, "document.activeElement.matches('dialog .primary')")
	enter := func(kind input.KeyType, isHeld bool) chromedp.Action {
		return input.DispatchKeyEvent(kind).WithKey("Enter").WithCode("Enter").WithWindowsVirtualKeyCode(13).WithText("\r").WithAutoRepeat(isHeld)
	}
	b.run(t, enter(input.KeyDown, true), enter(input.KeyUp, false))
	if got := f.get(t, wait.WaitID); got.Status != waits.Waiting {
		t.Fatal("a key that was held confirmed the approval")
	}
	b.keys(t, kb.Escape)
	b.until(t, "!document.querySelector('dialog').open && "+focused(".acts .primary"))
	b.keys(t, kb.Enter)
	b.until(t, "document.activeElement.matches('dialog .primary')")
	b.keys(t, kb.Enter)
	b.until(t, focused("#verdict-head"))
	if got := f.get(t, wait.WaitID); got.Status != waits.Success || string(got.Outcome.Output) != `{"note":"by truck","insured":true}` || got.SettledBy != "ada" {
		t.Errorf("wait = %s %+v by %s", got.Status, got.Outcome, got.SettledBy)
	}
}

// Credentials that are withdrawn while a page is open lead to the sign-in, and to no more requests. What was written is
// there again after it.
func TestWithdrawnCredentials(t *testing.T) {
	f, tokens := startWithTokens(t, "ada projects: ['*'], allow: [callback, wait]")
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{})
	l := newLine(t, f.URL)
	b := fixture{&servertest.Server{URL: l.URL}, nil}.signedIn(t, tokens["ada"], "/"+wait.WaitID)
	b.press(t, "Add details")
	b.fill(t, "#json", `{"note": 1}`)
	b.calm = []string{"status of 401"}
	var asked atomic.Int64
	l.eachRequest(func(r *http.Request) {
		if r.Header.Get("X-Auth-Token") != "" {
			asked.Add(1)
			r.Header.Set("X-Auth-Token", "withdrawn")
		}
	})
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "Access token")
	before := asked.Load()
	<-time.After(3 * time.Second)
	if after := asked.Load(); after != before {
		t.Errorf("requests after a refusal: %d, then %d; want no more", before, after)
	}
	l.eachRequest(func(*http.Request) {})
	b.fill(t, "#token", tokens["ada"]+"\r")
	b.until(t, `document.querySelector('#json')?.value === '{"note": 1}'`)
}

// A token that no browser can send is said to be none.
func TestTokenThatCannotBeSent(t *testing.T) {
	f, _ := startWithTokens(t, "ada projects: ['*'], allow: [callback, wait]")
	b := open(t, f.console(""))
	b.fill(t, "#token", "“token”\r")
	b.shows(t, "The token has characters that a browser cannot send in a header.")
}

// The link past the frame leads to the content, and loses nothing that was written.
func TestSkipLink(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{OutputSchema: []byte(`{"type":"object","properties":{"note":{"type":"string"}}}`)})
	b := open(t, f.page(wait))
	b.fill(t, "[name=note]", "kept")
	b.run(t, chromedp.Evaluate("document.querySelector('.skip').click()", nil))
	b.until(t, "document.activeElement.id === 'main' && document.querySelector('[name=note]').value === 'kept'")
}
