package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	// countLimit limits the waits of a status that a scrape counts, and countAge is how long the
	// numbers are remembered.
	countLimit = 100_000
	countAge   = 10 * time.Second
	// projectLimit limits the projects whose oldest wait a scrape looks at.
	projectLimit = 1000

	countMetrics = `
SELECT (SELECT count(*) FROM (SELECT FROM flowcallback.pending LIMIT $2) x),
       (SELECT count(*) FROM (SELECT FROM flowcallback.held LIMIT $2) x),
       coalesce((SELECT extract(epoch FROM flowcallback.now($1) - min(w.created_at)) FROM (
         SELECT (SELECT min(p.wait) FROM flowcallback.pending p WHERE p.project = r.id) AS wait FROM (SELECT id FROM flowcallback.projects ORDER BY id LIMIT $3) r
       ) x JOIN flowcallback.waits w ON w.id = x.wait), 0)::double precision,
       coalesce((SELECT max(extract(epoch FROM flowcallback.now($1) - w.created_at) / greatest(0.001, extract(epoch FROM w.expires_at - w.created_at))) FROM (
         SELECT wait FROM flowcallback.pending ORDER BY deadline AT TIME ZONE 'UTC' LIMIT 1000
       ) x CROSS JOIN LATERAL (SELECT * FROM flowcallback.waits w WHERE w.id = x.wait LIMIT 1) w), 0)::double precision`
)

// metrics count what this copy does. Without a registry they are nil.
type metrics struct {
	durations, sizes prometheus.Histogram
	endedTotal       *prometheus.CounterVec
}

func (m *metrics) start(registry prometheus.Registerer) {
	if registry == nil {
		return
	}
	m.durations = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "flowcallback_commit_duration_seconds", Help: "Duration of transactions, including the sync.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
	})
	m.sizes = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "flowcallback_commit_changes", Help: "Changes in a transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 9),
	})
	m.endedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "flowcallback_waits_ended_total", Help: "Waits that left waiting through this copy, by status.",
	}, []string{"status"})
	for status := store.Success; status <= store.Cancelled; status++ {
		m.endedTotal.WithLabelValues(string(status.Name())) // so that a rate starts at 0
	}
	registry.MustRegister(m.durations, m.sizes, m.endedTotal)
}

func (m *metrics) committed(changes int, took time.Duration) {
	if m.durations != nil {
		m.durations.Observe(took.Seconds())
		m.sizes.Observe(float64(changes))
	}
}

func (m *metrics) ended(status store.Status) {
	if m.endedTotal != nil {
		m.endedTotal.WithLabelValues(string(status.Name())).Inc()
	}
}

var (
	waitsDesc    = prometheus.NewDesc("flowcallback_waits", "Waits by status, up to 100,000. Only waiting: the others are in flowcallback_waits_ended_total.", []string{"status"}, nil)
	heldDesc     = prometheus.NewDesc("flowcallback_held_callbacks", "Callbacks that are held for unknown states, up to 100,000.", nil, nil)
	oldestDesc   = prometheus.NewDesc("flowcallback_oldest_wait_age_seconds", "Age of the oldest waiting wait; 0 if there is none.", nil, nil)
	shareDesc    = prometheus.NewDesc("flowcallback_deadline_share", "Largest share of its time that a waiting wait has used, among the next deadlines; 1 at the deadline.", nil, nil)
	queuedDesc   = prometheus.NewDesc("flowcallback_queue_length", "Changes that wait for the database.", nil, nil)
	capacityDesc = prometheus.NewDesc("flowcallback_queue_capacity", "Changes that can wait for the database; more are refused.", nil, nil)
	listensDesc  = prometheus.NewDesc("flowcallback_notifications", "1 if notifications between copies arrive, 0 if this copy asks for news.", nil, nil)
)

// counted are numbers that were read from the database.
type counted struct {
	mu                    sync.Mutex
	at                    time.Time
	err                   error
	waiting, held         int64
	oldest, deadlineShare float64
}

// collector exports what is read at a scrape.
type collector struct{ engine *Engine }

// Describe implements prometheus.Collector.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{waitsDesc, heldDesc, oldestDesc, shareDesc, queuedDesc, capacityDesc, listensDesc} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector. It leaves out metrics that cannot be read.
func (c collector) Collect(all chan<- prometheus.Metric) {
	e := c.engine
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		all <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(queuedDesc, float64(len(e.settles.queue.Items)+len(e.opens.queue.Items)+len(e.changes.queue.Items)+len(e.holds.queue.Items)))
	gauge(capacityDesc, 4*store.QueueLength)
	listens := 0.0
	if e.poller.listens.Load() {
		listens = 1
	}
	gauge(listensDesc, listens)
	n := &e.counted
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.at) > countAge {
		n.err = e.background(context.Background(), func(ctx context.Context, c *pgxpool.Conn) error {
			return c.QueryRow(ctx, countMetrics, e.ahead(), countLimit, projectLimit).Scan(&n.waiting, &n.held, &n.oldest, &n.deadlineShare)
		})
		n.at = time.Now()
	}
	if n.err != nil {
		e.options.Logger.Warn("reading metrics from the database", "error", n.err)
		return
	}
	gauge(waitsDesc, float64(n.waiting), string(waits.Waiting))
	gauge(heldDesc, float64(n.held))
	gauge(oldestDesc, max(0, n.oldest))
	gauge(shareDesc, max(0, n.deadlineShare))
}
