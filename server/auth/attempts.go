package auth

import (
	"crypto/sha256"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/flowcallback/flowcallback/server"
)

const (
	// failureBurst wrong credentials are answered as such; after them, one each
	// failureInterval.
	failureBurst    = 10
	failureInterval = 10 * time.Second
	// remembered bounds how many addresses, access keys and successes are kept in mind;
	// beyond it, the memory is begun anew, so that it cannot be made to grow.
	remembered = 10_000
)

// attempts slows down who guesses: failures are counted for each address and for each
// access key that is claimed. While one of the two is limited, right credentials do not
// help either, so that guessing on tells nothing; except for a principal that got in from
// that address before, so that a neighbour who guesses shuts nobody out.
type attempts struct {
	now    func() time.Time
	logger *slog.Logger

	mu       sync.Mutex
	failures map[key]*rate.Limiter
	known    map[success]bool
}

// key is what failures are counted under.
type key struct{ kind, value string }

// success is a principal that got in from an address.
type success struct {
	address string
	name    string
}

func newAttempts(now func() time.Time, logger *slog.Logger) *attempts {
	return &attempts{now: now, logger: logger, failures: map[key]*rate.Limiter{}, known: map[success]bool{}}
}

// judge takes down an attempt that was made from remote, claiming an access key or not, and
// proved to be by who, nil for nobody.
func (a *attempts) judge(remote, claimed string, who *principal) error {
	address := addressOf(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	keys := []key{{kind: "address", value: address}}
	if claimed != "" {
		hash := sha256.Sum256([]byte(claimed)) // of one length, however long it is
		keys = append(keys, key{kind: "access key", value: string(hash[:])})
	}
	if who != nil {
		return a.letIn(keys, success{address, who.name})
	}
	var limited bool
	for _, k := range keys {
		limited = !a.take(k, address) || limited
	}
	if limited {
		return server.ErrTooManyAttempts
	}
	return server.ErrUnauthenticated
}

func (a *attempts) letIn(keys []key, s success) error {
	if a.known[s] {
		return nil
	}
	for _, k := range keys {
		if limiter := a.failures[k]; limiter != nil && limiter.TokensAt(a.now()) < 1 {
			return server.ErrTooManyAttempts
		}
	}
	if len(a.known) >= remembered {
		clear(a.known)
	}
	a.known[s] = true
	return nil
}

// take counts a failure, and reports whether it is one of those that are answered as such.
func (a *attempts) take(k key, address string) bool {
	limiter := a.failures[k]
	if limiter == nil {
		if len(a.failures) >= remembered {
			clear(a.failures)
		}
		limiter = rate.NewLimiter(rate.Every(failureInterval), failureBurst)
		a.failures[k] = limiter
	}
	now := a.now()
	before := limiter.TokensAt(now)
	if !limiter.AllowN(now, 1) {
		return false
	}
	if before < 2 { // that was the last
		a.logger.Warn("too many failed attempts; more are answered with 429", "kind", k.kind, "address", address)
	}
	return true
}

// addressOf returns the address to count under: of IPv6, the network that one customer
// usually has.
func addressOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	network, err := address.Prefix(64)
	if err != nil {
		return address.String()
	}
	return network.String()
}
