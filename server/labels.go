package server

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// labelled is a member of an input, for people.
type labelled struct {
	Label, Name string
	Text        string
	URL         string // if the text is an https address
	IsNested    bool   // the text is indented JSON
}

// labels returns the members of a JSON object in the order in which they were sent, with every
// digit of their numbers.
func labels(object []byte) (values []labelled) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil
	}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		var value json.RawMessage
		if err != nil || !ok || decoder.Decode(&value) != nil {
			return values
		}
		values = append(values, labelOf(name, value))
	}
	return values
}

func labelOf(name string, value json.RawMessage) labelled {
	v := labelled{Label: readable(name), Name: name}
	switch value[0] {
	case '{', '[':
		v.Text, v.IsNested = indented(value), true
	case '"':
		_ = json.Unmarshal(value, &v.Text) // it is well-formed
		if strings.HasPrefix(v.Text, "https://") {
			v.URL = v.Text
		}
	case 't':
		v.Text = "Yes"
	case 'f':
		v.Text = "No"
	case 'n':
		v.Text = "None"
	default:
		v.Text = string(value)
	}
	return v
}

// readable returns a member's name as a label: with spaces and a first capital.
func readable(name string) string {
	name = strings.TrimSpace(strings.ReplaceAll(name, "_", " "))
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}

// indented returns JSON for people, with every digit.
func indented(value []byte) string {
	if value == nil {
		return ""
	}
	var text bytes.Buffer
	if json.Indent(&text, value, "", "  ") != nil {
		return string(value)
	}
	return text.String()
}

// requestText returns a callback as JSON, with its output byte for byte.
func requestText(request callback.Request) ([]byte, error) {
	var text bytes.Buffer
	reason, err := json.Marshal(request.Error)
	if err != nil {
		return nil, err
	}
	text.WriteString(`{"result":"` + string(request.Result) + `",`)
	if request.Error != "" {
		text.WriteString(`"error":` + string(reason) + `,`)
	}
	text.WriteString(`"output":`)
	text.Write(request.Output)
	text.WriteString("}")
	return text.Bytes(), nil
}
