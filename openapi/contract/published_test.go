package contract

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi"
)

// The published forms stand alone, are valid, and have the operations of the documents.
func TestPublishedForms(t *testing.T) {
	published, err := Callback()
	if err != nil {
		t.Fatal(err)
	}
	own, err := Waits()
	if err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]struct {
		text string
		of   *Contract
	}{"callback.json": {openapi.CallbackJSON, published}, "waits.yaml": {openapi.WaitsAlone, own}, "waits.json": {openapi.WaitsJSON, own}} {
		loader := openapi3.NewLoader() // follows no reference to another file
		document, err := loader.LoadFromData([]byte(form.text))
		if err == nil {
			err = document.Validate(t.Context())
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got, want []string
		for path, item := range document.Paths.Map() {
			for method := range item.Operations() {
				got = append(got, method+" "+path)
			}
		}
		for _, o := range form.of.Operations() {
			want = append(want, o.route.Method+" "+o.route.Path)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s has the operations %v, want %v", name, got, want)
		}
	}
}

// The table of error codes in README is that of the document.
func TestTableOfErrorCodes(t *testing.T) {
	published, err := Callback()
	if err != nil {
		t.Fatal(err)
	}
	codes, err := published.ErrorCodes()
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, code := range published.document.Components.Schemas["ErrorCode"].Value.Enum {
		c := codes[callback.ErrorCode(fmt.Sprint(code))]
		fmt.Fprintf(&want, "| %d | `%s` | %s |\n", c.Status, code, c.Message)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), want.String()) {
		t.Errorf("openapi/README.md has another table of error codes; want\n%s", &want)
	}
}
