package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// scrapeTime bounds how long a scrape waits for the file.
const scrapeTime = 5 * time.Second

var (
	waitsDesc  = prometheus.NewDesc("flowcallback_waits", "Waits that are kept, by status.", []string{"status"}, nil)
	oldestDesc = prometheus.NewDesc("flowcallback_oldest_wait_age_seconds", "For how long the oldest wait has waited; 0 if none does.", nil, nil)
	queuedDesc = prometheus.NewDesc("flowcallback_queue_length", "Changes that wait for the writer.", nil, nil)
	mostDesc   = prometheus.NewDesc("flowcallback_queue_capacity", "Changes that may wait for the writer; more are refused.", nil, nil)
)

// commitMetrics are what the engine tells of its transactions.
type commitMetrics struct{ durations, changes prometheus.Histogram }

func newCommitMetrics(registry *prometheus.Registry) commitMetrics {
	m := commitMetrics{
		durations: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "flowcallback_commit_duration_seconds", Help: "How long transactions took, the sync included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		changes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "flowcallback_commit_changes", Help: "Changes that a transaction made durable together.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
	}
	registry.MustRegister(m.durations, m.changes)
	return m
}

func (m commitMetrics) observe(changes int, took time.Duration) {
	m.durations.Observe(took.Seconds())
	m.changes.Observe(float64(changes))
}

// fileMetrics are the stats of an engine's file as metrics.
type fileMetrics struct {
	engine *sqlite.Engine
	logger *slog.Logger
}

// Describe implements prometheus.Collector.
func (m fileMetrics) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{waitsDesc, oldestDesc, queuedDesc, mostDesc} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector. What cannot be read just now is left out.
func (m fileMetrics) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	stats, err := m.engine.Stats(ctx)
	gauge(queuedDesc, float64(stats.Queued))
	gauge(mostDesc, float64(stats.QueueCapacity))
	if err != nil {
		m.logger.Warn("reading the file for metrics", "error", err)
		return
	}
	for status, n := range stats.Waits {
		gauge(waitsDesc, float64(n), string(status))
	}
	gauge(oldestDesc, stats.Oldest.Seconds())
}
