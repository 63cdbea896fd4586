package contract

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"reflect"
	"strings"

	"github.com/oapi-codegen/runtime"
)

// Body is a request body in memory. Bytes returns it as often as needed. After CheckRequest
// it also has the decoded value, with defaults set.
type Body struct {
	bytes.Reader
	data    []byte
	members map[string]any // without raws
	raws    []rawMember
	first   [1]rawMember // the array behind raws: most bodies have one
}

// setChecked stores the value that passed the check.
func (b *Body) setChecked(value any, raws []rawMember) {
	b.members, _ = value.(map[string]any)
	b.raws = raws
	for _, raw := range raws {
		delete(b.members, raw.name) // the placeholder that kin-openapi checked
	}
}

// NewBody returns a body with the given data, which is not copied.
func NewBody(data []byte) *Body {
	b := &Body{data: data}
	b.raws = b.first[:0]
	b.Reset(data)
	return b
}

// Bytes returns the whole body. The caller must not change it.
func (b *Body) Bytes() []byte { return b.data }

// Close does nothing.
func (b *Body) Close() error { return nil }

// Text returns a string member of the checked body, and "" if there is none.
func (b *Body) Text(name string) string {
	text, _ := b.members[name].(string)
	return text
}

// Bind stores the checked value in the struct that target points to. The names of members
// are the json tags. A member whose schema is open is stored byte for byte.
func (b *Body) Bind(target any) error {
	if raw, ok := target.(*json.RawMessage); ok { // an object whose members are all open
		*raw = b.data
		return nil
	}
	value := reflect.ValueOf(target).Elem()
	for i := range value.NumField() {
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		if err := b.bind(name, value.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

// bind stores the member with the given name in a field.
func (b *Body) bind(name string, field reflect.Value) error {
	for _, raw := range b.raws {
		if raw.name == name {
			field.SetBytes(raw.value)
			return nil
		}
	}
	member, ok := b.members[name]
	text, isText := member.(string)
	switch {
	case !ok:
		return nil
	case isText && field.Kind() == reflect.String:
		field.SetString(text)
		return nil
	default:
		return runtime.BindJSONValue(member, field.Addr().Interface())
	}
}

// ValidatedValue returns the checked value in the form that oapi-codegen's strict servers
// bind.
func (b *Body) ValidatedValue() any {
	members := maps.Clone(b.members)
	for _, raw := range b.raws {
		members[raw.name] = raw.value
	}
	return members
}

// readBody reads the whole body of r.
func readBody(r *http.Request) (*Body, error) {
	if body, ok := r.Body.(*Body); ok {
		return body, nil
	}
	if r.Body == nil {
		return NewBody(nil), nil
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_ = r.Body.Close()
	return NewBody(data), nil
}
