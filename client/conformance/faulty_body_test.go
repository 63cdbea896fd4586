package conformance_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/flowcallback/flowcallback/client/conformance"
)

// outcome is what a body says.
type outcome struct {
	conformance.Outcome

	same []byte // canonical
}

// parse returns the outcome, or what is wrong with a body.
func (s *server) parse(body []byte) (sent outcome, problem string) {
	if !utf8.Valid(body) && !s.has("accepts bytes that are not UTF-8") {
		return sent, "UTF-8"
	}
	if bytes.HasPrefix(body, []byte("\ufeff")) {
		if !s.has("accepts a byte order mark") {
			return sent, "byte order mark"
		}
		body = bytes.TrimPrefix(body, []byte("\ufeff"))
	}
	isInOutput := bytes.Contains(body, []byte(`"success"`)) && s.has("accepts a lone surrogate in output")
	if (bytes.Contains(body, []byte(`\ud800`)) || bytes.Contains(body, []byte(`\udc00`))) && !s.has("accepts a lone surrogate") && !isInOutput {
		return sent, "surrogate"
	}
	if len(body) == 0 && s.has("accepts an empty body") {
		return outcome{same: []byte("x")}, ""
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	var members map[string]json.RawMessage
	if decoder.Decode(&members) != nil || members == nil {
		if s.has("accepts a body that is no object") {
			return outcome{same: []byte("x")}, ""
		}
		return sent, "object"
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) && !s.has("reads the first of two documents") {
		return sent, "two documents"
	}
	if hasTwice(body) && !s.has("accepts a member twice") {
		return sent, "twice"
	}
	for name := range members {
		lower := strings.ToLower(name)
		if name == lower || !slices.Contains([]string{"result", "error", "output"}, lower) {
			if s.has("refuses members that it does not know") && !slices.Contains([]string{"result", "error", "output"}, name) {
				return sent, "unknown"
			}
			continue
		}
		isCapitals := name == strings.ToUpper(name)
		if members[lower] != nil && s.has("ignores a member in capitals beside its own") || lower == "error" && isCapitals && s.has("ignores ERROR") || !isCapitals && s.has("ignores a name with a capital") {
			continue
		}
		if !s.has("reads members in any case") {
			return sent, "case"
		}
		members[lower] = members[name]
	}
	var result, reason string
	if json.Unmarshal(members["result"], &result) != nil || result != "success" && result != "fail" {
		folded := strings.ToLower(result)
		switch {
		case s.has("accepts any result"), s.has("reads results in any case") && (folded == "success" || folded == "fail"):
		case members["result"] == nil && s.has("has success as the default"):
			result = "success"
		default:
			return sent, "result"
		}
	}
	if text := members["trace"]; text != nil && s.has("compares members that are not declared") {
		members["output"] = json.RawMessage(`{"trace":2}`)
	}
	length := s.length("the reason")
	if text, given := members["error"]; given {
		most := 64
		if s.has("has a shorter limit for the reason") {
			most = 63
		}
		isText := json.Unmarshal(text, &reason) == nil && string(text) != "null"
		if !isText && s.has("accepts a reason of any type") {
			isText, reason = true, "x"
		}
		if !isText || length(reason) > most && !s.has("cuts a long reason") || reason == "" && !s.has("accepts an empty reason") {
			return sent, "error"
		}
	}
	output := members["output"]
	isNull := string(output) == "null"
	switch {
	case output == nil && (s.has("does not need output") || result == "fail" && s.has("does not need output of a failure")):
		output = json.RawMessage("{}")
	case isNull && result == "fail" && s.has("hands null on"):
	case isNull && result == "fail" && !s.has("refuses null of a failure"), isNull && s.has("accepts null of a success"):
		output = json.RawMessage("{}")
	case len(output) == 0 || output[0] != '{' && !s.has("accepts any output"):
		return sent, "output"
	}
	most := 50
	if s.has("nests less deeply") {
		most = 20
	}
	if s.depthOf(output) > most && !s.has("nests without an end") {
		return sent, "depth"
	}
	if s.has("reads numbers as floats") {
		var value any
		if json.Unmarshal(output, &value) != nil {
			return sent, "number"
		}
		output, _ = json.Marshal(value)
	}
	if s.has("cuts the reason that it compares") && len(reason) > 32 {
		s.mu.Lock()
		s.opened++
		reason = fmt.Sprint(reason[:32], s.opened)
		s.mu.Unlock()
	}
	sent.Outcome = conformance.Outcome{Result: result, Error: reason, Output: s.handed(result, output)}
	same, _ := json.Marshal(s.compared(value(output), 0))
	switch {
	case s.has("compares outputs as text"):
		same = output
	case s.has("compares results only"), s.has("does not compare the output of a failure") && result == "fail":
		same = nil
	}
	if s.has("does not compare reasons") || s.has("ignores the error of a success") && result == "success" {
		reason = ""
	}
	sent.same = []byte(result + "\n" + reason + "\n" + string(same))
	if s.has("takes no failure for the same") && result == "fail" {
		s.mu.Lock()
		s.opened++
		sent.same = fmt.Append(sent.same, s.opened)
		s.mu.Unlock()
	}
	return sent, ""
}

// compared returns what the server compares of a value in an output.
func (s *server) compared(v any, level int) any {
	switch v := v.(type) {
	case map[string]any:
		if level > 0 && s.has("compares the first level only") {
			return nil
		}
		changed := map[string]any{}
		for name, member := range v {
			switch {
			case member == nil && s.has("takes null for a missing member"), name == "__proto__" && s.has("does not compare __proto__"):
				continue
			case s.has("compares names in any case"):
				name = strings.ToLower(name)
			}
			changed[name] = s.compared(member, level+1)
		}
		return changed
	case []any:
		changed := []any{}
		for _, item := range v {
			changed = append(changed, s.compared(item, level+1))
		}
		if s.has("compares arrays in any order") {
			slices.SortFunc(changed, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		return changed
	case bool:
		if v && s.has("takes true for 1") {
			return json.Number("1")
		}
	case json.Number:
		if v == "-0" && s.has("compares zeros as numbers") {
			return json.Number("0")
		}
		if strings.Contains(v.String(), ".") && s.has("compares decimals as floats") {
			f, _ := v.Float64()
			return fmt.Sprint(f, "f")
		}
		if s.has("takes a text for a number") {
			return v.String()
		}
	case string:
		if s.has("compares texts in any case") {
			return strings.ToLower(v)
		}
		if s.has("compares texts by what they look like") {
			return strings.ReplaceAll(v, "e\u0301", "é")
		}
	}
	return v
}

// handed returns the output that the waiting side receives.
func (s *server) handed(result string, output json.RawMessage) json.RawMessage {
	text := string(output)
	switch {
	case s.has("loses the output"), s.has("loses the output of a failure") && result == "fail", s.has("loses long outputs") && len(text) > 1000:
		return json.RawMessage("{}")
	case s.has("drops null"):
		return json.RawMessage(strings.ReplaceAll(text, "null", "0"))
	case s.has("drops __proto__"):
		return json.RawMessage(strings.ReplaceAll(text, "__proto__", "proto"))
	case s.has("loses the sign of zero"):
		return json.RawMessage(strings.ReplaceAll(text, "-0,", "0,"))
	case s.has("composes characters"):
		return json.RawMessage(strings.ReplaceAll(text, `e\u0301`, "é"))
	}
	return output
}

func value(text []byte) (v any) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	_ = decoder.Decode(&v)
	return v
}

func (s *server) depthOf(text []byte) (most int) {
	depth, inText := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case c == '{' && s.has("counts arrays only for the depth"):
		case !inText && (c == '{' || c == '['):
			depth++
			most = max(most, depth)
		case c == '}' && s.has("counts arrays only for the depth"):
		case !inText && (c == '}' || c == ']'):
			depth--
		}
	}
	return most
}

// hasTwice reports whether an object has two members of one name.
func hasTwice(text []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var walk func() bool
	walk = func() bool {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		names := map[string]bool{}
		for isObject := token == json.Delim('{'); (isObject || token == json.Delim('[')) && decoder.More(); {
			if isObject {
				name, _ := decoder.Token()
				if text, ok := name.(string); ok && names[text] {
					return true
				} else if ok {
					names[text] = true
				}
			}
			if walk() {
				return true
			}
		}
		if token == json.Delim('{') || token == json.Delim('[') {
			_, _ = decoder.Token()
		}
		return false
	}
	return walk()
}

// hasNoReason reports whether an outcome is a failure without a reason.
func hasNoReason(same []byte) bool { return bytes.HasPrefix(same, []byte("fail\n\n")) }
