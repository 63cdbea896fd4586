package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"
)

const mediaTypeJSON = "application/json"

// checkStrict refuses what kin-openapi by itself lets pass and two readers could
// understand differently: a parameter named twice, text that is not UTF-8, another
// charset, a compressed body, and JSON that is not exactly one well-formed document.
func (o *Operation) checkStrict(r *http.Request, pathValues map[string]string) error {
	if err := o.checkParameters(r, pathValues); err != nil {
		return err
	}
	if o.body == nil || r.Body == nil {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	_ = r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) == 0 {
		return nil // whether it may be absent is for the document to say
	}
	if err := checkMediaType(r.Header); err != nil {
		return err
	}
	return checkJSON(body, o.body)
}

func (o *Operation) checkParameters(r *http.Request, pathValues map[string]string) error {
	for name, value := range pathValues {
		if !utf8.ValidString(value) {
			return &Violation{Member: name, Rule: "must be UTF-8"}
		}
	}
	for _, name := range o.headers {
		if err := checkOnce(name, r.Header[name]); err != nil {
			return err
		}
	}
	if len(o.queries) == 0 {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &Violation{Member: "query", Rule: "must be well-formed"}
	}
	for _, name := range o.queries {
		if err := checkOnce(name, query[name]); err != nil {
			return err
		}
	}
	return nil
}

func checkOnce(name string, values []string) error {
	if len(values) > 1 {
		return &Violation{Member: name, Rule: "must be named once"}
	}
	if len(values) == 1 && !utf8.ValidString(values[0]) {
		return &Violation{Member: name, Rule: "must be UTF-8"}
	}
	return nil
}

func checkMediaType(header http.Header) error {
	for _, encoding := range header.Values("Content-Encoding") {
		if !strings.EqualFold(encoding, "identity") {
			return &Violation{Member: "Content-Encoding", Rule: "must be absent: compressed bodies are not read", MediaType: true}
		}
	}
	types := header.Values("Content-Type")
	if len(types) != 1 {
		return &Violation{Member: "Content-Type", Rule: "must be named once, as " + mediaTypeJSON, MediaType: true}
	}
	mediaType, parameters, err := mime.ParseMediaType(types[0])
	if err != nil || mediaType != mediaTypeJSON {
		return &Violation{Member: "Content-Type", Rule: "must be " + mediaTypeJSON, MediaType: true}
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return &Violation{Member: "Content-Type", Rule: "must have the charset utf-8, or none", MediaType: true}
	}
	return nil
}

// checkJSON reports whether body is exactly one JSON document (RFC 8259) in UTF-8
// without a byte order mark or lone surrogates, no object of which names a member twice
// (the defaults of jsontext), nor declares a member in other capitals than the schema:
// encoding/json would take it for the declared one, after kin-openapi ignored it.
func checkJSON(body []byte, schema *openapi3.Schema) error {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(body))
	if err := checkValue(decoder, schema); err != nil {
		return jsonViolation(err)
	}
	end := decoder.InputOffset()
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return &Violation{Member: "body", Rule: fmt.Sprintf("must be one JSON document, and more follows it (byte %d)", end)}
	}
	return nil
}

func checkValue(decoder *jsontext.Decoder, schema *openapi3.Schema) error {
	switch kind := decoder.PeekKind(); {
	case kind == '{' && len(schema.Properties) > 0:
		return checkObject(decoder, schema)
	case kind == '[' && schema.Items != nil:
		return checkArray(decoder, schema.Items.Value)
	default:
		return skipValue(decoder, maxDepth(schema))
	}
}

// checkMember is checkValue for a declared member. kin-openapi takes null for a member that
// is left out where there is a default, and 1e3 for an integer, which the generated code
// cannot read.
func checkMember(decoder *jsontext.Decoder, name string, schema *openapi3.Schema) error {
	switch kind := decoder.PeekKind(); {
	case kind == 'n' && !schema.Nullable:
		return &Violation{Member: name, Rule: typeRule(schema)}
	case kind == '0' && schema.Type.Is(openapi3.TypeInteger):
		token, err := decoder.ReadToken()
		if err != nil {
			return err
		}
		if strings.ContainsAny(token.String(), ".eE") {
			return &Violation{Member: name, Rule: typeRule(schema) + " without fraction or exponent"}
		}
		return nil
	default:
		return checkValue(decoder, schema)
	}
}

// maxDepth returns how deep objects and arrays may nest in a value: what the schema's
// x-max-depth says, else 0, for as deep as jsontext reads.
func maxDepth(schema *openapi3.Schema) int {
	depth, _ := schema.Extensions["x-max-depth"].(float64)
	return int(depth)
}

// skipValue reads one value, nested at most depth levels deep.
func skipValue(decoder *jsontext.Decoder, depth int) error {
	if depth == 0 {
		return decoder.SkipValue()
	}
	for outside := decoder.StackDepth(); ; {
		if _, err := decoder.ReadToken(); err != nil {
			return err
		}
		switch inside := decoder.StackDepth() - outside; {
		case inside > depth:
			return &Violation{Member: "body", Rule: fmt.Sprintf("must not nest objects and arrays more than %d levels deep there (byte %d)", depth, decoder.InputOffset())}
		case inside == 0:
			return nil
		}
	}
}

func checkObject(decoder *jsontext.Decoder, schema *openapi3.Schema) error {
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() != '}' {
		token, err := decoder.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		property := schema.Properties[name]
		if property == nil {
			if declared := otherCapitals(name, schema.Properties); declared != "" {
				return &Violation{Member: declared, Rule: "must be spelled in exactly these letters, not in other capitals"}
			}
			if err := decoder.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if err := checkMember(decoder, name, property.Value); err != nil {
			return err
		}
	}
	_, err := decoder.ReadToken()
	return err
}

func checkArray(decoder *jsontext.Decoder, items *openapi3.Schema) error {
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() != ']' {
		if err := checkValue(decoder, items); err != nil {
			return err
		}
	}
	_, err := decoder.ReadToken()
	return err
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
