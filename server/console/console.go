// Package console has the pages that flowcallbackd serves to people: the console, where
// they see and decide waits, the browsable contract, the pages of links, and a home page.
//
// There is no build step: the files are embedded as they are, apart from the templates of pages. Pages load
// nothing from other hosts. The console uses only the server's public API.
package console

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"path"
)

var (
	//go:embed static
	static embed.FS
	//go:embed docs
	docs embed.FS
	//go:embed home.html
	home []byte
	//go:embed links.html
	links string
	//go:embed index.html
	index string
)

var (
	indexPage = template.Must(template.New("console").Parse(index))
	docsPage  = template.Must(template.ParseFS(docs, "docs/index.html"))
)

// modules are the scripts of the console, which its page names so that browsers load them at once and not
// one import after another.
var modules = scripts()

func scripts() (names []string) {
	err := fs.WalkDir(Static(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && path.Ext(name) == ".js" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return names
}

// A Frame is what the pages of the console and of the contract need to know of the server.
type Frame struct {
	Root   string // the way from the page to the server's root, such as "../"
	SignIn bool   // the server wants credentials
}

// Console returns the page of the console.
func Console(f Frame) []byte { return page(indexPage, f, modules) }

// Contract returns the page of the browsable contract.
func Contract(f Frame) []byte { return page(docsPage, f, nil) }

func page(t *template.Template, f Frame, modules []string) []byte {
	var text bytes.Buffer
	if err := t.Execute(&text, struct {
		Frame

		Modules []string
	}{f, modules}); err != nil {
		panic(err) // the templates use these fields only
	}
	return text.Bytes()
}

// LinkPages returns the templates (html/template) of the pages of links.
func LinkPages() string { return links }

// Home returns the home page.
func Home() []byte { return home }

// Static returns the files that all pages load.
func Static() fs.FS { return sub(static, "static") }

// Docs returns the files of the browsable contract.
func Docs() fs.FS { return sub(docs, "docs") }

func sub(files embed.FS, folder string) fs.FS {
	part, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return part
}
