package contract_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/flowcallback/flowcallback/openapi/contract"
)

func load(t *testing.T) (callback, waits *contract.Contract) {
	t.Helper()
	callback, err := contract.Callback()
	if err != nil {
		t.Fatal(err)
	}
	waits, err = contract.Waits()
	if err != nil {
		t.Fatal(err)
	}
	return callback, waits
}

// The documents are valid OpenAPI, and every example matches its schema.
func TestDocumentsAreValid(t *testing.T) {
	for _, name := range []string{"callback.yaml", "waits.yaml"} {
		loader := openapi3.NewLoader()
		loader.IsExternalRefsAllowed = true
		document, err := loader.LoadFromFile("../" + name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := document.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const valid = `{"result":"success","output":{}}`

// request returns a callback request with valid headers. If change is not nil, request applies
// it.
func request(body string, change func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v2/p/fgs/workflows/w/callback", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Workflow-Run-Id", "r")
	r.Header.Set("X-Workflow-State-Id", "s")
	if change != nil {
		change(r)
	}
	return r
}

func check(t *testing.T, c *contract.Contract, r *http.Request) error {
	t.Helper()
	operation, values := c.Match(r)
	if operation == nil {
		t.Fatalf("no operation matches %s %s", r.Method, r.URL)
	}
	return operation.CheckRequest(t.Context(), r, values)
}

func TestBodiesThatPass(t *testing.T) {
	callback, _ := load(t)
	for _, body := range []string{
		valid,
		valid + "\n",
		" \t\r\n" + valid + " ",
		`{"result":"fail","error":"why","output":{"a":[1,2.50,1e400,{"b":null}]}}`,
		`{"result":"fail","output":null}`,
		`{"result":"success","output":{},"unknown":{"Result":1,"nested":[{"output":null}]}}`,
		`{"result":"success","output":{"result":1,"Result":2,"RESULT":3}}`,
		`{"result":"success","output":{"text":"` + strings.Repeat(`[{\"\\`, 100) + `","list":[` + strings.Repeat(`[],{},`, 100) + `0]}}`,
		`{"\u0072esult":"success","output":{"\ud83d\ude00":"😀"}}`,
	} {
		if err := check(t, callback, request(body, nil)); err != nil {
			t.Errorf("CheckRequest(%s): %v, want none", body, err)
		}
	}
}

func TestBodiesThatAreRefused(t *testing.T) {
	callback, _ := load(t)
	for body, want := range map[string]string{
		``:                                   "body: is missing",
		`null`:                               "body: must be an object",
		`[]`:                                 "body: must be an object",
		`"x"`:                                "body: must be an object",
		`{}`:                                 "result: is missing",
		`{"result":"success"}`:               "output: is missing; send {} if there is nothing to hand over",
		`{"output":{}}`:                      "result: is missing",
		`{"result":null,"output":{}}`:        "result: must be a string",
		`{"result":1,"output":{}}`:           "result: must be success or fail",
		`{"result":"Success","output":{}}`:   "result: must be success or fail",
		`{"result":"","output":{}}`:          "result: must be success or fail",
		`{"result":"success","output":null}`: "output: must be an object when result is success",
		`{"result":"success","output":[]}`:   "output: must be an object",
		`{"result":"fail","output":"x"}`:     "output: must be an object",
		`{"result":"fail","output":1}`:       "output: must be an object",
		`{"result":"fail","error":"","output":{}}`:   "error: must have at least 1 character",
		`{"result":"fail","error":null,"output":{}}`: "error: must be a string",
		`{"result":"fail","error":{},"output":{}}`:   "error: must be a string",

		valid + valid:                                          "body: must be one JSON document, but more text follows it (byte 32)",
		valid + "x":                                            "body: must be one JSON document, but more text follows it (byte 32)",
		`{"result":"success","output":{}`:                      "body: must be well-formed JSON (byte 31)",
		`{"result":"success","output":{},}`:                    "body: must be well-formed JSON (byte 31)",
		`{'result':'success'}`:                                 "body: must be well-formed JSON (byte 1)",
		`{"result":"success","output":{"a":01}}`:               "body: must be well-formed JSON (byte 35)",
		`{"result":"success","output":{"a":NaN}}`:              "body: must be well-formed JSON (byte 34)",
		"\ufeff" + valid:                                       "body: must be well-formed JSON (byte 0)",
		"{\"result\":\"success\",\"output\":{\"a\":\"\xff\"}}": "body: must be UTF-8 without lone surrogates (byte 35)",
		`{"result":"success","output":{},"more":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`: "body: must not nest so many levels deep (byte 10038)",
		`{"result":"success","output":{"a":"\ud800"}}`:                                                              "body: must be UTF-8 without lone surrogates (byte 35)",
		`{"result":"success","output":{"a":"\udc00\ud800"}}`:                                                        "body: must be UTF-8 without lone surrogates (byte 35)",
		`{"result":"success","result":"fail","output":{}}`:                                                          "body: must not have two members with the same name in one object (byte 20)",
		`{"result":"success","output":{"a":{"b":1,"b":2}}}`:                                                         "body: must not have two members with the same name in one object (byte 41)",
		`{"result":"success","output":{"a":1,"\u0061":2}}`:                                                          "body: must not have two members with the same name in one object (byte 36)",
		`{"result":"success","output":{},"x":[{"b":1,"b":2}]}`:                                                      "body: must not have two members with the same name in one object (byte 44)",
		`{"Result":"success","output":{}}`:                                                                          "result: must be spelled exactly like this, in the same case",
		`{"result":"success","output":{},"OUTPUT":{}}`:                                                              "output: must be spelled exactly like this, in the same case",
		`{"re\u017fult":"fail","result":"success","output":{}}`:                                                     "result: must be spelled exactly like this, in the same case",
	} {
		err := check(t, callback, request(body, nil))
		if err == nil || err.Error() != want {
			t.Errorf("CheckRequest(%q):\n got %v\nwant %s", body, err, want)
		}
		if !errors.As(err, new(*contract.Violation)) {
			t.Errorf("CheckRequest(%q): an error of type %T, want a *Violation", body, err)
		}
	}
}

// The test finds the nesting limit by trying, then checks it one level deeper.
func TestDepth(t *testing.T) {
	callback, waits := load(t)
	nested := func(depth int) string {
		return `{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
	}
	deepest := 1
	for check(t, callback, request(`{"result":"success","output":`+nested(deepest+1)+`}`, nil)) == nil {
		if deepest++; deepest > 10_000 {
			t.Fatal("CheckRequest has no nesting limit")
		}
	}
	if deepest < 20 {
		t.Errorf("CheckRequest accepts only %d levels of nesting in output, want at least 20", deepest)
	}
	err := check(t, callback, request(`{"result":"success","output":`+nested(deepest+1)+`}`, nil))
	if want := fmt.Sprintf("more than %d levels deep", deepest); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("CheckRequest of output one level too deep: %v, want %q", err, want)
	}
	for depth, fine := range map[int]bool{deepest: true, deepest + 1: false} {
		r := httptest.NewRequest(http.MethodPost, "/v1/p/waits", strings.NewReader(`{"workflow_id":"w","run_id":"r","state_id":"s","input":`+nested(depth)+`}`))
		r.Header.Set("Content-Type", "application/json")
		if err := check(t, waits, r); (err == nil) != fine {
			t.Errorf("CheckRequest of an input %d levels deep: %v, want accepted %t", depth, err, fine)
		}
	}
	unknown := `{"result":"success","output":{},"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`
	if err := check(t, callback, request(unknown, nil)); !errors.As(err, new(*contract.Violation)) {
		t.Errorf("CheckRequest of an unknown member 100,000 levels deep: %v, want a *Violation", err)
	}
}

func TestMembersThatGeneratedCodeCannotRead(t *testing.T) {
	_, waits := load(t)
	for value, want := range map[string]string{
		"null":         "timeout_seconds: must be an integer",
		"99999999999":  "timeout_seconds: must be an integer from 1 to 2592000",
		"-99999999999": "timeout_seconds: must be an integer from 1 to 2592000",
		"60.0":         "timeout_seconds: must be an integer without fraction or exponent",
		"6e1":          "timeout_seconds: must be an integer without fraction or exponent",
		`"60"`:         "timeout_seconds: must be an integer",
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/p/waits", strings.NewReader(`{"workflow_id":"w","run_id":"r","state_id":"s","timeout_seconds":`+value+`}`))
		r.Header.Set("Content-Type", "application/json")
		if err := check(t, waits, r); err == nil || err.Error() != want {
			t.Errorf("CheckRequest of timeout_seconds %s: %v, want %s", value, err, want)
		}
	}
}

func TestHeadersThatAreRefused(t *testing.T) {
	callback, waits := load(t)
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	add := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add(name, value) }
	}
	for _, test := range []struct {
		change    func(*http.Request)
		want      string
		mediaType bool
	}{
		{func(r *http.Request) { r.Header.Del("X-Workflow-Run-Id") }, "X-Workflow-Run-Id: is missing", false},
		{set("X-Workflow-State-Id", ""), "X-Workflow-State-Id: must have at least 1 character", false},
		{add("X-Workflow-Run-Id", "r"), "X-Workflow-Run-Id: must be given once", false},
		{set("X-Workflow-Run-Id", "\xff"), "X-Workflow-Run-Id: must be UTF-8", false},
		{func(r *http.Request) { r.Header.Del("Content-Type") }, "Content-Type: must be given once, as application/json", true},
		{add("Content-Type", "application/json"), "Content-Type: must be given once, as application/json", true},
		{set("Content-Type", "text/plain"), "Content-Type: must be application/json", true},
		{set("Content-Type", "application/json; charset=latin1"), "Content-Type: must have the charset utf-8, or none", true},
		{set("Content-Type", "application/jsonp"), "Content-Type: must be application/json", true},
		{set("Content-Type", "application/json;;"), "Content-Type: must be application/json", true},
		{set("Content-Encoding", "gzip"), "Content-Encoding: must be absent: compressed bodies are not supported", true},
		{set("Content-Encoding", "identity, gzip"), "Content-Encoding: must be absent: compressed bodies are not supported", true},
	} {
		err := check(t, callback, request(valid, test.change))
		var v *contract.Violation
		if !errors.As(err, &v) || v.Error() != test.want || v.MediaType != test.mediaType {
			t.Errorf("CheckRequest:\n got %v\nwant %s (media type: %t)", err, test.want, test.mediaType)
		}
	}
	for _, fine := range []func(*http.Request){
		set("Content-Type", `Application/JSON; charset="UTF-8"`),
		set("Content-Encoding", "identity"),
		set("X-Workflow-Run-Id", "ünï/%20 ,;="),
	} {
		if err := check(t, callback, request(valid, fine)); err != nil {
			t.Errorf("CheckRequest: %v, want none", err)
		}
	}
	for query, want := range map[string]string{
		"limit=1&limit=2":   "limit: must be given once",
		"limit=%zz":         "query: must be well-formed",
		"workflow_id=%ff":   "workflow_id: must be UTF-8",
		"limit=x":           "limit: must be an integer from 1 to 1000",
		"limit=1.5":         "limit: must be an integer from 1 to 1000",
		"limit=99999999999": "limit: must be an integer from 1 to 1000",
		"status=settled":    "status: must be waiting, success, fail, expired or cancelled",
		"cursor=":           "cursor: must have at least 1 character",
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/p/waits?"+query, nil)
		if err := check(t, waits, r); err == nil || err.Error() != want {
			t.Errorf("CheckRequest(?%s):\n got %v\nwant %s", query, err, want)
		}
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	_, waits := load(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/p/waits", strings.NewReader(`{"workflow_id":"w","run_id":"r","state_id":"s"}`))
	r.Header.Set("Content-Type", "application/json")
	if err := check(t, waits, r); err != nil {
		t.Fatal(err)
	}
	body, ok := r.Body.(interface{ ValidatedValue() any })
	if !ok {
		t.Fatalf("the body is a %T, want one with ValidatedValue", r.Body)
	}
	if value, _ := body.ValidatedValue().(map[string]any); value["timeout_seconds"] == nil {
		t.Errorf("ValidatedValue() = %v, want the default of timeout_seconds", value)
	}
}

func TestMatchKeepsEscapedSlashesInTheirValue(t *testing.T) {
	callback, waits := load(t)
	r := httptest.NewRequest(http.MethodPost, "/v2/a%2Fb/fgs/workflows/%25%20%C3%A9/callback", nil)
	operation, values := callback.Match(r)
	if want := (contract.PathValues{Names: []string{"project_id", "workflow_id"}, Values: []string{"a/b", "% é"}}); operation == nil || !reflect.DeepEqual(values, want) {
		t.Errorf("Match = %v, %v; want values %v", operation, values, want)
	}
	if operation, _ := waits.Match(r); operation != nil {
		t.Errorf("Match in waits.yaml = %s, want none", operation.ID())
	}
}

func TestAnswersThatBreakTheContractAreFound(t *testing.T) {
	callback, _ := load(t)
	operation := callback.Operation("createCallbackWorkflow")
	header := http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"0123"}}
	for _, test := range []struct {
		status int
		header http.Header
		body   string
		fine   bool
	}{
		{200, header, `{"execution_id":"x"}`, true},
		{200, header, `{"execution_id":""}`, false},
		{200, header, `{}`, false},
		{200, http.Header{"Content-Type": {"application/json"}}, `{"execution_id":"x"}`, false},
		{200, http.Header{"Content-Type": {"text/html"}, "X-Request-Id": {"0123"}}, `<html>`, false},
		{404, header, `{"error_code":"FGS.5002","error_msg":"no"}`, true},
		{418, header, `{"error_code":"TEAPOT","error_msg":"x"}`, false},
	} {
		err := operation.CheckResponse(t.Context(), request(valid, nil), test.status, test.header, []byte(test.body))
		if (err == nil) != test.fine {
			t.Errorf("CheckResponse(%d, %s): %v, want accepted %t", test.status, test.body, err, test.fine)
		}
	}
}

// waits.yaml refuses what it does not declare, with its name. The published operation ignores it.
func TestUnknownNames(t *testing.T) {
	callback, waits := load(t)
	open := func(body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/v1/p/waits", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	for name, test := range map[string]struct {
		request *http.Request
		want    string
	}{
		"member":         {open(`{"workflow_id":"w","run_id":"r","state_id":"s","timeout":5}`), `"timeout": is not a member of this object`},
		"parameter":      {httptest.NewRequest(http.MethodGet, "/v1/p/waits?run=r2", nil), `"run": is not a parameter of this operation`},
		"long parameter": {httptest.NewRequest(http.MethodGet, "/v1/p/waits?"+strings.Repeat("x", 3000)+"=1", nil), `"` + strings.Repeat("x", 64) + `\u2026": is not a parameter of this operation`},
	} {
		if err := check(t, waits, test.request); err == nil || err.Error() != test.want {
			t.Errorf("unknown %s: got %v, want %s", name, err, test.want)
		}
	}
	published := request(`{"result":"success","output":{},"more":1}`, func(r *http.Request) { r.URL.RawQuery = "more=1" })
	if err := check(t, callback, published); err != nil {
		t.Errorf("unknown names in the published operation: %v, want them ignored", err)
	}
}

// Run and state ids of waits are those that every client can send in a header.
func TestIDsOfWaits(t *testing.T) {
	_, waits := load(t)
	for id, allowed := range map[string]bool{"a": true, "a b": true, "~!": true, "订单-1": false, "ünï": false, " a": false, "a ": false, "a\u00a0": false, "\u3000a": false, "\u00a0a": false, "a\u2028": false, "a\tb": false} {
		body, err := json.Marshal(map[string]string{"workflow_id": "订单", "run_id": id, "state_id": "s"})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/v1/p/waits", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if err := check(t, waits, r); (err == nil) != allowed {
			t.Errorf("run id %q: %v, want allowed %t", id, err, allowed)
		}
	}
}
