// Package signature implements the AK/SK scheme of the vendor's SDKs: it signs requests with
// an access key and its secret, and verifies such signatures. Client and server share it.
//
// The scheme comes from the SDKs; the published page does not describe it. The header
//
//	Authorization: SDK-HMAC-SHA256 Access=…, SignedHeaders=a;b, Signature=…
//
// has the hex HMAC-SHA256, with the secret as its key, of a text with the algorithm, the
// header X-Sdk-Date and the hash of the canonical request: method, path, query, the listed
// headers and the hash of the body. Headers that are not listed are not covered. The
// verifier decides which headers must be covered.
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// Algorithm is the first word of the header Authorization.
	Algorithm = "SDK-HMAC-SHA256"
	// DateHeader has the time of signing, in DateFormat and UTC.
	DateHeader = "X-Sdk-Date"
	// DateFormat is the format of DateHeader, for package time.
	DateFormat = "20060102T150405Z"
	// MaxClockSkew is the largest difference between the time of signing and the verifier's
	// clock (the vendor's limit).
	MaxClockSkew = 15 * time.Minute
)

// Authorization is the parsed header Authorization.
type Authorization struct {
	AccessKey     string
	SignedHeaders []string // lower case, in the signed order
	Signature     []byte
}

var errMalformed = errors.New("not an SDK-HMAC-SHA256 authorization")

// Parse parses the value of the header Authorization. Each of the three parts must occur
// once, in any order, and each header name once.
func Parse(header string) (Authorization, error) {
	var a Authorization
	rest, ok := strings.CutPrefix(header, Algorithm+" ")
	if !ok {
		return a, errMalformed
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(trim(part), "=")
		if !ok || value == "" || seen[name] {
			return a, errMalformed
		}
		seen[name] = true
		switch name {
		case "Access":
			a.AccessKey = value
		case "SignedHeaders":
			a.SignedHeaders = strings.Split(strings.ToLower(value), ";")
		case "Signature":
			var err error
			if a.Signature, err = hex.DecodeString(value); err != nil {
				return a, errMalformed
			}
		default:
			return a, errMalformed
		}
	}
	names := slices.Sorted(slices.Values(a.SignedHeaders))
	if len(seen) != 3 || len(slices.Compact(names)) != len(a.SignedHeaders) || names[0] == "" {
		return a, errMalformed
	}
	return a, nil
}

// Covers reports whether the signature covers all of the given headers.
func (a Authorization) Covers(headers ...string) bool {
	for _, header := range headers {
		if !slices.Contains(a.SignedHeaders, strings.ToLower(header)) {
			return false
		}
	}
	return true
}

// Verify reports whether a is the signature of r and the given body with the secret. The
// comparison takes constant time. Verify returns false if r does not have each listed header
// exactly once, or if white space surrounds a value: HTTP/1 servers remove it, but HTTP/2
// delivers it (RFC 9113, section 8.2.1, calls such a request malformed), and one signature
// would fit several values. It does not check the time of signing; see Time.
func (a Authorization) Verify(r *http.Request, body []byte, secret string) bool {
	complete := true
	for _, name := range a.SignedHeaders {
		values := headerValues(r, name)
		if len(values) != 1 || values[0] != trim(values[0]) {
			complete = false
		}
	}
	canonical, err := canonicalRequest(r, body, a.SignedHeaders)
	if err != nil {
		complete = false
	}
	wanted := sign(canonical, r.Header.Get(DateHeader), secret)
	return hmac.Equal(a.Signature, wanted) && complete
}

// Time returns the time of signing from the header DateHeader.
func Time(r *http.Request) (time.Time, error) {
	return time.Parse(DateFormat, r.Header.Get(DateHeader))
}

// Sign signs r with the given body and time: it sets DateHeader and Authorization. The
// signature covers the host and every header of r except User-Agent, which proxies change.
func Sign(r *http.Request, body []byte, accessKey, secret string, now time.Time) error {
	r.Header.Set(DateHeader, now.UTC().Format(DateFormat))
	r.Header.Del("Authorization")
	names := []string{"host"}
	for name := range r.Header {
		if name != "User-Agent" {
			names = append(names, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	canonical, err := canonicalRequest(r, body, names)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", Algorithm+" Access="+accessKey+", SignedHeaders="+strings.Join(names, ";")+
		", Signature="+hex.EncodeToString(sign(canonical, r.Header.Get(DateHeader), secret)))
	return nil
}

func sign(canonical, date, secret string) []byte {
	hash := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(Algorithm + "\n" + date + "\n" + hex.EncodeToString(hash[:])))
	return mac.Sum(nil)
}

// canonicalRequest returns the text whose hash is signed.
func canonicalRequest(r *http.Request, body []byte, headers []string) (string, error) {
	path, err := canonicalPath(r.URL.EscapedPath())
	if err != nil {
		return "", err
	}
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(body)
	var b strings.Builder
	for _, part := range []string{r.Method, path, query} {
		b.WriteString(part + "\n")
	}
	for _, name := range headers {
		for _, value := range headerValues(r, name) {
			b.WriteString(name + ":" + trim(value) + "\n")
		}
	}
	b.WriteString("\n" + strings.Join(headers, ";") + "\n" + hex.EncodeToString(hash[:]))
	return b.String(), nil
}

// trim removes optional white space, which is SP and HTAB (RFC 9110, section 5.6.3). Other
// white space is part of a value: net/http delivers it, so it must be signed.
func trim(value string) string { return strings.Trim(value, " \t") }

// headerValues returns the sorted values of a header. net/http stores Host apart from the
// other headers: always on the server, and on the client if it differs from the URL's.
func headerValues(r *http.Request, name string) []string {
	if name == "host" {
		if r.Host != "" {
			return []string{r.Host}
		}
		return []string{r.URL.Host}
	}
	return slices.Sorted(slices.Values(r.Header.Values(name)))
}

// canonicalPath escapes each segment again (RFC 3986, section 2.3) and ends with a slash.
func canonicalPath(escaped string) (string, error) {
	segments := strings.Split(escaped, "/")
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return "", err
		}
		segments[i] = escape(plain)
	}
	path := strings.Join(segments, "/")
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	return path, nil
}

// canonicalQuery sorts the query by name and then by value.
func canonicalQuery(raw string) (string, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return "", err
	}
	var pairs []string
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range slices.Sorted(slices.Values(query[name])) {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	return strings.Join(pairs, "&"), nil
}

// escape escapes every byte except the unreserved characters as a percent sign and two
// upper-case hex digits.
func escape(plain string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(plain) {
		c := plain[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&0xf])
	}
	return b.String()
}
