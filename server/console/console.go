// Package console holds the pages that flowcallbackd serves to people: the console, where
// waiting flows are seen and called back, and the contract, browsable.
//
// They are files, embedded as they are written: no build step, and nothing loaded from
// elsewhere. They know the server only through its public API, and hold no data.
package console

import (
	"embed"
	"io/fs"
)

//go:embed static
var static embed.FS

//go:embed docs
var docs embed.FS

// Console returns the console's files; index.html is the page.
func Console() fs.FS { return sub(static, "static") }

// Docs returns the files of the contract's pages; index.html is the page.
func Docs() fs.FS { return sub(docs, "docs") }

func sub(files embed.FS, folder string) fs.FS {
	part, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // the name is ours and well-formed
	}
	return part
}
