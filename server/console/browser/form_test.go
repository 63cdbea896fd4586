package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
)

const everyKind = `{"type":"object","required":["discount","insured","carrier","more"],"properties":{
	"carrier":{"type":"string","title":"Carrier","enum":["post","courier"],"description":"Who takes it"},
	"discount":{"type":"number","minimum":0,"maximum":15},
	"insured":{"type":"boolean"},
	"level":{"type":"integer","enum":[1,2.0,3,4,5]},
	"count":{"type":"integer","minimum":1},
	"note":{"type":"string","maxLength":200},
	"code":{"type":"string","maxLength":5,"pattern":"^[A-Z]+$"},
	"ship_on":{"type":"string","format":"date"},
	"at":{"type":"string","format":"date-time"},
	"labels":{"type":"array","maxItems":2,"items":{"type":"string","maxLength":3}},
	"deep":{"type":"object","properties":{"a":{"type":"integer"}}}}}`

// field returns a JavaScript expression for the field with a name.
func field(name string) string { return fmt.Sprintf("document.querySelector('[name=%q]')", name) }

// set sets a field that is not typed into, such as a date or a choice.
func (b *tab) set(t *testing.T, name, value string) {
	t.Helper()
	b.run(t, chromedp.Evaluate(fmt.Sprintf("{ const f = %s; f.value = %q; f.dispatchEvent(new Event('input', {bubbles: true})); f.dispatchEvent(new Event('change', {bubbles: true})); f.dispatchEvent(new Event('blur')); }", field(name), value), nil))
}

// The form has a field of each kind, with the limits of the schema; what is wrong stands at the field.
func TestForm(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{OutputSchema: []byte(everyKind)})
	b := open(t, f.page(wait))
	b.calm = []string{"status of 400"} // of the answer that only the server refuses
	b.shows(t, "Your decision", "Who takes it", "From 0 to 15", "0 of 200", "One entry on each line, at most 2", "A JSON object", "A JSON value", "More")
	b.press(t, "Approve")
	b.shows(t, "4 answers need a look before you can approve", "Choose one", "An answer is needed")
	b.until(t, "document.activeElement.closest('.field').innerText.startsWith('Carrier')")
	error := func(name string) string {
		return field(name) + ".closest('.field').querySelector('.error')?.textContent ?? ''"
	}
	for _, c := range []struct{ name, text, problem string }{
		{"discount", "16", "Must be at most 15"},
		{"discount", "-1", "Must be at least 0"},
		{"discount", "a", "Must be a number, such as 12.5"},
		{"discount", "12,5", "Must be a number, such as 12.5"},
		{"discount", "12.50", ""},
		{"count", "1.5", "Must be a whole number"},
		{"count", "0", "Must be at least 1"},
		{"count", "12345678901234567890", ""},
		{"code", "ABCDEF", "1 character too many"},
		{"code", "ab", "Not in the form asked for: ^[A-Z]+$"},
		{"code", "AB", ""},
		{"labels", "a\nb\nc", "1 entry too many"},
		{"labels", "a\nlong", "Entry 2: 1 character too many"},
		{"labels", "a\n\n b ", ""},
		{"deep", "{", `Line 1, column 2: a name in double quotes is expected`},
		{"deep", "[1]", `Line 1, column 1: an object is expected, as in {"approved": true}`},
		{"deep", `{"a":"x"}`, ""}, // the server's to judge
		{"more", "[12345678901234567890", `Line 1, column 22: "," or "]" is expected`},
		{"more", "[12345678901234567890]", ""},
		{"note", "Two pallets 😀", ""},
	} {
		b.fill(t, fmt.Sprintf("[name=%q]", c.name), c.text)
		b.run(t, chromedp.Evaluate(field(c.name)+".blur()", nil))
		b.until(t, fmt.Sprintf("(%s) === %q", error(c.name), c.problem))
	}
	b.shows(t, "13 of 200")
	b.set(t, "ship_on", "2026-11-27")
	b.set(t, "at", "2026-11-27T08:30")
	b.set(t, "level", "1")
	b.press(t, "courier")
	b.press(t, "No")
	b.until(t, "!document.body.innerText.includes('need a look')")
	b.press(t, "Approve")
	b.shows(t, "Approve?", "with this answer", "Two pallets 😀", "courier", "12.50")
	b.press(t, "Approve")
	b.shows(t, "The server found something that is not right.", "Must be an integer")
	b.until(t, fmt.Sprintf("(%s) === 'Must be an integer'", error("deep")))
	b.fill(t, `[name="deep"]`, `{"a":1.0}`)
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "The flow went on")
	at := value[string](t, b, "new Date('2026-11-27T08:30').toISOString()")
	want := `{"carrier":"courier","discount":12.50,"insured":false,"level":2.0,"count":12345678901234567890,"note":"Two pallets 😀","code":"AB","ship_on":"2026-11-27","at":"` + at + `","labels":["a","b"],"deep":{"a":1.0},"more":[12345678901234567890]}`
	if got := f.get(t, wait.WaitID); got.Status != waits.Success || string(got.Outcome.Output) != want {
		t.Errorf("output = %s\nwant %s", got.Outcome.Output, want)
	}
}

// Optional answers that nobody gave are left out, and an optional choice can be taken back.
func TestOptionalAnswers(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{OutputSchema: []byte(`{"type":"object","properties":{"insured":{"type":"boolean"},"note":{"type":"string"}}}`)})
	b := open(t, f.page(wait))
	b.press(t, "Yes")
	b.press(t, "No answer")
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "The flow went on")
	if got := f.get(t, wait.WaitID); string(got.Outcome.Output) != `{}` {
		t.Errorf("output = %s, want {}", got.Outcome.Output)
	}
}

// A field may have a name that JavaScript reserves. A pattern that could hang the browser is left to the
// server. What nests too deeply, and a day that there is not, have an error, and the page lives on.
func TestUncommonForms(t *testing.T) {
	f := start(t)
	wait := f.ask(t, "order-approval", "May it go out?", client.OpenOptions{OutputSchema: []byte(`{"type":"object","required":["constructor","toString"],"properties":{
		"constructor":{"type":"string"},"__proto__":{"type":"string"},"slow":{"type":"string","pattern":"^([a-z]+)+$"},"slower":{"type":"string","pattern":"^.*-.*-.*-.*-.*-.*-.*[0-9]$"},"other":{"type":"string","pattern":"^[][a-z0-9]+$"},"at":{"type":"string","format":"date-time"},"deep":{"type":"array"}}}`)})
	b := open(t, f.page(wait))
	b.calm = []string{"status of 400"}
	b.fill(t, "[name=constructor]", "a")
	b.fill(t, "[name=__proto__]", "b")
	b.fill(t, "[name=toString]", "1")
	b.fill(t, "[name=slow]", strings.Repeat("thequickbrownfox", 4)+"!")
	b.run(t, chromedp.Evaluate(`{ const f = document.querySelector('[name=deep]'); f.value = '['.repeat(30000); f.dispatchEvent(new Event('input')); f.dispatchEvent(new Event('blur')); }`, nil))
	b.shows(t, "objects and lists nest more than 49 levels deep")
	b.fill(t, "[name=deep]", "[]")
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "Must match the pattern") // the server's word
	b.fill(t, "[name=slow]", "fox")
	b.fill(t, "[name=slower]", strings.Repeat("-", 79)+"1")
	b.fill(t, "[name=other]", "a[0]")
	b.press(t, "Approve")
	b.press(t, "Approve")
	b.shows(t, "The flow went on")
	if got, want := string(f.get(t, wait.WaitID).Outcome.Output), `{"constructor":"a","__proto__":"b","slow":"fox","slower":"`+strings.Repeat("-", 79)+`1","other":"a[0]","deep":[],"toString":1}`; got != want {
		t.Errorf("output = %s, want %s", got, want)
	}

	late := f.ask(t, "order-approval", "And this?", client.OpenOptions{OutputSchema: []byte(`{"type":"object","properties":{"at":{"type":"string","format":"date-time"},"note":{"type":"string"}}}`)})
	b.goTo(t, f.page(late))
	b.fill(t, "[name=note]", "kept")
	b.set(t, "at", "20265-01-01T10:00")
	f.succeed(t, late)
	b.shows(t, "Somebody approved this", "What you had written")
}
