// Package signature is the AK/SK scheme of the contract: how a request is signed with an
// access key and its secret, as the vendor's SDKs do it, and how such a signature is
// verified. Both ends share it, so they cannot disagree.
//
// The scheme (from the SDKs; the published page does not carry it): the header
//
//	Authorization: SDK-HMAC-SHA256 Access=…, SignedHeaders=a;b, Signature=…
//
// holds the hex HMAC-SHA256, under the secret, of a text that names the algorithm, the
// header X-Sdk-Date and the hash of the canonical request: method, path, query, the listed
// headers and the hash of the body. A header that is not listed is not covered; which ones
// must be is for the verifier to say.
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
	// Algorithm names the scheme at the beginning of the header Authorization.
	Algorithm = "SDK-HMAC-SHA256"
	// DateHeader says when a request was signed, as DateFormat in UTC.
	DateHeader = "X-Sdk-Date"
	// DateFormat is that of DateHeader, for package time.
	DateFormat = "20060102T150405Z"
)

// Authorization is the header Authorization, taken apart.
type Authorization struct {
	AccessKey     string
	SignedHeaders []string // lower case, in the order in which they are signed
	Signature     []byte
}

var errMalformed = errors.New("not an SDK-HMAC-SHA256 authorization")

// Parse takes the value of the header Authorization apart. It wants each of the three parts
// once, in any order, and header names once each.
func Parse(header string) (Authorization, error) {
	var a Authorization
	rest, ok := strings.CutPrefix(header, Algorithm+" ")
	if !ok {
		return a, errMalformed
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
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

// Verify reports whether a is the signature, under secret, of r with the given body, in
// constant time for any secret. A listed header that r has not, or more than once, is not
// verified. The time of the signature is for the caller to judge: see Time.
func (a Authorization) Verify(r *http.Request, body []byte, secret string) bool {
	whole := true
	for _, name := range a.SignedHeaders {
		if len(headerValues(r, name)) != 1 {
			whole = false
		}
	}
	canonical, err := canonicalRequest(r, body, a.SignedHeaders)
	if err != nil {
		whole = false
	}
	wanted := sign(canonical, r.Header.Get(DateHeader), secret)
	return hmac.Equal(a.Signature, wanted) && whole
}

// Time returns when r was signed, as its header DateHeader says.
func Time(r *http.Request) (time.Time, error) {
	return time.Parse(DateFormat, r.Header.Get(DateHeader))
}

// Sign signs r, whose body is body, as of now: it sets DateHeader and Authorization, and
// covers its host and every header that r has by then but User-Agent, which proxies add to.
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

// canonicalRequest is the text whose hash is signed.
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
			b.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
		}
	}
	b.WriteString("\n" + strings.Join(headers, ";") + "\n" + hex.EncodeToString(hash[:]))
	return b.String(), nil
}

// headerValues returns the values of a header, sorted. net/http keeps Host apart: on the
// server always, on the client where it differs from the URL's.
func headerValues(r *http.Request, name string) []string {
	if name == "host" {
		if r.Host != "" {
			return []string{r.Host}
		}
		return []string{r.URL.Host}
	}
	return slices.Sorted(slices.Values(r.Header.Values(name)))
}

// canonicalPath escapes each segment anew (RFC 3986, section 2.3) and ends with a slash.
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

// canonicalQuery sorts by name, then by value.
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

// escape writes every byte but the unreserved characters as a per cent sign and two
// capital hex digits.
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
