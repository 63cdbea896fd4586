package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"
)

// decoder decodes one body into the value that kin-openapi checks and handlers receive. It
// refuses bodies that kin-openapi accepts although two readers could understand them
// differently: anything but one well-formed document (RFC 8259) in UTF-8, a byte order
// mark, a lone surrogate, two members with the same name (jsontext finds all of these), and
// a declared name in another case, which encoding/json would accept.
type decoder struct {
	jsontext.Decoder
	buffer bytes.Buffer
	body   []byte
	raws   []rawMember

	interned map[string]any // strings that need no unquoting
}

// rawMember is a member of the body whose bytes are kept. One whose schema is open is not
// decoded: kin-openapi checks an empty object in its place.
type rawMember struct {
	name  string
	value json.RawMessage // part of the body
}

// decoders is a pool of decoders, which have large buffers.
type decoders struct {
	pool     sync.Pool
	interned map[string]any
}

// decode returns the value of body as encoding/json would decode it into an any, with
// numbers as json.Number. A member with an open schema becomes an empty object and is
// appended to raws. An undeclared member is left out if the schema allows any.
func (ds *decoders) decode(body []byte, schema *openapi3.Schema, raws []rawMember) (any, []rawMember, error) {
	d, ok := ds.pool.Get().(*decoder)
	if !ok {
		d = &decoder{interned: ds.interned}
	}
	defer func() {
		d.buffer, d.body, d.raws = bytes.Buffer{}, nil, nil // do not keep the body in memory
		ds.pool.Put(d)
	}()
	d.body, d.buffer, d.raws = body, *bytes.NewBuffer(body), raws
	d.Reset(&d.buffer)
	value, err := d.value(schema)
	if err != nil {
		return nil, nil, jsonViolation(err)
	}
	end := d.InputOffset()
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, nil, &Violation{Member: "body", Rule: fmt.Sprintf("must be one JSON document, but more text follows it (byte %d)", end)}
	}
	return value, d.raws, nil
}

// value reads a value with the given schema.
func (d *decoder) value(schema *openapi3.Schema) (any, error) {
	switch d.PeekKind() {
	case '{':
		return d.object(schema)
	case '[':
		return d.array(schema)
	default:
		return d.scalar()
	}
}

// isOpen reports whether a schema allows any members with any values.
func isOpen(s *openapi3.Schema) bool {
	return len(s.Properties) == 0 && len(s.Required) == 0 && s.MinProps == 0 && s.MaxProps == nil && len(s.Enum) == 0 &&
		allowsMore(s) && len(s.AllOf) == 0 && len(s.AnyOf) == 0 && len(s.OneOf) == 0 && s.Not == nil
}

// allowsMore reports whether an object may have any members that its schema does not
// declare.
func allowsMore(s *openapi3.Schema) bool {
	return s.AdditionalProperties.Schema == nil && (s.AdditionalProperties.Has == nil || *s.AdditionalProperties.Has)
}

func (d *decoder) object(schema *openapi3.Schema) (any, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	members := make(map[string]any, len(schema.Properties))
	for d.PeekKind() != '}' {
		token, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		name, ok := d.text(token).(string)
		if !ok {
			return nil, errors.New("a name is not a string")
		}
		property := schema.Properties[name]
		if property == nil {
			if declared := caseVariant(name, schema.Properties); declared != "" {
				return nil, &Violation{Member: declared, Rule: "must be spelled exactly like this, in the same case"}
			}
			if err := d.undeclared(name, schema, members); err != nil {
				return nil, err
			}
			continue
		}
		if d.isOutermost() && d.PeekKind() == '{' && isOpen(property.Value) {
			raw, err := d.raw(maxDepth(property.Value))
			if err != nil {
				return nil, err
			}
			members[name] = map[string]any(nil)
			d.raws = append(d.raws, rawMember{name, raw})
			continue
		}
		if d.isOutermost() && isOutputSchema(property.Value) && d.PeekKind() == '{' {
			if members[name], err = d.kept(name, property.Value); err != nil {
				return nil, err
			}
			continue
		}
		if members[name], err = d.member(name, property.Value); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return members, err
}

// isOutputSchema reports whether a member is a schema for outputs, whose bytes are kept.
func isOutputSchema(s *openapi3.Schema) bool {
	is, _ := s.Extensions["x-output-schema"].(bool)
	return is
}

// kept decodes a schema for outputs and keeps its bytes.
func (d *decoder) kept(name string, schema *openapi3.Schema) (any, error) {
	start := int(d.InputOffset())
	value, err := d.value(schema)
	if err != nil {
		return nil, err
	}
	end := int(d.InputOffset())
	text := json.RawMessage(bytes.TrimLeft(d.body[start:end:end], ": \t\r\n"))
	if depth := maxDepth(schema); deeper(text, depth) >= 0 {
		return nil, &Violation{Member: name, Rule: fmt.Sprintf("must not nest objects and arrays more than %d levels deep", depth)}
	}
	d.raws = append(d.raws, rawMember{name, text})
	return value, nil
}

// isOutermost reports whether the decoder is in the outermost object of the body.
func (d *decoder) isOutermost() bool { return d.StackDepth() == 1 }

// undeclared reads a member that the schema does not declare. A member of the outermost
// object is skipped if the schema allows any, and refused with its name if it allows none.
func (d *decoder) undeclared(name string, schema *openapi3.Schema, members map[string]any) (err error) {
	if more := schema.AdditionalProperties.Has; more != nil && !*more {
		return &Violation{Member: quoted(name), Rule: "is not a member of this object"}
	}
	if d.isOutermost() && allowsMore(schema) {
		return d.SkipValue()
	}
	inside := &openapi3.Schema{}
	if more := schema.AdditionalProperties.Schema; more != nil {
		inside = more.Value
	}
	members[name], err = d.value(inside)
	return err
}

// member reads a declared member. kin-openapi accepts null for a member with a default, and
// 1e3 for an integer; the generated code can read neither.
func (d *decoder) member(name string, schema *openapi3.Schema) (any, error) {
	if d.PeekKind() == 'n' && !schema.Nullable {
		return nil, &Violation{Member: name, Rule: typeRule(schema)}
	}
	value, err := d.value(schema)
	if number, ok := value.(json.Number); ok && schema.Type.Is(openapi3.TypeInteger) && strings.ContainsAny(string(number), ".eE") {
		return nil, &Violation{Member: name, Rule: typeRule(schema) + " without fraction or exponent"}
	}
	return value, err
}

func (d *decoder) array(schema *openapi3.Schema) (any, error) {
	items := &openapi3.Schema{}
	if schema.Items != nil {
		items = schema.Items.Value
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	values := []any{}
	for d.PeekKind() != ']' {
		value, err := d.value(items)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	_, err := d.ReadToken()
	return values, err
}

func (d *decoder) scalar() (any, error) {
	value, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	switch value.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return value.Kind() == 't', nil
	case '0':
		return json.Number(value), nil
	default:
		return d.text(value), nil
	}
}

// text returns the value of a well-formed JSON string.
func (d *decoder) text(quoted jsontext.Value) any {
	if text, ok := d.interned[string(quoted[1:len(quoted)-1])]; ok {
		return text
	}
	text, _ := jsontext.AppendUnquote(nil, quoted)
	return string(text)
}

// internedStrings returns the names and enumeration values of a schema. Most strings of a
// body are among them, so decoding allocates none of those.
func internedStrings(schema *openapi3.Schema) map[string]any {
	interned := map[string]any{}
	for name, property := range schema.Properties {
		interned[name] = name
		for _, value := range property.Value.Enum {
			if text, ok := value.(string); ok {
				interned[text] = text
			}
		}
	}
	return interned
}

// maxDepth returns how deep objects and arrays may nest: the schema's x-max-depth, or 0 for
// the limit of jsontext.
func maxDepth(schema *openapi3.Schema) int {
	depth, _ := schema.Extensions["x-max-depth"].(float64)
	return int(depth)
}

// raw returns the bytes of one value that nests at most depth levels deep (0: no limit).
func (d *decoder) raw(depth int) (json.RawMessage, error) {
	value, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	end := int(d.InputOffset())
	start := end - len(value)
	if at := deeper(d.body[start:end], depth); depth > 0 && at >= 0 {
		return nil, &Violation{Member: "body", Rule: fmt.Sprintf("must not nest objects and arrays more than %d levels deep there (byte %d)", depth, start+at)}
	}
	return d.body[start:end:end], nil
}

// deeper returns the offset at which well-formed JSON nests objects and arrays more than
// depth levels deep, or -1.
func deeper(value []byte, depth int) int {
	inString := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			inString = !inString
		case inString && c == '\\':
			i++
		case inString:
		case c == '{' || c == '[':
			if depth--; depth < 0 {
				return i
			}
		case c == '}' || c == ']':
			depth++
		}
	}
	return -1
}

// caseVariant returns the declared name that differs from name only by case, or "".
func caseVariant(name string, declared openapi3.Schemas) string {
	names := make([]string, 0, len(declared))
	for candidate := range declared {
		if strings.EqualFold(name, candidate) {
			names = append(names, candidate)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

// jsonViolation describes an error of jsontext without quoting the body.
func jsonViolation(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, new(*Violation)):
		return err
	case errors.Is(err, jsontext.ErrDuplicateName):
		return &Violation{Member: "body", Rule: "must not have two members with the same name in one object" + at(err)}
	case errors.As(err, &syntactic) && strings.Contains(syntactic.Err.Error(), "UTF-8"),
		errors.As(err, &syntactic) && strings.Contains(syntactic.Err.Error(), "surrogate"):
		return &Violation{Member: "body", Rule: "must be UTF-8 without lone surrogates" + at(err)}
	case errors.As(err, &syntactic) && strings.Contains(syntactic.Err.Error(), "max depth"):
		return &Violation{Member: "body", Rule: "must not nest so many levels deep" + at(err)}
	default:
		return &Violation{Member: "body", Rule: "must be well-formed JSON" + at(err)}
	}
}

func at(err error) string {
	var syntactic *jsontext.SyntacticError
	if !errors.As(err, &syntactic) {
		return ""
	}
	return fmt.Sprintf(" (byte %d)", syntactic.ByteOffset)
}
