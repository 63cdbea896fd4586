package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
)

func TestRetries(t *testing.T) {
	answers := func(list ...http.HandlerFunc) (*httptest.Server, *atomic.Int64, chan string) {
		var n atomic.Int64
		bodies := make(chan string, 100)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			bodies <- string(body)
			list[min(int(n.Add(1)), len(list))-1](w, r)
		}))
		t.Cleanup(s.Close)
		return s, &n, bodies
	}
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"error_code":"CODE.%d","error_msg":"the last words"}`, code)
		}
	}
	done := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"execution_id":"x"}`)
	}
	drop := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	state := client.State{Workflow: "workflow", Run: "run", State: "state"}

	t.Run("until the answer is good", func(t *testing.T) {
		s, n, bodies := answers(status(429), status(502), drop, status(503, "Retry-After", "0"), status(504), done)
		id, err := newClient(t, s.URL, "p").Succeed(t.Context(), state, map[string]int{"a": 1})
		if err != nil || id != "x" || n.Load() != 6 {
			t.Errorf("Succeed = %q, %v after %d attempts; want x after 6", id, err, n.Load())
		}
		for range n.Load() {
			if body := <-bodies; body != `{"result":"success","output":{"a":1}}` {
				t.Errorf("sent %s", body)
			}
		}
	})
	t.Run("not what will not change", func(t *testing.T) {
		for _, code := range []int{400, 401, 403, 404, 405, 413, 500, 501} {
			s, n, _ := answers(status(code))
			_, err := newClient(t, s.URL, "p").Succeed(t.Context(), state, nil)
			var answer *client.Error
			if n.Load() != 1 || !errors.As(err, &answer) || answer.StatusCode != code {
				t.Errorf("%d: %v after %d attempts", code, err, n.Load())
			}
		}
	})
	t.Run("as long as it may, and then the last answer counts", func(t *testing.T) {
		s, n, _ := answers(status(503))
		_, err := newClient(t, s.URL, "p", client.WithRetry(20*time.Millisecond)).Succeed(t.Context(), state, nil)
		var answer *client.Error
		if !errors.As(err, &answer) || answer.Code != "CODE.503" || answer.Message != "the last words" || n.Load() < 2 {
			t.Errorf("%v after %d attempts", err, n.Load())
		}
		s, n, _ = answers(status(503, "Retry-After", "3600"))
		if _, err := newClient(t, s.URL, "p").Succeed(t.Context(), state, nil); n.Load() != 1 || !errors.As(err, &answer) {
			t.Errorf("a Retry-After beyond the time there is: %v after %d attempts", err, n.Load())
		}
	})
	t.Run("with a pause, whatever the server says", func(t *testing.T) {
		s, n, _ := answers(status(503, "Retry-After", "0"))
		_, err := newClient(t, s.URL, "p", client.WithRetry(time.Second), client.WithBackoff(300*time.Millisecond, time.Second)).Succeed(t.Context(), state, nil)
		if err == nil || n.Load() > 10 {
			t.Errorf("%v after %d attempts", err, n.Load())
		}
	})
	t.Run("not at all when told so", func(t *testing.T) {
		s, n, _ := answers(status(503))
		if _, err := newClient(t, s.URL, "p", client.WithRetry(0)).Succeed(t.Context(), state, nil); err == nil || n.Load() != 1 {
			t.Errorf("%v after %d attempts", err, n.Load())
		}
	})
	t.Run("until the caller has enough", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s, _, _ := answers(status(503), func(w http.ResponseWriter, r *http.Request) { cancel(); status(503)(w, r) })
		_, err := newClient(t, s.URL, "p").Succeed(ctx, state, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
	})
	t.Run("an attempt that takes too long", func(t *testing.T) {
		release := make(chan struct{})
		hang := func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		s, n, _ := answers(hang, done)
		defer close(release)
		_, err := newClient(t, s.URL, "p", client.WithTimeout(50*time.Millisecond)).Succeed(t.Context(), state, nil)
		if err != nil || n.Load() != 2 {
			t.Errorf("%v after %d attempts", err, n.Load())
		}
	})
}

func TestUnexpectedAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		header http.Header
		body   string
		want   string
	}{
		"redirect":               {307, http.Header{"Location": {"/elsewhere"}}, "", `Temporary Redirect to "/elsewhere"; redirects are not followed`},
		"page":                   {200, http.Header{"Content-Type": {"text/html"}}, "<html>", "6 bytes of text/html"},
		"empty 200":              {200, http.Header{"Content-Type": {"application/json"}}, "", "OK with an empty body"},
		"another JSON":           {200, http.Header{"Content-Type": {"application/json"}}, `{"ok":true}`, "no execution_id"},
		"broken JSON":            {200, http.Header{"Content-Type": {"application/json"}}, `{`, "1 bytes of application/json"},
		"another success":        {202, http.Header{"Content-Type": {"application/json"}}, `{"execution_id":"x"}`, "Accepted"},
		"page of a proxy":        {403, http.Header{"Content-Type": {"text/html"}}, "<html>", "Forbidden with 6 bytes of text/html"},
		"gateway's other errors": {401, http.Header{"Content-Type": {"application/json"}}, `{"error":{"code":"APIGW.1","message":"who are you"}}`, "APIGW.1: who are you (HTTP 401"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					t.Error("the redirect was followed")
				}
				for key, values := range test.header {
					w.Header()[key] = values
				}
				w.Header().Set("X-Request-Id", "the request")
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			}))
			defer s.Close()
			_, err := newClient(t, s.URL, "p").Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, nil)
			var answer *client.Error
			if !errors.As(err, &answer) || answer.StatusCode != test.status || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to say %q", err, test.want)
			}
		})
	}
}

// The caller's own time-out is for its other calls: a poll may take longer.
func TestTimeoutOfTheCallersClient(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"wait_id":"w","status":"success"}`)
	}))
	defer s.Close()
	c := newClient(t, s.URL, "p", client.WithRetry(0), client.WithHTTPClient(&http.Client{Timeout: time.Millisecond}))
	if wait, err := c.Waits.Await(t.Context(), "w"); err != nil || wait.Status != waits.Success {
		t.Errorf("Await = %+v, %v", wait, err)
	}
}
