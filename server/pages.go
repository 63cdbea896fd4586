package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/server/console"
)

// Pages may load the files of this server and call it, and nothing else. Swagger UI also shows
// images that are embedded in it, and sets one style attribute, which the policy allows by its
// hash.
const (
	consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	linkPolicy    = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	docsPolicy    = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-hashes' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

// servePages routes the pages for people. They need no credentials, and load data through the API.
func servePages(router *echo.Echo, decide Authorize) error {
	router.Any("/", home)
	router.GET("/console", func(c echo.Context) error { return c.Redirect(http.StatusFound, "console/") })
	router.GET("/console/*", consolePage(decide))
	if err := serveFiles(router, "/static/", console.Static(), consolePolicy); err != nil {
		return err
	}
	router.GET("/docs", func(c echo.Context) error { return c.Redirect(http.StatusFound, "docs/") })
	router.GET("/docs/", func(c echo.Context) error {
		setPageHeaders(c.Response().Header(), docsPolicy)
		return c.HTMLBlob(http.StatusOK, console.Contract(console.Frame{Root: "../", SignIn: needsSignIn(c, decide)}))
	})
	return serveFiles(router, "/docs/", console.Docs(), docsPolicy)
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

// consolePage serves the page of the console at /console/, /console/{project} and
// /console/{project}/{wait_id}. The page itself reads its address.
func consolePage(decide Authorize) echo.HandlerFunc {
	return func(c echo.Context) error {
		_, below, _ := strings.Cut(c.Request().URL.EscapedPath(), "/console/")
		depth := 1 + strings.Count(below, "/")
		if depth > 2 {
			return echo.ErrNotFound
		}
		setPageHeaders(c.Response().Header(), consolePolicy)
		return c.HTMLBlob(http.StatusOK, console.Console(console.Frame{Root: strings.Repeat("../", depth), SignIn: needsSignIn(c, decide)}))
	}
}

// needsSignIn reports whether whoever requests a page has to show credentials that the request for
// the page itself does not have.
func needsSignIn(c echo.Context, decide Authorize) bool {
	_, err := decide(c.Request().Context(), Call{
		Request: asSent(c.Request()), Address: requestIn(c).client, Action: ActionAsk,
		Body: func() ([]byte, error) { return nil, nil },
	})
	return errors.Is(err, ErrUnauthenticated)
}

// kept serves a content with an ETag (RFC 9110, section 8.8.3): clients keep it, and ask whether it has changed.
// The name tells the media type, unless setHeaders does.
func kept(name string, content []byte, setHeaders func(http.Header)) echo.HandlerFunc {
	digest := sha256.Sum256(content)
	tag := `"` + base64.RawURLEncoding.EncodeToString(digest[:12]) + `"`
	return func(c echo.Context) error {
		header := c.Response().Header()
		setHeaders(header)
		header.Set("Cache-Control", "no-cache")
		header.Set("Etag", tag)
		http.ServeContent(c.Response(), c.Request(), name, time.Time{}, bytes.NewReader(content))
		return nil
	}
}

// serveFiles routes the files of a folder, apart from pages and types, below path.
func serveFiles(router *echo.Echo, path string, files fs.FS, policy string) error {
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(name, ".html") || strings.HasSuffix(name, ".d.ts") {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		router.GET(path+(&url.URL{Path: name}).EscapedPath(), kept(name, content, func(header http.Header) { setPageHeaders(header, policy) }))
		return nil
	})
}
