// Package openapi has the two contracts of this project as the bytes of their files. It
// does not interpret them; package openapi/contract does.
package openapi

import _ "embed"

// Callback is callback.yaml: the published operation "Calling back a flow".
//
//go:embed callback.yaml
var Callback string

// Waits is waits.yaml: this project's API for the side that waits. It refers to
// callback.yaml by that name.
//
//go:embed waits.yaml
var Waits string

// The forms that stand alone, made by `make generate`.
var (
	// CallbackJSON is callback.yaml as JSON.
	//
	//go:embed published/callback.json
	CallbackJSON string
	// WaitsAlone is waits.yaml with what it refers to in callback.yaml.
	//
	//go:embed published/waits.yaml
	WaitsAlone string
	// WaitsJSON is WaitsAlone as JSON.
	//
	//go:embed published/waits.json
	WaitsJSON string
)
