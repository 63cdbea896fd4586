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
	// After failureBurst failed attempts, one more is judged each failureInterval.
	failureBurst    = 10
	failureInterval = 10 * time.Second
	// remembered limits the addresses, access keys and successes in memory. When a map is
	// full, it is cleared.
	remembered = 10_000
)

// attempts slows down callers that guess credentials. It counts failures for each address
// and each claimed access key. While one of them is limited, valid credentials are refused
// too, so that further guesses reveal nothing. Until then, only principals already seen from
// that address are admitted, so that a guessing neighbour does not lock them out.
type attempts struct {
	now    func() time.Time
	logger *slog.Logger

	mu       sync.Mutex
	failures map[key]*rate.Limiter
	known    map[success]bool
}

// key identifies a counter of failures.
type key struct{ kind, value string }

// success is a principal that was admitted from an address.
type success struct {
	address string
	name    string
}

func newAttempts(now func() time.Time, logger *slog.Logger) *attempts {
	return &attempts{now: now, logger: logger, failures: map[key]*rate.Limiter{}, known: map[success]bool{}}
}

// judge records an attempt from a remote address. claimed is its access key or empty; who is
// its principal, or nil if the attempt failed.
func (a *attempts) judge(remote, claimed string, who *principal) error {
	address := addressOf(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	keys := []key{{kind: "address", value: address}}
	if claimed != "" {
		hash := sha256.Sum256([]byte(claimed)) // so that long keys take no more memory
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

// letIn admits a principal, unless attempts are limited and it is new at its address.
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

// take counts a failure, and reports whether it is within the limit.
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
	if before < 2 { // the last within the limit
		a.logger.Warn("too many failed attempts; further ones are answered with 429", "kind", k.kind, "address", address)
	}
	return true
}

// addressOf returns the address that failures are counted for: for IPv6 the /64 network,
// which usually belongs to one customer.
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
