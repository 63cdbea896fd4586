// Package client calls back flows that wait, and opens and follows waits with
// flowcallbackd. It retries while the server is busy or unreachable, which is safe for every
// operation, and returns errors that errors.Is recognizes:
//
//	c, err := client.New("https://functiongraph.cn-north-4.myhuaweicloud.com", projectID)
//	…
//	state, err := client.StateFromHeader(r.Header)
//	…
//	_, err = c.Succeed(ctx, state, result)
//
// It links neither a server nor a validator. Package precheck is an option that checks each
// request against the whole contract before it is sent.
package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/flowcallback/flowcallback/gen/callbackclient"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsclient"
)

// Client calls one endpoint for one project. It is safe for concurrent use.
type Client struct {
	// Waits is the API of the waiting side. flowcallbackd offers it; the vendor's service
	// does not.
	Waits *Waits

	projectID string
	callbacks *callbackclient.Client
}

// Whoami returns what the client's credentials allow. flowcallbackd offers it; the vendor's
// service does not.
func (c *Client) Whoami(ctx context.Context) (waits.Principal, error) {
	return read[waits.Principal](c.Waits.waits.Whoami(ctx))(http.StatusOK)
}

// New returns a client for the service at endpoint, such as
// https://functiongraph.<region>.myhuaweicloud.com or http://127.0.0.1:8080. It sends no
// request. The error says what is wrong with an argument.
func New(endpoint, projectID string, options ...Option) (*Client, error) {
	base, err := url.Parse(endpoint)
	switch {
	case err != nil, base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, errors.New("client: endpoint: want a URL such as https://functiongraph.cn-north-4.myhuaweicloud.com") // it may have a password
	case base.User != nil:
		return nil, errors.New("client: endpoint: want no user name and no password; see WithToken and WithAKSK")
	case base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("client: endpoint: want no query and no fragment")
	}
	if err := checkSegment("project id", projectID); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	d := &doer{
		http:      &http.Client{},
		timeout:   DefaultTimeout,
		retryFor:  DefaultRetry,
		first:     DefaultFirstPause,
		longest:   DefaultLongestPause,
		userAgent: DefaultUserAgent,
		projectID: projectID,
	}
	for _, option := range options {
		option(d)
	}
	if d.retryFor < 0 || d.timeout < 0 {
		return nil, fmt.Errorf("client: retry time %s, attempt timeout %s: want no negative times", d.retryFor, d.timeout)
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

// checkHeader refuses an id that net/http would trim or not send in a header (RFC 9110,
// section 5.5).
func checkHeader(what, id string) error {
	isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
	if strings.Trim(id, " ") != id || strings.ContainsFunc(id, isControl) {
		return fmt.Errorf("%s %q cannot be sent in a header: %w", what, id, ErrInvalid)
	}
	return nil
}

// checkSegment refuses an id that cannot be one segment of a path: an empty one, and the dots
// that URL libraries remove even if they are escaped (RFC 3986, section 5.2.4).
func checkSegment(what, id string) error {
	if id == "" {
		return fmt.Errorf("%s is empty: %w", what, ErrInvalid)
	}
	if id == "." || id == ".." {
		return fmt.Errorf("%s %q cannot be sent in a URL: %w", what, id, ErrInvalid)
	}
	return nil
}
