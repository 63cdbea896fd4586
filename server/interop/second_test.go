package interop_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/flowcallback/flowcallback/openapi"
	"github.com/flowcallback/flowcallback/openapi/contract"
)

// newSecond returns a validator for callback requests from an independent library.
func newSecond(t testing.TB) validator.Validator {
	t.Helper()
	document, err := libopenapi.NewDocument([]byte(openapi.Callback))
	if err != nil {
		t.Fatal(err)
	}
	second, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return second
}

func callbackRequest(project, workflow, run, state, body string) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, "http://x/v2/"+project+"/fgs/workflows/"+workflow+"/callback", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Auth-Token", "token") // the second validator also requires credentials
	r.Header["X-Workflow-Run-Id"] = []string{run}
	r.Header["X-Workflow-State-Id"] = []string{state}
	return r, nil
}

// differences lists requests that the second validator refuses and package contract accepts,
// each with the reason.
var differences = []struct {
	because string
	is      func(message string, project, workflow, run, state string) bool
}{
	{
		"the second validator decodes numbers as float64 and refuses larger ones; package contract keeps the original digits",
		func(message string, _, _, _, _ string) bool {
			return strings.Contains(message, "into Go value of type float64")
		},
	},
}

// FuzzSecondOpinion checks that an independent validator accepts every request that package
// contract accepts, except for the differences listed above.
func FuzzSecondOpinion(f *testing.F) {
	for _, body := range []string{
		`{"result":"success","output":{}}`, `{"result":"fail","error":"why","output":{"a":[1,2.5,{"b":null}]}}`, `{"result":"fail","output":null}`,
		`{"result":"success","output":null}`, `{"result":"success","output":{},"unknown":{"result":1}}`, `{"result":"fail","error":"","output":{}}`,
		`{"result":1,"output":{}}`, `{}`, `null`, `[`, `{"result":"success","output":{"a":1e400}}`, "{\"result\":\"fail\",\"error\":\"\u00e9\",\"output\":{}}",
	} {
		f.Add("project", "workflow", "run", "state", body)
	}
	f.Add("46b6f338fc3445b8846c71dfb1fbd9e8", "order-approval", "aa7d6479-141d-482f-b9bc-85b5cd14066b", "0f5758f7-aa43-49ae-8923-c6448d7c1f91", `{"result":"success","output":{}}`)
	f.Add("%25", "a%2Fb", "1", "true", `{"result":"success","output":{}}`)
	f.Add(strings.Repeat("p", 64), strings.Repeat("w", 512), "r", "s", `{"result":"success","output":{}}`)
	published, err := contract.Callback()
	if err != nil {
		f.Fatal(err)
	}
	second := newSecond(f)
	f.Fuzz(func(t *testing.T, project, workflow, run, state, body string) {
		r, err := callbackRequest(project, workflow, run, state, body)
		if err != nil {
			t.Skip(err)
		}
		operation, values := published.Match(r)
		if operation == nil {
			t.Skip("the request does not match the callback operation")
		}
		if operation.CheckRequest(t.Context(), r, values) != nil {
			return
		}
		if !utf8.ValidString(body) {
			t.Errorf("CheckRequest accepted a body that is not UTF-8: %q", body)
		}
		again, err := callbackRequest(project, workflow, run, state, body)
		if err != nil {
			t.Fatal(err)
		}
		ok, complaints := second.ValidateHttpRequestSync(again)
		if ok {
			return
		}
		var text strings.Builder
		for _, c := range complaints {
			fmt.Fprintf(&text, "%s: %s\n", c.Message, c.Reason)
			for _, s := range c.SchemaValidationErrors {
				fmt.Fprintf(&text, "  %s\n", s.Reason)
			}
		}
		for _, d := range differences {
			if d.is(text.String(), project, workflow, run, state) {
				return
			}
		}
		t.Errorf("CheckRequest accepted a request that the second validator refuses:\n%q %q %q %q %s\n%s", project, workflow, run, state, body, text.String())
	})
}
