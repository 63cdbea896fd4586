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

// decoder reads one body once: strictly, and into what kin-openapi judges and handlers get.
// It refuses what kin-openapi by itself lets pass and two readers could understand
// differently: anything but one well-formed document (RFC 8259) in UTF-8 without a byte
// order mark or lone surrogates, a member named twice at any depth (all of this jsontext
// does), and a declared member in other capitals, which encoding/json would take for it.
type decoder struct {
	jsontext.Decoder
	buffer bytes.Buffer
	body   []byte
	raws   []rawMember
	known  map[string]any // strings that need no unquoting
}

// rawMember is a member of the body that was not decoded, because its schema says nothing
// of what is inside: kin-openapi is shown an empty object in its place.
type rawMember struct {
	name  string
	value json.RawMessage // part of the body
}

// decoders keeps decoders for the next bodies: one has buffers of its own.
type decoders struct {
	pool  sync.Pool
	known map[string]any
}

// decode returns the value of body as encoding/json would decode it into an any, with
// numbers as json.Number. A member whose schema says nothing of what is inside is an empty
// object, and is appended to raws; one that is not declared is left out where the schema
// allows any.
func (ds *decoders) decode(body []byte, schema *openapi3.Schema, raws []rawMember) (any, []rawMember, error) {
	d, ok := ds.pool.Get().(*decoder)
	if !ok {
		d = &decoder{known: ds.known}
	}
	defer func() {
		d.buffer, d.body, d.raws = bytes.Buffer{}, nil, nil // nothing of this body stays
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
		return nil, nil, &Violation{Member: "body", Rule: fmt.Sprintf("must be one JSON document, and more follows it (byte %d)", end)}
	}
	return value, d.raws, nil
}

// value reads a value of which schema speaks.
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

// isOpen reports whether schema says nothing of what is inside an object.
func isOpen(s *openapi3.Schema) bool {
	return len(s.Properties) == 0 && len(s.Required) == 0 && s.MinProps == 0 && s.MaxProps == nil && len(s.Enum) == 0 &&
		allowsMore(s) && len(s.AllOf) == 0 && len(s.AnyOf) == 0 && len(s.OneOf) == 0 && s.Not == nil
}

// allowsMore reports whether an object may have members that its schema does not declare,
// whatever they are.
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
			return nil, errors.New("a name is no text")
		}
		property := schema.Properties[name]
		if property == nil {
			if declared := otherCapitals(name, schema.Properties); declared != "" {
				return nil, &Violation{Member: declared, Rule: "must be spelled in exactly these letters, not in other capitals"}
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
		if members[name], err = d.member(name, property.Value); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return members, err
}

// isOutermost reports whether the object that is being read is the body itself.
func (d *decoder) isOutermost() bool { return d.StackDepth() == 1 }

// undeclared reads a member that the schema does not declare. Of the body itself it is
// kept only where the schema has something to say of such members.
func (d *decoder) undeclared(name string, schema *openapi3.Schema, members map[string]any) (err error) {
	if d.isOutermost() && allowsMore(schema) {
		return d.SkipValue()
	}
	members[name], err = d.value(&openapi3.Schema{})
	return err
}

// member reads a declared member. kin-openapi takes null for one that is left out where
// there is a default, and 1e3 for an integer, which the generated code cannot read.
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

// text returns the text that a JSON string, found well-formed, stands for.
func (d *decoder) text(quoted jsontext.Value) any {
	if known, ok := d.known[string(quoted[1:len(quoted)-1])]; ok {
		return known
	}
	text, _ := jsontext.AppendUnquote(nil, quoted)
	return string(text)
}

// knownStrings are the names and enumerated texts of a schema, as any: nearly all that
// bodies hold outside of what is open, so that they need not be made anew for each.
func knownStrings(schema *openapi3.Schema) map[string]any {
	known := map[string]any{}
	for name, property := range schema.Properties {
		known[name] = name
		for _, value := range property.Value.Enum {
			if text, ok := value.(string); ok {
				known[text] = text
			}
		}
	}
	return known
}

// maxDepth returns how deep objects and arrays may nest in a value: what the schema's
// x-max-depth says, else 0, for as deep as jsontext reads.
func maxDepth(schema *openapi3.Schema) int {
	depth, _ := schema.Extensions["x-max-depth"].(float64)
	return int(depth)
}

// raw reads one value, nested at most depth levels deep (0: any), and returns its bytes.
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

// deeper returns where well-formed JSON begins to nest objects and arrays more than depth
// levels deep, -1 if nowhere.
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

func otherCapitals(name string, declared openapi3.Schemas) string {
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

// jsonViolation words what jsontext found, without quoting the body.
func jsonViolation(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, new(*Violation)):
		return err
	case errors.Is(err, jsontext.ErrDuplicateName):
		return &Violation{Member: "body", Rule: "must not have two members of the same name in one object" + at(err)}
	case errors.As(err, &syntactic) && strings.Contains(syntactic.Err.Error(), "UTF-8"),
		errors.As(err, &syntactic) && strings.Contains(syntactic.Err.Error(), "surrogate"):
		return &Violation{Member: "body", Rule: "must be UTF-8 without lone surrogates" + at(err)}
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
