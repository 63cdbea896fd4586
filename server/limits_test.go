package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi/edges"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// Over HTTP, every limit of the two documents is accepted, and one past it is refused with
// the name of the member.
func TestLimits(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	walked := 0
	for _, name := range []string{"callback.yaml", "waits.yaml"} {
		operations, err := edges.Operations(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range operations {
			for _, e := range o.Edges {
				walked++
				t.Run(fmt.Sprintf("%s %s %s", o.ID, e.Name, e.Claim), func(t *testing.T) { s.tryEdge(t, o, e) })
			}
		}
	}
	if walked < 60 {
		t.Errorf("only %d edges were walked; the documents have more", walked)
	}
}

// tryEdge sends a request that is valid except for the edge.
func (s *service) tryEdge(t *testing.T, o edges.Operation, e edges.Edge) {
	path, query, header, body := o.Path, url.Values{}, http.Header{}, maps.Clone(o.Body)
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
	for _, p := range o.Parameters {
		if p.Required && (p.In != e.In || p.Name != e.Name) {
			set(p.In, p.Name, p.Example)
		}
	}
	switch {
	case !e.Omit:
		set(e.In, e.Name, e.Value)
	case e.In == "body":
		delete(body, e.Name)
	}
	if e.Name == "wait_seconds" {
		// The longest poll would block the test, so there is an outcome to return.
		path = strings.ReplaceAll(path, "{wait_id}", "unknown")
		s.settleExample(t, o, t.Name())
	}
	text := ""
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(data)
	}
	if o.IsForm {
		form := url.Values{}
		for name, value := range body {
			form.Set(name, fmt.Sprint(value))
		}
		text = form.Encode()
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r := s.request(t, o.Method, path+"?"+query.Encode(), text)
	maps.Copy(r.Header, header)
	a := s.do(t, r)
	refused := a.status == http.StatusBadRequest && a.ErrorCode == callback.CodeInvalid
	if e.In == "query" && (e.Name == "cursor" || e.Name == "after") {
		refused = refused && !strings.Contains(a.ErrorMsg, "not from this server")
	}
	switch {
	case refused == e.Allowed:
		t.Errorf("%s %s %v: got %v, want allowed %t", o.ID, e.Name, e.Value, a, e.Allowed)
	case refused && !strings.Contains(a.ErrorMsg, e.Name+": ") && !strings.Contains(a.ErrorMsg, e.Name+"."):
		t.Errorf("%s %s %v: %v does not name the member", o.ID, e.Name, e.Value, a)
	}
}

// settleExample adds an outcome to the feed of the project in o's examples.
func (s *service) settleExample(t *testing.T, o edges.Operation, state string) {
	t.Helper()
	for _, p := range o.Parameters {
		if p.Name != "project_id" {
			continue
		}
		a := s.do(t, s.request(t, http.MethodPost, fmt.Sprintf("/v1/%s/waits", p.Example), fmt.Sprintf(`{"workflow_id":"w","run_id":"r","state_id":%q}`, state)))
		if a.status != http.StatusCreated {
			t.Fatalf("opening a wait: %v", a)
		}
		r := s.request(t, http.MethodPost, fmt.Sprintf("/v2/%s/fgs/workflows/w/callback", p.Example), success)
		r.Header.Set("X-Workflow-Run-Id", "r")
		r.Header.Set("X-Workflow-State-Id", state)
		if a := s.do(t, r); a.status != http.StatusOK {
			t.Fatalf("settling it: %v", a)
		}
	}
}
