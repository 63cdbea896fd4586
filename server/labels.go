package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// labelled is a member of an input, for people.
type labelled struct {
	Label, Name string
	Text        string
	URL         string // if the text is an https address
	IsNested    bool   // the text is indented JSON

	Size string // how much is nested, such as "3 entries"
	Head []string
	Rows [][]string // of a list of flat objects of the same shape
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
	case '{':
		v.Text, v.IsNested, v.Size = indented(value), true, counted(lengthOf(members(value)), "value", "values")
	case '[':
		var entries []json.RawMessage
		_ = json.Unmarshal(value, &entries) // it is well-formed
		v.Text, v.IsNested, v.Size = indented(value), true, counted(len(entries), "entry", "entries")
		v.Head, v.Rows = table(entries)
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

// maxRows is the number of rows of a table on a page for people.
const maxRows = 100

// table returns a list of flat objects of the same shape as a table; nil for another list.
func table(entries []json.RawMessage) (head []string, rows [][]string) {
	if len(entries) > maxRows {
		return nil, nil
	}
	for i, entry := range entries {
		var names, row []string
		for name, value := range members(entry) {
			v := labelOf(name, value)
			if v.IsNested {
				return nil, nil
			}
			names, row = append(names, v.Label), append(row, v.Text)
		}
		if i == 0 {
			head = names
		}
		if len(names) == 0 || !slices.Equal(names, head) {
			return nil, nil
		}
		rows = append(rows, row)
	}
	return head, rows
}

func lengthOf(all iter.Seq2[string, json.RawMessage]) (n int) {
	for range all {
		n++
	}
	return n
}

// counted returns a number of things.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
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
