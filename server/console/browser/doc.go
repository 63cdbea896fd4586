// Package browser tests the console and the API documentation page in headless Chromium. It is
// a separate module, so that importing the project does not download the dependencies of these
// tests. "make browser-test" runs it.
package browser
