package server

import (
	"sync"
	"time"
)

// An owner is who uses memory: a principal that has proved who it is, or an address.
type owner struct {
	name   string
	proven bool
}

// memory accounts for the bytes of bodies, so that no caller takes them from the others. All
// callers that have not proved who they are share three quarters; the rest is reserved for
// principals. One address or one principal gets at most half. When memory is short, bodies
// that have been arriving for longer than patience are dropped: those of the caller that has
// reached its own limit, or everybody's.
type memory struct {
	total int64

	mu       sync.Mutex
	used     int64
	unproven int64
	owners   map[owner]int64
	arriving map[*share]struct{}
	searched time.Time // when slow bodies were last looked for
}

const (
	// patience is how long a body may arrive while others lack memory.
	patience = time.Second
	// searchInterval limits the work of looking for slow bodies.
	searchInterval = 50 * time.Millisecond
)

// nobody owns what is dropped until it is released.
var nobody = owner{proven: true}

// A share is the memory of one body.
type share struct {
	memory *memory
	owner  owner
	taken  int64

	// Of a body that arrives.
	since   time.Time
	drop    func() // makes its reader return; must not block
	dropped bool
}

func newMemory(total int64) *memory {
	return &memory{total: total, owners: map[owner]int64{}, arriving: map[*share]struct{}{}}
}

// take takes n more bytes, and reports whether the limits allow it.
func (s *share) take(n int64) bool {
	m := s.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.dropped {
		return false
	}
	if !m.fits(s.owner, n) {
		m.dropSlow(patience, s.owner, m.exceedsPool(s.owner, n))
		if s.dropped || !m.fits(s.owner, n) {
			return false
		}
	}
	s.taken += n
	m.add(s.owner, n)
	return true
}

// arrive marks the share as one of a body that arrives. Until arrived is called, drop may be.
func (s *share) arrive(drop func()) {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	s.since, s.drop = time.Now(), drop
	s.memory.arriving[s] = struct{}{}
}

// arrived ends what arrive began, and reports whether the body was dropped.
func (s *share) arrived() (dropped bool) {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	delete(s.memory.arriving, s)
	return s.dropped
}

// isDropped reports whether the body is to be given up.
func (s *share) isDropped() bool {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	return s.dropped
}

// prove makes a principal the owner, if its limit allows it.
func (s *share) prove(principal string) {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	to := owner{principal, true}
	if s.owner != to && s.memory.owners[to]+s.taken <= s.memory.total/2 {
		s.memory.move(s, to)
	}
}

// release returns the memory.
func (s *share) release() {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	s.memory.add(s.owner, -s.taken)
	s.taken = 0
}

// dropArriving drops all bodies that arrive now.
func (m *memory) dropArriving() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.searched = time.Time{}
	m.dropSlow(0, nobody, true)
}

// fits reports whether n more bytes are within the limits.
func (m *memory) fits(o owner, n int64) bool {
	return m.owners[o]+n <= m.total/2 && !m.exceedsPool(o, n)
}

// exceedsPool reports whether n more bytes exceed a limit that the owner shares with others.
func (m *memory) exceedsPool(o owner, n int64) bool {
	return m.used+n > m.total || !o.proven && m.unproven+n > m.total/4*3
}

// dropSlow drops the bodies of an owner, or of all, that have been arriving for at least the
// given time. Their memory counts for nobody until they release it.
func (m *memory) dropSlow(least time.Duration, o owner, all bool) {
	now := time.Now()
	if now.Sub(m.searched) < searchInterval {
		return
	}
	m.searched = now
	for s := range m.arriving {
		if now.Sub(s.since) >= least && (all || s.owner == o) {
			s.dropped = true
			m.move(s, nobody)
			delete(m.arriving, s)
			s.drop()
		}
	}
}

func (m *memory) move(s *share, to owner) {
	m.add(s.owner, -s.taken)
	s.owner = to
	m.add(to, s.taken)
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
