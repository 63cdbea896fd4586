// Package attempts counts failed attempts to guess a secret, by address. It saves the log from an
// attacker's lines. Right secrets always pass, so that nobody can lock out somebody else; the strength
// of the secrets protects against guessing.
package attempts

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

const (
	// failureBurst is the number of failed attempts of an address that are within the limit.
	// After that, one more is each failureInterval.
	failureBurst    = 10
	failureInterval = 10 * time.Second
	// rememberedAddresses limits the addresses in memory. The least recently used is
	// forgotten.
	rememberedAddresses = 10_000
)

// Counter counts failed attempts by address. Its methods are safe for concurrent use.
type Counter struct {
	now    func() time.Time
	logger *slog.Logger

	mu        sync.Mutex
	addresses *lru.Cache[string, *counter]
}

// counter counts the failed attempts of one address.
type counter struct {
	limiter *rate.Limiter
	refused int // with 429, since the last one within the limit
}

// New returns a counter. The logger receives a line when the attempts of an address begin to be
// limited.
func New(now func() time.Time, logger *slog.Logger) *Counter {
	addresses, err := lru.New[string, *counter](rememberedAddresses)
	if err != nil {
		panic(err) // the size is positive
	}
	return &Counter{now: now, logger: logger, addresses: addresses}
}

// Count counts a failed attempt, and reports whether it is within the limit.
func (f *Counter) Count(address string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	network := networkOf(address)
	c, ok := f.addresses.Get(network)
	if !ok {
		c = &counter{limiter: rate.NewLimiter(rate.Every(failureInterval), failureBurst)}
		f.addresses.Add(network, c)
	}
	now := f.now()
	before := c.limiter.TokensAt(now)
	if !c.limiter.AllowN(now, 1) {
		c.refused++
		return false
	}
	if before < 2 { // the last within the limit
		f.logger.Warn("too many failed attempts; further ones are answered with 429", "client", network, "refused", c.refused)
		c.refused = 0
	}
	return true
}

// networkOf returns the network that failures are counted for: an IPv4 address, or the /64
// network of an IPv6 address, which usually belongs to one customer.
func networkOf(text string) string {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return text
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
