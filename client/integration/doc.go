// Package integration has the tests of the client packages against the real server. They are
// in a package of their own because `go mod tidy` of a program that imports package client
// also downloads what the tests of that package import.
package integration
