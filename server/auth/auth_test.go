package auth_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/openapi/signature"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/auth"
)

const token = "right token"

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func file(hash string) string {
	return fmt.Sprintf(`
principals:
  - name: function
    projects: [alpha]
    allow: [callback]
    token_sha256: %s
  - name: engine
    projects: ["*"]
    allow: [callback, wait]
    access_key: AKID
    secret_key: a-secret-of-24-characters
`, hash)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// guard is the auth.Guard under test, with a clock that the test sets.
type guard struct {
	*auth.Guard
	path   string
	ahead  atomic.Int64
	log    bytes.Buffer
	bodies int // how many bodies were read
}

const secretKey = "a-secret-of-24-characters"

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func newGuard(t *testing.T) *guard {
	t.Helper()
	g := &guard{path: filepath.Join(t.TempDir(), "auth.yaml")}
	write(t, g.path, file(hashOf(token)))
	var err error
	g.Guard, err = auth.New(g.path, auth.Options{Now: g.now, Logger: slog.New(slog.NewTextHandler(&g.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *guard) now() time.Time { return start.Add(time.Duration(g.ahead.Load())) }

type call struct {
	project, address string
	action           server.Action
	change           func(*http.Request)
}

// ask calls Authorize for a request with the given credentials.
func (g *guard) ask(t *testing.T, c call, credentials func(*http.Request)) error {
	t.Helper()
	if c.project == "" {
		c.project = "alpha"
	}
	if c.action == "" {
		c.action = server.ActionCallback
	}
	if c.address == "" {
		c.address = "192.0.2.1"
	}
	r := httptest.NewRequest(http.MethodPost, "/v2/"+c.project+"/fgs/workflows/w/callback", nil)
	r.Header.Set("X-Workflow-Run-Id", "r")
	r.Header.Set("X-Workflow-State-Id", "s")
	credentials(r)
	if c.change != nil {
		c.change(r)
	}
	_, err := g.Authorize(t.Context(), server.Call{
		Request: r, Address: c.address, ProjectID: c.project, Action: c.action,
		Body: func() ([]byte, error) { g.bodies++; return []byte("{}"), nil },
	})
	return err
}

func none(*http.Request) {}

func withToken(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("X-Auth-Token", value) }
}

func (g *guard) signed(key, secret string, at time.Time) func(*http.Request) {
	return func(r *http.Request) {
		if err := signature.Sign(r, []byte("{}"), key, secret, at); err != nil {
			panic(err)
		}
	}
}

func want(t *testing.T, what string, got, wanted error) {
	t.Helper()
	if !errors.Is(got, wanted) || (wanted == nil && got != nil) {
		t.Errorf("%s: error %v, want %v", what, got, wanted)
	}
}

func TestAuthorize(t *testing.T) {
	g := newGuard(t)
	right := g.signed("AKID", secretKey, start)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, test := range map[string]struct {
		call        call
		credentials func(*http.Request)
		want        error
	}{
		"no credentials":            {call{}, none, server.ErrUnauthenticated},
		"right token":               {call{}, withToken(token), nil},
		"token of another project":  {call{project: "beta"}, withToken(token), server.ErrForbidden},
		"token without permission":  {call{action: server.ActionWait}, withToken(token), server.ErrForbidden},
		"wrong token":               {call{}, withToken("wrong"), server.ErrUnauthenticated},
		"empty token":               {call{}, withToken(""), server.ErrUnauthenticated},
		"hash as token":             {call{}, withToken(hashOf(token)), server.ErrUnauthenticated},
		"right signature":           {call{}, right, nil},
		"signature, any project":    {call{project: "beta", action: server.ActionWait}, right, nil},
		"wrong secret":              {call{}, g.signed("AKID", "wrong", start), server.ErrUnauthenticated},
		"unknown access key":        {call{}, g.signed("unknown", secretKey, start), server.ErrUnauthenticated},
		"15 minutes old":            {call{}, g.signed("AKID", secretKey, start.Add(-15*time.Minute)), nil},
		"older":                     {call{}, g.signed("AKID", secretKey, start.Add(-15*time.Minute-time.Second)), server.ErrUnauthenticated},
		"15 minutes ahead":          {call{}, g.signed("AKID", secretKey, start.Add(15*time.Minute)), nil},
		"further ahead":             {call{}, g.signed("AKID", secretKey, start.Add(15*time.Minute+time.Second)), server.ErrUnauthenticated},
		"changed after signing":     {call{change: header("X-Workflow-State-Id", "another")}, right, server.ErrUnauthenticated},
		"no SDK signature":          {call{}, header("Authorization", "Basic QUtJRDpTRUNSRVQ="), server.ErrUnauthenticated},
		"token and signature":       {call{change: withToken(token)}, right, server.ErrUnauthenticated},
		"two tokens":                {call{change: func(r *http.Request) { r.Header.Add("X-Auth-Token", token) }}, withToken(token), server.ErrUnauthenticated},
		"signature without the run": {call{}, withoutHeader(right, "X-Workflow-Run-Id"), server.ErrUnauthenticated},
		"signature without state":   {call{}, withoutHeader(right, "X-Workflow-State-Id"), server.ErrUnauthenticated},
	} {
		fresh := newGuard(t) // earlier failures must not count
		want(t, name, fresh.ask(t, test.call, test.credentials), test.want)
		if log := fresh.log.String(); log != "" {
			t.Errorf("%s: log = %s, want it empty", name, log)
		}
	}
}

// withoutHeader signs the request without the header and then adds the header.
func withoutHeader(sign func(*http.Request), name string) func(*http.Request) {
	return func(r *http.Request) {
		value := r.Header.Get(name)
		r.Header.Del(name)
		sign(r)
		r.Header.Set(name, value)
	}
}

// Valid credentials are always accepted. Wrong credentials above the limit of their address
// get 429.
func TestWrongCredentialsAreLimited(t *testing.T) {
	const far = "198.51.100.7"
	right := func(g *guard) func(*http.Request) { return g.signed("AKID", secretKey, g.now()) }
	guessUntilLimited := func(t *testing.T, g *guard, c call, credentials func(*http.Request)) (judged int) {
		for !errors.Is(g.ask(t, c, credentials), server.ErrTooManyAttempts) {
			if judged++; judged > 1000 {
				t.Fatalf("%d wrong credentials were refused with 401, want 429", judged)
			}
		}
		return judged
	}

	t.Run("wrong tokens limit only wrong tokens from the same address", func(t *testing.T) {
		g := newGuard(t)
		guessUntilLimited(t, g, call{}, withToken("guess"))
		want(t, "valid signature from the same address", g.ask(t, call{}, right(g)), nil)
		want(t, "valid token from the same address", g.ask(t, call{}, withToken(token)), nil)
		want(t, "wrong token from another address", g.ask(t, call{address: far}, withToken("guess")), server.ErrUnauthenticated)
		if log := g.log.String(); strings.Count(log, "level=WARN") != 1 || strings.Contains(log, "guess") {
			t.Errorf("want one warning in the log, and no credentials:\n%s", log)
		}
		g.ahead.Add(int64(10 * time.Second))
		want(t, "wrong token after the interval", g.ask(t, call{}, withToken("guess")), server.ErrUnauthenticated)
		if log := g.log.String(); !strings.Contains(log, "refused=1") {
			t.Errorf("log does not contain refused=1:\n%s", log)
		}
	})
	t.Run("wrong signatures do not limit the owner of the access key", func(t *testing.T) {
		g := newGuard(t)
		guessUntilLimited(t, g, call{}, g.signed("AKID", "guess", start))
		for i := range 21 {
			want(t, "owner from a new address", g.ask(t, call{address: fmt.Sprintf("203.0.113.%d", i)}, right(g)), nil)
		}
	})
	t.Run("unknown access keys do not reset the limit", func(t *testing.T) {
		g := newGuard(t)
		guessUntilLimited(t, g, call{}, withToken("guess"))
		for i := range 11_000 {
			want(t, "unknown access key", g.ask(t, call{}, g.signed(fmt.Sprint("key ", i), "guess", start)), server.ErrTooManyAttempts)
		}
		want(t, "wrong token afterwards", g.ask(t, call{}, withToken("guess")), server.ErrTooManyAttempts)
	})
	t.Run("request without credentials is not counted as an attempt", func(t *testing.T) {
		g := newGuard(t)
		for range 100 {
			want(t, "no credentials", g.ask(t, call{}, none), server.ErrUnauthenticated)
		}
	})
	t.Run("IPv6 addresses in one /64 network share a limit", func(t *testing.T) {
		g := newGuard(t)
		var err error
		for i := range 100 {
			err = g.ask(t, call{address: fmt.Sprintf("2001:db8::%x", i)}, withToken("guess"))
		}
		want(t, "wrong token number 100", err, server.ErrTooManyAttempts)
		want(t, "wrong token from another network", g.ask(t, call{address: "2001:db8:0:1::1"}, withToken("guess")), server.ErrUnauthenticated)
	})
}

// The guard checks all headers before it reads the body.
func TestBodyIsReadLast(t *testing.T) {
	for name, credentials := range map[string]func(*http.Request){
		"no credentials":     none,
		"wrong token":        withToken("wrong"),
		"valid token":        withToken(token),
		"unknown access key": func(r *http.Request) { newGuard(t).signed("unknown", secretKey, start)(r) },
		"old signature":      func(r *http.Request) { newGuard(t).signed("AKID", secretKey, start.Add(-time.Hour))(r) },
	} {
		g := newGuard(t)
		_ = g.ask(t, call{}, credentials)
		if g.bodies != 0 {
			t.Errorf("%s: body was read %d times, want 0", name, g.bodies)
		}
	}
	g := newGuard(t)
	if _ = g.ask(t, call{}, g.signed("AKID", secretKey, start)); g.bodies != 1 {
		t.Errorf("valid signature: body was read %d times, want 1", g.bodies)
	}
}

// Signing trims only HTTP optional white space. Other Unicode space is part of the value.
func TestSignatureCoversUnicodeSpace(t *testing.T) {
	g := newGuard(t)
	for _, id := range []string{"\u00a0r", "r\u2003", "\u3000r"} {
		forged := func(r *http.Request) {
			g.signed("AKID", secretKey, start)(r)
			r.Header.Set("X-Workflow-Run-Id", id)
		}
		want(t, fmt.Sprintf("run %q sent, run \"r\" signed", id), g.ask(t, call{}, forged), server.ErrUnauthenticated)
	}
}

func TestAllProjects(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.yaml")
	write(t, path, file(hashOf(token)))
	_, err := auth.New(path, auth.Options{AllProjects: true})
	if err == nil || !strings.Contains(err.Error(), "line 3: ") || !strings.Contains(err.Error(), "is restricted to projects") {
		t.Errorf("New with AllProjects and a principal of one project: error %v, want one with the line", err)
	}
}

func TestWritableFileIsRefused(t *testing.T) {
	g := newGuard(t)
	if err := os.Chmod(g.path, 0o602); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.New(g.path, auth.Options{}); err == nil || !strings.Contains(err.Error(), "chmod o-w") {
		t.Errorf("New with a world-writable file: error %v, want one with \"chmod o-w\"", err)
	}
	if err := g.Reload(); err == nil {
		t.Error("Reload of a world-writable file: no error, want one")
	}
}

func TestReload(t *testing.T) {
	g := newGuard(t)
	write(t, g.path, "principals: [")
	if err := g.Reload(); err == nil {
		t.Error("Reload of a broken file: no error, want one")
	}
	want(t, "token after Reload of a broken file", g.ask(t, call{}, withToken(token)), nil)
	write(t, g.path, file(hashOf("another token")))
	if err := g.Reload(); err != nil {
		t.Fatal(err)
	}
	want(t, "old token after Reload", g.ask(t, call{}, withToken(token)), server.ErrUnauthenticated)
	want(t, "new token after Reload", g.ask(t, call{}, withToken("another token")), nil)
}

func TestNewToken(t *testing.T) {
	one, hash := auth.NewToken()
	two, _ := auth.NewToken()
	if one == two || hashOf(one) != hash || len(one) < 40 {
		t.Errorf("NewToken = %q, %q and then %q; want distinct tokens of at least 40 characters with their hash", one, hash, two)
	}
}

// The example file is valid only after its placeholders are replaced.
func TestExample(t *testing.T) {
	if _, err := auth.New("example.yaml", auth.Options{}); err == nil {
		t.Error("New with the placeholders of the example: no error, want one")
	}
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "auth.yaml")
	write(t, path, strings.NewReplacer("THE HASH THAT IT PRINTS", hashOf(token), "A LONG RANDOM TEXT", secretKey).Replace(string(text)))
	g, err := auth.New(path, auth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	example := &guard{Guard: g}
	want(t, "token of the example in its project", example.ask(t, call{project: "46b6f338fc3445b8846c71dfb1fbd9e8"}, withToken(token)), nil)
	want(t, "token of the example in another project", example.ask(t, call{}, withToken(token)), server.ErrForbidden)
}

func TestBrokenFiles(t *testing.T) {
	const head = "principals:\n  - name: a\n    projects: [p]\n    allow: [callback]\n"
	hash := hashOf(token)
	for text, wanted := range map[string]string{
		"":                   "line 1: want a list",
		"- a":                "line 1: want a list",
		"principals: [":      "not well-formed YAML",
		"principals: []":     "line 1: \"principals\" must be a list with at least one",
		"principals:\n  - x": "line 2: a principal must be a mapping",
		head + "    access_key: k\n    secret_key: hunter2hunter2h":                                      "line 2: secret_key must be a random text of at least 16 characters",
		head + "    access_key: k\n    secret_key: A LONG RANDOM TEXT":                                   "line 2: secret_key must be a random text",
		head + "    access_key: k\n    secret_key: '                    '":                               "line 2: secret_key must be a random text",
		head + "    access_key: k\n    secret_key: aaaaaaaabbbbbbbb":                                     "line 2: secret_key must be a random text",
		head + "    token_sha256: " + hash + "\n---\nprincipals: []":                                     "line 6: a second YAML document",
		head + "    token_sha256: " + hash + "\n---\nprincipals: [":                                      "not well-formed YAML",
		head + "    token_sha256: " + hashOf(""):                                                         "line 2: token_sha256 is the hash of an empty token",
		"principals:\n  - name: a\n    projects: [p*]\n    allow: [callback]\n    token_sha256: " + hash: "line 2: a project is a whole id",
		"people: []":                       "line 1: want a list \"principals\"",
		head:                               "line 2: want either token_sha256, or access_key and secret_key",
		head + "    secret: hunter2\n":     "line 5: unknown member; a principal has name",
		head + "    token_sha256: hunter2": "line 2: token_sha256 must be the 64 hex digits",
		head + "    access_key: hunter2":   "line 2: access_key and secret_key must be given together",
		head + "    secret_key: hunter2":   "line 2: access_key and secret_key must be given together",
		head + "    name: b":               "line 5: name is given twice",
		head + "    access_key: [hunter2]": "line 2: name, token_sha256",
		head + "    token_sha256: " + hash + "\n    access_key: a\n    secret_key: hunter2":                                                "line 2: want either",
		"principals:\n  - name: link:someone\n    projects: [p]\n    allow: [callback]\n    token_sha256: " + hash:                         "line 2: the name \"link:someone\" begins with \"link:\"",
		"principals:\n  - projects: [p]\n    allow: [callback]\n    token_sha256: " + hash:                                                 "line 2: name is missing",
		"principals:\n  - name: a\n    allow: [callback]\n    token_sha256: " + hash:                                                       "line 2: projects must list",
		"principals:\n  - name: a\n    projects: [p]\n    token_sha256: " + hash:                                                           "line 2: allow must list",
		"principals:\n  - name: a\n    projects: [p]\n    allow: [all]\n    token_sha256: " + hash:                                         "line 2: allow must list",
		head + "    token_sha256: " + hash + "\n  - {name: b, projects: [p], allow: [wait], token_sha256: " + hash + "}":                   "line 6: a and b have the same token_sha256",
		head + "    token_sha256: " + hash + "\n  - {name: a, projects: [p], allow: [wait], access_key: k, secret_key: " + secretKey + "}": "line 6: the name \"a\" is used twice",
	} {
		path := filepath.Join(t.TempDir(), "auth.yaml")
		write(t, path, text)
		_, err := auth.New(path, auth.Options{})
		if err == nil || !strings.Contains(err.Error(), wanted) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("New with file\n%s\nerror %v\nwant  %s, without the secret", text, err, wanted)
		}
	}
	if _, err := auth.New("/no/such/file", auth.Options{}); err == nil {
		t.Error("New with a file that does not exist: no error, want one")
	}
}

func FuzzFile(f *testing.F) {
	f.Add(file(hashOf(token)))
	f.Add("principals:\n  - &a {name: a, projects: [p], allow: [wait], token_sha256: x}\n  - *a")
	f.Add("principals: [{name: a, <<: {allow: [wait]}}]")
	f.Add("principals:\n- ? [a]\n  : b")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "auth.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Skip(err)
		}
		g, err := auth.New(path, auth.Options{})
		if err != nil {
			if !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("error %q does not start with the path %s", err, path)
			}
			return
		}
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("X-Auth-Token", "a token that no corpus has the hash of")
		if _, err := g.Authorize(t.Context(), server.Call{Request: r}); !errors.Is(err, server.ErrUnauthenticated) {
			t.Errorf("Authorize with an unknown token: error %v, want %v", err, server.ErrUnauthenticated)
		}
	})
}
