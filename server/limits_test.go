package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/flowcallback/flowcallback/openapi"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// Every limit of the two documents, walked from their YAML: the edge is accepted and one
// past it is refused by name, over HTTP. No number stands here.
func TestLimits(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	documents := map[string]node{"callback.yaml": parse(t, openapi.Callback), "waits.yaml": parse(t, openapi.Waits)}
	walked := 0
	for name, document := range documents {
		d := walker{documents: documents, name: name}
		for path, item := range document.at("paths") {
			for method, operation := range item.(node) {
				if method == "parameters" {
					continue
				}
				o := d.operation(path, method, item.(node), operation.(node))
				for _, e := range o.edges {
					walked++
					t.Run(fmt.Sprintf("%s %s %s", o.id, e.member, e.claim), func(t *testing.T) { o.try(t, s, e) })
				}
			}
		}
	}
	if walked < 60 {
		t.Errorf("only %d edges were walked; the documents have more", walked)
	}
}

// node is a mapping of a document.
type node map[string]any

func parse(t *testing.T, text string) (n node) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n node) at(keys ...string) node {
	for _, key := range keys {
		next, _ := n[key].(node)
		n = next
	}
	return n
}

// walker finds limits in one document, following references into the others.
type walker struct {
	documents map[string]node
	name      string
}

// resolve follows a reference, if n is one.
func (w walker) resolve(n node) (walker, node) {
	ref, ok := n["$ref"].(string)
	if !ok {
		return w, n
	}
	file, path, _ := strings.Cut(ref, "#/")
	if file != "" {
		w.name = file
	}
	return w.resolve(w.documents[w.name].at(strings.Split(path, "/")...))
}

// edge is one value of one member, and whether the contract allows it.
type edge struct {
	in, member, claim string
	value             any // nil: leave the member out
	allowed           bool
}

type operation struct {
	id, method, path string
	parameters       []edge // a valid value for each
	body             node   // a valid body
	edges            []edge
}

func (w walker) operation(path, method string, item, n node) *operation {
	o := &operation{id: n["operationId"].(string), method: strings.ToUpper(method), path: path}
	for _, list := range []any{item["parameters"], n["parameters"]} {
		parameters, _ := list.([]any)
		for _, p := range parameters {
			inside, parameter := w.resolve(p.(node))
			in, name := parameter["in"].(string), parameter["name"].(string)
			required, _ := parameter["required"].(bool)
			if required {
				o.parameters = append(o.parameters, edge{in: in, member: name, value: parameter["example"]})
			}
			_, schema := inside.resolve(parameter.at("schema"))
			if in != "path" { // a path without it is another path
				o.edges = append(o.edges, edge{in, name, "left out", nil, !required})
			}
			for _, e := range limits(schema) {
				if in == "path" && e.value == "" {
					continue
				}
				o.edges = append(o.edges, edge{in, name, e.claim, e.value, e.allowed})
			}
		}
	}
	if _, ok := n["requestBody"]; ok {
		inside, schema := w.resolve(n.at("requestBody", "content", "application/json", "schema"))
		o.body = schema.at("example")
		for name, p := range schema.at("properties") {
			_, property := inside.resolve(p.(node))
			required := strings.Contains(fmt.Sprint(schema["required"]), name)
			o.edges = append(o.edges, edge{"body", name, "left out", nil, !required})
			for _, e := range limits(property) {
				o.edges = append(o.edges, edge{"body", name, e.claim, e.value, e.allowed})
			}
		}
	}
	return o
}

// limits returns the edges of a schema. Strings are made of a letter that takes two bytes,
// so that whoever counts bytes is found out.
func limits(schema node) (edges []edge) {
	add := func(claim string, value any, allowed bool) {
		edges = append(edges, edge{claim: claim, value: value, allowed: allowed})
	}
	values, isEnum := schema["enum"].([]any)
	for _, value := range values {
		add(fmt.Sprintf("is %v", value), value, true)
		add(fmt.Sprintf("is %v and more", value), fmt.Sprint(value, "x"), false)
	}
	length := func(n int) string { return strings.Repeat("é", n) }
	if n, ok := schema["minLength"].(int); ok {
		if !isEnum {
			add("has its least length", length(n), schema["pattern"] == nil || n > 0)
		}
		add("is one too short", length(n-1), false)
	}
	if n, ok := schema["maxLength"].(int); ok {
		if !isEnum {
			add("has its greatest length", length(n), true)
		}
		add("is one too long", length(n+1), false)
	}
	if n, ok := schema["minimum"].(int); ok {
		add("is at its minimum", n, true)
		add("is below its minimum", n-1, false)
		add("is no integer", "x", false)
	}
	if n, ok := schema["maximum"].(int); ok {
		add("is at its maximum", n, true)
		add("is above its maximum", n+1, false)
	}
	if schema["type"] == "object" {
		add("is an object", node{}, true)
		add("is an array", []any{}, false)
	}
	return edges
}

// try sends a request that is valid but for the edge.
func (o *operation) try(t *testing.T, s *service, e edge) {
	path, query, header, body := o.path, url.Values{}, http.Header{}, maps.Clone(o.body)
	set := func(in, name string, value any) {
		switch in {
		case "path":
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(fmt.Sprint(value)))
		case "query":
			query.Set(name, fmt.Sprint(value))
		case "header":
			header.Set(name, fmt.Sprint(value))
		case "body":
			body[name] = value
		}
	}
	for _, p := range o.parameters {
		if p.in != e.in || p.member != e.member {
			set(p.in, p.member, p.value)
		}
	}
	switch {
	case e.value != nil:
		set(e.in, e.member, e.value)
	case e.in == "body":
		delete(body, e.member)
	}
	if e.member == "wait_seconds" {
		// The longest poll would hold the test up, so there is something to answer at once.
		path = strings.ReplaceAll(path, "{wait_id}", "unknown")
		s.callbackIn(t, o, t.Name())
	}
	text := ""
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(data)
	}
	r := s.request(t, o.method, path+"?"+query.Encode(), text)
	maps.Copy(r.Header, header)
	a := s.do(t, r)
	refused := a.status == 400 && a.ErrorCode == "FGS.3002"
	if e.in == "query" && e.member == "cursor" || e.member == "after" {
		refused = refused && !strings.Contains(a.ErrorMsg, "not one of this server")
	}
	switch {
	case refused == e.allowed:
		t.Errorf("%s %s %v: got %v, want allowed %t", o.id, e.member, e.value, a, e.allowed)
	case refused && !strings.Contains(a.ErrorMsg, e.member+": "):
		t.Errorf("%s %s %v: %v does not name the member", o.id, e.member, e.value, a)
	}
}

// callbackIn puts an outcome into the feed that o's example request reads.
func (s *service) callbackIn(t *testing.T, o *operation, state string) {
	t.Helper()
	for _, p := range o.parameters {
		if p.member != "project_id" {
			continue
		}
		base := "/%s/" + fmt.Sprint(p.value)
		a := s.do(t, s.request(t, http.MethodPost, fmt.Sprintf(base, "v1")+"/waits", fmt.Sprintf(`{"workflow_id":"w","run_id":"r","state_id":%q}`, state)))
		if a.status != http.StatusCreated {
			t.Fatalf("opening a wait: %v", a)
		}
		r := s.request(t, http.MethodPost, fmt.Sprintf(base, "v2")+"/fgs/workflows/w/callback", success)
		r.Header.Set("X-Workflow-Run-Id", "r")
		r.Header.Set("X-Workflow-State-Id", state)
		if a := s.do(t, r); a.status != http.StatusOK {
			t.Fatalf("settling it: %v", a)
		}
	}
}
