package browser

import (
	"testing"

	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

func awaitPromise(p *cdpruntime.EvaluateParams) *cdpruntime.EvaluateParams {
	return p.WithAwaitPromise(true)
}

// The page shows both documents, and its example callback works against the demo server.
func TestDocs(t *testing.T) {
	f := start(t, "--demo")
	b := open(t, f.URL+"/docs/")
	b.until(t, "document.querySelector('[id^=operations-callback]') !== null")
	b.screenshot(t, "docs")
	b.run(t, chromedp.Evaluate("document.querySelector('[id^=operations-callback] .opblock-summary-control').click()", nil))
	b.until(t, "document.querySelector('[id^=operations-callback] textarea')?.value.includes('result') === true")
	b.click(t, "[id^=operations-callback] button.execute")
	b.until(t, `document.querySelector('[id^=operations-callback] .responses-inner')?.innerText.includes('"aa7d6479-141d-482f-b9bc-85b5cd14066b"') === true`)
	b.as(t, "dark", 1280, 800)
	b.until(t, "document.documentElement.classList.contains('dark-mode')")
	b.press(t, "The side that waits")
	b.until(t, "document.querySelectorAll('[id^=operations-waits]').length >= 4")
	b.press(t, "Waits")
	b.shows(t, "Which project?")
}
