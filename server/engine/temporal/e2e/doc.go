// Package e2e tests the Temporal engine against the development server of the temporal command,
// a process that tests can kill. It is a separate module, so that importing the project does not
// download the dependencies of these tests. "make e2e" runs it.
package e2e
