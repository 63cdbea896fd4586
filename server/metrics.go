package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/flowcallback/flowcallback/openapi/contract"
)

// metrics are what the server observes of requests.
type metrics struct {
	callbacks *prometheus.CounterVec
	durations *prometheus.HistogramVec
}

// newMetrics registers the metrics, and gauges over what is under way.
func newMetrics(registry *prometheus.Registry, requests, polls slots) metrics {
	m := metrics{
		callbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flowcallback_callbacks_total",
			Help: "Callbacks answered, by the result they bring (empty: refused before it was read) and the answer's code (200, or that of the error body).",
		}, []string{"result", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "flowcallback_request_duration_seconds", Help: "How long requests took, by operation; long-polls with what they wait.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}, []string{"operation"}),
	}
	registry.MustRegister(m.callbacks, m.durations,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "flowcallback_requests_in_flight", Help: "Requests under way, long-polls apart."},
			func() float64 { return float64(len(requests)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "flowcallback_polls_open", Help: "Long-polls under way."},
			func() float64 { return float64(len(polls)) }),
	)
	return m
}

// observe counts and times the requests of an operation. It answers errors itself, so that
// it sees what the sender is told, of a panic too.
func (m metrics) observe(action Action, operation *contract.Operation) echo.MiddlewareFunc {
	durations := m.durations.WithLabelValues(operation.ID())
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			err := recovered(next, c)
			if err != nil {
				c.Error(err)
			}
			durations.Observe(time.Since(start).Seconds())
			if action == ActionCallback {
				m.callbacks.WithLabelValues(resultOf(c), codeOf(c)).Inc()
			}
			return err
		}
	}
}

// codeOf is the code of an answer: that of its error body, else its status.
func codeOf(c echo.Context) string {
	if code, ok := c.Get(codeKey).(string); ok {
		return code
	}
	if c.Response().Status == http.StatusOK {
		return "200"
	}
	return strconv.Itoa(c.Response().Status)
}

// resultOf is the result of a callback that the contract allows, empty for any other.
func resultOf(c echo.Context) string {
	if u := underWayIn(c.Request().Context()); u != nil {
		return u.result
	}
	return ""
}

// serveMetrics answers scrapes.
func serveMetrics(registry *prometheus.Registry) echo.HandlerFunc {
	return echo.WrapHandler(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
}
