package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/flowcallback/flowcallback/openapi"
)

// node is a mapping of the document.
type node map[string]any

func (n node) at(keys ...string) node {
	for _, key := range keys {
		next, _ := n[key].(node)
		n = next
	}
	return n
}

// walk is the document while cases are made of it.
type walk struct {
	document   node
	method     string
	path       string
	parameters []node
	body       node // its schema
	cases      []Case
}

// Cases returns the cases that the contract makes, in the order of their groups.
func Cases() ([]Case, error) {
	w := &walk{}
	if err := yaml.Unmarshal([]byte(openapi.Callback), &w.document); err != nil {
		return nil, err
	}
	for path, item := range w.document.at("paths") {
		for method, operation := range item.(node) {
			n, ok := operation.(node)
			if !ok { // parameters of all methods
				continue
			}
			w.method, w.path = strings.ToUpper(method), path
			for _, list := range []any{item.(node)["parameters"], n["parameters"]} {
				parameters, _ := list.([]any)
				for _, p := range parameters {
					w.parameters = append(w.parameters, w.resolve(p.(node)))
				}
			}
			w.body = w.resolve(n.at("requestBody", "content", "application/json", "schema"))
		}
	}
	if w.body == nil || len(w.parameters) == 0 {
		return nil, fmt.Errorf("callback.yaml: %w", errContract)
	}
	w.parameterCases()
	w.memberCases()
	w.bodyCases()
	w.headerCases()
	return w.cases, nil
}

// resolve follows a reference, if n is one.
func (w *walk) resolve(n node) node {
	ref, ok := n["$ref"].(string)
	if !ok {
		return n
	}
	return w.resolve(w.document.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...))
}

// good is a request that is allowed, for a state that nobody waits for.
func (w *walk) good() (request, map[string]any) {
	r := request{method: w.method, path: w.path, header: http.Header{"Content-Type": {"application/json"}}}
	for _, p := range w.parameters {
		value := fmt.Sprint(p["example"])
		if p["in"] == "header" {
			value = unknown()
		}
		r.set(p, value)
	}
	return r, maps.Clone(w.body.at("example"))
}

func (r *request) set(parameter node, value string) {
	name := parameter["name"].(string)
	if parameter["in"] == "path" {
		r.path = strings.ReplaceAll(r.path, "{"+name+"}", url.PathEscape(value))
		return
	}
	r.header.Set(name, value)
}

// add makes a case of the good request, changed.
func (w *walk) add(group, name string, allowed bool, change func(r *request, body map[string]any)) {
	r, body := w.good()
	change(&r, body)
	if r.body == "" && body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			panic(err) // it came from a document
		}
		r.body = string(text)
	}
	w.cases = append(w.cases, Case{Group: group, Name: name, Allowed: allowed, request: r})
}

// edge is one value, and whether a schema allows it.
type edge struct {
	claim   string
	value   any
	allowed bool
}

// edges are the limits of a schema, and one past each. Texts are made of a letter of two
// bytes, so that whoever counts bytes is found out.
func edges(schema node) (found []edge) {
	add := func(claim string, value any, allowed bool) { found = append(found, edge{claim, value, allowed}) }
	values, isEnum := schema["enum"].([]any)
	for _, value := range values {
		add(fmt.Sprintf("is %v", value), value, true)
		add(fmt.Sprintf("is %v and more", value), fmt.Sprint(value, "x"), false)
		add(fmt.Sprintf("is %v in capitals", value), strings.ToUpper(fmt.Sprint(value)), false)
	}
	length := func(n int) string { return strings.Repeat("é", n) }
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
	if schema["type"] == "object" {
		add("is an empty object", node{}, true)
		add("is an array", []any{}, false)
		add("is a text", "{}", false)
		add("is a number", 1, false)
	}
	if schema["type"] == "string" {
		add("is a number", 1, false)
		add("is null", nil, false)
	}
	return found
}

func (w *walk) parameterCases() {
	for _, p := range w.parameters {
		group, name := fmt.Sprint(p["in"]), p["name"].(string)
		if p["in"] == "header" && p["required"] == true {
			w.add(group, name+" is left out", false, func(r *request, _ map[string]any) { r.header.Del(name) })
			w.add(group, name+" is named twice", false, func(r *request, _ map[string]any) { r.header.Add(name, "another") })
		}
		for _, e := range edges(w.resolve(p.at("schema"))) {
			value, isText := e.value.(string)
			if !isText || value == "" && p["in"] == "path" { // which would be another path
				continue
			}
			w.add(group, name+" "+e.claim, e.allowed, func(r *request, _ map[string]any) {
				if p["in"] == "path" {
					r.path = strings.ReplaceAll(w.path, "{"+name+"}", url.PathEscape(value))
					for _, other := range w.parameters {
						r.set(other, fmt.Sprint(other["example"]))
					}
					for _, other := range w.parameters {
						if other["in"] == "header" {
							r.set(other, unknown())
						}
					}
					return
				}
				r.set(p, value)
			})
		}
	}
}

func (w *walk) memberCases() {
	properties := w.body.at("properties")
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		required := strings.Contains(fmt.Sprint(w.body["required"]), name)
		w.add("body", name+" is left out", !required, func(_ *request, body map[string]any) { delete(body, name) })
		w.add("body", name+" is in capitals", false, func(_ *request, body map[string]any) {
			body[strings.ToUpper(name)] = body[name]
			delete(body, name)
		})
		for _, e := range edges(w.resolve(properties.at(name))) {
			w.add("body", name+" "+e.claim, e.allowed, func(_ *request, body map[string]any) { body[name] = e.value })
		}
	}
}

// bodyCases are about the document that a body is (the contract's description).
func (w *walk) bodyCases() {
	raw := func(name string, allowed bool, body string) {
		w.add("document", name, allowed, func(r *request, _ map[string]any) { r.body = body })
	}
	const good = `{"result":"success","output":{"a":1}}`
	raw("ends with a line end, as official SDKs send it", true, good+"\n")
	raw("has white space around", true, " \r\n\t"+good+" ")
	raw("has members that are not declared", true, `{"result":"success","output":{},"more":[1]}`)
	raw("has numbers beyond any machine's", true, `{"result":"success","output":{"n":123456789012345678901234567890.5,"e":1e400}}`)
	raw("is a bare failure, as official SDKs send it", true, `{"result":"fail","output":null}`)
	raw("is a success without an output", false, `{"result":"success","output":null}`)
	raw("is no JSON", false, `result=success`)
	raw("is cut off", false, good[:len(good)-1])
	raw("is two documents", false, good+good)
	raw("is an array", false, `[`+good+`]`)
	raw("is null", false, `null`)
	raw("is a text", false, `"success"`)
	raw("begins with a byte order mark", false, "\ufeff"+good)
	raw("is not UTF-8", false, `{"result":"fail","error":"`+"\xff"+`","output":{}}`)
	raw("has a lone surrogate", false, `{"result":"fail","error":"\ud800","output":{}}`)
	raw("names a member twice", false, `{"result":"fail","result":"success","output":{}}`)
	raw("names a member twice within output", false, `{"result":"success","output":{"a":1,"a":2}}`)
	w.add("document", "is missing", false, func(r *request, body map[string]any) {
		clear(body)
		r.body = " "
	})
}

// headerCases are about how a request is sent. With which status some are refused, the
// contract leaves open.
func (w *walk) headerCases() {
	open := func(name string, change func(r *request)) {
		w.add("request", name, false, func(r *request, _ map[string]any) {
			r.anyRefusal = true
			change(r)
		})
	}
	w.add("request", "Content-Type names the charset", true, func(r *request, _ map[string]any) {
		r.header.Set("Content-Type", "application/json; charset=utf-8")
	})
	open("Content-Type is another", func(r *request) { r.header.Set("Content-Type", "text/plain") })
	open("Content-Type is left out", func(r *request) { r.header.Del("Content-Type") })
	open("Content-Type has another charset", func(r *request) { r.header.Set("Content-Type", "application/json; charset=iso-8859-1") })
	open("the body claims to be compressed", func(r *request) { r.header.Set("Content-Encoding", "gzip") })
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		open("the method is "+method, func(r *request) { r.method = method })
	}
	open("the path has another segment", func(r *request) { r.path += "/more" })
}
