package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A field is a part of the form that an output schema asks for.
type field struct {
	ID, Name    string
	Label, Help string
	IsRequired  bool
	Control     string // the kind of the field: text, area, number, choice, date, instant, lines or json
	Options     []string
	Text        string // what was typed: for a choice, the number of the option
	Problem     string

	enum []json.RawMessage // the values of the options
}

// valueSchema is the part of an output schema that a form shows.
type valueSchema struct {
	Type, Title, Description, Format string

	Enum             []json.RawMessage
	Minimum, Maximum json.Number
	MaxLength        *int
	MaxItems         *int
	Items            *valueSchema
	Properties       json.RawMessage
	Required         []string
}

// longLine is the number of characters that fit in a field of one line.
const longLine = 80

// fieldsOf returns the fields of an output schema, with the texts of a form in the same order. It
// returns none if the schema names no members.
func fieldsOf(schema json.RawMessage, texts []string) (fields []field) {
	var whole valueSchema
	if json.Unmarshal(schema, &whole) != nil {
		return nil
	}
	missing := slices.Clone(whole.Required)
	add := func(name string, s valueSchema) {
		f := newField(name, s)
		f.ID = fmt.Sprintf("field-%d", len(fields))
		f.IsRequired = slices.Contains(whole.Required, name)
		if len(fields) < len(texts) {
			f.Text = strings.ReplaceAll(texts[len(fields)], "\r\n", "\n") // as forms send the end of a line
		}
		fields = append(fields, f)
	}
	for name, text := range members(whole.Properties) {
		var s valueSchema
		if json.Unmarshal(text, &s) != nil {
			return nil
		}
		add(name, s)
		missing = slices.DeleteFunc(missing, func(m string) bool { return m == name })
	}
	for _, name := range missing { // required, and of any type
		add(name, valueSchema{})
	}
	return fields
}

func newField(name string, s valueSchema) field {
	f := field{Name: name, Label: s.Title, Control: controlOf(s)}
	if f.Label == "" {
		f.Label = readable(name)
	}
	help := []string{s.Description, limitsOf(f.Control, s)}
	f.Help = strings.Join(slices.DeleteFunc(help, func(h string) bool { return h == "" }), " ")
	if f.Control != "choice" {
		return f
	}
	f.enum = s.Enum
	if s.Type == "boolean" && f.enum == nil {
		f.enum = []json.RawMessage{json.RawMessage("true"), json.RawMessage("false")}
	}
	for _, value := range f.enum {
		f.Options = append(f.Options, labelOf("", value).Text)
	}
	return f
}

func controlOf(s valueSchema) string {
	switch {
	case s.Type == "boolean", s.Enum != nil && s.Type != "object" && s.Type != "array":
		return "choice"
	case s.Type == "number", s.Type == "integer":
		return "number"
	case s.Type == "array" && s.Items != nil && s.Items.Type == "string" && s.Items.Format == "":
		return "lines"
	case s.Type != "string":
		return "json"
	case s.Format == "date":
		return "date"
	case s.Format == "date-time":
		return "instant"
	case s.MaxLength != nil && *s.MaxLength <= longLine:
		return "text"
	default:
		return "area"
	}
}

func limitsOf(control string, s valueSchema) string {
	switch {
	case control == "number" && s.Minimum != "" && s.Maximum != "":
		return fmt.Sprintf("From %s to %s.", s.Minimum, s.Maximum)
	case control == "number" && s.Minimum != "":
		return fmt.Sprintf("At least %s.", s.Minimum)
	case control == "number" && s.Maximum != "":
		return fmt.Sprintf("At most %s.", s.Maximum)
	case control == "instant":
		return "In UTC."
	case control == "lines" && s.MaxItems != nil:
		return fmt.Sprintf("One entry on each line, at most %d.", *s.MaxItems)
	case control == "lines":
		return "One entry on each line."
	case control == "json":
		return map[string]string{"object": "A JSON object.", "array": "A JSON list."}[s.Type] // else the label says it
	case s.MaxLength != nil && (control == "text" || control == "area"):
		return fmt.Sprintf("At most %d characters.", *s.MaxLength)
	}
	return ""
}

// Lines returns the rows of a text area.
func (f field) Lines() int {
	if f.Control == "area" {
		return 2
	}
	return 4
}

// Chosen reports whether an option was chosen.
func (f field) Chosen(option int) bool { return f.Text == strconv.Itoa(option) }

// Read returns what was typed, as a person reads it.
func (f field) Read() string {
	if i, err := strconv.Atoi(f.Text); f.Control == "choice" && err == nil && i >= 0 && i < len(f.Options) {
		return f.Options[i]
	}
	if f.Control == "instant" && f.Text != "" {
		return strings.Replace(f.Text, "T", " ", 1) + " UTC"
	}
	return f.Text
}

// outputOf returns the output that the fields make; no judge has seen it. If a text makes no value, the
// field gets the problem, and ok is false.
func outputOf(fields []field) (output []byte, ok bool) {
	var all bytes.Buffer
	ok = true
	for i := range fields {
		f := &fields[i]
		if strings.TrimSpace(f.Text) == "" {
			if f.IsRequired {
				f.Problem, ok = "An answer is needed", false
			}
			continue
		}
		value, problem := f.value()
		if problem != "" {
			f.Problem, ok = problem, false
			continue
		}
		separator := ","
		if all.Len() == 0 {
			separator = ""
		}
		fmt.Fprintf(&all, "%s%s:%s", separator, quotedJSON(f.Name), value)
	}
	return []byte("{" + all.String() + "}"), ok
}

// value returns the text of a field as JSON, with every digit as it was typed.
func (f *field) value() (value, problem string) {
	text := strings.TrimSpace(f.Text)
	switch f.Control {
	case "number":
		if !json.Valid([]byte(text)) || !strings.ContainsAny(text[:1], "-0123456789") {
			return "", "Must be a number, such as 12.5"
		}
		return text, ""
	case "json":
		if !json.Valid([]byte(text)) {
			return "", "Must be JSON"
		}
		return text, ""
	case "choice":
		i, err := strconv.Atoi(text)
		if err != nil || i < 0 || i >= len(f.enum) {
			return "", "Choose one"
		}
		return string(f.enum[i]), ""
	case "lines":
		var lines []string
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, quotedJSON(line))
			}
		}
		return "[" + strings.Join(lines, ",") + "]", ""
	case "instant":
		at, err := time.Parse("2006-01-02T15:04:05", text)
		if err != nil {
			at, err = time.Parse("2006-01-02T15:04", text)
		}
		if err != nil {
			return "", "Must be a day and a time"
		}
		return quotedJSON(at.Format(time.RFC3339)), ""
	}
	return quotedJSON(f.Text), ""
}

// quotedJSON returns a text as JSON.
func quotedJSON(text string) string {
	var quoted strings.Builder
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string can always be encoded
	return strings.TrimSuffix(quoted.String(), "\n")
}

// faults says how many fields have a problem.
func faults(fields []field) string {
	n := 0
	for _, f := range fields {
		if f.Problem != "" {
			n++
		}
	}
	return counted(n, "answer needs", "answers need") + " a look before you can approve."
}

// blame writes what an output judge found into the field that it names, as in "output.carrier: is missing", and
// reports whether there is one.
func blame(fields []field, rule string) bool {
	path, found := strings.CutPrefix(rule, "output.")
	if !found {
		return false
	}
	for i := range fields {
		f := &fields[i]
		rest, isOf := strings.CutPrefix(path, f.Name)
		if _, problem, ok := strings.Cut(rest, ": "); isOf && ok && strings.ContainsAny(rest[:1], ":.[") {
			first, size := utf8.DecodeRuneInString(problem)
			f.Problem = strings.ToUpper(string(first)) + problem[size:]
			return true
		}
	}
	return false
}
