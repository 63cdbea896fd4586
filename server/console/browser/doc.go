// Package browser tests the pages for people in a real browser, Debian's Chromium, without a
// window. It is a module of its own, so that nobody who imports the project downloads what
// only these tests need. "make browser-test" runs it.
package browser
