package server

import (
	"io/fs"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/server/console"
)

// Pages may load the files beside them and call this server, and nothing else. Swagger UI
// also shows images that are embedded in it, and sets one style attribute, which the policy
// allows by its hash.
const (
	consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	linkPolicy    = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	docsPolicy    = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-hashes' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

// servePages routes the pages for people. They are the same for everyone and need no
// credentials; they load data through the API.
func servePages(router *echo.Echo) {
	router.Any("/", home)
	serveFiles(router, "/console", console.Console(), consolePolicy)
	serveFiles(router, "/docs", console.Docs(), docsPolicy)
}

// home answers browsers with a page that links the others. Programs get the error body, as
// for any path without an operation.
func home(c echo.Context) error {
	r := c.Request()
	if r.Method != http.MethodGet || !strings.Contains(r.Header.Get("Accept"), echo.MIMETextHTML) {
		return echo.ErrNotFound
	}
	setPageHeaders(c.Response().Header(), consolePolicy)
	return c.HTMLBlob(http.StatusOK, console.Home())
}

// serveFiles routes the files of a page below path.
func serveFiles(router *echo.Echo, path string, files fs.FS, policy string) {
	handler := http.StripPrefix(path, http.FileServerFS(files))
	router.GET(path+"/*", func(c echo.Context) error {
		setPageHeaders(c.Response().Header(), policy)
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
	})
	router.GET(path, func(c echo.Context) error { return c.Redirect(http.StatusFound, path+"/") })
}
