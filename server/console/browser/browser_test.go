package browser

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/flowcallback/flowcallback/server/servertest"
)

var update = flag.Bool("update", false, "save the screenshots for README")

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// tab is a browser tab. It fails the test if the page logs an unexpected error, or asks another host
// than the one it was opened from.
type tab struct {
	ctx    context.Context
	faults chan string
	calm   []string // substrings of errors that the test expects
}

// open starts a browser and opens the URL in it.
func open(t *testing.T, url string) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v (\"make browser-test\" installs Chromium)", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1280, 800),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("lang", "en-GB"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	return openIn(ctx, t, url)
}

func openIn(ctx context.Context, t *testing.T, address string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // events that it does not know
	t.Cleanup(cancel)
	b := &tab{ctx: ctx, faults: make(chan string, 1000)}
	home, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *cdpruntime.EventExceptionThrown:
			b.faults <- "the page threw " + e.ExceptionDetails.Error()
		case *cdpruntime.EventConsoleAPICalled:
			if e.Type == cdpruntime.APITypeError {
				b.faults <- fmt.Sprint("the page logged ", e.Args)
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				b.faults <- "the browser logged " + e.Entry.Text + " " + e.Entry.URL
			}
		case *network.EventRequestWillBeSent:
			if to, err := url.Parse(e.Request.URL); err != nil || to.Scheme != "data" && to.Host != home.Host {
				b.faults <- "the page asked another host: " + e.Request.URL
			}
		}
	})
	t.Cleanup(func() {
		for len(b.faults) > 0 {
			text := <-b.faults
			expected := false
			for _, part := range b.calm {
				expected = expected || strings.Contains(text, part)
			}
			if !expected {
				t.Error(text)
			}
		}
	})
	b.run(t, log.Enable(), network.Enable(), chromedp.Navigate(address))
	return b
}

// as shows the page in a colour scheme and a size. Narrow ones are phones.
func (b *tab) as(t *testing.T, scheme string, width, height int64) {
	t.Helper()
	b.run(t, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
		emulation.SetDeviceMetricsOverride(width, height, 1, width < 500))
}

func (b *tab) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// goTo opens a URL in the tab.
func (b *tab) goTo(t *testing.T, url string) {
	t.Helper()
	b.run(t, chromedp.Navigate(url))
}

// until blocks until the JavaScript expression is true in the page. It also works in a
// background tab.
func (b *tab) until(t *testing.T, expression string) {
	t.Helper()
	poll := chromedp.Poll("Boolean("+expression+")", nil, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(30*time.Second))
	err := chromedp.Run(b.ctx, poll)
	for err != nil && (strings.Contains(err.Error(), "context with specified id") || strings.Contains(err.Error(), "navigated")) { // to another page
		err = chromedp.Run(b.ctx, poll)
	}
	if err != nil {
		var text string
		_ = chromedp.Run(b.ctx, chromedp.Evaluate("document.title + '\\n' + document.body.innerText", &text))
		t.Fatalf("waiting for %s: %v; the page shows:\n%s", expression, err, text)
	}
}

// shows blocks until the page shows all of the texts.
func (b *tab) shows(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		b.until(t, fmt.Sprintf("document.body.innerText.includes(%q)", text))
	}
}

// value returns the value of a JavaScript expression.
func value[T any](t *testing.T, b *tab, expression string) (v T) {
	t.Helper()
	b.run(t, chromedp.Evaluate(expression, &v))
	return v
}

// fill replaces the field's text by typing.
func (b *tab) fill(t *testing.T, field, text string) {
	t.Helper()
	b.until(t, fmt.Sprintf("document.querySelector(%q) !== null", field))
	b.run(t, chromedp.Evaluate(fmt.Sprintf("{ const field = document.querySelector(%q); field.value = ''; field.dispatchEvent(new Event('input', { bubbles: true })); }", field), nil),
		chromedp.SendKeys(field, text, chromedp.ByQuery))
}

// click clicks what a selector finds.
func (b *tab) click(t *testing.T, selector string) {
	t.Helper()
	b.run(t, chromedp.Click(selector, chromedp.ByQuery))
}

// press clicks the button or link that reads so; in a dialog, if one is open.
func (b *tab) press(t *testing.T, word string) {
	t.Helper()
	find := fmt.Sprintf("[...(document.querySelector('dialog[open]') ?? document).querySelectorAll('button, a, summary, label')].find((e) => e.checkVisibility() && e.innerText.replace(/\\s+/g, ' ').trim() === %q && !e.disabled)", word)
	b.until(t, find+" !== undefined")
	b.run(t, chromedp.Evaluate(find+".click()", nil))
}

// keys types keys at the focus.
func (b *tab) keys(t *testing.T, keys string) {
	t.Helper()
	b.run(t, chromedp.KeyEvent(keys))
}

// screenshot takes a screenshot of the page. With -update, it saves the file for README;
// otherwise it discards it.
func (b *tab) screenshot(t *testing.T, name string) {
	t.Helper()
	var picture []byte
	b.run(t, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		picture, err = page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatPng).Do(ctx)
		return err
	}))
	folder := t.TempDir()
	if *update {
		folder = filepath.Join("..", "screenshots")
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
}
