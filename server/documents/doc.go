// Package documents has the test that runs the console blocks of the project's documents, and
// compares what they print.
package documents
