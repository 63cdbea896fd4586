package engine_test

import (
	"testing"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

func outcome(output string) waits.Outcome {
	return waits.Outcome{Result: callback.Success, Output: []byte(output)}
}

func TestSame(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{`{}`, `{}`, true},
		{`{}`, ` { } `, true},
		{`{"a":1,"b":[true,null]}`, `{ "b" : [ true , null ], "a" : 1 }`, true},
		{`{"a":"é"}`, `{"a":"\u00e9"}`, true},
		{`{"a":"/"}`, `{"a":"\/"}`, true},
		{`{"a":1}`, `{"a":1.0}`, false},
		{`{"a":1e2}`, `{"a":100}`, false},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`, false},
		{`{"a":-0}`, `{"a":0}`, false},
		{`{"a":[1,2]}`, `{"a":[2,1]}`, false},
		{`{"a":null}`, `{}`, false},
		{`{"a":"1"}`, `{"a":1}`, false},
	} {
		if got := engine.Same(outcome(test.a), outcome(test.b)); got != test.want {
			t.Errorf("Same(%s, %s) = %t, want %t", test.a, test.b, got, test.want)
		}
	}
	fail := outcome(`{}`)
	fail.Result = callback.Fail
	reason := fail
	reason.Error = "why"
	if engine.Same(outcome(`{}`), fail) || engine.Same(fail, reason) || !engine.Same(reason, reason) {
		t.Error("Same does not tell results or errors apart")
	}
}
