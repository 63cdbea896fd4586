package conformance

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/flowcallback/flowcallback/openapi/edges"
)

// caseList collects cases for one operation.
type caseList struct {
	operation edges.Operation
	projectID string
	cases     []Case
}

// Cases returns the cases of the contract, in the order of their groups. Their requests are for a project;
// an empty one is the example of the contract.
func Cases(projectID string) ([]Case, error) {
	l, err := newCaseList(projectID)
	if err != nil {
		return nil, err
	}
	l.parameterCases()
	l.memberCases()
	l.documentCases()
	l.requestCases()
	l.settlingCases()
	return l.cases, nil
}

func newCaseList(projectID string) (*caseList, error) {
	operations, err := edges.Operations("callback.yaml")
	if err != nil {
		return nil, err
	}
	if len(operations) != 1 || operations[0].Body == nil {
		return nil, errors.New("callback.yaml: want one operation with a body")
	}
	l := &caseList{operation: operations[0], projectID: projectID}
	for _, p := range l.operation.Parameters {
		if p.Name == "project_id" && projectID == "" {
			l.projectID = fmt.Sprint(p.Example)
		}
	}
	return l, nil
}

// probe returns a callback for an unknown state.
func (l *caseList) probe() request {
	q, body := l.valid()
	q.body = textOf(body)
	return q
}

// example returns the value that a parameter has in a valid request.
func (l *caseList) example(p edges.Parameter) string {
	switch {
	case p.In == "header":
		return unknownID()
	case p.Name == "project_id":
		return l.projectID
	}
	return fmt.Sprint(p.Example)
}

// valid returns a request that the contract allows, for an unknown state.
func (l *caseList) valid() (request, map[string]any) {
	r := request{method: l.operation.Method, path: l.operation.Path, header: http.Header{"Content-Type": {"application/json"}}}
	for _, p := range l.operation.Parameters {
		r.set(p.In, p.Name, l.example(p))
	}
	return r, maps.Clone(l.operation.Body)
}

// set sets a parameter. A path is set from the operation's template.
func (r *request) set(in, name, value string) {
	if in == "path" {
		r.path = strings.ReplaceAll(r.path, "{"+name+"}", url.PathEscape(value))
		return
	}
	r.header.Set(name, value)
}

// add adds a case of the valid request with a change.
func (l *caseList) add(group, name string, allowed bool, change func(r *request, body map[string]any)) {
	r, body := l.valid()
	change(&r, body)
	r.body = textOf(body)
	l.cases = append(l.cases, Case{Group: group, Name: name, Allowed: allowed, request: r})
}

func (l *caseList) parameterCases() {
	for _, p := range l.operation.Parameters {
		for _, e := range l.operation.Edges {
			if e.In != p.In || e.Name != p.Name {
				continue
			}
			l.add(p.In, p.Name+" "+e.Claim, e.Allowed, func(r *request, _ map[string]any) {
				r.isProject, r.isSigned = p.Name == "project_id", p.In == "header"
				r.counts = hasLongCharacters(e.Value)
				switch {
				case e.Omit:
					r.header.Del(p.Name)
				case p.In == "path":
					r.path = l.pathWith(p.Name, fmt.Sprint(e.Value))
				default:
					r.header.Set(p.Name, fmt.Sprint(e.Value))
				}
			})
		}
		if p.In == "header" {
			l.add("header", p.Name+" is long", true, func(r *request, _ map[string]any) {
				r.isSigned = true
				r.header.Set(p.Name, strings.Repeat("Long-", 50))
			})
			l.strict(func() {
				l.add("header", p.Name+" is given twice", false, func(r *request, _ map[string]any) {
					r.isSigned = true
					r.header.Add(p.Name, "another")
				})
			})
		}
	}
}

// pathWith returns the path with one value, and examples for the others.
func (l *caseList) pathWith(name, value string) string {
	r := request{path: l.operation.Path, header: http.Header{}}
	r.set("path", name, value)
	for _, p := range l.operation.Parameters {
		r.set(p.In, p.Name, l.example(p))
	}
	return r.path
}

// strict marks the cases that add adds: the contract does not say them.
func (l *caseList) strict(add func()) {
	from := len(l.cases)
	add()
	for i := from; i < len(l.cases); i++ {
		l.cases[i].Strict = true
	}
}

// hasLongCharacters reports whether a value is a text of many characters that are several bytes each.
func hasLongCharacters(value any) bool {
	text, isText := value.(string)
	n := utf8.RuneCountInString(text)
	return isText && n > 1 && n != len(text)
}

func (l *caseList) memberCases() {
	for _, e := range l.operation.Edges {
		if e.In != "body" {
			continue
		}
		l.add("body", e.Name+" "+e.Claim, e.Allowed, func(r *request, body map[string]any) {
			r.counts = hasLongCharacters(e.Value)
			if e.Omit {
				delete(body, e.Name)
				return
			}
			body[e.Name] = e.Value
		})
	}
	examples := maps.Clone(l.operation.Body)
	for _, e := range l.operation.Edges {
		if e.In == "body" && e.Allowed && !e.Omit && examples[e.Name] == nil {
			examples[e.Name] = e.Value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		l.add("body", name+" is spelled in capitals", false, func(_ *request, body map[string]any) {
			body[strings.ToUpper(name)] = examples[name]
			delete(body, name)
		})
		l.add("body", name+" is given in capitals, too", false, func(_ *request, body map[string]any) {
			body[name], body[strings.ToUpper(name)] = examples[name], examples[name]
		})
		l.add("body", name+" is given with a capital, too", false, func(_ *request, body map[string]any) {
			body[name], body[strings.ToUpper(name[:1])+name[1:]] = examples[name], examples[name]
		})
	}
}

// documentCases are about the JSON document in the body (the contract's description).
func (l *caseList) documentCases() {
	raw := func(name string, allowed bool, body string) {
		l.add("document", name, allowed, func(*request, map[string]any) {})
		l.cases[len(l.cases)-1].body = body
	}
	const valid = `{"result":"success","output":{"a":1}}`
	raw("ends with a newline, as official SDKs send it", true, valid+"\n")
	raw("has white space around it", true, " \r\n\t"+valid+" ")
	raw("has undeclared members", true, `{"result":"success","output":{},"more":[1]}`)
	raw("has numbers larger than any machine type", true, `{"result":"success","output":{"n":123456789012345678901234567890.5,"e":1e400}}`)
	raw("is a failure without output, as official SDKs send it", true, `{"result":"fail","output":null}`)
	raw("is a success without output", false, `{"result":"success","output":null}`)
	raw("is a failure that leaves output out", false, `{"result":"fail"}`)
	for _, e := range []struct{ what, open, inside, close string }{{"arrays", "[", "", "]"}, {"objects", `{"a":`, "1", "}"}} {
		nested := func(levels int) string { // the output is the first
			return `{"result":"success","output":{"a":` + strings.Repeat(e.open, levels-1) + e.inside + strings.Repeat(e.close, levels-1) + `}}`
		}
		raw("nests "+e.what+" as deep as it may", true, nested(l.operation.Depth))
		raw("nests "+e.what+" one level too deep", false, nested(l.operation.Depth+1))
	}
	raw("is not JSON", false, `result=success`)
	raw("is cut off", false, valid[:len(valid)-1])
	raw("is two documents", false, valid+valid)
	raw("is an array", false, `[`+valid+`]`)
	raw("is null", false, `null`)
	raw("is a string", false, `"success"`)
	raw("begins with a byte order mark", false, "\ufeff"+valid)
	raw("is not UTF-8", false, `{"result":"fail","error":"`+"\xff"+`","output":{}}`)
	raw("has output that is not UTF-8", false, `{"result":"success","output":{"a":"`+"\xff"+`"}}`)
	raw("has a lone surrogate", false, `{"result":"fail","error":"\ud800","output":{}}`)
	raw("has a lone surrogate in output", false, `{"result":"success","output":{"a":"\ud800"}}`)
	raw("has a lone surrogate in a name", false, `{"result":"success","output":{"\udc00":1}}`)
	raw("has a member twice", false, `{"result":"fail","result":"success","output":{}}`)
	raw("has a member twice in output", false, `{"result":"success","output":{"a":1,"a":2}}`)
	raw("is white space", false, " ")
	raw("is missing", false, "")
}

// requestCases are about how a request is sent. The contract leaves open with which status
// some of them are refused.
func (l *caseList) requestCases() {
	open := func(name string, change func(r *request)) {
		l.add("request", name, false, func(r *request, _ map[string]any) {
			r.anyRefusal = true
			change(r)
		})
	}
	l.add("request", "Content-Type names the charset", true, func(r *request, _ map[string]any) {
		r.header.Set("Content-Type", "application/json; charset=utf-8")
	})
	l.add("request", "Content-Type names the charset in capitals", true, func(r *request, _ map[string]any) {
		r.header.Set("Content-Type", "application/json;charset=UTF-8")
	})
	open("Content-Type is text/plain", func(r *request) { r.header.Set("Content-Type", "text/plain") })
	open("Content-Type is left out", func(r *request) { r.header.Del("Content-Type") })
	l.strict(func() {
		open("Content-Type has another charset", func(r *request) { r.header.Set("Content-Type", "application/json; charset=iso-8859-1") })
		open("the body is said to be compressed", func(r *request) { r.header.Set("Content-Encoding", "gzip") })
	})
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		open("the method is "+method, func(r *request) { r.method = method })
	}
	open("the path has another segment", func(r *request) { r.path += "/more" })
}

// unknownID returns an id that no server knows, with letters of both cases.
func unknownID() string { return "Conformance-" + strings.ToLower(rand.Text()) }

func textOf(body map[string]any) string {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // it is from a document
	}
	return string(text)
}
