package integration

import (
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/flowcallback/flowcallback/client/conformance"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

func TestOurServerConforms(t *testing.T) {
	e, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waits.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	handler, err := server.New(e, server.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	defer s.Close()
	cases, err := conformance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	if err := conformance.Run(t.Context(), s.URL, cases, conformance.Options{}, func(r conformance.Result) {
		if r.Err != nil {
			t.Errorf("%s: %s: %v", r.Group, r.Name, r.Err)
		}
	}); err != nil {
		t.Error(err)
	}
}
