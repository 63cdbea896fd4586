package server

import "sync"

// An owner is who uses memory: a principal that has proved who it is, or an address.
type owner struct {
	name   string
	proven bool
}

// memory accounts for the bytes of request bodies, so that no caller takes them from the
// others. All callers that have not proved who they are share three quarters; the rest is
// reserved for principals. One address or one principal gets at most half.
type memory struct {
	total int64

	mu       sync.Mutex
	used     int64
	unproven int64
	owners   map[owner]int64
}

func newMemory(total int64) *memory { return &memory{total: total, owners: map[owner]int64{}} }

// take takes n bytes for an owner, and reports whether the limits allow it.
func (m *memory) take(o owner, n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.used+n > m.total, m.owners[o]+n > m.total/2, !o.proven && m.unproven+n > m.total/4*3:
		return false
	}
	m.add(o, n)
	return true
}

// release returns n bytes of an owner.
func (m *memory) release(o owner, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(o, -n)
}

func (m *memory) add(o owner, n int64) {
	m.used += n
	if !o.proven {
		m.unproven += n
	}
	if m.owners[o] += n; m.owners[o] == 0 {
		delete(m.owners, o)
	}
}
