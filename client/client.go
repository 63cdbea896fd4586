// Package client calls back flows that wait, and opens and follows waits with
// flowcallbackd. It cannot be made to send a body that is not an object, retries what is
// safe to retry (every operation here is), and names what went wrong:
//
//	c, err := client.New("https://functiongraph.cn-north-4.myhuaweicloud.com", projectID)
//	…
//	state, err := client.StateFromHeader(r.Header)
//	…
//	_, err = c.Succeed(ctx, state, result)
//
// It links neither a server nor a validator. Package precheck below it checks a request
// against the whole contract before it is sent, for those who import it.
package client

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/flowcallback/flowcallback/gen/callbackclient"
	"github.com/flowcallback/flowcallback/gen/waitsclient"
)

// Client calls one endpoint for one project. It is safe for concurrent use.
type Client struct {
	// Waits is the side that waits; flowcallbackd has it, the vendor's service has not.
	Waits *Waits

	projectID string
	callbacks *callbackclient.Client
}

// New returns a client of the service at endpoint, such as
// https://functiongraph.<region>.myhuaweicloud.com or http://127.0.0.1:8080. It sends
// nothing. The error says what is wrong with an argument.
func New(endpoint, projectID string, options ...Option) (*Client, error) {
	base, err := url.Parse(endpoint)
	switch {
	case err != nil, base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, fmt.Errorf("client: endpoint %q: want a URL such as https://functiongraph.cn-north-4.myhuaweicloud.com", endpoint)
	case base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("client: endpoint %q: want no query and no fragment", base.Redacted())
	}
	if err := checkSegment("project id", projectID); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	d := &doer{
		http:      &http.Client{},
		timeout:   30 * time.Second,
		retryFor:  time.Minute,
		first:     200 * time.Millisecond,
		longest:   10 * time.Second,
		userAgent: "flowcallback-go",
		projectID: projectID,
	}
	for _, option := range options {
		option(d)
	}
	if d.retryFor < 0 || d.timeout < 0 {
		return nil, fmt.Errorf("client: retrying for %s, an attempt taking %s: want no negative times", d.retryFor, d.timeout)
	}
	d.http = forTransport(d.http)
	server := strings.TrimSuffix(endpoint, "/") + "/"
	callbacks, err := callbackclient.NewClient(server, callbackclient.WithHTTPClient(d))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	waiting, err := waitsclient.NewClient(server, waitsclient.WithHTTPClient(d))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &Client{
		Waits:     &Waits{projectID: projectID, waits: waiting},
		projectID: projectID,
		callbacks: callbacks,
	}, nil
}

// checkHeader refuses what net/http would trim, or not send (RFC 9110, section 5.5).
func checkHeader(what, id string) error {
	isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
	if strings.Trim(id, " ") != id || strings.ContainsFunc(id, isControl) {
		return fmt.Errorf("%s %q cannot travel in a header: %w", what, id, ErrInvalid)
	}
	return nil
}

// checkSegment refuses what cannot travel as one segment of a path: nothing, and the dots
// that every URL library resolves away, however they are escaped (RFC 3986, section 5.2.4).
func checkSegment(what, id string) error {
	if id == "" {
		return fmt.Errorf("%s is empty: %w", what, ErrInvalid)
	}
	if id == "." || id == ".." {
		return fmt.Errorf("%s %q cannot travel in a URL: %w", what, id, ErrInvalid)
	}
	return nil
}
