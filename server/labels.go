package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
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
// digit of their numbers; none of an object that is too large.
func labels(object []byte) (values []labelled) {
	if len(object) > maxShown {
		return nil
	}
	for name, value := range members(object) {
		values = append(values, labelOf(name, value))
	}
	return values
}

// members yields the members of a JSON object, in their order.
func members(object []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		decoder := json.NewDecoder(bytes.NewReader(object))
		if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
			return
		}
		for decoder.More() {
			token, err := decoder.Token()
			name, ok := token.(string)
			var value json.RawMessage
			if err != nil || !ok || decoder.Decode(&value) != nil || !yield(name, value) {
				return
			}
		}
	}
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
	if strings.Trim(name, "_ ") == "" {
		return strconv.Quote(name)
	}
	name = strings.TrimSpace(strings.ReplaceAll(name, "_", " "))
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}

// maxShown is the largest JSON that a page shows whole, in bytes, and maxIndented the growth of its
// size by indenting.
const (
	maxShown    = 32 << 10
	maxIndented = 4
)

// indented returns JSON for people, with every digit. Of a large one it returns the beginning, and
// how much there is.
func indented(value []byte) string {
	if len(value) > maxShown {
		return fmt.Sprintf("%s…\n\n(the first %d of %d bytes)", strings.ToValidUTF8(string(value[:maxShown]), ""), maxShown, len(value))
	}
	var text bytes.Buffer
	if value == nil || json.Indent(&text, value, "", "  ") != nil || text.Len() > maxIndented*len(value)+1024 {
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
