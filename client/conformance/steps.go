package conformance

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// A Status is what a state must be when a case begins.
type Status string

// The statuses.
const (
	Waiting Status = "waiting"
	Expired Status = "expired"
)

// A Step is what a case about a state does next. It sends callbacks, or cancels the state, or reads what has arrived.
type Step struct {
	// Send are the bodies of callbacks for the state. Several are sent at once. With a Code, exactly one of them is
	// answered with Status, and the others are refused with Code; sent again, that one is answered with the same
	// execution, and it is what arrives. Without, all are answered with Status and the same execution.
	Send []string `json:"send,omitempty"`
	// Vary sends them for other ids. An answer with 200 may be right, too, because the server may hold the callback: the
	// next steps show whether it has settled this state.
	Vary *Vary `json:"vary,omitempty"`
	// Status is the answer, and Code that of a refusal.
	Status int                `json:"status,omitempty"`
	Code   callback.ErrorCode `json:"code,omitempty"`
	// AnyRefusal: the answer is any status of 4xx.
	AnyRefusal bool `json:"any_refusal,omitempty"`
	// Again: the answer has the execution of the first answer with 200.
	Again bool `json:"again,omitempty"`

	// Cancel cancels the state.
	Cancel bool `json:"cancel,omitempty"`

	// Arrived is a body whose outcome is what the waiting side has received, if it can be read. If the body has null as
	// its output, {} has arrived.
	Arrived string `json:"arrived,omitempty"`
}

// A Vary changes an id. A step is left out if the id stays the same, or becomes one that the contract does not allow, or
// of another state that the case knows.
type Vary struct {
	ID  string `json:"id"` // project_id, workflow_id, run_id or state_id
	How How    `json:"how"`
}

// How an id is changed. A letter is a code point.
type How string

// The changes of ids.
const (
	SmallLetters How = "in small letters" // of ASCII
	Capitals     How = "in capitals"      // of ASCII
	LastLetter   How = "with another last letter"
	Shorter      How = "without its last letter"
	Moved        How = "with its last letter before the next id" // of workflow_id and run_id
	Underscore   How = "with _ for its last letter"
	Percent      How = "with % for its last letter"
	Space        How = "with a space behind it" // only of workflow_id: blanks around headers are not theirs
)

// ids are what a callback is for.
type ids struct {
	project string
	State
}

// change returns ids of which one is changed, and whether that is a change.
func (v Vary) change(of ids) (changed ids, isOther bool) {
	all := []*string{&of.project, &of.Workflow, &of.Run, &of.State.State}
	at := map[string]int{"project_id": 0, "workflow_id": 1, "run_id": 2, "state_id": 3}[v.ID]
	id := all[at]
	before := *id
	_, size := utf8.DecodeLastRuneInString(before)
	start, last := before[:len(before)-size], before[len(before)-size:]
	switch v.How {
	case SmallLetters:
		*id = inASCII(before, unicode.ToLower)
	case Capitals:
		*id = inASCII(before, unicode.ToUpper)
	case LastLetter:
		if *id = start + "x"; last == "x" {
			*id = start + "y"
		}
	case Shorter:
		*id = start
	case Moved:
		*id, *all[at+1] = start, last+*all[at+1]
	case Underscore:
		*id = start + "_"
	case Percent:
		*id = start + "%"
	case Space:
		*id += " "
	}
	return of, *id != before && *id != "." && *id != ".." // which proxies take for folders
}

// inASCII maps the ASCII letters of a text.
func inASCII(text string, mapping func(rune) rune) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return r
		}
		return mapping(r)
	}, text)
}

// callbackTo returns the request of a callback.
func (c Case) callbackTo(to ids, body string) request {
	q := c.request
	q.path = strings.NewReplacer("{project_id}", url.PathEscape(to.project), "{workflow_id}", url.PathEscape(to.Workflow)).Replace(q.path)
	q.header = http.Header{}
	for name, values := range c.header {
		q.header.Set(name, strings.NewReplacer("{run_id}", to.Run, "{state_id}", to.State.State).Replace(values[0]))
	}
	q.body = body
	return q
}
