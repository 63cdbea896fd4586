// Package contract checks HTTP requests and responses against the documents of package
// openapi, and describes a violation in one line. It is the only validator in this
// project: servers and clients share its verdicts and its wording.
//
// kin-openapi decides what the documents allow. The package adds checks that kin-openapi
// does not make and a strict reader needs (strict.go, decode.go). It does not
// authenticate, route or respond.
package contract

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/flowcallback/flowcallback/openapi"
)

// A Contract is one loaded document. It is safe for concurrent use.
type Contract struct {
	document   *openapi3.T
	operations map[string]*Operation // by operationId
}

// Callback loads callback.yaml, the published operation.
func Callback() (*Contract, error) { return load("callback.yaml") }

// Waits loads waits.yaml, the API of the side that waits.
func Waits() (*Contract, error) { return load("waits.yaml") }

// Operation returns the operation with the given operationId, nil if there is none.
func (c *Contract) Operation(id string) *Operation { return c.operations[id] }

// Operations returns all operations, in no particular order.
func (c *Contract) Operations() []*Operation { return slices.Collect(maps.Values(c.operations)) }

// Fits reports whether value is valid for the schema with the given name.
func (c *Contract) Fits(schema string, value any) bool {
	ref := c.document.Components.Schemas[schema]
	return ref != nil && ref.Value.VisitJSON(value) == nil
}

// Match returns the operation that r requests and its decoded path values, or nil if the
// document has no such operation. It ignores the document's servers: any host and any
// prefix of the path match.
//
// Of two paths that match, the one with fewer values counts, as in OpenAPI.
func (c *Contract) Match(r *http.Request) (found *Operation, values PathValues) {
	for _, o := range c.operations {
		if o.route.Method != r.Method {
			continue
		}
		matched, ok := matchPath(o.route.Path, r.URL.EscapedPath())
		if ok && (found == nil || len(matched.Values) < len(values.Values)) {
			found, values = o, matched
		}
	}
	return found, values
}

// An Operation is one operation of a Contract. It is safe for concurrent use.
type Operation struct {
	route        *routers.Route
	options      *openapi3filter.Options
	parameters   []parameter
	body         *openapi3.Schema
	bodyProperty *openapi3.Schema // body without its cross-field rule
	bodyRequired bool
	isForm       bool // the body is a form
	strictQuery  bool // refuse parameters that are not declared
	decoders     decoders
}

// ID returns the operationId.
func (o *Operation) ID() string { return o.route.Operation.OperationID }

// Action names what a caller of the operation must be allowed to do: x-action of the operation,
// or of its document.
func (o *Operation) Action() string {
	action, ok := o.route.Operation.Extensions["x-action"].(string)
	if !ok {
		action, _ = o.route.Spec.Extensions["x-action"].(string)
	}
	return action
}

// Examples returns the example of each parameter, by name.
func (o *Operation) Examples() map[string]string {
	examples := map[string]string{}
	for _, p := range o.parameters {
		examples[p.Name] = fmt.Sprint(p.Example)
	}
	return examples
}

// HasQuery reports whether the operation declares the query parameter.
func (o *Operation) HasQuery(name string) bool {
	return slices.ContainsFunc(o.parameters, func(p parameter) bool { return p.In == openapi3.ParameterInQuery && p.Name == name })
}

func load(name string) (*Contract, error) {
	files := map[string]string{"callback.yaml": openapi.Callback, "waits.yaml": openapi.Waits}
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, location *url.URL) ([]byte, error) {
		file, ok := files[location.Path]
		if !ok {
			return nil, fmt.Errorf("%s is not one of the project's documents", location)
		}
		return []byte(file), nil
	}
	document, err := loader.LoadFromURI(&url.URL{Path: name})
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", name, err)
	}
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, // the caller authenticates
	}
	c := &Contract{document: document, operations: map[string]*Operation{}}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			c.operations[operation.OperationID] = newOperation(document, path, item, method, operation, options)
		}
	}
	return c, nil
}

func newOperation(document *openapi3.T, path string, item *openapi3.PathItem, method string,
	operation *openapi3.Operation, options *openapi3filter.Options,
) *Operation {
	o := &Operation{
		route:   &routers.Route{Spec: document, Path: path, PathItem: item, Method: method, Operation: operation},
		options: options,
	}
	o.strictQuery, _ = document.Extensions["x-refuse-unknown-parameters"].(bool)
	for _, parameters := range []openapi3.Parameters{item.Parameters, operation.Parameters} {
		for _, p := range parameters {
			o.parameters = append(o.parameters, newParameter(p.Value))
		}
	}
	if operation.RequestBody != nil {
		media := operation.RequestBody.Value.Content[mediaTypeJSON]
		if media == nil {
			media = operation.RequestBody.Value.Content[mediaTypeForm]
			o.isForm = media != nil
		}
		if media != nil {
			o.body, o.bodyRequired = media.Schema.Value, operation.RequestBody.Value.Required
			properties := *o.body
			properties.Not = nil
			o.bodyProperty = &properties
			o.decoders.interned = internedStrings(o.body)
		}
	}
	return o
}

// matchPath compares an escaped path with a template, segment by segment, so that an
// escaped slash stays part of its value.
func matchPath(template, path string) (PathValues, bool) {
	wanted, got := strings.Split(template, "/")[1:], strings.Split(path, "/")
	if len(got) < len(wanted) {
		return PathValues{}, false
	}
	got = got[len(got)-len(wanted):]
	var values PathValues
	for i, segment := range wanted {
		name, isValue := strings.CutPrefix(segment, "{")
		if !isValue {
			if segment != got[i] {
				return PathValues{}, false
			}
			continue
		}
		value, err := url.PathUnescape(got[i])
		if err != nil {
			return PathValues{}, false
		}
		values.Names, values.Values = append(values.Names, strings.TrimSuffix(name, "}")), append(values.Values, value)
	}
	return values, true
}
