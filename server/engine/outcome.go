package engine

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// OutcomeOf returns the outcome in a request. An output of null, which the contract accepts
// with fail, becomes {}.
func OutcomeOf(request callback.Request) waits.Outcome {
	output := request.Output
	if len(output) == 0 || bytes.Equal(output, []byte("null")) {
		output = json.RawMessage("{}")
	}
	return waits.Outcome{Result: request.Result, Error: request.Error, Output: output}
}

// Same reports whether two outcomes have the same result and error, and outputs that are
// the same JSON value. The order of members, white space and escapes in strings do not
// matter; the digits of a number do, so 1 and 1.0 differ.
func Same(a, b waits.Outcome) bool {
	return a.Result == b.Result && a.Error == b.Error && sameJSON(a.Output, b.Output)
}

func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, okX := decode(a)
	y, okY := decode(b)
	return okX && okY && reflect.DeepEqual(x, y)
}

// decode keeps numbers as they are written.
func decode(data []byte) (value any, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err := decoder.Decode(&value)
	return value, err == nil
}
