package browser

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// A line is a proxy between a browser and a server. Tests delay, change and lose what goes over it.
type line struct {
	URL   string
	bytes atomic.Int64 // in both directions

	mu     sync.Mutex
	isCut  bool
	before func(*http.Request)                       // may block
	after  func(r *http.Request, body []byte) []byte // changes the body of an answer
	header func(http.Header)                         // changes the header of an answer
	server *httptest.Server
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	l := &line{header: func(http.Header) {}, before: func(*http.Request) {}, after: func(_ *http.Request, body []byte) []byte { return body }}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			l.mu.Lock()
			after, header := l.after, l.header
			l.mu.Unlock()
			header(r.Header)
			body = after(r.Request, body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.ContentLength = int64(len(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	l.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		before, isCut := l.before, l.isCut
		l.mu.Unlock()
		if isCut {
			panic(http.ErrAbortHandler)
		}
		before(r)
		proxy.ServeHTTP(w, r)
	}))
	l.server.Listener = counting{l.server.Listener, &l.bytes}
	l.server.Start()
	t.Cleanup(l.server.Close)
	t.Cleanup(l.server.CloseClientConnections) // runs first
	l.URL = l.server.URL
	return l
}

// eachRequest has a function see, delay and change each request.
func (l *line) eachRequest(do func(*http.Request)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = do
}

// eachAnswer has a function change the body of each answer.
func (l *line) eachAnswer(do func(r *http.Request, body []byte) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.after = do
}

// eachHeader has a function change the header of each answer.
func (l *line) eachHeader(do func(http.Header)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.header = do
}

// cut ends all connections, and those to come; or no more.
func (l *line) cut(isCut bool) {
	l.mu.Lock()
	l.isCut = isCut
	l.mu.Unlock()
	if isCut {
		l.server.CloseClientConnections()
	}
}

// shortPolls lets no long-poll wait longer than a second.
func shortPolls(r *http.Request) {
	if query := r.URL.Query(); query.Has("wait_seconds") && query.Get("wait_seconds") != "0" {
		query.Set("wait_seconds", "1")
		r.URL.RawQuery = query.Encode()
	}
}

type counting struct {
	net.Listener

	bytes *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countingConn{c, l.bytes}, err
}

type countingConn struct {
	net.Conn

	bytes *atomic.Int64
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.bytes.Add(int64(n))
	return n, err
}

func (c countingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.bytes.Add(int64(n))
	return n, err
}
