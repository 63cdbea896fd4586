package conformance

import (
	"net/http"
	"strings"

	"github.com/flowcallback/flowcallback/gen/callback"
)

const (
	success = `{"result":"success","output":{"a":1}}`
	fail    = `{"result":"fail","error":"payment declined","output":{"a":1}}`
	other   = `{"result":"fail","error":"another outcome","output":{}}`
)

// settles is a callback that must be taken.
func settles(body string) Step { return Step{Send: []string{body}, Status: http.StatusOK} }

// again is a callback that was taken before.
func again(body string) Step {
	return Step{Send: []string{body}, Status: http.StatusOK, Again: true}
}

// arrived reads what the waiting side has received.
func arrived(body string) Step { return Step{Arrived: body} }

// refused is a callback that must be refused.
func refused(body string, status int, code callback.ErrorCode) Step {
	return Step{Send: []string{body}, Status: status, Code: code}
}

// settling adds a case about a state that waits.
func (l *caseList) settling(name string, steps ...Step) *Case {
	q, _ := l.valid()
	q.path = l.operation.Path
	q.header.Set("X-Workflow-Run-Id", "{run_id}")
	q.header.Set("X-Workflow-State-Id", "{state_id}")
	l.cases = append(l.cases, Case{Group: "settling", Name: name, Allowed: true, request: q, State: Waiting, Steps: steps})
	return &l.cases[len(l.cases)-1]
}

// settlingCases are about states that wait.
func (l *caseList) settlingCases() {
	for _, e := range []struct{ name, body string }{
		{"a success is answered with the execution", success},
		{"a success without output members is answered with the execution", `{"result":"success","output":{}}`},
		{"a failure with a reason is answered with the execution", fail},
		{"a failure with null as output is answered with the execution", `{"result":"fail","output":null}`},
	} {
		l.settling(e.name, settles(e.body), arrived(e.body))
	}
	// It is taken, and answered again, also where it cannot be read.
	all := `{"result":"success","output":{"big":12345678901234567890123456789,"small":0.1000000000000000055511151231257827,"one":1.0,` +
		`"zero":-0,"huge":1e400,"text":"é😀\u0000 \"\\","decomposed":"e\u0301","__proto__":{"a":1},"":"unnamed","$a.b":1,"deep":[[{"a":null}]],` +
		`"yes":true,"no":false}}`
	l.settling("an output with every kind of value is answered with the execution", settles(all), again(all))
	l.settling("every digit and character of the output arrives", settles(all), arrived(all)).MustRead = true
	long := `{"result":"success","output":{"long":"` + strings.Repeat("long ", 2000) + `"}}`
	l.settling("a long output arrives", settles(long), again(long), arrived(long))
	l.repeatCases()
	l.conflictCases()
	var steps []Step
	for _, body := range []string{
		`{"result":"success","output":[]}`, `{"result":"success"`, `{"result":"success","output":{"a":1,"a":2}}`,
		`{"result":"success","output":{"a":"\ud800"}}`, `{"result":"success","output":{"a":` + strings.Repeat("[", l.operation.Depth) + strings.Repeat("]", l.operation.Depth) + `}}`,
	} {
		steps = append(steps, refused(body, http.StatusBadRequest, callback.CodeInvalid))
	}
	l.settling("a refused callback changes nothing", append(steps, settles(fail), arrived(fail))...)
	l.idCases()
	l.settling("a cancelled state is not found", Step{Cancel: true},
		refused(success, http.StatusNotFound, callback.CodeCancelled), refused(fail, http.StatusNotFound, callback.CodeCancelled))
	l.settling("an expired state is not found",
		refused(success, http.StatusNotFound, callback.CodeExpired), refused(fail, http.StatusNotFound, callback.CodeExpired)).State = Expired
	race := refused(success, http.StatusOK, callback.CodeConflict)
	race.Send = append(race.Send, other)
	l.settling("of two outcomes that race, one wins", race).Rounds = 5 // at the end, because they take many states
	same := Step{Send: []string{success, success}, Status: http.StatusOK}
	l.settling("the same outcome twice at once is answered twice", same).Rounds = 5
}

// repeatCases send an outcome again, in other words.
func (l *caseList) repeatCases() {
	for _, e := range []struct{ name, first, second string }{
		{"the same outcome again is answered as the first time", `{"result":"success","output":{"a":1,"b":[1.50,{"c":"é"}]}}`, "{ \"output\": {\"b\":[1.50,{\"c\":\"\\u00e9\"}], \"a\":1},\n\"result\":\"success\"}"},
		{"the same failure again is answered as the first time", fail, fail},
		{"members that are not declared make no other outcome", success, `{"result":"success","output":{"a":1},"trace":"2"}`},
		{"null and {} are the same output of a failure", `{"result":"fail","output":null}`, `{"result":"fail","output":{}}`},
	} {
		l.settling(e.name, settles(e.first), again(e.second), arrived(e.first))
	}
	for _, e := range l.operation.Edges {
		if text, isText := e.Value.(string); e.In == "body" && e.Name == "error" && e.Allowed && isText {
			body := textOf(map[string]any{"result": "fail", "error": text, "output": map[string]any{}})
			l.settling("an error that "+e.Claim+" arrives", settles(body), again(body), arrived(body))
		}
	}
}

// conflictCases send another outcome to a settled state. It changes nothing.
func (l *caseList) conflictCases() {
	withOutput := func(output string) string { return `{"result":"success","output":` + output + `}` }
	for _, e := range []struct{ name, first, second string }{
		{"another result is a conflict", success, other},
		{"another output is a conflict", success, withOutput(`{"a":2}`)},
		{"a member more is a conflict", success, withOutput(`{"a":1,"b":null}`)},
		{"a member less is a conflict", success, withOutput(`{}`)},
		{"another value deep in the output is a conflict", withOutput(`{"a":{"b":[{"c":1}]}}`), withOutput(`{"a":{"b":[{"c":2}]}}`)},
		{"another order of an array is a conflict", withOutput(`{"a":[1,2]}`), withOutput(`{"a":[2,1]}`)},
		{"a number with other digits is a conflict", success, withOutput(`{"a":1.0}`)},
		{"a number that differs in its last digit is a conflict", withOutput(`{"a":0.10000000000000000001}`), withOutput(`{"a":0.10000000000000000002}`)},
		{"a text with other letters is a conflict", withOutput(`{"a":"Yes"}`), withOutput(`{"a":"yes"}`)},
		{"a text with other code points is a conflict", withOutput(`{"a":"\u00e9"}`), withOutput(`{"a":"e\u0301"}`)},
		{"the sign of zero is a conflict", withOutput(`{"a":0}`), withOutput(`{"a":-0}`)},
		{"true for 1 is a conflict", success, withOutput(`{"a":true}`)},
		{"a name in other case is a conflict", success, withOutput(`{"A":1}`)},
		{"another value of __proto__ is a conflict", withOutput(`{"__proto__":{"a":1}}`), withOutput(`{"__proto__":{"a":2}}`)},
		{"a text for a number is a conflict", success, withOutput(`{"a":"1"}`)},
		{"a success after a failure is a conflict", fail, success},
		{"another output of a failure is a conflict", fail, `{"result":"fail","error":"payment declined","output":{"a":2}}`},
		{"another reason is a conflict", fail, `{"result":"fail","error":"no money","output":{"a":1}}`},
		{"a failure without its reason is a conflict", fail, `{"result":"fail","output":{"a":1}}`},
		{"a failure with a reason that it had not is a conflict", `{"result":"fail","output":{"a":1}}`, fail},
		{"another error of a success is a conflict", success, `{"result":"success","error":"with a warning","output":{"a":1}}`},
	} {
		l.settling(e.name, settles(e.first), refused(e.second, http.StatusBadRequest, callback.CodeConflict), again(e.first), arrived(e.first))
	}
}

// idCases call back with ids that differ a little from those of a state that waits.
func (l *caseList) idCases() {
	var projects []Step
	for _, how := range []How{LastLetter, SmallLetters, Capitals} {
		projects = append(projects, Step{Send: []string{other}, Vary: &Vary{"project_id", how}, AnyRefusal: true})
	}
	l.settling("the state belongs to its project", append(projects, settles(success), arrived(success))...)
	for _, e := range []struct {
		name, id string
		more     []How
	}{
		{"workflow", "workflow_id", []How{Moved, Space}},
		{"run", "run_id", []How{Moved}},
		{"state", "state_id", nil},
	} {
		var steps []Step
		for _, how := range append([]How{SmallLetters, Capitals, LastLetter, Shorter, Underscore, Percent}, e.more...) {
			step := refused(other, http.StatusNotFound, callback.CodeNotFound)
			step.Vary = &Vary{e.id, how}
			steps = append(steps, step)
		}
		l.settling("the id of the "+e.name+" is compared byte for byte", append(steps, settles(success), arrived(success))...)
	}
}
