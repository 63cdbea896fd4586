package auth_test

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/openapi/signature"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/auth"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// A whole server answers what the vendor's SDKs sent, byte for byte, as the name of each file says.
func TestRecordedRequests(t *testing.T) {
	files, err := filepath.Glob("../../openapi/signature/testdata/recorded/*.http")
	if err != nil || len(files) != 27 {
		t.Fatalf("%d recorded requests, %v; want 27", len(files), err)
	}
	var now time.Time // when the current request was signed
	keys := filepath.Join(t.TempDir(), "auth.yaml")
	write(t, keys, `
principals:
  - name: order-service
    projects: ["46b6f338fc3445b8846c71dfb1fbd9e8"]
    allow: [callback]
    access_key: ORDERSERVICE
    secret_key: 0123456789abcdef0123456789abcdef0123456789abcdef
`)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	g, err := auth.New(keys, auth.Options{Now: func() time.Time { return now }, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	// Some ids are not for the waits API, so the callbacks are held.
	e, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waits.db"), sqlite.Options{HoldUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := server.New(e, server.Config{Authorize: g.Authorize, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".http")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
			if err != nil {
				t.Fatal(err)
			}
			if now, err = signature.Time(request); err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(text); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			if status := strconv.Itoa(response.StatusCode); !strings.HasSuffix(name, "-"+status) {
				t.Errorf("answered %s: %s\n%s", status, body, log.String())
			}
		})
	}
}
