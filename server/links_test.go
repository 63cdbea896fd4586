package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// link makes a link to a wait, and returns its path.
func (s *service) link(t *testing.T, wait waits.Wait, body string) string {
	t.Helper()
	a := s.do(t, s.request(t, http.MethodPost, "/v1/project/waits/"+wait.WaitID+"/links", body))
	a.want(t, 201, "")
	link := decode[waits.CreatedLink](t, a)
	path, ok := strings.CutPrefix(link.URL, s.URL)
	if !ok || len(path) != len("/l/")+43 {
		t.Fatalf("URL of the link = %s, want one of %s with 43 characters after /l/", link.URL, s.URL)
	}
	return path
}

// form sends the form of a link's page.
func (s *service) form(t *testing.T, path string, members ...string) answer {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(members); i += 2 {
		form.Set(members[i], members[i+1])
	}
	r := s.request(t, http.MethodPost, path+"/decision", form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(t, r)
}

func (a answer) wantPage(t *testing.T, status int, texts ...string) {
	t.Helper()
	page := string(a.body)
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not have %q:\n%s", text, page)
		}
	}
	if a.status != status || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || strings.Contains(page, "<script") {
		t.Errorf("answer %d %s, want a page with %d and without scripts", a.status, a.header.Get("Content-Type"), status)
	}
	if a.header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("headers of the page: %v; want that it leaks nothing and loads nothing of others", a.header)
	}
}

func (s *service) openQuestion(t *testing.T, state string) waits.Wait {
	t.Helper()
	a := s.do(t, s.request(t, http.MethodPost, "/v1/project/waits", fmt.Sprintf(
		`{"workflow_id":"workflow","run_id":"run","state_id":%q,"title":"May <order> go out?","input":{"order_no":4711.10,"paid":true,"note":"<b>&","at":"https://shop.example/1","lines":[{"sku":1.0}]}}`, state)))
	a.want(t, 201, "")
	return decode[waits.Wait](t, a)
}

// The page of a link shows the question, and settles it with the second form.
func TestLinkPage(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	wait := s.openQuestion(t, "approved")
	path := s.link(t, wait, `{"to":"Ines Moreau"}`)
	for range 3 { // opening it never settles anything
		s.get(t, path).wantPage(t, 200, "<h1>May &lt;order&gt; go out?</h1>", "Ines Moreau", "<dt title=\"order_no\">Order no</dt><dd>4711.10</dd>", "<dd>Yes</dd>",
			"<dd>&lt;b&gt;&amp;</dd>", `<a href="https://shop.example/1" rel="noreferrer`, "&#34;sku&#34;: 1.0", "1 entry</span>", "<th>Sku</th>", "<td>1.0</td>", `value="success"`, `value="fail"`)
	}
	s.form(t, path, "result", "success").wantPage(t, 200, "You are about to approve", "Ines Moreau", `name="confirmed" value="yes"`)
	if got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID)); got.Status != waits.Waiting {
		t.Fatalf("status after the first form: %s, want waiting", got.Status)
	}
	s.form(t, path, "result", "success", "confirmed", "yes").wantPage(t, 200, "<h1>Approved</h1>")
	got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID))
	if got.Status != waits.Success || got.SettledBy != "link:Ines Moreau" || string(got.Outcome.Output) != "{}" {
		t.Errorf("wait = %+v; want a success by link:Ines Moreau", got)
	}
	s.get(t, path).wantPage(t, 200, "This was already decided", "It was approved on")
	if page := string(s.get(t, path).body); strings.Contains(page, "Ines") {
		t.Error("the page of a decided wait says who decided")
	}
	s.form(t, path, "result", "fail", "confirmed", "yes").wantPage(t, 200, "This was already decided")

	rejected := s.openQuestion(t, "rejected")
	path = s.link(t, rejected, `{}`)
	s.form(t, path, "result", "fail").wantPage(t, 200, "You are about to reject", `name="error" maxlength="64"`)
	s.form(t, path, "result", "fail", "confirmed", "yes", "error", "too <late>", "output", "{}").wantPage(t, 200, "<h1>Rejected</h1>")
	got = decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+rejected.WaitID))
	if got.Status != waits.Fail || got.Outcome.Error != "too <late>" || !strings.HasPrefix(got.SettledBy, "link:") {
		t.Errorf("wait = %+v; want a fail with the reason, by a link", got)
	}
}

// A typed wait can be answered with JSON, which comes back as it was typed if it is refused. A schema
// without members has no other form.
func TestLinkPageOfATypedWait(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	path := s.link(t, s.openSchema(t, "any", `{"type":"object"}`), `{}`)
	s.get(t, path).wantPage(t, 200, `<textarea id="output"`, "&#34;object&#34;")
	path = s.link(t, s.openTyped(t, "state"), `{}`)
	for output, problem := range map[string]string{
		`{"carrier":"pigeon"}`: "output.carrier: must be post or courier",
		`{"carrier":`:          "must be well-formed JSON",
		`[]`:                   "output: must be an object",
		`{"a":1,"a":2}`:        "two members with the same name",
	} {
		a := s.form(t, path, "result", "success", "confirmed", "yes", "output", output)
		a.wantPage(t, 400, problem, strings.NewReplacer(`"`, "&#34;").Replace(output)+"</textarea>")
	}
	s.form(t, path, "result", "success", "output", `{"carrier":"post"}`).wantPage(t, 200, "You are about to approve", "&#34;post&#34;")
	s.form(t, path, "result", "success", "confirmed", "yes", "output", `{"carrier":"post"}`).wantPage(t, 200, "Approved")
}

// Programs settle by a link with the checks and answers of a callback.
func TestLinkForPrograms(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	post := func(path, body string) answer { return s.do(t, s.request(t, http.MethodPost, path, body)) }
	path := s.link(t, s.openTyped(t, "json"), `{"to":"scanner"}`)
	post(path, `{"result":"success","output":{}}`).want(t, 400, "FLOWCALLBACK.OUTPUT")
	post(path, `{"result":"success","output":null}`).want(t, 400, "FGS.3002")
	for range 2 { // repeating is safe
		if a := post(path, `{"result":"success","output":{"carrier":"post"}}`); a.status != 200 || string(a.body) != "{\"execution_id\":\"run\"}\n" {
			t.Fatal(a)
		}
	}
	post(path, `{"result":"fail","output":{}}`).want(t, 400, "FLOWCALLBACK.CONFLICT")

	wait := s.open(t, "any")
	path = s.link(t, wait, `{"allow":["success"]}`)
	post(path+"/fail", `{}`).want(t, 403, "FSS.0403")
	post(path, `{"result":"fail","output":{}}`).want(t, 403, "FSS.0403")
	post(path+"/success", `[]`).want(t, 400, "FGS.3002")
	post(path+"/success", `{"a":`+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`}`).want(t, 400, "FGS.3002")
	post(path+"/success", ` {"result": 1.10} `).want(t, 200, "")
	if got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID)); string(got.Outcome.Output) != `{"result":1.10}` {
		t.Errorf("output = %s, want the body with every digit", got.Outcome.Output)
	}
	failed := s.open(t, "failed")
	path = s.link(t, failed, `{}`)
	post(path+"/fail?reason=too+late", `{"tries":3}`).want(t, 200, "")
	if got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+failed.WaitID)); got.Outcome.Error != "too late" || string(got.Outcome.Output) != `{"tries":3}` {
		t.Errorf("outcome = %+v, want the reason and the body", got.Outcome)
	}
}

// A link ends when it is withdrawn, when its time is over, and with its wait. It is never listed
// again with its URL, and is in no log and no file.
func TestEndsOfLinks(t *testing.T) {
	s := start(t, server.Config{PublicURL: "https://flows.example.com/"}, sqlite.Options{})
	wait := s.open(t, "state")
	links := "/v1/project/waits/" + wait.WaitID + "/links"
	make := func(body string) (path string, link waits.CreatedLink) {
		a := s.do(t, s.request(t, http.MethodPost, links, body))
		a.want(t, 201, "")
		link = decode[waits.CreatedLink](t, a)
		return strings.TrimPrefix(link.URL, "https://flows.example.com"), link
	}
	withdrawn, link := make(`{"to":"a","allow":["fail"]}`)
	short, _ := make(`{"expires_in_seconds":60}`)
	whole, _ := make(`{}`)
	list := decode[waits.LinkList](t, s.get(t, links))
	if len(list.Links) != 3 || list.Links[0].To != "a" || len(list.Links[0].Allow) != 1 || len(list.Links[2].Allow) != 2 || !list.Links[2].ExpiresAt.Equal(wait.ExpiresAt) {
		t.Errorf("links = %+v; want three, the last until the deadline", list)
	}
	s.do(t, s.request(t, http.MethodDelete, links+"/"+link.LinkID, "")).want(t, 204, "")
	s.do(t, s.request(t, http.MethodDelete, links+"/"+link.LinkID, "")).want(t, 404, "FGS.5002")
	s.get(t, withdrawn).wantPage(t, 404, "This link does not work")
	s.do(t, s.request(t, http.MethodPost, withdrawn, `{"result":"fail","output":{}}`)).want(t, 404, "FGS.5002")
	s.ahead.Add(int64(2 * time.Minute))
	s.get(t, short).wantPage(t, 404, "Time is over")
	s.do(t, s.request(t, http.MethodPost, short+"/success", `{}`)).want(t, 404, "FLOWCALLBACK.EXPIRED")
	s.get(t, whole).wantPage(t, 200, "Open until")
	s.ahead.Add(int64(48 * time.Hour))
	s.get(t, whole).wantPage(t, 200, "Time is over")
	s.do(t, s.request(t, http.MethodPost, whole+"/success", `{}`)).want(t, 404, "FLOWCALLBACK.EXPIRED")
	s.do(t, s.request(t, http.MethodPost, links, `{}`)).want(t, 409, "FLOWCALLBACK.NOT_WAITING")
	s.do(t, s.request(t, http.MethodPost, "/v1/other/waits/"+wait.WaitID+"/links", `{}`)).want(t, 404, "FGS.5002")

	secrets := []string{strings.TrimPrefix(withdrawn, "/l/"), strings.TrimPrefix(short, "/l/"), strings.TrimPrefix(whole, "/l/")}
	for _, secret := range secrets {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log has the secret of a link")
		}
	}
}

// A wait has a limited number of links.
func TestTooManyLinks(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	wait := s.open(t, "state")
	for range waits.LinksMaxItems {
		s.link(t, wait, `{}`)
	}
	s.do(t, s.request(t, http.MethodPost, "/v1/project/waits/"+wait.WaitID+"/links", `{}`)).want(t, 409, "FLOWCALLBACK.LINKS")
}

// Links need no credentials, but making, listing and withdrawing them does. Guesses are limited, and
// keep nobody out who has a link. The file has the digest of a secret only.
func TestLinksAndCredentials(t *testing.T) {
	decide := func(_ context.Context, c server.Call) (server.Principal, error) {
		if c.Request.Header.Get("X-Auth-Token") != "right" {
			return server.Principal{}, server.ErrUnauthenticated
		}
		return server.Principal{Name: "order-flow"}, nil
	}
	path := filepath.Join(t.TempDir(), "waits.db")
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := startOver(t, e, server.Config{Authorize: decide})
	wait, _, err := e.OpenWait(t.Context(), "project", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s", TimeoutSeconds: 60}, "order-flow")
	if err != nil {
		t.Fatal(err)
	}
	links := "/v1/project/waits/" + wait.WaitID + "/links"
	s.do(t, s.request(t, http.MethodPost, links, `{}`)).want(t, 401, "APIGW.0301")
	s.get(t, links).want(t, 401, "APIGW.0301")
	r := s.request(t, http.MethodPost, links, `{}`)
	r.Header.Set("X-Auth-Token", "right")
	a := s.do(t, r)
	a.want(t, 201, "")
	_, secret, _ := strings.Cut(decode[waits.CreatedLink](t, a).URL, "/l/")
	limited := 0
	for i := range 20 {
		if a := s.get(t, "/l/"+strings.Repeat(fmt.Sprint(i%10), 43)); a.status == 429 {
			limited++
		}
	}
	if limited != 10 {
		t.Errorf("%d of 20 guesses were answered with 429, want 10", limited)
	}
	s.get(t, "/l/"+secret).wantPage(t, 200, "asks")
	s.do(t, s.request(t, http.MethodPost, "/l/"+secret+"/success", `{}`)).want(t, 200, "")

	digest := sha256.Sum256([]byte(secret))
	found := false
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), secret) {
			t.Errorf("the file has the secret of a link")
		}
		found = found || strings.Contains(string(data), string(digest[:]))
	}
	if !found {
		t.Errorf("no file has the digest %s", hex.EncodeToString(digest[:]))
	}
}

// Of two that send the same, the record has one, and the page of the other does not claim it.
func TestLinkPageOfTheSecond(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	wait := s.open(t, "state")
	alice, bob := s.link(t, wait, `{"to":"Alice"}`), s.link(t, wait, `{"to":"Bob"}`)
	gate, pages := make(chan struct{}), make(chan answer, 2)
	for _, path := range []string{alice, bob} {
		go func() {
			<-gate
			pages <- s.form(t, path, "result", "success", "confirmed", "yes")
		}()
	}
	close(gate)
	claims := 0
	for range 2 {
		if page := <-pages; strings.Contains(string(page.body), "Decided by") {
			claims++
		}
	}
	if claims != 1 {
		t.Errorf("%d pages say that they have decided, want 1", claims)
	}
}

// What is typed into the form is one JSON value, and nothing beside it.
func TestFormsAddNoMembers(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	path := s.link(t, s.open(t, "state"), `{}`)
	for _, output := range []string{`{},"error":"x"`, `{},"foo":{}`, `{}}`, `{} {}`, "\x00"} {
		s.form(t, path, "result", "success", "confirmed", "yes", "output", output).wantPage(t, 400, "output: must be well-formed JSON")
	}
}

func TestRecordOfLinks(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	wait := s.open(t, "state")
	a := s.do(t, s.request(t, http.MethodPost, "/v1/project/waits/"+wait.WaitID+"/links", `{"to":"#7"}`))
	a.want(t, 400, "FGS.3002")
	a = s.do(t, s.request(t, http.MethodPost, "/v1/project/waits/"+wait.WaitID+"/links", `{"expires_in_seconds":2592000}`))
	a.want(t, 201, "")
	link := decode[waits.CreatedLink](t, a)
	if !link.ExpiresAt.Equal(wait.ExpiresAt) {
		t.Errorf("the link ends at %s, want the deadline %s, because it ends with the wait", link.ExpiresAt, wait.ExpiresAt)
	}
	s.do(t, s.request(t, http.MethodPost, strings.TrimPrefix(link.URL, s.URL)+"/success", `{}`)).want(t, 200, "")
	if got := decode[waits.Wait](t, s.get(t, "/v1/project/waits/"+wait.WaitID)); got.SettledBy != "link:#"+link.LinkID {
		t.Errorf("settled_by = %s, want link:#%s", got.SettledBy, link.LinkID)
	}
}

// A page shows the beginning of a large input, so that it stays small.
func TestLinkPageOfALargeInput(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	deep := strings.Repeat("[", 48) + strings.Repeat("1,", 90_000) + "1" + strings.Repeat("]", 48)
	for input, want := range map[string]string{`{"a":` + deep + `}`: "(the first 32768 of", `{"":1,"_":2}`: "&#34;_&#34;"} {
		a := s.do(t, s.request(t, http.MethodPost, "/v1/project/waits", fmt.Sprintf(`{"workflow_id":"w","run_id":"r","state_id":"%d","input":%s}`, len(input), input)))
		a.want(t, 201, "")
		page := s.get(t, s.link(t, decode[waits.Wait](t, a), `{}`))
		page.wantPage(t, 200, want)
		if len(page.body) > 256<<10 {
			t.Errorf("the page has %d bytes", len(page.body))
		}
	}
}

func TestCursorsOfAnotherOrder(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	for i := range 3 {
		s.open(t, fmt.Sprint(i))
	}
	newest := decode[waits.WaitPage](t, s.get(t, "/v1/project/waits?limit=1"))
	deadline := decode[waits.WaitPage](t, s.get(t, "/v1/project/waits?limit=1&order=deadline"))
	s.get(t, "/v1/project/waits?order=deadline&cursor="+*newest.NextCursor).want(t, 400, "FGS.3002")
	s.get(t, "/v1/project/waits?cursor="+*deadline.NextCursor).want(t, 400, "FGS.3002")
}
