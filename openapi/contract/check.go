package contract

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// CheckRequest returns an error unless the document allows r for this operation.
// pathValues are the decoded values in the path of r. The error is a *Violation, or an
// error from reading the body.
//
// CheckRequest reads the whole body, so the caller must limit its size first. Afterwards
// r.Body is a *Body.
func (o *Operation) CheckRequest(ctx context.Context, r *http.Request, pathValues PathValues) error {
	if err := o.checkParameters(r, pathValues); err != nil {
		return err
	}
	var input *openapi3filter.RequestValidationInput
	for _, p := range o.parameters {
		if !p.plain && input == nil {
			input = &openapi3filter.RequestValidationInput{Request: r, PathParams: pathValues.all(), Route: o.route, Options: o.options}
		}
		if err := p.check(ctx, r, pathValues, input); err != nil {
			return err
		}
	}
	if o.body == nil {
		return nil
	}
	return o.checkBody(r)
}

// PathValues are the decoded values in a path, and their names in the same order.
type PathValues struct{ Names, Values []string }

// Lookup returns the value with the given name, if there is one.
func (v PathValues) Lookup(name string) (string, bool) {
	i := slices.Index(v.Names, name)
	if i < 0 {
		return "", false
	}
	return v.Values[i], true
}

func (v PathValues) all() map[string]string {
	values := make(map[string]string, len(v.Names))
	for i, name := range v.Names {
		values[name] = v.Values[i]
	}
	return values
}

// parameter is one parameter of an operation.
type parameter struct {
	*openapi3.Parameter
	canonical string // of a header
	plain     bool   // see newParameter
	valid     *seen  // values of a plain one that were checked
}

// seen remembers some of the values that were valid, so that a value that is sent often, like a
// project id, is checked once. It keeps at most one value for each of its places, and only short
// ones.
type seen struct {
	seed   maphash.Seed
	places [256]atomic.Pointer[string]
}

// maxSeen is the longest value that is remembered, in bytes.
const maxSeen = 256

func (s *seen) place(value string) *atomic.Pointer[string] {
	return &s.places[maphash.String(s.seed, value)%uint64(len(s.places))]
}

func (s *seen) has(value string) bool {
	known := s.place(value).Load()
	return known != nil && *known == value
}

func (s *seen) add(value string) {
	if len(value) <= maxSeen {
		value = strings.Clone(value) // it may be part of a larger text
		s.place(value).Store(&value)
	}
}

// newParameter returns p, marked as plain if it is a string in the path or a header whose
// schema has only a length, a pattern and a format.
func newParameter(p *openapi3.Parameter) parameter {
	plain := p.Schema != nil && p.Schema.Value.Type.Is(openapi3.TypeString) &&
		(p.In == openapi3.ParameterInPath || p.In == openapi3.ParameterInHeader)
	if plain {
		s := p.Schema.Value
		plain = s.Default == nil && len(s.Enum) == 0 && s.Not == nil && len(s.AllOf)+len(s.AnyOf)+len(s.OneOf) == 0
	}
	return parameter{p, http.CanonicalHeaderKey(p.Name), plain, &seen{seed: maphash.MakeSeed()}}
}

// check has kin-openapi check the parameter. A plain one skips the decoding of types and
// styles, which costs more than the check.
func (p parameter) check(ctx context.Context, r *http.Request, pathValues PathValues, input *openapi3filter.RequestValidationInput) error {
	if !p.plain {
		if err := openapi3filter.ValidateParameter(ctx, input, p.Parameter); err != nil {
			return violation(err)
		}
		return nil
	}
	value, found := pathValues.Lookup(p.Name)
	if p.In == openapi3.ParameterInHeader {
		var values []string
		if values, found = r.Header[p.canonical]; found {
			value = values[0]
		}
	}
	switch {
	case found:
		return p.checkValue(value)
	case p.Required:
		return &Violation{Member: p.Name, Rule: "is missing"}
	default:
		return nil
	}
}

func (p parameter) checkValue(value string) error {
	isPath := p.In == openapi3.ParameterInPath // ids in headers rarely come again
	if isPath && p.valid.has(value) {
		return nil
	}
	err := p.Schema.Value.VisitJSONString(value)
	if err == nil {
		if isPath {
			p.valid.add(value)
		}
		return nil
	}
	v := violation(err)
	v.Member = p.Name
	return v
}

// CheckJSON is CheckRequest for the text of a JSON body alone, and returns the body.
func (o *Operation) CheckJSON(text []byte) (*Body, error) {
	r := &http.Request{Header: http.Header{"Content-Type": {mediaTypeJSON}}, Body: NewBody(text)}
	if err := o.checkBody(r); err != nil {
		return nil, err
	}
	return r.Body.(*Body), nil
}

func (o *Operation) checkBody(r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if len(body.data) == 0 && !o.isForm {
		r.Body = body
		if o.bodyRequired {
			return &Violation{Member: "body", Rule: "is missing"}
		}
		return nil
	}
	if err := o.checkMediaType(r.Header); err != nil {
		return err
	}
	value, raws, err := o.decode(body)
	if err != nil {
		return err
	}
	if o.body.VisitJSON(value, openapi3.FailFast(), openapi3.VisitAsRequest(), openapi3.DefaultsSet(func() {})) != nil {
		return o.bodyViolation(value)
	}
	for _, raw := range raws {
		if member := o.body.Properties[raw.name].Value; isOutputSchema(member) {
			if err := checkOutputSchema(raw.name, member, raw.value); err != nil {
				return err
			}
		}
	}
	body.setChecked(value, raws)
	r.Body = body
	return nil
}

func (o *Operation) decode(body *Body) (value any, raws []rawMember, err error) {
	if o.isForm {
		value, err = decodeForm(string(body.data), o.body)
		return value, nil, err
	}
	if depth := maxDepth(o.body); depth > 0 { // the members are not decoded
		if at := deeper(body.data, depth); at >= 0 {
			return nil, nil, &Violation{Member: "body", Rule: fmt.Sprintf("must not nest objects and arrays more than %d levels deep (byte %d)", depth, at)}
		}
	}
	return o.decoders.decode(body.data, o.body, body.raws)
}

// bodyViolation describes what is wrong with a body that failed the fast check. kin-openapi
// checks the cross-field rule first; the violation of a single member says more, so it is
// reported instead if there is one.
func (o *Operation) bodyViolation(value any) error {
	if err := o.bodyProperty.VisitJSON(value, openapi3.VisitAsRequest()); err != nil {
		return violation(err)
	}
	return violation(o.body.VisitJSON(value, openapi3.VisitAsRequest()))
}

// answersPage reports whether a response may be a page, which kin-openapi cannot decode.
func (o *Operation) answersPage(status int) bool {
	response := o.route.Operation.Responses.Status(status)
	return response != nil && response.Value.Content["text/html"] != nil
}

// CheckResponse returns an error unless the document allows this response to r: its
// status, headers, media type and body. The error is a *Violation.
func (o *Operation) CheckResponse(ctx context.Context, r *http.Request, status int, header http.Header, body []byte) error {
	if o.route.Operation.Responses.Status(status) == nil && o.route.Operation.Responses.Default() == nil {
		return &Violation{Member: "status", Rule: "is not in the contract"}
	}
	options := *o.options
	options.ExcludeResponseBody = o.answersPage(status) && strings.HasPrefix(header.Get("Content-Type"), "text/html")
	err := openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: o.route, Options: &options},
		Status:                 status,
		Header:                 header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                &options,
	})
	if err == nil {
		return nil
	}
	return violation(err)
}
