package browser

import (
	"encoding/json"
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
	"github.com/chromedp/chromedp"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

var update = flag.Bool("update", false, "save the screenshots for README")

func (f fixture) console(query string) string { return f.URL + "/console/?project=" + project + query }

// show opens the workflow's wait in the console.
func (b *tab) show(t *testing.T, workflow string) {
	t.Helper()
	b.until(t, fmt.Sprintf("[...document.querySelectorAll('tbody button')].some((b) => b.textContent === %q)", workflow))
	b.run(t, chromedp.Evaluate(fmt.Sprintf("[...document.querySelectorAll('tbody button')].find((b) => b.textContent === %q).click()", workflow), nil))
	b.until(t, "document.querySelector('#wait').open")
}

// fill replaces the field's text and sends the same events as typing.
func (b *tab) fill(t *testing.T, field, text string) {
	t.Helper()
	b.run(t, chromedp.Evaluate(fmt.Sprintf("{ const field = document.querySelector(%q); field.value = ''; field.dispatchEvent(new Event('input', { bubbles: true })); }", field), nil),
		chromedp.SendKeys(field, text, chromedp.ByQuery))
}

func (b *tab) press(t *testing.T, button string) {
	t.Helper()
	b.run(t, chromedp.Click(button, chromedp.ByQuery))
}

// rows is a JavaScript expression for the workflow ids in the table, comma-separated.
const rows = "[...document.querySelectorAll('tbody tr')].map((r) => r.cells[0].textContent).join()"

func TestListIsLive(t *testing.T) {
	f := start(t)
	f.open(t, "first", "s", "")
	f.open(t, "second", "s", "")
	b := open(t, f.console(""))
	b.until(t, rows+" === 'second,first'")
	third := f.open(t, "third", "s", "")
	b.until(t, rows+" === 'third,second,first'")
	if _, err := f.client.Succeed(t.Context(), client.State{Workflow: third.WorkflowID, Run: string(third.RunID), State: "s"}, nil); err != nil {
		t.Fatal(err)
	}
	b.until(t, rows+" === 'second,first'")
	b.run(t, chromedp.Navigate(f.console("&status=success")))
	b.until(t, rows+" === 'third' && document.querySelector('tbody tr').cells[3].textContent === 'success'")
	b.run(t, chromedp.Navigate(f.console("&status=&order=oldest")))
	b.until(t, rows+" === 'first,second,third'")
	b.fill(t, "#filter [name=workflow]", "second\r")
	b.until(t, rows+" === 'second'")
	var address string
	b.run(t, chromedp.Location(&address))
	if u, err := url.Parse(address); err != nil || u.Query().Get("workflow") != "second" {
		t.Errorf("the URL is %s; want the filter in its query", address)
	}
}

func TestSucceed(t *testing.T) {
	f := start(t)
	wait := f.open(t, "order-approval", "approve", `{"order":4711,"total":12345678901234567890.10,"to":["é"]}`)
	b := open(t, f.console(""))
	b.show(t, "order-approval")
	if got := b.text(t, "#input"); !strings.Contains(got, "  \"total\": 12345678901234567890.10,\n") {
		t.Errorf("the page shows the input %s; want every digit", got)
	}
	for text, want := range map[string]string{
		"{\n\"a\": 1,\n}":        "Line 3, column 1: a name in double quotes is expected.",
		`{"a": }`:                "Line 1, column 7: a value is expected.",
		`{"a": 1 "b"}`:           `Line 1, column 9: "," or "}" is expected.`,
		`{"a": 1, "a": 2}`:       `Line 1, column 10: the name "a" is used twice.`,
		`{"a": "x}`:              "Line 1, column 7: this text is not closed.",
		`[1]`:                    `Line 1, column 1: an object is expected, as in {"approved": true}.`,
		`{"a": 01}`:              `Line 1, column 8: "," or "}" is expected.`,
		``:                       "Line 1, column 1: a value is expected.",
		`{"a": "\ud83d\ude00" }`: "",
	} {
		b.fill(t, "#json", text)
		if got := b.text(t, "#json-error"); got != want {
			t.Errorf("JSON %q: the page shows %q, want %q", text, got, want)
		}
		if want != "" {
			b.press(t, "#succeed .good")
		}
	}
	if got := f.get(t, wait.WaitID); got.Status != waits.Waiting {
		t.Fatalf("the page sent malformed JSON: the wait has status %s", got.Status)
	}
	b.fill(t, "#json", `{"approved": true, "big": 12345678901234567890, "one": 1.0}`)
	b.screenshot(t, "console")
	b.press(t, "#succeed .good")
	b.until(t, "document.querySelector('#answer').textContent.startsWith('Done')")
	got := f.get(t, wait.WaitID)
	if got.Status != waits.Success || string(got.Outcome.Output) != `{"approved":true,"big":12345678901234567890,"one":1.0}` {
		t.Errorf("the wait has status %s and output %s", got.Status, got.Outcome.Output)
	}
	b.until(t, "document.querySelector('#ways').hidden && document.querySelector('#outcome').textContent.startsWith('success')")
	if got := b.text(t, "#output"); !strings.Contains(got, `"one": 1.0`) {
		t.Errorf("the page shows the output %s; want 1.0 unchanged", got)
	}
}

func TestFail(t *testing.T) {
	f := start(t)
	wait := f.open(t, "order-approval", "approve", "")
	b := open(t, f.console(""))
	b.show(t, "order-approval")
	b.until(t, "document.querySelector('#reason-count').textContent === '0 of 64 characters'") // the limit in callback.yaml
	b.fill(t, "#reason", strings.Repeat("é", 65))
	b.press(t, "#fail .bad")
	if got := b.text(t, "#reason-error"); got != "The contract allows 64 characters." {
		t.Errorf("reason of 65 characters: the page shows %q", got)
	}
	if got := f.get(t, wait.WaitID); got.Status != waits.Waiting {
		t.Fatalf("the page sent a reason of 65 characters: the wait has status %s", got.Status)
	}
	b.fill(t, "#reason", "payment 'declined'")
	b.press(t, "#fail .bad")
	b.until(t, "document.querySelector('#answer').textContent.startsWith('Done')")
	if got := f.get(t, wait.WaitID); got.Status != waits.Fail || got.Outcome.Error != "payment 'declined'" || got.Outcome.Result != callback.Fail {
		t.Errorf("the wait is %+v; want a fail with the reason", got)
	}
}

func TestConflictOfTwoTabs(t *testing.T) {
	f := start(t)
	f.open(t, "order-approval", "approve", "")
	first := open(t, f.console(""))
	second := first.another(t, f.console(""))
	second.calm = []string{"status of 400"}
	for _, b := range []*tab{first, second} {
		b.show(t, "order-approval")
	}
	second.run(t, chromedp.Evaluate("for (let i = 0; i < 1000; i++) clearInterval(i)", nil)) // the second tab does not refresh
	first.press(t, "#succeed .good")
	first.until(t, "document.querySelector('#answer').textContent.startsWith('Done')")
	second.fill(t, "#reason", "no")
	second.press(t, "#fail .bad")
	second.until(t, "document.querySelector('#answer').textContent.includes('FLOWCALLBACK.CONFLICT')")
	second.until(t, "document.querySelector('#outcome').textContent.startsWith('success')")
}

func TestSignIn(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), servertest.Build(t, "server/cmd/flowcallbackd"), "token").Output()
	if err != nil {
		t.Fatal(err)
	}
	var token, hash string
	if _, err := fmt.Sscanf(string(output), "token: %s\ntoken_sha256: %s\n", &token, &hash); err != nil {
		t.Fatal(err)
	}
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	text := "principals:\n  - {name: ada, projects: ['*'], allow: [callback, wait], token_sha256: " + hash + "}\n"
	if err := os.WriteFile(auth, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t, "--auth", auth).as(t, client.WithToken(token))
	wait := f.open(t, "order-approval", "approve", "")
	b := open(t, f.console(""))
	b.calm = []string{"status of 401"}
	b.until(t, "!document.querySelector('#signin').hidden")
	b.fill(t, "#signin input", "wrong\r")
	b.until(t, "document.querySelector('#message').textContent.includes('APIGW.0301')")
	if got := b.text(t, "tbody"); strings.TrimSpace(got) != "" {
		t.Errorf("without credentials the page lists %s; want no waits", got)
	}
	// It asks no more until there is another token: each wrong attempt counts.
	var asked [2]int
	const count = "performance.getEntriesByType('resource').filter((e) => e.name.includes('/v1/')).length"
	b.until(t, count+" >= 2") // without a token, and with the wrong one
	b.run(t, chromedp.Evaluate(count, &asked[0]), chromedp.Sleep(5*time.Second), chromedp.Evaluate(count, &asked[1]))
	if asked[0] == 0 || asked[1] != asked[0] {
		t.Errorf("requests after a refusal = %d, then %d; want no more", asked[0], asked[1])
	}
	b.fill(t, "#signin input", token+"\r")
	b.until(t, rows+" === 'order-approval' && document.querySelector('#signin').hidden")
	b.run(t, chromedp.Reload())
	b.until(t, rows+" === 'order-approval'") // the tab keeps the token
	b.show(t, "order-approval")
	b.press(t, "#succeed .good")
	b.until(t, "document.querySelector('#outcome').textContent.includes('by ada')")
	if got := f.get(t, wait.WaitID); got.SettledBy != "ada" {
		t.Errorf("settled by %q, want ada", got.SettledBy)
	}
	other := open(t, f.console("")) // another browser does not have the token
	other.calm = []string{"status of 401"}
	other.until(t, "!document.querySelector('#signin').hidden")
}

// A copied command settles the wait as its button does.
func TestCopiedCommands(t *testing.T) {
	f := start(t)
	flowcallback := servertest.Build(t, "client/cmd/flowcallback")
	for i, kind := range []string{"#succeed [data-copy=curl]", "#succeed [data-copy=flowcallback]", "#fail [data-copy=curl]", "#fail [data-copy=flowcallback]"} {
		workflow := fmt.Sprintf("it's\x03\n%d $(touch /tmp/pwned) \x1b[31m", i)
		wait := f.open(t, workflow, "a 'state'", "")
		b := open(t, f.console(""))
		b.show(t, workflow)
		b.fill(t, "#json", `{"it's": "done"}`)
		b.fill(t, "#reason", "it's over")
		b.run(t, chromedp.Evaluate("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }", nil))
		b.press(t, kind)
		b.until(t, "window.copied !== undefined")
		var command string
		b.run(t, chromedp.Evaluate("window.copied", &command))
		shell := exec.CommandContext(t.Context(), "bash", "-c", command)
		shell.Env = append(os.Environ(), "PATH="+filepath.Dir(flowcallback)+":"+os.Getenv("PATH"))
		if output, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, output)
		}
		got := f.get(t, wait.WaitID)
		isFail := strings.HasPrefix(kind, "#fail")
		if !isFail && (got.Status != waits.Success || string(got.Outcome.Output) != `{"it's":"done"}`) || isFail && (got.Status != waits.Fail || got.Outcome.Error != "it's over") {
			t.Errorf("%s: the wait has status %s and outcome %+v", command, got.Status, got.Outcome)
		}
	}
}

// axe-core finds no serious or critical violation in the list and the dialog, in light and dark
// mode, in desktop and phone size.
func TestAccessibility(t *testing.T) {
	f := start(t)
	f.open(t, "order-approval", "approve", `{"order":4711}`)
	for _, scheme := range []string{"light", "dark"} {
		for _, size := range [][2]int64{{1200, 900}, {360, 740}} {
			name := fmt.Sprintf("%s %d", scheme, size[0])
			b := open(t, "about:blank")
			b.run(t, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.EmulateViewport(size[0], size[1]), chromedp.Navigate(f.console("")))
			b.until(t, rows+" === 'order-approval'")
			b.wantAccessible(t, name+": the list")
			b.show(t, "order-approval")
			b.wantAccessible(t, name+": the dialog")
			var overflows bool
			b.run(t, chromedp.Evaluate("document.documentElement.scrollWidth > window.innerWidth", &overflows))
			if overflows {
				t.Errorf("%s: the page is wider than the window", name)
			}
		}
	}
}

func (b *tab) wantAccessible(t *testing.T, where string) {
	t.Helper()
	axe, err := os.ReadFile(filepath.Join("node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("%v (\"make browser-test\" installs axe-core)", err)
	}
	var found string
	b.run(t, chromedp.Evaluate(string(axe)+"; undefined", nil))
	b.run(t, chromedp.Evaluate(`axe.run().then((r) => JSON.stringify(r.violations
		.filter((v) => v.impact === 'serious' || v.impact === 'critical')
		.map((v) => v.id + ': ' + v.nodes.map((n) => n.target.join(' ')).join(', '))))`, &found, awaitPromise))
	var faults []string
	if err := json.Unmarshal([]byte(found), &faults); err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		t.Errorf("%s: axe-core found %s", where, fault)
	}
}
