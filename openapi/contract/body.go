package contract

import (
	"bytes"
	"io"
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
	members map[string]any
	raws    []rawMember
}

// NewBody returns a body of data, which is not copied.
func NewBody(data []byte) *Body {
	b := &Body{data: data}
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
	if err := runtime.BindJSONValue(b.members, target); err != nil {
		return err
	}
	value := reflect.ValueOf(target).Elem()
	for i := range value.NumField() {
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		for _, raw := range b.raws {
			if raw.name == name {
				value.Field(i).Set(reflect.ValueOf(raw.value))
			}
		}
	}
	return nil
}

// ValidatedValue returns the value that was judged, as oapi-codegen's strict servers bind it.
func (b *Body) ValidatedValue() any {
	for _, raw := range b.raws {
		b.members[raw.name] = raw.value
	}
	return b.members
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
