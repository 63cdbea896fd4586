package contract_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/openapi/contract"
)

// checkSchema returns the violation of opening a wait with a schema, or "".
func checkSchema(t *testing.T, own *contract.Contract, schema string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v1/p/waits", strings.NewReader(`{"workflow_id":"w","run_id":"r","state_id":"s","output_schema":`+schema+`}`))
	r.Header.Set("Content-Type", "application/json")
	if err := own.Operation("openWait").CheckRequest(t.Context(), r, contract.PathValues{Names: []string{"project_id"}, Values: []string{"p"}}); err != nil {
		return err.Error()
	}
	return ""
}

// object returns a schema with one member.
func object(member string) string { return `{"type":"object","properties":{"m":` + member + `}}` }

// A schema for outputs is one of the closed subset. Everything else is refused by name.
func TestOutputSchemas(t *testing.T) {
	own, err := contract.Waits()
	if err != nil {
		t.Fatal(err)
	}
	deep := func(n int) string {
		return `{"type":"object"` + strings.Repeat(`,"properties":{"m":{"type":"object"`, n-1) + strings.Repeat("}}", n-1) + "}"
	}
	padded := func(size int) string {
		var members []string
		for i := range 100 {
			members = append(members, fmt.Sprintf(`"m%d":{"type":"string","description":"%s"}`, i, strings.Repeat("d", 100)))
		}
		text := `{"type":"object","properties":{` + strings.Join(members, ",") + "}}"
		return text[:len(text)-1] + strings.Repeat(" ", size-len(text)) + "}"
	}
	for _, test := range []struct{ schema, want string }{
		{`{"type":"object"}`, ""},
		{`{"type":"object","title":"t","description":"d","properties":{},"required":["m"]}`, ""},
		{object(`{"type":"string","enum":["a"],"minLength":1,"maxLength":2,"pattern":"^a$","format":"date"}`), ""},
		{object(`{"type":"number","minimum":-9007199254740991,"maximum":9007199254740991,"enum":[1.5,true]}`), ""},
		{object(`{"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":2}`), ""},
		{deep(8), ""},
		{deep(9), "output_schema: must not nest objects and arrays more than 16 levels deep"},
		{padded(16384), ""},
		{padded(16385), "output_schema: must have at most 16384 bytes"},
		{`null`, "output_schema: must be an object"},
		{`"x"`, "output_schema: must be an object"},
		{`{}`, "output_schema.type: is missing"},
		{`{"type":"string"}`, "output_schema.type: must be object"},
		{`{"type":"object","type":"object"}`, "body: must not have two members with the same name in one object"},
		{object(`{}`), "output_schema.properties.m.type: is missing"},
		{object(`{"type":"null"}`), "output_schema.properties.m.type: must be object, array, string, number, integer or boolean"},
		{object(`{"type":["string"]}`), "output_schema.properties.m.type: must be object, array, string, number, integer or boolean"},
		{object(`{"type":"string","minlength":1}`), "minLength: must be spelled exactly like this, in the same case"},
		{object(`{"type":"string","const":1}`), `"const": is not a member of this object`},
		{object(`{"$ref":"#/x"}`), `"$ref": is not a member of this object`},
		{object(`{"type":"string","oneOf":[]}`), `"oneOf": is not a member of this object`},
		{object(`{"type":"string","not":{}}`), `"not": is not a member of this object`},
		{object(`{"type":"string","nullable":true}`), `"nullable": is not a member of this object`},
		{`{"type":"object","additionalProperties":false}`, `"additionalProperties": is not a member of this object`},
		{object(`{"type":"string","enum":[]}`), "output_schema.properties.m.enum: must have at least 1 item"},
		{object(`{"type":"string","enum":[{}]}`), "output_schema.properties.m.enum.0: must be a string, a number or a boolean"},
		{object(`{"type":"string","enum":[` + strings.Repeat("1,", 100) + `1]}`), "output_schema.properties.m.enum: must have at most 100 items"},
		{object(`{"type":"number","minimum":-9007199254740992}`), "output_schema.properties.m.minimum: must be at least -9007199254740991"},
		{object(`{"type":"number","maximum":9007199254740992}`), "output_schema.properties.m.maximum: must be at most 9007199254740991"},
		{object(`{"type":"number","enum":[9007199254740993]}`), "output_schema.properties.m.enum.0: must be a string, a number or a boolean"},
		{object(`{"type":"string","maxLength":-1}`), "output_schema.properties.m.maxLength: must be at least 0"},
		{object(`{"type":"string","maxLength":1.5}`), "maxLength: must be an integer without fraction or exponent"},
		{object(`{"type":"string","maxLength":1000001}`), "output_schema.properties.m.maxLength: must be at most 1000000"},
		{object(`{"type":"string","format":"email"}`), "output_schema.properties.m.format: must be date or date-time"},
		{object(`{"type":"string","pattern":"("}`), "output_schema.properties.m.pattern: must be a regular expression of RE2: missing closing )"},
		{object(`{"type":"string","pattern":"(?=a)"}`), "output_schema.properties.m.pattern: must be a regular expression of RE2: invalid or unsupported Perl syntax"},
		{object(`{"type":"string","pattern":"a{100}"}`), "output_schema.properties.m.pattern: must have at most 100 steps, where a repetition counts as often as it repeats"},
		{object(`{"type":"string","pattern":"a{49}"}`), ""},
		{`{"type":"object","properties":{"` + strings.Repeat("é", 200) + `":{"type":"string"}}}`, ""},
		{`{"type":"object","properties":{"` + strings.Repeat("é", 201) + `":{"type":"string"}}}`, "output_schema: the name of a member must have at most 200 characters"},
		{object(`{"type":"number","minimum":1e-450}`), "output_schema: has a number that is too close to zero"},
		{object(`{"type":"number","enum":[1e-450]}`), "output_schema: has a number that is too close to zero"},
		{object(`{"type":"array","items":[]}`), "output_schema.properties.m.items: must be an object"},
		{`{"type":"object","required":["a","a"]}`, "output_schema.required: must not have an item twice"},
	} {
		got := checkSchema(t, own, test.schema)
		if got != test.want && (test.want == "" || !strings.HasPrefix(got, test.want)) {
			t.Errorf("%.100s: %q, want %q", test.schema, got, test.want)
		}
	}
}

// Each keyword is judged edge by edge, and the violation names the member and the rule.
func TestJudge(t *testing.T) {
	own, err := contract.Waits()
	if err != nil {
		t.Fatal(err)
	}
	judge := own.NewOutputJudge()
	for _, test := range []struct{ schema, output, want string }{
		{`{"type":"object"}`, `{"anything":[1]}`, ""},
		{`{"type":"object","required":["m"]}`, `{}`, "output.m: is missing"},
		{`{"type":"object","required":["m"]}`, `{"m":null}`, ""},
		{object(`{"type":"string"}`), `{"m":"x"}`, ""},
		{object(`{"type":"string"}`), `{"m":1}`, "output.m: must be a string"},
		{object(`{"type":"string"}`), `{"m":null}`, "output.m: must be a string"},
		{object(`{"type":"boolean"}`), `{"m":"true"}`, "output.m: must be a boolean"},
		{object(`{"type":"number"}`), `{"m":1.5e300}`, ""},
		{object(`{"type":"number"}`), `{"m":"1"}`, "output.m: must be a number"},
		{object(`{"type":"integer"}`), `{"m":9007199254740993}`, ""},
		{object(`{"type":"integer"}`), `{"m":1.5}`, "output.m: must be an integer"},
		{object(`{"type":"object"}`), `{"m":[]}`, "output.m: must be an object"},
		{object(`{"type":"array","items":{"type":"string"}}`), `{"m":["a",1]}`, "output.m.1: must be a string"},
		{object(`{"type":"object","required":["n"],"properties":{"n":{"type":"string"}}}`), `{"m":{"n":1}}`, "output.m.n: must be a string"},
		{object(`{"type":"string","enum":["a","b"]}`), `{"m":"a"}`, ""},
		{object(`{"type":"string","enum":["a","b"]}`), `{"m":"A"}`, "output.m: must be a or b"},
		{object(`{"type":"integer","enum":[1,2]}`), `{"m":2}`, ""},
		{object(`{"type":"integer","enum":[1,2]}`), `{"m":3}`, "output.m: must be 1 or 2"},
		{object(`{"type":"integer","minimum":1}`), `{"m":1}`, ""},
		{object(`{"type":"integer","minimum":1}`), `{"m":0}`, "output.m: must be at least 1"},
		{object(`{"type":"integer","maximum":9007199254740991}`), `{"m":9007199254740991}`, ""},
		{object(`{"type":"integer","maximum":9007199254740991}`), `{"m":9007199254740992}`, "output.m: must be at most 9007199254740991"},
		{object(`{"type":"integer","maximum":9007199254740991}`), `{"m":9007199254740993}`, "output.m: must be at most 9007199254740991"},
		{object(`{"type":"integer","minimum":-9007199254740991}`), `{"m":-9007199254740993}`, "output.m: must be at least -9007199254740991"},
		{object(`{"type":"integer"}`), `{"m":1.00}`, ""},
		{object(`{"type":"integer"}`), `{"m":1e400}`, ""},
		{object(`{"type":"integer"}`), `{"m":10e-1}`, ""},
		{object(`{"type":"integer"}`), `{"m":1.00000000000000000001}`, "output.m: must be an integer"},
		{object(`{"type":"integer"}`), `{"m":9007199254740993.5}`, "output.m: must be an integer"},
		{object(`{"type":"integer"}`), `{"m":1` + strings.Repeat("0", 450) + `.5}`, "output.m: must be an integer"},
		{object(`{"type":"integer"}`), `{"m":1e-999999999999}`, "output.m: must be an integer"},
		{object(`{"type":"number"}`), `{"m":-1e400}`, ""},
		{object(`{"type":"number","maximum":1}`), `{"m":1.00000000000000000001}`, "output.m: must be at most 1"},
		{object(`{"type":"number","maximum":1}`), `{"m":1e999999999}`, "output.m: must be at most 1"},
		{object(`{"type":"number","maximum":1}`), `{"m":1e-999999999}`, ""},
		{object(`{"type":"number","minimum":0}`), `{"m":-1e-999999999}`, "output.m: must be at least 0"},
		{object(`{"type":"number","minimum":9007199254740991}`), `{"m":9007199254740990.9999}`, "output.m: must be at least 9007199254740991"},
		{object(`{"type":"number","enum":[0.1]}`), `{"m":0.10000000000000000001}`, "output.m: must be 0.1"},
		{object(`{"type":"number","enum":[0.1]}`), `{"m":1e-1}`, ""},
		{object(`{"type":"number","maximum":0.5}`), `{"m":0.5` + strings.Repeat("0", 200_000) + `}`, ""},
		{object(`{"type":"number","maximum":0.5}`), `{"m":0.5` + strings.Repeat("0", 200_000) + `1}`, "output.m: must be at most 0.5"},
		{object(`{"type":"integer"}`), `{"m":` + strings.Repeat("9", 200_000) + `}`, ""},
		{object(`{"type":"integer","minimum":1,"maximum":12}`), `{"m":12` + strings.Repeat("0", 200_000) + `e-200000}`, ""},
		{object(`{"type":"integer","maximum":12}`), `{"m":0.00012e5}`, ""},
		{object(`{"type":"integer","maximum":12}`), `{"m":-0.0}`, ""},
		{object(`{"type":"array","items":{"type":"object","properties":{"n":{"type":"integer"}}}}`), `{"m":[{"n":1},{"n":1.0000000000000000001}]}`, "output.m.1.n: must be an integer"},
		{object(`{"type":"string","minLength":2}`), `{"m":"éé"}`, ""},
		{object(`{"type":"string","minLength":2}`), `{"m":"é"}`, "output.m: must have at least 2 characters"},
		{object(`{"type":"string","maxLength":2}`), `{"m":"éé"}`, ""},
		{object(`{"type":"string","maxLength":2}`), `{"m":"ééé"}`, "output.m: must have at most 2 characters"},
		{object(`{"type":"string","pattern":"^[0-9]{5}$"}`), `{"m":"12345"}`, ""},
		{object(`{"type":"string","pattern":"^[0-9]{5}$"}`), `{"m":"1234"}`, "output.m: must match the pattern ^[0-9]{5}$"},
		{object(`{"type":"string","pattern":"b"}`), `{"m":"abc"}`, ""},
		{object(`{"type":"string","pattern":"x"}`), `{"m":"` + strings.Repeat("x", 4096) + `"}`, ""},
		{object(`{"type":"string","pattern":"x"}`), `{"m":"` + strings.Repeat("x", 4097) + `"}`, "output.m: must have at most 4096 characters, because it has a pattern"},
		{object(`{"type":"string","format":"date"}`), `{"m":"2028-02-29"}`, ""},
		{object(`{"type":"string","format":"date"}`), `{"m":"2026-02-29"}`, "output.m: must be a day, such as 2026-11-23"},
		{object(`{"type":"string","format":"date-time"}`), `{"m":"2026-11-23T08:00:00.5+01:00"}`, ""},
		{object(`{"type":"string","format":"date-time"}`), `{"m":"2026-11-23"}`, "output.m: must be an instant, such as 2026-11-23T08:00:00Z"},
		{object(`{"type":"string","format":"date","pattern":"^2026"}`), `{"m":"2026-02-29"}`, "output.m: must be a day, such as 2026-11-23"},
		{object(`{"type":"array","minItems":1,"maxItems":2}`), `{"m":[1,2]}`, ""},
		{object(`{"type":"array","minItems":1,"maxItems":2}`), `{"m":[]}`, "output.m: must have at least 1 item"},
		{object(`{"type":"array","minItems":1,"maxItems":2}`), `{"m":[1,2,3]}`, "output.m: must have at most 2 items"},
	} {
		got := ""
		if err := judge.Judge([]byte(test.schema), []byte(test.output)); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s of %.60s: %q, want %q", test.output[:min(60, len(test.output))], test.schema, got, test.want)
		}
	}
}
