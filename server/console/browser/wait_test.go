package browser

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// Without a schema, an approval is a click and a confirmation that names the flow; it sends {}. The page then
// says what became of it, and leads to the next wait.
func TestApprove(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May order 48213 go out?", client.OpenOptions{Input: []byte(`{"order_id":48213}`)})
	f.ask(t, "order-approval", "Another?", client.OpenOptions{})
	b := open(t, f.page(wait))
	b.shows(t, "May order 48213 go out?", "Order id", "48213", "left", "sends success", "sends fail")
	b.press(t, "Approve")
	b.shows(t, "Approve?", "Flow order-approval goes on at once. This cannot be undone.")
	if got := f.get(t, wait.WaitID); got.Status != waits.Waiting {
		t.Fatalf("status before the confirmation: %s", got.Status)
	}
	b.press(t, "Approve")
	b.shows(t, "Approved", "The flow went on", "Execution")
	b.until(t, "document.activeElement.id === 'verdict-head'")
	if got := f.get(t, wait.WaitID); got.Status != waits.Success || string(got.Outcome.Output) != "{}" {
		t.Errorf("wait = %s %s, want success with {}", got.Status, got.Outcome.Output)
	}
	b.press(t, "Next wait")
	b.until(t, "document.querySelector('h1')?.textContent === 'Another?'")
}

// A rejection without a reason sends none. A reason is counted as the contract counts: a smiley is one character.
func TestReject(t *testing.T) {
	f := start(t)
	silent, told := f.ask(t, "order-approval", "Silent?", client.OpenOptions{}), f.ask(t, "order-approval", "Told?", client.OpenOptions{})
	b := open(t, f.page(silent))
	b.press(t, "Reject")
	b.shows(t, "Flow order-approval is told no", "0 of 64")
	b.press(t, "Reject")
	b.shows(t, "Rejected", "The flow was told no")
	if got := f.get(t, silent.WaitID); got.Status != waits.Fail || got.Outcome.Error != "" || got.Outcome.Result != callback.Fail {
		t.Errorf("wait = %+v, want a fail without a reason", got.Outcome)
	}
	b.goTo(t, f.page(told))
	b.press(t, "Reject")
	b.fill(t, "#reason", strings.Repeat("😀", 65))
	b.shows(t, "1 too many", "65 of 64")
	b.until(t, "document.querySelector('dialog .danger').disabled")
	b.run(t, chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(2))) // Ctrl
	if got := f.get(t, told.WaitID); got.Status != waits.Waiting || !value[bool](t, b, "document.querySelector('dialog').open") {
		t.Error("Ctrl and Enter sent a reason of 65 characters")
	}
	b.fill(t, "#reason", strings.Repeat("😀", 64))
	b.run(t, chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(2))) // Ctrl
	b.shows(t, "Rejected", strings.Repeat("😀", 64))
	if got := f.get(t, told.WaitID); got.Outcome.Error != strings.Repeat("😀", 64) {
		t.Errorf("reason = %q", got.Outcome.Error)
	}
}

// Numbers keep every digit on the way to the page and from it. The editor says where its text is wrong.
func TestDetails(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "Digits?", client.OpenOptions{Input: []byte(`{"total":12345678901234567890.10,"link":"javascript:alert(1)","page":"https://shop.example/1","deep":{"one":1.0},"lines":[{"sku":"a","n":1.50},{"sku":"b","n":2}]}`)})
	b := open(t, f.page(wait))
	b.shows(t, "12345678901234567890.10", "2 entries", "1.50")
	b.press(t, "Raw JSON")
	b.shows(t, `"total": 12345678901234567890.10`, `"one": 1.0`)
	if got := value[int](t, b, "[...document.querySelectorAll('.as-values a')].length"); got != 1 {
		t.Errorf("%d values are links, want the one with https", got)
	}
	b.press(t, "Add details")
	for text, want := range map[string]string{
		"{\n\"a\": 1,\n}":        "Line 3, column 1: a name in double quotes is expected",
		`{"a": }`:                "Line 1, column 7: a value is expected",
		`{"a": 1 "b": 2}`:        `Line 1, column 9: a comma is missing before "b"`,
		`{"a": 1, "a": 2}`:       `Line 1, column 10: the name "a" is used twice`,
		`{"a": "x}`:              "Line 1, column 7: this text is not closed",
		`[1]`:                    `Line 1, column 1: an object is expected, as in {"approved": true}`,
		`{"a": 01}`:              `Line 1, column 8: "," or "}" is expected`,
		`{"a": "\ud83d\ude00" }`: "",
	} {
		b.fill(t, "#json", text)
		b.until(t, fmt.Sprintf("document.querySelector('#json-e').textContent === %q", want))
		if want != "" {
			b.press(t, "Approve")
			b.until(t, "document.activeElement.id === 'json' && !document.querySelector('dialog').open")
		}
	}
	b.fill(t, "#json", `{"approved": true, "big": 12345678901234567890, "one": 1.0}`)
	b.press(t, "Approve")
	b.shows(t, "with this answer")
	b.press(t, "Approve")
	b.shows(t, "The flow went on")
	if got := f.get(t, wait.WaitID); string(got.Outcome.Output) != `{"approved":true,"big":12345678901234567890,"one":1.0}` {
		t.Errorf("output = %s", got.Outcome.Output)
	}
	b.shows(t, "12345678901234567890")
}

// Of a wait that was left, a late answer changes nothing: what is on the screen is what is decided.
func TestLateAnswerOfAnotherWait(t *testing.T) {
	f := start(t)
	first := f.ask(t, "order-approval", "First?", client.OpenOptions{Timeout: time.Hour})
	second := f.ask(t, "order-approval", "Second?", client.OpenOptions{Timeout: 2 * time.Hour})
	l := newLine(t, f.URL)
	held := make(chan struct{})
	l.eachAnswer(func(r *http.Request, body []byte) []byte {
		if strings.HasSuffix(r.URL.Path, first.WaitID) {
			<-held
		}
		return body
	})
	b := open(t, l.URL+"/console/"+project)
	b.press(t, "First?")
	b.until(t, "location.pathname.endsWith('"+first.WaitID+"')")
	b.run(t, chromedp.NavigateBack())
	b.press(t, "Second?")
	b.until(t, "document.querySelector('h1')?.textContent === 'Second?'")
	close(held)
	<-time.After(500 * time.Millisecond)
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "The flow went on")
	if a, z := f.get(t, first.WaitID), f.get(t, second.WaitID); a.Status != waits.Waiting || z.Status != waits.Success {
		t.Errorf("first is %s and second %s; want waiting and success", a.Status, z.Status)
	}
}

// An older answer does not take back what was decided.
func TestOlderAnswer(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "First?", client.OpenOptions{})
	l := newLine(t, f.URL)
	l.eachRequest(shortPolls)
	held, release := make(chan struct{}, 100), make(chan struct{})
	l.eachAnswer(func(r *http.Request, body []byte) []byte {
		if r.URL.Query().Has("wait_seconds") {
			held <- struct{}{}
			<-release
		}
		return body
	})
	b := open(t, l.URL+"/console/"+project+"/"+wait.WaitID)
	b.shows(t, "Your decision")
	<-held // it says that the wait waits
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "The flow went on")
	close(release)
	<-time.After(500 * time.Millisecond)
	b.shows(t, "The flow went on")
}

// A dialog that was closed stays closed, whatever arrives.
func TestClosedDialogStaysClosed(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "First?", client.OpenOptions{Timeout: time.Hour})
	l := newLine(t, f.URL)
	polls := make(chan struct{}, 1000)
	l.eachRequest(func(r *http.Request) {
		shortPolls(r)
		if r.URL.Query().Has("wait_seconds") {
			polls <- struct{}{}
		}
	})
	b := open(t, l.URL+"/console/"+project+"/"+wait.WaitID)
	for _, close := range []func(){func() { b.press(t, "Back") }, func() { b.keys(t, kb.Escape) }, func() { b.run(t, chromedp.NavigateBack()) }} {
		b.goTo(t, l.URL+"/console/"+project)
		b.press(t, "First?")
		b.press(t, "Approve")
		b.until(t, "document.querySelector('dialog').open")
		close()
		b.until(t, "!document.querySelector('dialog').open")
		for len(polls) > 0 {
			<-polls
		}
		if _, err := f.client.Waits.Extend(t.Context(), wait.WaitID, 2*time.Hour); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			<-polls
		}
		if value[bool](t, b, "document.querySelector('dialog').open") {
			t.Error("the dialog opened by itself")
		}
	}
}

// A late answer to one dialog closes no other, and loses nothing that was written there.
func TestLateAnswerOfAnotherDialog(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "First?", client.OpenOptions{Timeout: time.Hour})
	l := newLine(t, f.URL)
	held := make(chan struct{})
	l.eachAnswer(func(r *http.Request, body []byte) []byte {
		if r.Method == http.MethodPatch {
			<-held
		}
		return body
	})
	b := open(t, l.URL+"/console/"+project+"/"+wait.WaitID)
	b.click(t, "[popovertarget=more]")
	b.press(t, "Move the deadline…")
	b.press(t, "1 day later")
	b.press(t, "Move the deadline")
	b.keys(t, kb.Escape)
	b.click(t, "[popovertarget=more]")
	b.press(t, "Cancel this wait…")
	b.fill(t, "#why", "sold out")
	close(held)
	b.until(t, "document.querySelector('.time .left').textContent.includes('d ')") // the answer has come
	if got := value[string](t, b, "document.querySelector('#why')?.value"); got != "sold out" {
		t.Errorf("the reason is %q", got)
	}
	f.succeed(t, wait)
	b.shows(t, "Somebody approved this", "What you had written")
	if got := value[string](t, b, "document.querySelector('#kept-reason')?.value"); got != "sold out" {
		t.Errorf("after the decision of somebody else the reason is %q", got)
	}
}

// If somebody else decides while one writes, the text stays, and the page says who did what and when.
func TestSomebodyElseIsFaster(t *testing.T) {
	f, tokens := startWithTokens(t, "ada projects: ['*'], allow: [callback, wait]", "grace projects: ['*'], allow: [callback, wait]")
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{OutputSchema: []byte(`{"type":"object","required":["carrier"],"properties":{"carrier":{"type":"string","enum":["post","courier"]},"note":{"type":"string"}}}`)})
	b := f.signedIn(t, tokens["grace"], "/"+wait.WaitID)
	b.shows(t, "asked by ada")
	b.fill(t, "[name=note]", "Two pallets")
	b.press(t, "Reject")
	b.fill(t, "#reason", "not today")
	f.fail(t, wait, "Credit limit is used up")
	b.shows(t, "ada rejected this", "“Credit limit is used up”", "Your answer was not sent. The first decision stands.", "What you had written")
	if got := value[string](t, b, "document.querySelector('[name=note]').value + '/' + document.querySelector('#kept-reason').value + '/' + document.querySelector('dialog').open"); got != "Two pallets/not today/false" {
		t.Errorf("what was written is %q", got)
	}
	b.until(t, "document.querySelector('[name=note]').readOnly && document.querySelector('#assertive').textContent.startsWith('Rejected')")
	b.until(t, "document.querySelector('meter') === null")
	b.wantGood(t, "somebody else decided", 1280)
	b.goTo(t, f.console("?status=fail"))
	b.until(t, cell("May it go out?", ".who")+" === 'ada'")
}

// Who had not written anything, and sends a decision at the same moment, is told too. The focus may be in a field.
func TestSomebodyElseIsFasterThanAClick(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{})
	l := newLine(t, f.URL)
	l.eachRequest(func(r *http.Request) {
		if r.Method == http.MethodPost {
			f.fail(t, wait, "no")
		} else if r.URL.Query().Has("wait_seconds") {
			<-time.After(3 * time.Second)
		}
	})
	b := open(t, l.URL+"/console/"+project+"/"+wait.WaitID)
	b.calm = []string{"status of 400"}
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "Somebody rejected this just now", "Your answer was not taken.")

	focused := f.ask(t, "order-approval", "And this?", client.OpenOptions{OutputSchema: []byte(`{"type":"object","properties":{"note":{"type":"string"}}}`)})
	b.goTo(t, l.URL+"/console/"+project+"/"+focused.WaitID)
	b.fill(t, "[name=note]", "still typing")
	f.succeed(t, focused)
	b.shows(t, "Somebody approved this", "What you had written")
	if value[bool](t, b, "document.body.innerText.includes('not live')") {
		t.Error("the page broke")
	}
}

// Of two who decide at the same moment, the second is told who was first.
func TestConflict(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{})
	l := newLine(t, f.URL)
	l.eachRequest(func(r *http.Request) {
		if r.Method == http.MethodPost {
			f.succeed(t, wait) // just before the callback of the page
		} else if r.URL.Query().Has("wait_seconds") {
			<-time.After(3 * time.Second) // the poll does not tell it first
		}
	})
	b := open(t, l.URL+"/console/"+project+"/"+wait.WaitID)
	b.calm = []string{"status of 400"}
	b.press(t, "Reject")
	b.fill(t, "#reason", "no")
	b.press(t, "Reject")
	b.shows(t, "approved this", "Your answer was not taken", "What you had written")
	if got := f.get(t, wait.WaitID); got.Status != waits.Success {
		t.Errorf("status = %s, want that of the first", got.Status)
	}
}

// The deadline passes while the page is open: the bar turns, and then the page says so.
func TestExpiresWhileOpen(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{Timeout: 4 * time.Second})
	b := open(t, f.page(wait))
	b.until(t, "document.querySelector('.left.urgent') !== null && document.querySelector('meter').value > 0")
	b.shows(t, "Nobody decided in time", "it can no longer be approved or rejected here")
	if value[bool](t, b, "[...document.querySelectorAll('button')].some((e) => e.innerText === 'Approve')") {
		t.Error("an expired wait can be approved")
	}
}

// If the answer to a decision is lost, the page says that it does not know, and sends it again without harm.
func TestLostAnswer(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{})
	l := newLine(t, f.URL)
	var isBack atomic.Bool
	l.eachAnswer(func(r *http.Request, body []byte) []byte {
		if r.Method == http.MethodPost && !isBack.Load() {
			panic(http.ErrAbortHandler)
		}
		if r.URL.Query().Has("wait_seconds") {
			<-time.After(5 * time.Second) // the poll does not tell it first
		}
		return body
	})
	b := open(t, l.URL+"/console/"+project+"/"+wait.WaitID)
	b.calm = []string{"net::ERR"}
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "It is not known whether this arrived. Sending it again does no harm.")
	if !value[bool](t, b, "document.querySelector('.acts .primary').disabled && document.querySelector('.acts .reject').disabled") {
		t.Error("another answer can be sent while it is not known whether the first arrived")
	}
	b.press(t, "Change it")
	b.until(t, "!document.querySelector('.acts .primary').disabled")
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "It is not known whether this arrived.")
	isBack.Store(true)
	b.press(t, "Send again")
	b.shows(t, "The flow went on")
	if got := f.get(t, wait.WaitID); got.Status != waits.Success {
		t.Errorf("status = %s", got.Status)
	}
}

// A wait that no browser can decide says why. It does not say that the server cannot be reached.
func TestWaitThatABrowserCannotSend(t *testing.T) {
	f := start(t)
	dots := f.ask(t, "..", "Dots?", client.OpenOptions{})
	b := open(t, f.page(dots))
	b.shows(t, "A browser cannot decide this", "The id “..” cannot be a part of an address.", "flowcallback succeed")

	wait := f.ask(t, "order-approval", "Umlaut?", client.OpenOptions{})
	l := newLine(t, f.URL)
	l.eachAnswer(func(_ *http.Request, body []byte) []byte { // as an engine may have it that did not take it from this API
		return bytes.ReplaceAll(body, []byte(`"run_id":"`+run), []byte(`"run_id":"Prüfung`))
	})
	b = open(t, l.URL+"/console/"+project+"/"+wait.WaitID)
	b.shows(t, "A browser cannot decide this", "Its run id has characters that a browser cannot send in a header.")
}

// A copied command settles the wait as its button does, with the credentials that the shell has.
func TestCopiedCommands(t *testing.T) {
	f, tokens := startWithTokens(t, "ada projects: ['*'], allow: [callback, wait]")
	flowcallback := servertest.Build(t, "client/cmd/flowcallback")
	b := f.signedIn(t, tokens["ada"], "")
	for i, kind := range []string{"success curl", "success flowcallback", "fail curl", "fail flowcallback", "silent curl", "silent flowcallback"} {
		result, tool, _ := strings.Cut(kind, " ")
		wait := f.ask(t, fmt.Sprintf("it's\x03\n%d $(touch /tmp/pwned) \x1b[31m", i), "a 'question' "+kind, client.OpenOptions{})
		b.goTo(t, f.page(wait))
		b.run(t, chromedp.Evaluate("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }", nil))
		if result == "success" {
			b.press(t, "Add details")
			b.fill(t, "#json", `{"it's": "done"}`)
			b.press(t, "Approve")
		} else {
			b.press(t, "Reject")
		}
		if result == "fail" {
			b.fill(t, "#reason", "it's over")
		}
		b.press(t, tool)
		b.until(t, "window.copied !== undefined")
		command := value[string](t, b, "window.copied")
		if strings.ContainsAny(strings.ReplaceAll(command, " \\\n", ""), "\x00\x03\x1b\n") {
			t.Errorf("%s: the command has control characters: %q", kind, command)
		}
		if strings.Contains(command, tokens["ada"]) {
			t.Errorf("%s: the command has the token", kind)
		}
		shell := exec.CommandContext(t.Context(), "bash", "-c", command)
		shell.Env = append(os.Environ(), "PATH="+filepath.Dir(flowcallback)+":"+os.Getenv("PATH"), "FLOWCALLBACK_TOKEN="+tokens["ada"])
		if output, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, output)
		}
		got := f.settled(t, wait)
		if got.Outcome == nil {
			t.Errorf("%s: the wait has status %s\n%s", command, got.Status, command)
			continue
		}
		outcome := fmt.Sprintf("%s %s %s", got.Status, got.Outcome.Output, got.Outcome.Error)
		if want := map[string]string{"success": `success {"it's":"done"} `, "fail": "fail {} it's over", "silent": "fail {} "}[result]; outcome != want {
			t.Errorf("%s: outcome %q, want %q", kind, outcome, want)
		}
	}
}

// A wait is handed over by a link, which is shown once, listed, and withdrawn.
func TestHandOver(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{})
	b := open(t, f.page(wait))
	b.click(t, "[popovertarget=more]")
	b.press(t, "Hand over…")
	b.fill(t, "#to", "#1")
	b.shows(t, "no # at the beginning")
	b.fill(t, "#to", "Ines Moreau")
	b.press(t, "Make a link")
	b.until(t, "document.querySelector('#url')?.value.includes('/l/')")
	url := value[string](t, b, "document.querySelector('#url').value")
	b.shows(t, "Links that work", "Withdraw")
	b.press(t, "Done")

	guest := open(t, url)
	guest.press(t, "Approve")
	guest.shows(t, "You are about to approve")
	guest.press(t, "Approve")
	guest.shows(t, "Approved")
	b.shows(t, "Approved by Ines Moreau, by link", "Handed over to Ines Moreau")

	other := f.ask(t, "order-approval", "Another?", client.OpenOptions{})
	link, err := f.client.Waits.Link(t.Context(), other.WaitID, client.LinkOptions{To: "Max"})
	if err != nil {
		t.Fatal(err)
	}
	b.goTo(t, f.page(other))
	b.click(t, "[popovertarget=more]")
	b.press(t, "Hand over…")
	b.shows(t, "Max")
	b.press(t, "Withdraw")
	b.until(t, "!document.querySelector('dialog').innerText.includes('Max')")
	guest.calm = []string{"status of 404"}
	guest.goTo(t, link.URL)
	guest.shows(t, "This link does not work")
}

// The deadline is moved within the contract's limits, and the wait is cancelled from its page.
func TestDeadlineAndCancel(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{Timeout: time.Hour})
	b := open(t, f.page(wait))
	b.click(t, "[popovertarget=more]")
	b.press(t, "Move the deadline…")
	b.run(t, chromedp.Evaluate("{ const f = document.querySelector('#deadline'); f.value = '2020-01-01T00:00'; f.dispatchEvent(new Event('input')); }", nil))
	b.shows(t, "Must be in the future")
	b.run(t, chromedp.Evaluate("{ const f = document.querySelector('#deadline'); f.value = '2200-01-01T00:00'; f.dispatchEvent(new Event('input')); }", nil))
	b.shows(t, "Must be within 30 d from now")
	b.press(t, "1 day later")
	b.press(t, "Move the deadline")
	b.until(t, "!document.querySelector('dialog').open && document.querySelector('.time .left').textContent.includes('d ')")
	if got := f.get(t, wait.WaitID).ExpiresAt.Sub(wait.ExpiresAt); got < 24*time.Hour-time.Minute || got > 24*time.Hour+time.Minute {
		t.Errorf("the deadline moved by %s, want a day", got)
	}
	b.click(t, "[popovertarget=more]")
	b.press(t, "Cancel this wait…")
	b.fill(t, "#why", "sold out")
	b.press(t, "Cancel this wait")
	b.shows(t, "Cancelled", "sold out", "Nobody decided")

	started := f.ask(t, "order-approval", "And this?", client.OpenOptions{OutputSchema: []byte(`{"type":"object","properties":{"note":{"type":"string"}}}`)})
	b.goTo(t, f.page(started))
	b.fill(t, "[name=note]", "half an answer")
	b.click(t, "[popovertarget=more]")
	b.press(t, "Cancel this wait…")
	b.press(t, "Cancel this wait")
	b.shows(t, "Nobody decided. The flow was told that the wait was withdrawn.") // one's own cancelling is not somebody else's
}

// If the answer to a cancelling is lost, the page finds out what became of it; if it failed, the reason stays.
func TestLostCancelling(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{})
	l := newLine(t, f.URL)
	l.eachRequest(func(r *http.Request) {
		if r.Method == http.MethodDelete {
			panic(http.ErrAbortHandler)
		}
	})
	b := open(t, l.URL+"/console/"+project+"/"+wait.WaitID)
	b.calm = []string{"net::ERR"}
	b.click(t, "[popovertarget=more]")
	b.press(t, "Cancel this wait…")
	b.fill(t, "#why", "sold out")
	b.press(t, "Cancel this wait")
	b.shows(t, "1 wait could not be cancelled: The server cannot be reached")
	if got := value[string](t, b, "document.querySelector('#why').value"); got != "sold out" {
		t.Errorf("the reason is %q", got)
	}
	l.eachRequest(func(*http.Request) {})
	l.eachAnswer(func(r *http.Request, body []byte) []byte {
		if r.Method == http.MethodDelete {
			panic(http.ErrAbortHandler)
		}
		return body
	})
	b.press(t, "Cancel this wait")
	b.shows(t, "Cancelled", "sold out")
}

// The server's clock counts, not that of the browser.
func TestServerClock(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{Timeout: 3 * time.Hour})
	l := newLine(t, f.URL)
	l.eachHeader(func(h http.Header) { h.Set("Date", time.Now().Add(2*time.Hour).UTC().Format(http.TimeFormat)) })
	b := open(t, l.URL+"/console/"+project+"/"+wait.WaitID)
	b.shows(t, "59 min left", "asked 2 h ago")
}
