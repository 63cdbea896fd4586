package server

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/openapi"
)

// serveDocuments routes the contract, in the forms that stand alone. Every page may read it, also one of another
// host: it is public, and tools in browsers need it.
func serveDocuments(router *echo.Echo) {
	for path, document := range map[string]struct{ mediaType, text string }{
		"/openapi/callback.yaml": {"application/yaml", openapi.Callback},
		"/openapi/callback.json": {echo.MIMEApplicationJSON, openapi.CallbackJSON},
		"/openapi/waits.yaml":    {"application/yaml", openapi.WaitsAlone},
		"/openapi/waits.json":    {echo.MIMEApplicationJSON, openapi.WaitsJSON},
	} {
		tag := entityTag([]byte(document.text))
		router.GET(path, func(c echo.Context) error {
			header := c.Response().Header()
			header.Set("Access-Control-Allow-Origin", "*")
			header.Set("Cache-Control", "no-cache")
			header.Set("Content-Type", document.mediaType)
			header.Set("Etag", tag)
			http.ServeContent(c.Response(), c.Request(), "", time.Time{}, strings.NewReader(document.text))
			return nil
		})
	}
}
