package store

import "sync"

// A Hub wakes long-polls. T is what they wait for. A long-poll subscribes before it reads, so
// that it misses nothing between the two. The zero Hub is ready for use.
type Hub[T comparable] struct {
	mu     sync.Mutex
	groups map[T]*group
}

type group struct {
	woken chan struct{} // closed by Publish
	size  int
}

// Subscribe returns a channel that the next Publish of topic closes, and a function that ends
// the subscription.
func (h *Hub[T]) Subscribe(topic T) (woken <-chan struct{}, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.groups[topic]
	if g == nil {
		if h.groups == nil {
			h.groups = map[T]*group{}
		}
		g = &group{woken: make(chan struct{})}
		h.groups[topic] = g
	}
	g.size++
	return g.woken, func() { h.leave(topic, g) }
}

func (h *Hub[T]) leave(topic T, g *group) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g.size--
	if g.size == 0 && h.groups[topic] == g {
		delete(h.groups, topic)
	}
}

// Publish wakes those who wait for topic.
func (h *Hub[T]) Publish(topic T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if g := h.groups[topic]; g != nil {
		close(g.woken)
		delete(h.groups, topic)
	}
}

// Topics returns what long-polls wait for at present.
func (h *Hub[T]) Topics() []T {
	h.mu.Lock()
	defer h.mu.Unlock()
	topics := make([]T, 0, len(h.groups))
	for topic := range h.groups {
		topics = append(topics, topic)
	}
	return topics
}
