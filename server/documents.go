package server

import (
	"net/http"

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
		router.GET(path, kept("", []byte(document.text), func(header http.Header) {
			header.Set("Access-Control-Allow-Origin", "*")
			header.Set("Access-Control-Expose-Headers", "ETag")
			header.Set("Content-Type", document.mediaType)
		}))
	}
}
