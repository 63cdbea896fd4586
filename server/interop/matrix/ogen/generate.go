// Package main tries the clients that ogen generates from the contract. Their packages, callback and waits, are made
// by `go generate` and not kept.
package main

//go:generate go tool ogen --loglevel error --target callback --package callback --clean ../../../../openapi/published/callback.json
//go:generate go tool ogen --loglevel error --target waits --package waits --clean ../../../../openapi/published/waits.json
