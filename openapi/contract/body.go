package contract

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"reflect"
	"strings"

	"github.com/oapi-codegen/runtime"
)

// Body is a request body that is in memory: read from it as often as wanted, through
// Bytes. After CheckRequest it also holds the value that was judged, defaults filled in.
type Body struct {
	bytes.Reader
	data    []byte
	members map[string]any // without the raw ones
	raws    []rawMember
	first   [1]rawMember // nearly always all of them
}

// judged keeps the value that was judged.
func (b *Body) judged(value any, raws []rawMember) {
	b.members, _ = value.(map[string]any)
	b.raws = raws
	for _, raw := range raws {
		delete(b.members, raw.name) // what stood there for the judge
	}
}

// NewBody returns a body of data, which is not copied.
func NewBody(data []byte) *Body {
	b := &Body{data: data}
	b.raws = b.first[:0]
	b.Reset(data)
	return b
}

// Bytes returns the whole body. It is not to be changed.
func (b *Body) Bytes() []byte { return b.data }

// Close does nothing.
func (b *Body) Close() error { return nil }

// Bind stores the value that was judged in the struct that target points to, whose members
// are named by json tags exactly. What the document leaves open is stored byte for byte.
func (b *Body) Bind(target any) error {
	value := reflect.ValueOf(target).Elem()
	for i := range value.NumField() {
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		if err := b.bind(name, value.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

// bind stores the member of that name in a field.
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

// ValidatedValue returns the value that was judged, as oapi-codegen's strict servers bind it.
func (b *Body) ValidatedValue() any {
	members := maps.Clone(b.members)
	for _, raw := range b.raws {
		members[raw.name] = raw.value
	}
	return members
}

// readBody returns the body of r, read to its end.
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
