package browser

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// question opens a wait with a title and an input, and returns it with the URL of a link to it.
func (f fixture) question(t *testing.T, state string) (waits.Wait, string) {
	t.Helper()
	wait, err := f.client.Waits.Open(t.Context(), client.State{Workflow: "refund-approval", Run: "run", State: state}, client.OpenOptions{
		Title: "Refund €1,284.00 to Halvorsen Marine AS?",
		Input: []byte(`{"refund_id":"rf_48102_2","customer":"Halvorsen Marine AS","amount":1284.00,"currency":"EUR","paid":true,"lines":[{"sku":"winch","count":1}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	link, err := f.client.Waits.Link(t.Context(), wait.WaitID, client.LinkOptions{To: "Ines Moreau"})
	if err != nil {
		t.Fatal(err)
	}
	return wait, link.URL
}

// The page of a link approves and rejects, with scripts on and off. It passes axe, and fits a phone.
func TestLinkPage(t *testing.T) {
	f := start(t)
	for name, scripts := range map[string]bool{"scripts on": true, "scripts off": false} {
		t.Run(name, func(t *testing.T) {
			wait, url := f.question(t, "approve "+name)
			b := open(t, url)
			b.run(t, emulation.SetScriptExecutionDisabled(!scripts), chromedp.Navigate(url))
			b.run(t, chromedp.WaitVisible("h1"), chromedp.Click(`button[value="success"]`), chromedp.WaitReady(`button[name="confirmed"]`))
			if got := f.get(t, wait.WaitID); got.Status != waits.Waiting {
				t.Fatalf("status after the first click: %s, want waiting", got.Status)
			}
			b.run(t, chromedp.Click(`button[value="yes"]`), chromedp.WaitVisible(".verdict.good"))
			if got := f.get(t, wait.WaitID); got.Status != waits.Success || got.SettledBy != "link:Ines Moreau" {
				t.Errorf("wait = %+v, want a success by link:Ines Moreau", got)
			}

			wait, url = f.question(t, "reject "+name)
			b.run(t, chromedp.Navigate(url), chromedp.Click(`button[value="fail"]`), chromedp.WaitVisible("#reason"),
				chromedp.SendKeys("#reason", "not this time"), chromedp.Click(`button[value="yes"]`), chromedp.WaitVisible(".verdict.bad"))
			if got := f.get(t, wait.WaitID); got.Status != waits.Fail || got.Outcome.Error != "not this time" {
				t.Errorf("wait = %+v, want a fail with the reason", got)
			}
		})
	}

	_, url := f.question(t, "seen")
	b := open(t, url)
	b.run(t, chromedp.WaitVisible("h1"))
	b.screenshot(t, "link")
	b.wantGood(t, "the page of a link", 1280)
	b.run(t, emulation.SetDeviceMetricsOverride(320, 640, 1, true), chromedp.Navigate(url), chromedp.WaitVisible("h1"))
	b.until(t, "document.documentElement.scrollWidth <= 320")
	b.screenshot(t, "link-phone")
}
