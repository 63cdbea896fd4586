package sqlite

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

// scrapeTimeout limits how long a scrape waits for the file.
const scrapeTimeout = 5 * time.Second

var (
	waitsDesc    = prometheus.NewDesc("flowcallback_waits", "Stored waits by status.", []string{"status"}, nil)
	oldestDesc   = prometheus.NewDesc("flowcallback_oldest_wait_age_seconds", "Age of the oldest waiting wait; 0 if there is none.", nil, nil)
	shareDesc    = prometheus.NewDesc("flowcallback_deadline_share", "Largest share of its time that a waiting wait has used, among the next deadlines; 1 at the deadline.", nil, nil)
	heldDesc     = prometheus.NewDesc("flowcallback_held_callbacks", "Callbacks that are held for unknown states.", nil, nil)
	fileDesc     = prometheus.NewDesc("flowcallback_file_bytes", "Size of the SQLite file.", nil, nil)
	freeDesc     = prometheus.NewDesc("flowcallback_file_free_bytes", "Unused bytes in the SQLite file.", nil, nil)
	logDesc      = prometheus.NewDesc("flowcallback_log_bytes", "Size of the write-ahead log.", nil, nil)
	queuedDesc   = prometheus.NewDesc("flowcallback_queue_length", "Changes that wait for the writer.", nil, nil)
	capacityDesc = prometheus.NewDesc("flowcallback_queue_capacity", "Changes that can wait for the writer; more are refused.", nil, nil)
)

// committed returns the function that the writer calls after each commit.
func (e *Engine) committed() func(changes int, took time.Duration) {
	if e.options.Metrics == nil {
		return e.options.Committed
	}
	durations := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "flowcallback_commit_duration_seconds", Help: "Duration of transactions, including the sync.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
	})
	sizes := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "flowcallback_commit_changes", Help: "Changes in a transaction.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 9),
	})
	e.endedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "flowcallback_waits_ended_total", Help: "Waits that left waiting, by status.",
	}, []string{"status"})
	for _, status := range []waits.Status{waits.Success, waits.Fail, waits.Expired, waits.Cancelled} {
		e.endedTotal.WithLabelValues(string(status)) // so that a rate starts at 0
	}
	e.options.Metrics.MustRegister(durations, sizes, e.endedTotal)
	return func(changes int, took time.Duration) {
		durations.Observe(took.Seconds())
		sizes.Observe(float64(changes))
		e.options.Committed(changes, took)
	}
}

// countEnded counts the waits that left waiting in a committed transaction.
func (e *Engine) countEnded(changed *counts) {
	if e.endedTotal == nil {
		return
	}
	for status := store.Success; status <= store.Cancelled; status++ {
		if n := changed[status]; n > 0 {
			e.endedTotal.WithLabelValues(string(status.Name())).Add(float64(n))
		}
	}
}

// statsCollector exports Stats.
type statsCollector struct{ engine *Engine }

// Describe implements prometheus.Collector.
func (c statsCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{waitsDesc, oldestDesc, shareDesc, heldDesc, fileDesc, freeDesc, logDesc, queuedDesc, capacityDesc} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector. It leaves out metrics that cannot be read.
func (c statsCollector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	stats, err := c.engine.Stats(ctx)
	gauge(queuedDesc, float64(stats.Queued))
	gauge(capacityDesc, float64(stats.QueueCapacity))
	gauge(fileDesc, float64(stats.FileBytes))
	gauge(logDesc, float64(stats.LogBytes))
	if err != nil {
		c.engine.options.Logger.Warn("reading metrics from the file", "error", err)
		return
	}
	for status, n := range stats.Waits {
		gauge(waitsDesc, float64(n), string(status))
	}
	gauge(oldestDesc, stats.Oldest.Seconds())
	gauge(shareDesc, stats.DeadlineShare)
	gauge(heldDesc, float64(stats.Held))
	gauge(freeDesc, float64(stats.FreeBytes))
}
