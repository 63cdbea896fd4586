package conformance

import (
	"net/http"
	"net/url"
	"strings"
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
	// Send are the bodies of callbacks for the state. Of several, which are sent at once, exactly one has the answer
	// Status, and the others are refused with Code; sent again, that one is answered with the same execution, and it
	// is what arrives.
	Send []string `json:"send,omitempty"`
	// Vary sends them for a state with other ids.
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

	// Arrived is a body whose outcome is what the waiting side has received, if it can be read. A null as output has
	// become {}.
	Arrived string `json:"arrived,omitempty"`
}

// A Vary changes an id of a state. A step is left out if the id stays the same, or becomes empty.
type Vary struct {
	ID  string `json:"id"` // project_id, workflow_id, run_id or state_id
	How How    `json:"how"`
}

// How an id is changed.
type How string

// The changes of ids.
const (
	Another      How = "is another" // only of project_id
	SmallLetters How = "in small letters"
	Capitals     How = "in capitals"
	LastLetter   How = "with another last letter"
	Shorter      How = "without its last letter"
	Moved        How = "with its last letter before the next id" // of workflow_id and run_id
	Underscore   How = "with _ for its last letter"
	Percent      How = "with % for its last letter"
	Space        How = "with a space behind it" // only of workflow_id: blanks around headers are not theirs
)

// varied returns a state with a changed id, and whether there is such a change.
func (v Vary) varied(s State) (changed State, isOther bool) {
	ids := []*string{&s.Workflow, &s.Run, &s.State}
	at := map[string]int{"workflow_id": 0, "run_id": 1, "state_id": 2}[v.ID]
	id := ids[at]
	before := *id
	_, size := utf8.DecodeLastRuneInString(before)
	start, last := before[:len(before)-size], before[len(before)-size:]
	switch v.How {
	case SmallLetters:
		*id = strings.ToLower(before)
	case Capitals:
		*id = strings.ToUpper(before)
	case LastLetter:
		if *id = start + "x"; last == "x" {
			*id = start + "y"
		}
	case Shorter:
		*id = start
	case Moved:
		*id, *ids[at+1] = start, last+*ids[at+1]
	case Underscore:
		*id = start + "_"
	case Percent:
		*id = start + "%"
	case Space:
		*id += " "
	}
	return s, *id != before && *id != ""
}

// callbackTo returns the request of a callback for a state, or false if there is none.
func (c Case) callbackTo(s State, vary *Vary, body string) (q request, exists bool) {
	q = c.request
	if vary != nil && vary.How == Another {
		q.path = strings.Replace(q.path, "/v2/", "/v2/another-", 1)
	} else if vary != nil {
		if s, exists = vary.varied(s); !exists {
			return q, false
		}
	}
	q.path = strings.ReplaceAll(q.path, "{workflow_id}", url.PathEscape(s.Workflow))
	q.header = http.Header{}
	for name, values := range c.header {
		q.header.Set(name, strings.NewReplacer("{run_id}", s.Run, "{state_id}", s.State).Replace(values[0]))
	}
	q.body = body
	return q, true
}
