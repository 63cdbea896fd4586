package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

const (
	order = `{"order_id":48213,"customer":"Halvorsen Marine AS","customer_since":"2019-03-04","amount":12840.50,"currency":"EUR","payment_terms":"30 days net","open_invoices":2,
		"order_page":"https://orders.northwind.example/48213","items":[{"sku":"WNCH-40-EL","name":"Electric winch 40","qty":2,"price":4120.00},{"sku":"ANCH-CQR-27","name":"Anchor CQR 27 kg","qty":4,"price":689.50},
		{"sku":"CHN-10-G40","name":"Chain 10 mm, 100 m","qty":3,"price":614.17}],"ship_to":{"name":"Halvorsen Marine AS","street":"Strandgata 14","city":"6003 Ålesund","country":"NO"},"checks":{"sanctions":"clear","stock":true}}`
	shipping = `{"type":"object","required":["discount","insured","carrier"],"properties":{"note":{"type":"string","title":"Note for the warehouse","maxLength":200},
		"discount":{"type":"number","title":"Discount in percent","minimum":0,"maximum":15},"insured":{"type":"boolean"},"carrier":{"type":"string","enum":["DHL","Posten","Schenker"]},"ship_on":{"type":"string","format":"date","title":"Ship on"}}}`
)

// A state of the console: what leads to it, and what it is known by.
type state struct {
	name  string
	below string // the address
	lead  func(b *tab)
	shown string // a text
}

// Every state passes axe, in light and dark, on a desk and on a phone, and is not wider than the window.
func TestStates(t *testing.T) {
	f, tokens := startWithTokens(t, "m.lindqvist projects: ['*'], allow: [callback, wait]", "viewer projects: ['*'], allow: [wait]", "worker projects: ['*'], allow: [callback]", "stranger projects: [other], allow: [wait]")
	waiting := f.ask(t, "order-approval", "May order 48213 go out?", client.OpenOptions{Timeout: 6 * time.Hour, Input: []byte(order), OutputSchema: []byte(shipping)})
	deploy := f.ask(t, "deploy-production", "Deploy payments-api 2.41.0 to production?", client.OpenOptions{Timeout: 19 * time.Minute, Tags: []string{"eu-west", "migration"}, Input: []byte(`{"service":"payments-api","version":"2.41.0","changes":["Retry on 503","Drop column legacy_id"]}`)})
	f.ask(t, "refund-approval", "Refund €1,284.00 to Halvorsen Marine AS?", client.OpenOptions{Timeout: 290 * time.Second, Tags: []string{"over-1000"}})
	f.ask(t, "data-export", "Export 18,204 customer records to Norrland Audit AB?", client.OpenOptions{Timeout: 8 * time.Hour, Tags: []string{"gdpr"}})
	f.ask(t, "credit-limit", "Raise the credit limit of Kestrel Foods to €75,000?", client.OpenOptions{Timeout: 19 * time.Hour})
	f.ask(t, "tenant-removal", "Delete tenant acme-staging and its 3 databases?", client.OpenOptions{Timeout: 47 * time.Hour})
	approved, rejected, cancelled, expired := f.ask(t, "order-approval", "Approved?", client.OpenOptions{Input: []byte(order)}), f.ask(t, "order-approval", "Rejected?", client.OpenOptions{}), f.ask(t, "order-approval", "Cancelled?", client.OpenOptions{}), f.ask(t, "order-approval", "Expired?", client.OpenOptions{Timeout: time.Second})
	if _, err := f.client.Succeed(t.Context(), stateOf(approved), map[string]any{"carrier": "Posten", "insured": true}); err != nil {
		t.Fatal(err)
	}
	f.fail(t, rejected, "Credit limit is used up")
	if err := f.client.Waits.Cancel(t.Context(), cancelled.WaitID, "Sold out"); err != nil {
		t.Fatal(err)
	}
	f.settled(t, expired)

	press := func(words ...string) func(b *tab) {
		return func(b *tab) {
			for _, word := range words {
				b.press(t, word)
			}
		}
	}
	menu := func(word string) func(b *tab) {
		return func(b *tab) {
			b.click(t, "[popovertarget=more]")
			b.press(t, word)
		}
	}
	nothing := func(*tab) {}
	page := "/" + waiting.WaitID
	states := map[string][]state{
		"m.lindqvist": {
			{"list", "", nothing, "Refund €1,284.00"},
			{"list-approved", "?status=success", nothing, "Approved?"},
			{"list-search", "?q=order-approval", nothing, "Rejected?"},
			{"list-nothing", "?q=ordr", nothing, "No wait matches"},
			{"list-decided-nothing", "?q=data-export&status=fail", nothing, "No wait matches"},
			{"wait-form", page, nothing, "Your decision"},
			{"wait-form-errors", page, press("Approve"), "need a look"},
			{"wait-reject", page, press("Reject"), "is told no"},
			{"wait-simple", "/" + deploy.WaitID, nothing, "Add details"},
			{"wait-json", "/" + deploy.WaitID, func(b *tab) { b.press(t, "Add details"); b.fill(t, "#json", "{\n  \"canary\": true\n  \"note\": 1\n}") }, "a comma is missing"},
			{"wait-confirm", "/" + deploy.WaitID, press("Approve"), "Approve?"},
			{"wait-hand-over", "/" + deploy.WaitID, menu("Hand over…"), "For whom"},
			{"wait-deadline", "/" + deploy.WaitID, menu("Move the deadline…"), "New deadline"},
			{"wait-cancel", "/" + deploy.WaitID, menu("Cancel this wait…"), "Cancel this wait?"},
			{"wait-menu", "/" + deploy.WaitID, func(b *tab) { b.click(t, "[popovertarget=more]") }, "Hand over…"},
			{"wait-ids", "/" + deploy.WaitID, press("Ids"), deploy.WaitID},
			{"wait-approved", "/" + approved.WaitID, nothing, "Approved by m.lindqvist"},
			{"wait-rejected", "/" + rejected.WaitID, nothing, "Credit limit is used up"},
			{"wait-cancelled", "/" + cancelled.WaitID, nothing, "Sold out"},
			{"wait-expired", "/" + expired.WaitID, nothing, "Nobody decided in time"},
			{"wait-missing", "/nothing", nothing, "No such wait"},
			{"me", "", func(b *tab) { b.click(t, ".me") }, "Signed in as"},
		},
		"viewer":   {{"wait-readonly", page, nothing, "Not yours to decide"}},
		"worker":   {{"worker", "", nothing, "You may not see what waits"}},
		"stranger": {{"denied", "", nothing, "You may not see this project"}},
	}
	for name, list := range states {
		b := f.signedIn(t, tokens[name], "")
		b.calm = []string{"status of 404"}
		for _, s := range list {
			for _, scheme := range []string{"light", "dark"} {
				for _, size := range [][2]int64{{1280, 800}, {390, 844}} {
					b.as(t, scheme, size[0], size[1])
					b.goTo(t, "about:blank")
					b.goTo(t, f.console(s.below))
					b.until(t, "document.querySelector('.me') !== null && document.querySelector('h1') !== null")
					s.lead(b)
					b.shows(t, s.shown)
					b.wantGood(t, fmt.Sprintf("%s, %s, %d wide", s.name, scheme, size[0]), size[0])
				}
			}
		}
	}
	b := open(t, f.console(""))
	b.shows(t, "Access token")
	for _, scheme := range []string{"light", "dark"} {
		b.as(t, scheme, 320, 640)
		b.wantGood(t, "sign-in, "+scheme, 320)
	}
}

// On a desk and on a phone, both buttons are on the screen, however much the input has.
func TestButtonsAreOnTheScreen(t *testing.T) {
	f := start(t)
	long := `{"a":1`
	for i := range 200 {
		long += fmt.Sprintf(`,"value_%d":[{"name":"x"}]`, i)
	}
	simple := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{Input: []byte(long + "}")})
	form := f.ask(t, "order-approval", "May it go out, then?", client.OpenOptions{Input: []byte(long + "}"), OutputSchema: []byte(everyKind)})
	b := open(t, f.console(""))
	for _, size := range [][2]int64{{1280, 800}, {390, 844}, {320, 568}} {
		b.as(t, "light", size[0], size[1])
		for _, wait := range []string{simple.WaitID, form.WaitID} {
			b.goTo(t, f.console("/"+wait))
			for _, button := range []string{"primary", "reject"} {
				b.until(t, fmt.Sprintf("document.querySelector('.acts .%s') !== null", button))
				if !value[bool](t, b, fmt.Sprintf("(() => { const r = document.querySelector('.acts .%s').getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight && r.left >= 0 && r.right <= innerWidth; })()", button)) {
					t.Errorf("%v: the button %s is not on the screen", size, button)
				}
			}
			if value[bool](t, b, "document.documentElement.scrollWidth > innerWidth") {
				t.Errorf("%v: the page is wider than the window", size)
			}
		}
	}
}

// The pictures of README. The waits look older than they are.
func TestScreenshots(t *testing.T) {
	f, tokens := startWithTokens(t, "m.lindqvist projects: ['*'], allow: [callback, wait]", "order-service projects: ['*'], allow: [wait]", "billing-service projects: ['*'], allow: [wait]", "ci-runner projects: ['*'], allow: [wait]")
	ages := map[string]time.Duration{}
	ask := func(by, workflow, run, title string, age, left time.Duration, options client.OpenOptions) waits.Wait {
		t.Helper()
		options.Title, options.Timeout = title, left
		wait, err := f.as(t, client.WithToken(tokens[by])).client.Waits.Open(t.Context(), client.State{Workflow: workflow, Run: run, State: "approve"}, options)
		if err != nil {
			t.Fatal(err)
		}
		ages[wait.CreatedAt.Format(time.RFC3339Nano)] = age
		return wait
	}
	const hour, minute = time.Hour, time.Minute
	waiting := ask("order-service", "order-approval", "aa7d6479-141d-482f-b9bc-85b5cd14066b", "May order 48213 go out?", hour+48*minute, 6*hour+12*minute+30*time.Second, client.OpenOptions{Input: []byte(order), OutputSchema: []byte(shipping)})
	deploy := ask("ci-runner", "deploy-production", "gh-run-19447120386", "Deploy payments-api 2.41.0 to production?", 46*minute, 14*minute+30*time.Second, client.OpenOptions{Tags: []string{"eu-west", "migration"}, Input: []byte(`{"service":"payments-api","version":"2.41.0","commit":"9f2c1ab","changes":["Retry on 503","Drop column legacy_id"],"tests":{"passed":1841,"failed":0}}`)})
	ask("billing-service", "refund-approval", "7f1c92d0-6a3e-4f0b-9c15-2be0a4471d93", "Refund €1,284.00 to Halvorsen Marine AS?", 23*hour, 4*minute+30*time.Second, client.OpenOptions{Tags: []string{"over-1000"}})
	ask("order-service", "data-export", "exp_01JDF4T9W8ZC2M6K5R3Q7H0YBN", "Export 18,204 customer records to Norrland Audit AB?", 3*hour, 8*hour, client.OpenOptions{Tags: []string{"gdpr"}})
	ask("order-service", "order-approval", "c2d0e5a8-51b7-4c07-9d8e-61b1f7e3a952", "May order 48207 go out without a credit check?", 4*hour, 9*hour+minute, client.OpenOptions{})
	ask("billing-service", "credit-limit", "2ee4b6f1-08aa-4d0c-b3a4-e03c1fa4d276", "Raise the credit limit of Kestrel Foods to €75,000?", 5*hour, 19*hour+minute, client.OpenOptions{})
	ask("ci-runner", "tenant-removal", "rm-acme-staging-0044", "Delete tenant acme-staging and its 3 databases?", 6*hour, 24*hour+minute, client.OpenOptions{})
	ask("billing-service", "refund-approval", "0b9a7c55-1de1-49ff-8f6c-a5b9cb081f6e", "Refund €86.40 for order 48102?", 7*hour, 41*hour, client.OpenOptions{})
	l := newLine(t, f.URL)
	l.eachAnswer(func(_ *http.Request, body []byte) []byte {
		for created, age := range ages {
			at, err := time.Parse(time.RFC3339Nano, created)
			if err != nil {
				panic(err)
			}
			body = bytes.ReplaceAll(body, []byte(created), []byte(at.Add(-age).Format(time.RFC3339Nano)))
		}
		return body
	})
	b := fixture{&servertest.Server{URL: l.URL}, nil}.signedIn(t, tokens["m.lindqvist"], "")
	page := func(below string) { b.goTo(t, l.URL+"/console/"+project+below) }
	b.as(t, "light", 1280, 800)
	b.until(t, "document.querySelectorAll('tbody .q').length === 8 && document.title.startsWith('(8)')")
	b.screenshot(t, "list")
	b.as(t, "dark", 1280, 800)
	page("/" + deploy.WaitID)
	b.shows(t, "Add details")
	b.screenshot(t, "wait-dark")
	b.as(t, "light", 1280, 800)
	page("/" + waiting.WaitID)
	b.fill(t, "[name=note]", "Two pallets, forklift on site from 07:00.")
	b.fill(t, "[name=discount]", "2.5")
	b.press(t, "Yes")
	b.press(t, "Posten")
	b.set(t, "ship_on", "2026-11-27")
	b.run(t, chromedp.Evaluate("document.activeElement.blur()", nil))
	b.screenshot(t, "wait")
	b.as(t, "light", 390, 844)
	page("/" + waiting.WaitID)
	b.shows(t, "still needed")
	b.screenshot(t, "wait-phone")
	b.as(t, "dark", 390, 844)
	page("")
	b.until(t, "document.querySelectorAll('tbody .q').length === 8")
	b.screenshot(t, "list-phone")
}

// wantGood checks that axe-core finds nothing, and that the page is not wider than the window.
func (b *tab) wantGood(t *testing.T, where string, width int64) {
	t.Helper()
	axe, err := os.ReadFile(filepath.Join("node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("%v (\"make browser-test\" installs axe-core)", err)
	}
	var found string
	b.run(t, chromedp.Evaluate(string(axe)+"; undefined", nil))
	b.run(t, chromedp.Evaluate(`axe.run({ resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.target.join(' ') + ' ' + n.failureSummary).join(', '))))`, &found, awaitPromise))
	var faults []string
	if err := json.Unmarshal([]byte(found), &faults); err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		t.Errorf("%s: axe-core found %s", where, fault)
	}
	if got := value[int64](t, b, "document.documentElement.scrollWidth"); got > width {
		t.Errorf("%s: the page is %d pixels wide, and the window %d", where, got, width)
	}
}
