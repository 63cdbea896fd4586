// Package console has the pages that flowcallbackd serves to people: the console, where
// they see and settle waits, the browsable contract, and a home page that links both.
//
// The files are embedded as they are. There is no build step, and the pages load nothing
// from other hosts. They use only the server's public API, and contain no data.
package console

import (
	"embed"
	"io/fs"
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
)

// LinkPages returns the templates (html/template) of the pages of links.
func LinkPages() string { return links }

// Home returns the home page.
func Home() []byte { return home }

// Console returns the files of the console. Its page is index.html.
func Console() fs.FS { return sub(static, "static") }

// Docs returns the files of the browsable contract. Its page is index.html.
func Docs() fs.FS { return sub(docs, "docs") }

func sub(files embed.FS, folder string) fs.FS {
	part, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return part
}
