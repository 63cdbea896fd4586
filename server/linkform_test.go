package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

const everyKind = `{"type":"object","required":["discount","insured","carrier","more"],"properties":{
	"carrier":{"type":"string","title":"Carrier <b>","enum":["post","courier"],"description":"Who takes it."},
	"discount":{"type":"number","minimum":0,"maximum":15},
	"insured":{"type":"boolean"},
	"level":{"type":"integer","enum":[1,2.0]},
	"note":{"type":"string","maxLength":200},
	"code":{"type":"string","maxLength":5,"pattern":"^[A-Z]+$"},
	"ship_on":{"type":"string","format":"date"},
	"at":{"type":"string","format":"date-time"},
	"tags":{"type":"array","items":{"type":"string","maxLength":3}},
	"deep":{"type":"object","properties":{"a":{"type":"integer"}}}}}`

// answers sends the form of a link's page, with the fields of everyKind.
func (s *service) answers(t *testing.T, path, result, confirmed string, answers ...string) answer {
	t.Helper()
	form := url.Values{"result": {result}, "answer": answers}
	if confirmed != "" {
		form.Set("confirmed", confirmed)
	}
	r := s.request(t, http.MethodPost, path+"/decision", form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(t, r)
}

// The page of a link has a form of each kind of field, whose answers make the output.
func TestLinkForm(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	wait := s.openSchema(t, "state", everyKind)
	path := s.link(t, wait, `{"to":"Ines Moreau"}`)
	s.get(t, path).wantPage(t, 200, "<span>Carrier &lt;b&gt;</span></label>", "Who takes it.", `<option value="1">courier</option>`, "From 0 to 15.", "<span>Ship on</span><span class=\"optional\">",
		`type="date"`, `type="datetime-local"`, `inputmode="decimal"`, "One entry on each line.", "<option value=\"0\">Yes</option>", "At most 5 characters.", "A JSON object.", "<span>More</span></label>")

	good := []string{"1", "12.50", "0", "1", "two\r\nlines", "AB", "2026-11-27", "2026-11-27T08:30", "a\r\n\r\n b \r\n", `{"a":1.0}`, `[12345678901234567890]`}
	with := func(i int, text string) []string {
		all := append([]string{}, good...)
		all[i] = text
		return all
	}
	for _, c := range []struct {
		answers []string
		problem string
	}{
		{with(0, ""), "An answer is needed"},
		{with(0, "7"), "Choose one"},
		{with(1, "abc"), "Must be a number, such as 12.5"},
		{with(1, "true"), "Must be a number, such as 12.5"},
		{with(1, "16"), "Must be at most 15"},
		{with(4, strings.Repeat("é", 201)), "Must have at most 200 characters"},
		{with(5, "ab"), "Must match the pattern ^[A-Z]&#43;$"},
		{with(6, "tomorrow"), "Must be a day"},
		{with(7, "soon"), "Must be a day and a time"},
		{with(8, "long"), "Must have at most 3 characters"},
		{with(9, "{"), "Must be JSON"},
		{with(9, `{"a":"b"}`), "Must be an integer"},
		{with(9, `[]`), "Must be an object"},
		{good[:3], "An answer is needed"},
	} {
		a := s.answers(t, path, "success", "", c.answers...)
		a.wantPage(t, 400, `<p class="error" id="field-`, c.problem, "before you can approve.")
		if page := string(a.body); len(c.answers) == len(good) && c.answers[6] == good[6] && !strings.Contains(page, `value="2026-11-27"`) {
			t.Errorf("answers %q: the page has lost what was typed", c.answers)
		}
	}

	s.answers(t, path, "success", "", good...).wantPage(t, 200, "You are about to approve", "<dt>Carrier &lt;b&gt;</dt><dd>courier</dd>", "<dt>Insured</dt><dd>Yes</dd>", `name="answer" value="12.50"`)
	s.answers(t, path, "success", "no", good...).wantPage(t, 200, "You are asked once more", `value="12.50"`, `<option value="1" selected>courier</option>`)
	s.answers(t, path, "fail", "", good...).wantPage(t, 200, "You are about to reject", `name="answer" value="12.50"`)
	if got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID)); got.Status != waits.Waiting {
		t.Fatalf("status before the answer was confirmed: %s", got.Status)
	}
	for range 2 { // sending it again is no mistake
		s.answers(t, path, "success", "yes", good...).wantPage(t, 200, "<h1>Approved</h1>")
	}
	s.answers(t, path, "success", "yes", with(1, "13")...).wantPage(t, 200, "This was already decided", "<dd>13</dd>") // another answer was not taken
	got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID))
	want := `{"carrier":"courier","discount":12.50,"insured":true,"level":2.0,"note":"two\nlines","code":"AB","ship_on":"2026-11-27","at":"2026-11-27T08:30:00Z","tags":["a","b"],"deep":{"a":1.0},"more":[12345678901234567890]}`
	if got.Status != waits.Success || string(got.Outcome.Output) != want {
		t.Errorf("output = %s, want %s", got.Outcome.Output, want)
	}
}

// What was written goes with the form, whichever way it takes, and is shown to whoever was too slow.
func TestLinkKeepsWhatWasWritten(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	wait := s.openSchema(t, "state", `{"type":"object"}`)
	path := s.link(t, wait, `{}`)
	written := []string{"output", `{"a":1}`, "error", "not <today>"}
	s.form(t, path, append(written, "result", "fail")...).wantPage(t, 200, "You are about to reject", `value="not &lt;today&gt;"`, `name="output" value="{&#34;a&#34;:1}"`)
	s.form(t, path, append(written, "result", "fail", "confirmed", "no")...).wantPage(t, 200, `<textarea id="output"`, "{&#34;a&#34;:1}</textarea>", `name="error" value="not &lt;today&gt;"`)
	s.form(t, path, append(written, "result", "success")...).wantPage(t, 200, "You are about to approve", `name="error" value="not &lt;today&gt;"`, "{&#34;a&#34;:1}</pre>")
	s.callback(t, "state", success)
	s.form(t, path, append(written, "result", "fail", "confirmed", "yes")...).wantPage(t, 200, "This was already decided", "What you had written", "<dd>not &lt;today&gt;</dd>", "<dd>{&#34;a&#34;:1}</dd>")
}
