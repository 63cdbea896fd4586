package client

import (
	"net/http"
	"time"

	"github.com/flowcallback/flowcallback/openapi/signature"
)

// An Option changes how a Client sends.
type Option func(*doer)

// WithHTTPClient sends through the given client, for its transport: proxies, certificates,
// connection limits. It is copied without its Timeout, for which there is WithTimeout, and
// redirects are never followed, whatever it says, because none is part of the contract. Default: a plain http.Client, which honours HTTPS_PROXY
// and its relatives.
func WithHTTPClient(c *http.Client) Option { return func(d *doer) { d.http = c } }

// WithTimeout bounds each attempt, from connecting to the last byte of the answer.
// Long-polls get the time they ask the server for on top. Default: 30 seconds; 0: none but
// the context's.
func WithTimeout(timeout time.Duration) Option { return func(d *doer) { d.timeout = timeout } }

// WithRetry bounds how long a call goes on trying after 429, 502, 503, 504 or a broken
// connection: no attempt begins later than that after the first one failed. Default: a minute; 0:
// one attempt only.
func WithRetry(total time.Duration) Option { return func(d *doer) { d.retryFor = total } }

// WithBackoff sets the pauses between attempts: the first, doubling up to the longest, each
// with jitter. A Retry-After of the server's that is longer than the first counts instead. Default: 200 milliseconds and
// 10 seconds.
func WithBackoff(first, longest time.Duration) Option {
	return func(d *doer) { d.first, d.longest = first, longest }
}

// WithNotify has notify called before each further attempt, with why the last one was not
// good and how much time is left for trying. Default: nobody is told.
func WithNotify(notify func(cause error, left time.Duration)) Option {
	return func(d *doer) { d.notify = notify }
}

// WithUserAgent sets the User-Agent header. Default: flowcallback-go.
func WithUserAgent(name string) Option { return func(d *doer) { d.userAgent = name } }

// WithToken authenticates every request with a token, in the header X-Auth-Token.
func WithToken(token string) Option {
	return func(d *doer) {
		d.authenticate = func(r *http.Request, _ []byte) error {
			r.Header.Set("X-Auth-Token", token)
			return nil
		}
	}
}

// WithAKSK signs every request with an access key and its secret, as the vendor's SDKs do;
// securityToken goes along with temporary ones, else it is empty. An attempt is signed anew
// each time, so the machine's clock has to be right to some minutes.
func WithAKSK(accessKey, secretKey, securityToken string) Option {
	return func(d *doer) {
		d.authenticate = func(r *http.Request, body []byte) error {
			r.Header.Set("X-Project-Id", d.projectID)
			if securityToken != "" {
				r.Header.Set("X-Security-Token", securityToken)
			}
			return signature.Sign(r, body, accessKey, secretKey, time.Now())
		}
	}
}

// WithCheck has every request checked before it is sent; one that check returns an error
// for is not sent, and the call returns that error wrapped in ErrInvalid. The request's
// body can be read through its GetBody. Package precheck has such a check. Default: none.
func WithCheck(check func(*http.Request) error) Option { return func(d *doer) { d.check = check } }
