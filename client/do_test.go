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

	t.Run("until the call succeeds", func(t *testing.T) {
		s, n, bodies := answers(status(429), status(502), drop, status(503, "Retry-After", "0"), status(504), done)
		id, err := newClient(t, s.URL, "p").Succeed(t.Context(), state, map[string]int{"a": 1})
		if err != nil || id != "x" || n.Load() != 6 {
			t.Errorf("Succeed = %q, %v after %d attempts; want x after 6", id, err, n.Load())
		}
		for range n.Load() {
			if body := <-bodies; body != `{"result":"success","output":{"a":1}}` {
				t.Errorf("the client sent the body %s", body)
			}
		}
	})
	t.Run("not after a permanent error", func(t *testing.T) {
		for _, code := range []int{400, 401, 403, 404, 405, 413, 500, 501} {
			s, n, _ := answers(status(code))
			_, err := newClient(t, s.URL, "p").Succeed(t.Context(), state, nil)
			var answer *client.Error
			if n.Load() != 1 || !errors.As(err, &answer) || answer.StatusCode != code {
				t.Errorf("status %d: %v after %d attempts, want one attempt", code, err, n.Load())
			}
		}
	})
	t.Run("until the retry time ends, then the last error is returned", func(t *testing.T) {
		s, n, _ := answers(status(503))
		_, err := newClient(t, s.URL, "p", client.WithRetry(20*time.Millisecond)).Succeed(t.Context(), state, nil)
		var answer *client.Error
		if !errors.As(err, &answer) || answer.Code != "CODE.503" || answer.Message != "the last words" || n.Load() < 2 {
			t.Errorf("%v after %d attempts, want CODE.503 after at least 2", err, n.Load())
		}
		s, n, _ = answers(status(503, "Retry-After", "3600"))
		if _, err := newClient(t, s.URL, "p").Succeed(t.Context(), state, nil); n.Load() != 1 || !errors.As(err, &answer) {
			t.Errorf("Retry-After longer than the retry time: %v after %d attempts, want the error after 1", err, n.Load())
		}
	})
	t.Run("with backoff even if Retry-After is 0", func(t *testing.T) {
		s, n, _ := answers(status(503, "Retry-After", "0"))
		_, err := newClient(t, s.URL, "p", client.WithRetry(time.Second), client.WithBackoff(300*time.Millisecond, time.Second)).Succeed(t.Context(), state, nil)
		if err == nil || n.Load() > 10 {
			t.Errorf("%v after %d attempts, want an error after at most 10", err, n.Load())
		}
	})
	t.Run("not when retries are disabled", func(t *testing.T) {
		s, n, _ := answers(status(503))
		if _, err := newClient(t, s.URL, "p", client.WithRetry(0)).Succeed(t.Context(), state, nil); err == nil || n.Load() != 1 {
			t.Errorf("%v after %d attempts, want an error after 1", err, n.Load())
		}
	})
	t.Run("until the context is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s, _, _ := answers(status(503), func(w http.ResponseWriter, r *http.Request) { cancel(); status(503)(w, r) })
		_, err := newClient(t, s.URL, "p").Succeed(ctx, state, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Succeed: %v, want %v", err, context.Canceled)
		}
	})
	t.Run("after an attempt that times out", func(t *testing.T) {
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
			t.Errorf("%v after %d attempts, want success after 2", err, n.Load())
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
				t.Errorf("got %v, want status %d and a message that contains %q", err, test.status, test.want)
			}
		})
	}
}

// The timeout of the caller's http.Client does not apply to long-polls.
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

// A 404 of a proxy is retried; it does not mean that the state is unknown.
func TestNotFoundOfAProxy(t *testing.T) {
	state := client.State{Workflow: "w", Run: "r", State: "s"}
	for name, body := range map[string]string{
		"HTML":            "<html>404 Not Found</html>",
		"JSON of a proxy": `{"message":"no Route matched"}`,
		"gateway":         `{"error_code":"APIGW.0101","error_msg":"The API does not exist."}`,
		"empty":           "",
	} {
		t.Run(name, func(t *testing.T) {
			var attempts atomic.Int64
			rollout := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if attempts.Add(1) < 3 {
					w.WriteHeader(http.StatusNotFound)
					fmt.Fprint(w, body)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"execution_id":"e"}`)
			}))
			defer rollout.Close()
			if id, err := newClient(t, rollout.URL, "p").Succeed(t.Context(), state, nil); id != "e" || err != nil {
				t.Errorf("Succeed = %q, %v; want the 404 retried", id, err)
			}
			attempts.Store(-1000)
			if _, err := newClient(t, rollout.URL, "p", client.WithRetry(0)).Succeed(t.Context(), state, nil); err == nil || errors.Is(err, client.ErrNotFound) {
				t.Errorf("Succeed without retries: %v, want an error that is not ErrNotFound", err)
			}
		})
	}
}

// Each kind of failure is retried for its own time.
func TestRetryTimesAreApart(t *testing.T) {
	var attempts atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		attempts.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer s.Close()
	c := newClient(t, s.URL, "p", client.WithRetry(0), client.WithRetryNotFound(time.Second))
	if _, err := c.Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, nil); err == nil || attempts.Load() != 1 {
		t.Errorf("503 with WithRetry(0) and WithRetryNotFound: %v after %d attempts, want an error after 1", err, attempts.Load())
	}
}

func TestRetryNotFound(t *testing.T) {
	state := client.State{Workflow: "w", Run: "r", State: "s"}
	var attempts atomic.Int64
	code := "FGS.5002"
	late := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if attempts.Add(1) < 3 {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, `{"error_code":%q,"error_msg":"not found"}`, code)
			return
		}
		fmt.Fprint(w, `{"execution_id":"e"}`)
	}))
	defer late.Close()
	if id, err := newClient(t, late.URL, "p", client.WithRetryNotFound(time.Minute)).Succeed(t.Context(), state, nil); id != "e" || err != nil {
		t.Errorf("Succeed with WithRetryNotFound = %q, %v; want it retried", id, err)
	}
	attempts.Store(0)
	if _, err := newClient(t, late.URL, "p").Succeed(t.Context(), state, nil); !errors.Is(err, client.ErrNotFound) || attempts.Load() != 1 {
		t.Errorf("Succeed without: %v after %d attempts, want ErrNotFound after one", err, attempts.Load())
	}
	attempts.Store(0)
	code = "FLOWCALLBACK.EXPIRED"
	if _, err := newClient(t, late.URL, "p", client.WithRetryNotFound(time.Minute)).Succeed(t.Context(), state, nil); !errors.Is(err, client.ErrExpired) || attempts.Load() != 1 {
		t.Errorf("Succeed of an expired state: %v after %d attempts, want ErrExpired after one", err, attempts.Load())
	}
}

// What a server sends does not control a terminal.
func TestErrorTextIsPrintable(t *testing.T) {
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error_code":"X\u001b[2J","error_msg":"a\n::error::b \"c\"","request_id":"r\u0007"}`)
	}))
	defer evil.Close()
	_, err := newClient(t, evil.URL, "p").Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, nil)
	var answer *client.Error
	if want := `X\x1b[2J: a\n::error::b "c" (HTTP 400, request r\a)`; !errors.As(err, &answer) || answer.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A server that answers long-polls early is not asked more than once a second.
func TestEarlyAnswersAreNotAskedAgainAtOnce(t *testing.T) {
	var polls atomic.Int64
	early := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		polls.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/outcomes") {
			fmt.Fprint(w, `{"outcomes":[],"next":"0"}`)
			return
		}
		fmt.Fprint(w, `{"wait_id":"w","status":"waiting"}`)
	}))
	defer early.Close()
	c := newClient(t, early.URL, "p")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := c.Waits.Await(ctx, "w"); !errors.Is(err, context.DeadlineExceeded) || polls.Load() > 3 {
		t.Errorf("Await: %v after %d polls, want at most 3", err, polls.Load())
	}
	polls.Store(0)
	ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	for _, err := range c.Waits.Outcomes(ctx, "") {
		if !errors.Is(err, context.DeadlineExceeded) || polls.Load() > 3 {
			t.Errorf("Outcomes: %v after %d polls, want at most 3", err, polls.Load())
		}
	}
}
