package contract_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi/contract"
)

// FuzzCheckRequest checks three properties. No request makes CheckRequest panic. Every refusal
// is a *Violation with a message. A strict and a loose JSON decoder read an accepted body
// alike.
func FuzzCheckRequest(f *testing.F) {
	for _, body := range []string{
		valid, `{"result":"fail","error":"why","output":null}`, `{"result":"success","output":{"a":[{"b":1e400}],"\u00e9":"\ud83d\ude00"}}`,
		`{"result":"success","result":"fail","output":{}}`, `{"Result":"success","output":{}}`, `{"result":"success","output":{"a":"\ud800"}}`,
		valid + valid, "\ufeff" + valid, `{"a":{"b":{"c":[[[[]]]]}}}`, `{"re\u017fult":"fail","result":"success","output":{}}`, "{\"\xff\":1}", ``, `null`,
	} {
		f.Add("run", "state", "application/json", body)
	}
	f.Add("", " ", "application/json; charset=utf-8", valid)
	f.Add("\xff", "é", "text/plain", valid)
	published, err := contract.Callback()
	if err != nil {
		f.Fatal(err)
	}
	operation := published.Operation("createCallbackWorkflow")
	f.Fuzz(func(t *testing.T, run, state, mediaType, body string) {
		r := request(body, func(r *http.Request) {
			r.Header = http.Header{"X-Workflow-Run-Id": {run}, "X-Workflow-State-Id": {state}, "Content-Type": {mediaType}}
		})
		err := operation.CheckRequest(t.Context(), r, contract.PathValues{Names: []string{"project_id", "workflow_id"}, Values: []string{"p", "w"}})
		var violation *contract.Violation
		switch {
		case err == nil:
		case !errors.As(err, &violation) || violation.Error() == "" || strings.Contains(violation.Error(), "%!"):
			t.Fatalf("CheckRequest: %#v, want a *Violation with a message", err)
		default:
			return
		}
		if !utf8.ValidString(body) || run == "" || state == "" {
			t.Fatalf("CheckRequest accepted run id %q, state id %q, body %q", run, state, body)
		}
		var loose, strict callback.Request
		if err := json.Unmarshal([]byte(body), &loose); err != nil {
			t.Fatalf("CheckRequest accepted a body that encoding/json cannot decode: %v", err)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &members); err != nil {
			t.Fatal(err)
		}
		strict = callback.Request{Output: members["output"]}
		for name, value := range map[string]any{"result": &strict.Result, "error": &strict.Error} {
			if member := members[name]; member != nil {
				if err := json.Unmarshal(member, value); err != nil {
					t.Fatal(err)
				}
			}
		}
		if loose.Result != strict.Result || loose.Error != strict.Error || !bytes.Equal(loose.Output, strict.Output) {
			t.Errorf("CheckRequest accepted %s, which decoders read as %+v or %+v", body, loose, strict)
		}
	})
}
