// Package gen has the code that oapi-codegen generates from the two documents in openapi:
// for each document its models, its echo strict server and its client. Each is a package
// of its own, so that importing one links nothing of the others.
//
// Only this file, the settings (oapi-codegen.yaml) and the templates are written by hand.
// `make generate` writes the rest. The templates differ from the generator's own in three
// ways: each package has a doc comment that says what it is, a schema with
// x-go-type-distinct becomes a type of its own instead of an alias, and one with
// x-go-max-length, x-go-maximum or x-go-max-items gets a constant for that limit.
package gen

//go:generate go -C ../openapi run ../server/cmd/publish
//go:generate go tool oapi-codegen -config callback/oapi-codegen.yaml ../openapi/callback.yaml
//go:generate go tool oapi-codegen -config callbackserver/oapi-codegen.yaml ../openapi/callback.yaml
//go:generate go tool oapi-codegen -config callbackclient/oapi-codegen.yaml ../openapi/callback.yaml
//go:generate go tool oapi-codegen -config waits/oapi-codegen.yaml ../openapi/waits.yaml
//go:generate go tool oapi-codegen -config waitsserver/oapi-codegen.yaml ../openapi/waits.yaml
//go:generate go tool oapi-codegen -config waitsclient/oapi-codegen.yaml ../openapi/waits.yaml
