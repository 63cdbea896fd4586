package client

import (
	"net/http"
	"time"

	"github.com/flowcallback/flowcallback/openapi/signature"
)

// Defaults of the options.
const (
	DefaultTimeout      = 30 * time.Second
	DefaultRetry        = time.Minute
	DefaultFirstPause   = 200 * time.Millisecond
	DefaultLongestPause = 10 * time.Second
	DefaultUserAgent    = "flowcallback-go"
)

// An Option configures a Client.
type Option func(*doer)

// WithHTTPClient sends requests with a copy of the given client, for its transport: proxies,
// certificates, connection limits. Its Timeout is ignored (see WithTimeout), and redirects
// are never followed, because the contract has none. Default: a new http.Client, which uses
// the proxy that the environment sets (HTTPS_PROXY).
func WithHTTPClient(c *http.Client) Option { return func(d *doer) { d.http = c } }

// WithTimeout limits each attempt, from connecting to the last byte of the response.
// Long-polls have the time that they ask the server to wait in addition. 0 sets no limit but
// the context's. Default: DefaultTimeout.
func WithTimeout(timeout time.Duration) Option { return func(d *doer) { d.timeout = timeout } }

// WithRetry limits how long a call is retried after 429, 502, 503, 504 or a broken
// connection: no attempt starts later than total after the first one failed. 0 makes one
// attempt only. Default: DefaultRetry.
func WithRetry(total time.Duration) Option { return func(d *doer) { d.retryFor = total } }

// WithRetryNotFound retries a callback for an unknown state (ErrNotFound) for the given time,
// because it may arrive before its wait is opened. An expired or cancelled state is not
// retried. Default: 0, no retry.
func WithRetryNotFound(total time.Duration) Option {
	return func(d *doer) { d.retryNotFoundFor = total }
}

// WithBackoff sets the pauses between attempts. They double from the first to the longest,
// with jitter. If the server sends a longer Retry-After than the first pause, that is used
// instead. Default: DefaultFirstPause and DefaultLongestPause.
func WithBackoff(first, longest time.Duration) Option {
	return func(d *doer) { d.first, d.longest = first, longest }
}

// WithNotify calls notify before each further attempt, with the reason why the last one
// failed and the time that is left for retries. Default: no call.
func WithNotify(notify func(cause error, left time.Duration)) Option {
	return func(d *doer) { d.notify = notify }
}

// WithUserAgent sets the User-Agent header. Default: DefaultUserAgent.
func WithUserAgent(name string) Option { return func(d *doer) { d.userAgent = name } }

// WithToken authenticates requests with a token, in the header X-Auth-Token.
func WithToken(token string) Option {
	return func(d *doer) {
		d.authenticate = func(r *http.Request, _ []byte) error {
			r.Header.Set("X-Auth-Token", token)
			return nil
		}
	}
}

// WithAKSK signs requests with an access key and its secret, as the vendor's SDKs do.
// Temporary keys need a securityToken; else it is empty. Each attempt is signed with the
// current time, so the clock of the machine must be right to within some minutes.
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

// WithCheck calls check before a request is sent. If check returns an error, the request is
// not sent, and the call returns that error and ErrInvalid. check reads the body with
// GetBody. Package precheck has a check of the whole contract. Default: no check.
func WithCheck(check func(*http.Request) error) Option { return func(d *doer) { d.check = check } }
