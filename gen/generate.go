// Package gen holds what oapi-codegen makes of the two documents in openapi: for each,
// its models, its echo strict server and its client, in packages of their own so that
// whoever imports one links nothing of the others. Nothing below this folder is written
// by hand but this file and the generator's settings; `make generate` rewrites the rest.
package gen

//go:generate go tool oapi-codegen -config callback/oapi-codegen.yaml ../openapi/callback.yaml
//go:generate go tool oapi-codegen -config callbackserver/oapi-codegen.yaml ../openapi/callback.yaml
//go:generate go tool oapi-codegen -config callbackclient/oapi-codegen.yaml ../openapi/callback.yaml
//go:generate go tool oapi-codegen -config waits/oapi-codegen.yaml ../openapi/waits.yaml
//go:generate go tool oapi-codegen -config waitsserver/oapi-codegen.yaml ../openapi/waits.yaml
//go:generate go tool oapi-codegen -config waitsclient/oapi-codegen.yaml ../openapi/waits.yaml
