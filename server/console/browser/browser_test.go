package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

const project = "project"

// tab is a browser tab. It fails the test if the page logs an unexpected error.
type tab struct {
	ctx    context.Context
	errors chan string
	calm   []string // substrings of errors that the test expects
}

// open starts a browser and opens the URL in it.
func open(t *testing.T, url string, options ...chromedp.ExecAllocatorOption) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v (\"make browser-test\" installs Chromium)", err)
	}
	options = append(chromedp.DefaultExecAllocatorOptions[:], append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1200, 900),
	}, options...)...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	return openIn(ctx, t, url)
}

// another opens the URL in another tab of the same browser.
func (b *tab) another(t *testing.T, url string) *tab {
	t.Helper()
	return openIn(b.ctx, t, url)
}

func openIn(ctx context.Context, t *testing.T, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{ctx: ctx, errors: make(chan string, 100)}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *cdpruntime.EventExceptionThrown:
			b.errors <- e.ExceptionDetails.Error()
		case *cdpruntime.EventConsoleAPICalled:
			if e.Type == cdpruntime.APITypeError {
				b.errors <- fmt.Sprint(e.Args)
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				b.errors <- e.Entry.Text + " " + e.Entry.URL
			}
		}
	})
	t.Cleanup(func() {
		for len(b.errors) > 0 {
			text := <-b.errors
			expected := false
			for _, part := range b.calm {
				expected = expected || strings.Contains(text, part)
			}
			if !expected {
				t.Errorf("the page logged an error: %s", text)
			}
		}
	})
	b.run(t, log.Enable(), chromedp.Navigate(url))
	return b
}

func (b *tab) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// until blocks until the JavaScript expression is true in the page. It also works in a
// background tab.
func (b *tab) until(t *testing.T, expression string) {
	t.Helper()
	if err := chromedp.Run(b.ctx, chromedp.Poll(expression, nil, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(15*time.Second))); err != nil {
		var text string
		_ = chromedp.Run(b.ctx, chromedp.Evaluate("document.body.innerText", &text))
		t.Fatalf("waiting for %s: %v; the page shows:\n%s", expression, err, text)
	}
}

func (b *tab) text(t *testing.T, selector string) (text string) {
	t.Helper()
	b.run(t, chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q).textContent", selector), &text))
	return text
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

// fixture is a server with a client.
type fixture struct {
	*servertest.Server
	client *client.Client
}

func start(t *testing.T, flags ...string) fixture {
	t.Helper()
	s := servertest.Start(t, append([]string{"--engine", "sqlite:" + filepath.Join(t.TempDir(), "waits.db")}, flags...)...)
	return fixture{s, nil}.as(t)
}

// as returns the fixture with a client that has the given options.
func (f fixture) as(t *testing.T, options ...client.Option) fixture {
	t.Helper()
	c, err := client.New(f.URL, project, options...)
	if err != nil {
		t.Fatal(err)
	}
	return fixture{f.Server, c}
}

func (f fixture) open(t *testing.T, workflow, state, input string) waits.Wait {
	t.Helper()
	var options client.OpenOptions
	if input != "" {
		options.Input = []byte(input)
	}
	wait, err := f.client.Waits.Open(t.Context(), client.State{Workflow: workflow, Run: "aa7d6479-141d-482f-b9bc-85b5cd14066b", State: state}, options)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

func (f fixture) get(t *testing.T, id string) waits.Wait {
	t.Helper()
	wait, err := f.client.Waits.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}
