package server

import (
	"io/fs"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/server/console"
)

// What pages may do: load what is beside them, and call this server; nothing else. Swagger
// UI, in the contract's pages, shows images that it carries in itself, and has one style in
// an element, named by its hash.
const (
	consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	docsPolicy    = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-hashes' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

// servePages routes the pages for people. They hold no data, so everyone may load them; what
// they show comes through the API, with the credentials that it wants.
func servePages(router *echo.Echo) {
	pages := func(path string, files fs.FS, policy string) {
		handler := http.StripPrefix(path, http.FileServerFS(files))
		serve := func(c echo.Context) error {
			c.Response().Header().Set("Content-Security-Policy", policy)
			if strings.HasSuffix(c.Request().URL.Path, "/index.html") {
				return echo.ErrNotFound // the file server would redirect
			}
			if name := strings.TrimPrefix(c.Request().URL.Path, path+"/"); name != "" {
				if info, err := fs.Stat(files, name); err != nil || info.IsDir() {
					return echo.ErrNotFound
				}
			}
			handler.ServeHTTP(c.Response(), c.Request())
			return nil
		}
		router.Match(readable, path+"/*", serve)
		router.Match(readable, path, func(c echo.Context) error { return c.Redirect(http.StatusFound, path+"/") })
	}
	pages("/console", console.Console(), consolePolicy)
	pages("/docs", console.Docs(), docsPolicy)
}
