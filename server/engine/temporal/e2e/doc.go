// Package e2e tests the Temporal engine against a real Temporal: the development server of
// the temporal command, as a process that can be killed. It is a module of its own, so that
// nobody who imports the project downloads what only these tests need. "make e2e" runs it.
package e2e
