package main_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// target is an open wait on a running server. Hostile requests must not settle the wait.
type target struct {
	*servertest.Server
	client *client.Client
	wait   waits.Wait
}

func newTarget(t *testing.T, flags ...string) *target {
	t.Helper()
	s := servertest.Start(t, append([]string{"--engine", file(t)}, flags...)...)
	c := newClient(t, s)
	wait, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, client.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &target{s, c, wait}
}

func (x *target) wantUntouched(t *testing.T) {
	t.Helper()
	wait, err := x.client.Waits.Get(t.Context(), x.wait.WaitID)
	if err != nil || wait.Status != waits.Waiting {
		t.Errorf("wait = %+v, %v; want waiting", wait, err)
	}
}

// dial connects to the server. The connection's deadline is longer than every time-out of the
// server.
func (x *target) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(x.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// send writes text. It ignores the error if the server closes the connection early.
func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
}

// receive reads one response and returns its status and error code. If the server closes the
// connection without a response, status is 0.
func receive(t *testing.T, r *bufio.Reader, method string) (status int, code string) {
	t.Helper()
	response, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("no response, and the connection is still open")
		}
		return 0, ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	var failure callback.CallbackError
	_ = json.Unmarshal(body, &failure) // responses of net/http itself are plain text
	return response.StatusCode, string(failure.ErrorCode)
}

const goodBody = `{"result":"success","output":{}}`

// raw is a callback for the target. Empty fields get valid values, so each test changes only
// one thing. Line ends are "\n" here and CRLF on the wire.
type raw struct {
	line    string // the request line
	headers string // all headers after Host
	body    string
	ids     string // replaces X-Workflow-Run-Id and X-Workflow-State-Id
	host    string
}

func (q raw) text() string {
	or := func(value, other string) string {
		if value == "" {
			return other
		}
		return value
	}
	headers := or(q.headers, fmt.Sprintf("Content-Type: application/json\nContent-Length: %d\n", len(q.body)))
	head := or(q.line, "POST /v2/project/fgs/workflows/w/callback HTTP/1.1") + "\n" + or(q.host, "Host: localhost\n") +
		or(q.ids, "X-Workflow-Run-Id: r\nX-Workflow-State-Id: s\n") + headers + "\n"
	return strings.ReplaceAll(head, "\n", "\r\n") + q.body
}

const jsonType = "Content-Type: application/json\n"

func chunked(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }

var hostile = map[string]struct {
	raw
	status int
	code   string
}{
	// Bodies.
	"body: none":                          {raw{}, 400, "FGS.3002"},
	"body: sent without a length":         {raw{headers: jsonType, body: goodBody}, 400, "FGS.3002"},
	"body: white space":                   {raw{body: " \n "}, 400, "FGS.3002"},
	"body: null":                          {raw{body: "null"}, 400, "FGS.3002"},
	"body: array":                         {raw{body: "[" + goodBody + "]"}, 400, "FGS.3002"},
	"body: number":                        {raw{body: "1e999999999"}, 400, "FGS.3002"},
	"body: text in UTF-16":                {raw{body: "\xff\xfe{\x00}\x00"}, 400, "FGS.3002"},
	"body: byte order mark":               {raw{body: "\xef\xbb\xbf" + goodBody}, 400, "FGS.3002"},
	"body: two documents":                 {raw{body: goodBody + goodBody}, 400, "FGS.3002"},
	"body: NUL after the document":        {raw{body: goodBody + "\x00"}, 400, "FGS.3002"},
	"body: comment":                       {raw{body: "/**/" + goodBody}, 400, "FGS.3002"},
	"body: trailing comma":                {raw{body: `{"result":"success","output":{},}`}, 400, "FGS.3002"},
	"body: single quotes":                 {raw{body: strings.ReplaceAll(goodBody, `"`, `'`)}, 400, "FGS.3002"},
	"body: control character in a string": {raw{body: "{\"result\":\"success\",\"output\":{\"a\":\"\x01\"}}"}, 400, "FGS.3002"},
	"body: invalid UTF-8":                 {raw{body: "{\"result\":\"success\",\"output\":{\"a\":\"\xc0\xaf\"}}"}, 400, "FGS.3002"},
	"body: surrogate as UTF-8":            {raw{body: "{\"result\":\"success\",\"output\":{\"a\":\"\xed\xa0\x80\"}}"}, 400, "FGS.3002"},
	"body: lone surrogate":                {raw{body: `{"result":"success","output":{"a":"\udfff"}}`}, 400, "FGS.3002"},
	"body: member twice":                  {raw{body: `{"result":"success","output":{},"result":"fail"}`}, 400, "FGS.3002"},
	"body: member twice, once escaped":    {raw{body: `{"result":"success","output":{},"\u0072esult":"fail"}`}, 400, "FGS.3002"},
	"body: member twice, deep inside":     {raw{body: `{"result":"success","output":{"a":[{"b":{"c":1,"c":2}}]}}`}, 400, "FGS.3002"},
	"body: member in other capitals":      {raw{body: `{"RESULT":"success","output":{}}`}, 400, "FGS.3002"},
	"body: member beside other capitals":  {raw{body: `{"result":"success","Result":"fail","output":{}}`}, 400, "FGS.3002"},
	"body: unknown result":                {raw{body: `{"result":"SUCCESS","output":{}}`}, 400, "FGS.3002"},
	"body: result is a list":              {raw{body: `{"result":["success"],"output":{}}`}, 400, "FGS.3002"},
	"body: output null with success":      {raw{body: `{"result":"success","output":null}`}, 400, "FGS.3002"},
	"body: output as text":                {raw{body: `{"result":"success","output":"{}"}`}, 400, "FGS.3002"},
	"body: __proto__ in place of result":  {raw{body: `{"__proto__":{"result":"success"},"output":{}}`}, 400, "FGS.3002"},
	"body: reason too long":               {raw{body: `{"result":"fail","error":"` + strings.Repeat("x", 9999) + `","output":{}}`}, 400, "FGS.3002"},
	"body: nested too deep":               {raw{body: `{"result":"success","output":{"a":` + strings.Repeat("[", 100_000)}, 400, "FGS.3002"},
	"body: too large":                     {raw{body: strings.Repeat(" ", 1<<20) + goodBody}, 413, "FSS.0413"},
	"body: announced far too large":       {raw{headers: jsonType + "Content-Length: 999999999999999\n", body: "{"}, 413, "FSS.0413"},
	"body: too large, 100-continue":       {raw{headers: jsonType + "Expect: 100-continue\nContent-Length: 99999999\n"}, 413, "FSS.0413"},
	"body: too large, in chunks":          {raw{headers: jsonType + "Transfer-Encoding: chunked\n", body: chunked(strings.Repeat(" ", 1<<20))}, 413, "FSS.0413"},
	"body: chunks without end":            {raw{headers: jsonType + "Transfer-Encoding: chunked\n", body: strings.Repeat("10000\r\n"+strings.Repeat(" ", 1<<16)+"\r\n", 16)}, 413, "FSS.0413"},

	// Media type and encoding.
	"type: none":                  {raw{headers: fmt.Sprintf("Content-Length: %d\n", len(goodBody)), body: goodBody}, 415, "FLOWCALLBACK.MEDIA_TYPE"},
	"type: form":                  {raw{headers: "Content-Type: application/x-www-form-urlencoded\nContent-Length: 32\n", body: goodBody}, 415, "FLOWCALLBACK.MEDIA_TYPE"},
	"type: text":                  {raw{headers: "Content-Type: text/plain\nContent-Length: 32\n", body: goodBody}, 415, "FLOWCALLBACK.MEDIA_TYPE"},
	"type: another charset":       {raw{headers: "Content-Type: application/json;charset=utf-7\nContent-Length: 32\n", body: goodBody}, 415, "FLOWCALLBACK.MEDIA_TYPE"},
	"type: twice":                 {raw{headers: jsonType + "Content-Type: text/plain\nContent-Length: 32\n", body: goodBody}, 415, "FLOWCALLBACK.MEDIA_TYPE"},
	"type: list":                  {raw{headers: "Content-Type: application/json, text/plain\nContent-Length: 32\n", body: goodBody}, 415, "FLOWCALLBACK.MEDIA_TYPE"},
	"encoding: gzip":              {raw{headers: jsonType + "Content-Encoding: gzip\nContent-Length: 32\n", body: goodBody}, 415, "FLOWCALLBACK.MEDIA_TYPE"},
	"encoding: unknown":           {raw{headers: jsonType + "Content-Encoding: x\nContent-Length: 32\n", body: goodBody}, 415, "FLOWCALLBACK.MEDIA_TYPE"},
	"transfer: gzip":              {raw{headers: jsonType + "Transfer-Encoding: gzip\n", body: goodBody}, 501, ""},
	"transfer: gzip, chunked":     {raw{headers: jsonType + "Transfer-Encoding: gzip, chunked\n", body: chunked(goodBody)}, 501, ""},
	"transfer: chunked twice":     {raw{headers: jsonType + "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n", body: chunked(goodBody)}, 501, ""},
	"transfer: identity":          {raw{headers: jsonType + "Transfer-Encoding: identity\nContent-Length: 32\n", body: goodBody}, 501, ""},
	"transfer: misspelt":          {raw{headers: jsonType + "Transfer-Encoding: xchunked\nContent-Length: 32\n", body: goodBody}, 501, ""},
	"transfer: space before :":    {raw{headers: jsonType + "Transfer-Encoding : chunked\nContent-Length: 32\n", body: goodBody}, 400, ""},
	"chunk: size is no number":    {raw{headers: jsonType + "Transfer-Encoding: chunked\n", body: "0x20\r\n" + goodBody + "\r\n0\r\n\r\n"}, 400, "FGS.3002"},
	"chunk: size is negative":     {raw{headers: jsonType + "Transfer-Encoding: chunked\n", body: "-20\r\n" + goodBody + "\r\n0\r\n\r\n"}, 400, "FGS.3002"},
	"chunk: size is too great":    {raw{headers: jsonType + "Transfer-Encoding: chunked\n", body: "ffffffffffffffffff\r\n" + goodBody}, 400, "FGS.3002"},
	"chunk: longer than its size": {raw{headers: jsonType + "Transfer-Encoding: chunked\n", body: "1f\r\n" + goodBody + "\r\n0\r\n\r\n"}, 400, "FGS.3002"},

	// Lengths that two implementations may interpret differently.
	"length: two":                   {raw{headers: jsonType + "Content-Length: 32\nContent-Length: 0\n", body: goodBody}, 400, ""},
	"length: list":                  {raw{headers: jsonType + "Content-Length: 32, 0\n", body: goodBody}, 400, ""},
	"length: signed":                {raw{headers: jsonType + "Content-Length: +32\n", body: goodBody}, 400, ""},
	"length: negative":              {raw{headers: jsonType + "Content-Length: -1\n", body: goodBody}, 400, ""},
	"length: hex":                   {raw{headers: jsonType + "Content-Length: 0x20\n", body: goodBody}, 400, ""},
	"length: empty":                 {raw{headers: jsonType + "Content-Length: \n", body: goodBody}, 400, ""},
	"length: shorter than the body": {raw{headers: jsonType + "Content-Length: 31\n", body: goodBody}, 400, "FGS.3002"},

	// Headers.
	"run: missing":                {raw{ids: "X-Workflow-State-Id: s\n", body: goodBody}, 400, "FGS.3002"},
	"run: empty":                  {raw{ids: "X-Workflow-Run-Id:\nX-Workflow-State-Id: s\n", body: goodBody}, 400, "FGS.3002"},
	"run: blank":                  {raw{ids: "X-Workflow-Run-Id: \t \nX-Workflow-State-Id: s\n", body: goodBody}, 400, "FGS.3002"},
	"run: twice":                  {raw{ids: "X-Workflow-Run-Id: r\nx-workflow-run-id: r\nX-Workflow-State-Id: s\n", body: goodBody}, 400, "FGS.3002"},
	"run: different case":         {raw{ids: "X-Workflow-Run-Id: R\nX-Workflow-State-Id: s\n", body: goodBody}, 404, "FGS.5002"},
	"run: with an underscore":     {raw{ids: "X_Workflow_Run_Id: r\nX-Workflow-State-Id: s\n", body: goodBody}, 400, "FGS.3002"},
	"run: not UTF-8":              {raw{ids: "X-Workflow-Run-Id: \xff\nX-Workflow-State-Id: s\n", body: goodBody}, 400, "FGS.3002"},
	"run: NUL":                    {raw{ids: "X-Workflow-Run-Id: r\x00\nX-Workflow-State-Id: s\n", body: goodBody}, 400, ""},
	"run: folded":                 {raw{ids: "X-Workflow-Run-Id: r\n folded\nX-Workflow-State-Id: s\n", body: goodBody}, 404, "FGS.5002"},
	"run: in the trailer":         {raw{ids: "X-Workflow-State-Id: s\n", headers: jsonType + "Transfer-Encoding: chunked\nTrailer: X-Workflow-Run-Id\n", body: fmt.Sprintf("20\r\n%s\r\n0\r\nX-Workflow-Run-Id: r\r\n\r\n", goodBody)}, 400, "FGS.3002"},
	"header: without a colon":     {raw{headers: jsonType + "oops\n", body: goodBody}, 400, ""},
	"header: without a name":      {raw{headers: jsonType + ": x\n", body: goodBody}, 400, ""},
	"header: space in its name":   {raw{headers: jsonType + "a b: x\n", body: goodBody}, 400, ""},
	"header: bare CR":             {raw{headers: jsonType + "A: b\rC: d\n", body: goodBody}, 400, ""},
	"header: 17 KiB":              {raw{headers: "A: " + strings.Repeat("x", 17<<10) + "\n", body: goodBody}, 431, ""},
	"header: ten thousand":        {raw{headers: strings.Repeat("A: b\n", 10_000), body: goodBody}, 431, ""},
	"header: unknown expectation": {raw{headers: jsonType + "Expect: a miracle\nContent-Length: 32\n", body: goodBody}, 417, ""},
	"host: none":                  {raw{host: "A: b\n", body: goodBody}, 400, ""},
	"host: two":                   {raw{host: "Host: x\nHost: y\n", body: goodBody}, 400, ""},
	"host: malformed":             {raw{host: "Host: a b\n", body: goodBody}, 400, ""},

	// Paths.
	"path: empty":                        {raw{line: "POST  HTTP/1.1", body: goodBody}, 400, ""},
	"path: relative":                     {raw{line: "POST v2/project/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 400, ""},
	"path: star":                         {raw{line: "POST * HTTP/1.1", body: goodBody}, 404, "APIGW.0101"},
	"path: root":                         {raw{line: "POST / HTTP/1.1", body: goodBody}, 404, "APIGW.0101"},
	"path: slash at the end":             {raw{line: "POST /v2/project/fgs/workflows/w/callback/ HTTP/1.1", body: goodBody}, 404, "APIGW.0101"},
	"path: two slashes":                  {raw{line: "POST //v2/project/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 404, "APIGW.0101"},
	"path: no project":                   {raw{line: "POST /v2//fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 400, "FGS.3002"},
	"path: dots":                         {raw{line: "POST /v2/project/../project/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 404, "APIGW.0101"},
	"path: escaped dots":                 {raw{line: "POST /v2/%2e%2e/v2/project/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 404, "APIGW.0101"},
	"path: escaped slash":                {raw{line: "POST /v2/project%2Ffgs/workflows/w/callback HTTP/1.1", body: goodBody}, 404, "APIGW.0101"},
	"path: different case":               {raw{line: "POST /V2/project/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 404, "APIGW.0101"},
	"path: project, different case":      {raw{line: "POST /v2/Project/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 404, "FGS.5002"},
	"path: id, trailing space":           {raw{line: "POST /v2/project%20/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 404, "FGS.5002"},
	"path: id with NUL":                  {raw{line: "POST /v2/project%00/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 404, "FGS.5002"},
	"path: id escaped twice":             {raw{line: "POST /v2/projec%2574/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 404, "FGS.5002"},
	"path: id that is not UTF-8":         {raw{line: "POST /v2/%ff/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 400, "FGS.3002"},
	"path: broken escape":                {raw{line: "POST /v2/%zz/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 400, ""},
	"path: control character":            {raw{line: "POST /v2/\x01/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 400, ""},
	"path: id too long":                  {raw{line: "POST /v2/" + strings.Repeat("p", 9999) + "/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 400, "FGS.3002"},
	"path: longer than the header limit": {raw{line: "POST /v2/" + strings.Repeat("p", 20<<10) + "/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 431, ""},

	// Methods and versions.
	"method: GET":             {raw{line: "GET /v2/project/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 405, "FLOWCALLBACK.METHOD"},
	"method: HEAD":            {raw{line: "HEAD /v2/project/fgs/workflows/w/callback HTTP/1.1"}, 405, ""},
	"method: PUT":             {raw{line: "PUT /v2/project/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 405, "FLOWCALLBACK.METHOD"},
	"method: TRACE":           {raw{line: "TRACE /v2/project/fgs/workflows/w/callback HTTP/1.1"}, 405, "FLOWCALLBACK.METHOD"},
	"method: CONNECT":         {raw{line: "CONNECT project:443 HTTP/1.1"}, 421, "FLOWCALLBACK.HOST"},
	"method: lower case":      {raw{line: "post /v2/project/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 405, "FLOWCALLBACK.METHOD"},
	"method: unknown":         {raw{line: "JUMP /v2/project/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 405, "FLOWCALLBACK.METHOD"},
	"method: not a token":     {raw{line: "PO(ST /v2/project/fgs/workflows/w/callback HTTP/1.1", body: goodBody}, 400, ""},
	"method: overridden":      {raw{line: "GET /v2/project/fgs/workflows/w/callback HTTP/1.1", headers: "X-HTTP-Method-Override: POST\n"}, 405, "FLOWCALLBACK.METHOD"},
	"version: none":           {raw{line: "POST /v2/project/fgs/workflows/w/callback", body: goodBody}, 400, ""},
	"version: 0.9":            {raw{line: "POST /v2/project/fgs/workflows/w/callback HTTP/0.9", body: goodBody}, 505, ""},
	"version: 3.0":            {raw{line: "POST /v2/project/fgs/workflows/w/callback HTTP/3.0", body: goodBody}, 505, ""},
	"version: HTTP/2 preface": {raw{line: "PRI * HTTP/2.0", body: "SM\r\n\r\n"}, 404, "APIGW.0101"},
	"version: TLS":            {raw{line: "\x16\x03\x01\x02\x00\x01\x00"}, 400, ""},
	"version: garbage":        {raw{line: "\x00\x01\x02"}, 400, ""},
}

func TestHostileRequests(t *testing.T) {
	x := newTarget(t)
	for name, test := range hostile {
		t.Run(name, func(t *testing.T) {
			conn := x.dial(t)
			send(t, conn, test.text())
			method, _, _ := strings.Cut(test.line, " ")
			status, code := receive(t, bufio.NewReader(conn), method)
			if status != test.status || code != test.code {
				t.Errorf("response %d %s, want %d %s", status, code, test.status, test.code)
			}
			x.wantUntouched(t)
		})
	}
	if log := x.Log(); strings.Contains(log, "panic") || strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("log contains a panic or an error:\n%s", log)
	}
}
