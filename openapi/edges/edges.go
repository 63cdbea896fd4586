// Package edges walks the limits of the documents of package openapi. For each parameter and
// each member of a body it lists the values at the limits of its schema, and one past each.
// Tests and conformance checks send them, so that no limit is repeated in Go.
//
// It reads the documents itself, without openapi/contract, so that a mistake there cannot
// hide in what is sent.
package edges

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/flowcallback/flowcallback/openapi"
)

// An Edge is one value of one parameter or member.
type Edge struct {
	In, Name string // In: path, query, header or body
	Claim    string // what the value is, such as "has its greatest length"
	Value    any    // nil together with Omit, or for null
	Omit     bool   // leave the parameter or member out
	Allowed  bool   // by the contract
}

// A Parameter is a parameter of an operation.
type Parameter struct {
	In, Name string
	Required bool
	Example  any
}

// An Operation is one operation of a document.
type Operation struct {
	ID, Method string
	Path       string // with parameters in braces
	Parameters []Parameter
	Body       map[string]any // an example, nil if the operation has no body
	IsForm     bool           // the body is a form, not JSON
	Depth      int            // how deep the members of the body may nest; 0 if it is not limited
	Edges      []Edge
}

// Operations returns the operations of a document, callback.yaml or waits.yaml, sorted by
// path and method.
func Operations(name string) ([]Operation, error) {
	d := document{name: name, files: map[string]node{}}
	for file, text := range map[string]string{"callback.yaml": openapi.Callback, "waits.yaml": openapi.Waits} {
		var n node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		d.files[file] = n
	}
	var operations []Operation
	paths := d.files[name].at("paths")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths.at(path)
		for _, method := range slices.Sorted(maps.Keys(item)) {
			if method == "parameters" {
				continue
			}
			operations = append(operations, d.operation(path, method, item))
		}
	}
	return operations, nil
}

// node is a mapping of a document.
type node map[string]any

func (n node) at(keys ...string) node {
	for _, key := range keys {
		next, _ := n[key].(node)
		n = next
	}
	return n
}

// document is a document, with the files that it refers to.
type document struct {
	files map[string]node
	name  string
}

// resolve follows references. It returns the document that has the result.
func (d document) resolve(n node) (document, node) {
	ref, ok := n["$ref"].(string)
	if !ok {
		return d, n
	}
	file, path, _ := strings.Cut(ref, "#/")
	if file != "" {
		d.name = file
	}
	return d.resolve(d.files[d.name].at(strings.Split(path, "/")...))
}

func (d document) operation(path, method string, item node) Operation {
	n := item.at(method)
	o := Operation{ID: fmt.Sprint(n["operationId"]), Method: strings.ToUpper(method), Path: path}
	for _, list := range []any{item["parameters"], n["parameters"]} {
		parameters, _ := list.([]any)
		for _, p := range parameters {
			o.addParameter(d.resolve(p.(node)))
		}
	}
	inside, content := d.resolve(n.at("requestBody"))
	body := content.at("content", "application/json", "schema")
	if body == nil {
		body = content.at("content", "application/x-www-form-urlencoded", "schema")
		o.IsForm = body != nil
	}
	if body == nil {
		return o
	}
	inside, schema := inside.resolve(body)
	o.Body = schema.at("example")
	required, _ := schema["required"].([]any)
	properties := schema.at("properties")
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		o.Edges = append(o.Edges, Edge{In: "body", Name: name, Claim: "is left out", Omit: true, Allowed: !slices.Contains(required, any(name))})
		_, property := inside.resolve(properties.at(name))
		if depth, ok := property["x-max-depth"].(int); ok {
			o.Depth = depth
		}
		for _, e := range values(property) {
			if o.IsForm && isJSONOnly(e.Value, property) {
				continue
			}
			e.In, e.Name = "body", name
			o.Edges = append(o.Edges, e)
		}
	}
	return o
}

func (o *Operation) addParameter(inside document, n node) {
	p := Parameter{In: fmt.Sprint(n["in"]), Name: fmt.Sprint(n["name"]), Required: n["required"] == true, Example: n["example"]}
	o.Parameters = append(o.Parameters, p)
	if p.In != "path" { // without the value it would be another path
		o.Edges = append(o.Edges, Edge{In: p.In, Name: p.Name, Claim: "is left out", Omit: true, Allowed: !p.Required})
	}
	_, schema := inside.resolve(n.at("schema"))
	for _, e := range values(schema) {
		if isJSONOnly(e.Value, schema) || p.In == "path" && e.Value == "" {
			continue
		}
		e.In, e.Name = p.In, p.Name
		o.Edges = append(o.Edges, e)
	}
}

// isJSONOnly reports whether a value can only be sent in a body: outside of JSON, every
// value is a string.
func isJSONOnly(value any, schema node) bool {
	switch value.(type) {
	case string:
		return false
	case int:
		return schema["type"] != "integer"
	default:
		return true
	}
}

// values returns the edges of a schema. Strings without a pattern consist of a character of four bytes in UTF-8 and two
// units in UTF-16, to find implementations that count those.
func values(schema node) (edges []Edge) {
	add := func(claim string, value any, allowed bool) {
		edges = append(edges, Edge{Claim: claim, Value: value, Allowed: allowed})
	}
	enum, isEnum := schema["enum"].([]any)
	for _, value := range enum {
		add(fmt.Sprintf("is %v", value), value, true)
		add(fmt.Sprintf("is %v and more", value), fmt.Sprint(value, "x"), false)
		add(fmt.Sprintf("is %v in capitals", value), strings.ToUpper(fmt.Sprint(value)), false)
	}
	letter := "😀"
	if schema["pattern"] != nil { // which may allow only ASCII
		letter = "x"
	}
	length := func(n int) string { return strings.Repeat(letter, n) }
	if n, ok := schema["minLength"].(int); ok && !isEnum {
		add("has its least length", length(n), true)
		if n > 0 {
			add("is one too short", length(n-1), false)
		}
	}
	if n, ok := schema["maxLength"].(int); ok && !isEnum {
		add("has its greatest length", length(n), true)
		add("is one too long", length(n+1), false)
	}
	if n, ok := schema["minimum"].(int); ok {
		add("is at its minimum", n, true)
		add("is below its minimum", n-1, false)
		add("is not a number", "x", false)
	}
	if n, ok := schema["maximum"].(int); ok {
		add("is at its maximum", n, true)
		add("is above its maximum", n+1, false)
	}
	items := func(n int) (values []any) {
		for i := range n {
			values = append(values, fmt.Sprint(i))
		}
		return values
	}
	if n, ok := schema["maxItems"].(int); ok { // of strings
		add("has its greatest number of items", items(n), true)
		add("has one item too many", items(n+1), false)
	}
	if schema["uniqueItems"] == true {
		add("has an item twice", []any{"0", "0"}, false)
	}
	switch schema["type"] {
	case "object":
		add("is an empty object", node{}, schema["required"] == nil)
		add("is an array", []any{}, false)
		add("is a string", "{}", false)
		add("is a number", 1, false)
	case "string":
		add("is a number", 1, false)
		add("is null", nil, false)
	}
	return edges
}
