package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi/contract"
)

// metrics counts and times requests.
type metrics struct {
	callbacks *prometheus.CounterVec
	durations *prometheus.HistogramVec
}

// newMetrics registers the metrics of this package.
func newMetrics(registry *prometheus.Registry, running admission, store string) metrics {
	m := metrics{
		callbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flowcallback_callbacks_total",
			Help: "Callbacks answered, by result (empty: refused before it was read) and code (200, or the code of the error body).",
		}, []string{"result", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "flowcallback_request_duration_seconds", Help: "Duration of requests by operation, including the time that long-polls wait.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}, []string{"operation"}),
	}
	registry.MustRegister(m.callbacks, m.durations,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "flowcallback_engine_info", Help: "1, by what the engine says of its store.", ConstLabels: prometheus.Labels{"engine": store},
		}, func() float64 { return 1 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "flowcallback_requests_in_flight", Help: "Requests that run now, without long-polls."},
			func() float64 { return float64(len(running.requests)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "flowcallback_polls_open", Help: "Long-polls that run now."},
			func() float64 { return float64(len(running.polls)) }),
	)
	return m
}

// observe counts and times the requests of an operation. It answers errors, so that it
// knows the code of the response, after a panic too.
func (m metrics) observe(action Action, operation *contract.Operation) echo.MiddlewareFunc {
	durations := m.durations.WithLabelValues(operation.ID())
	accepted := map[string]prometheus.Counter{} // those that are counted most
	for _, result := range []callback.Result{callback.Success, callback.Fail} {
		accepted[string(result)] = m.callbacks.WithLabelValues(string(result), strconv.Itoa(http.StatusOK))
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			err := callRecovered(next, c)
			if err != nil {
				c.Error(err)
			}
			durations.Observe(time.Since(start).Seconds())
			if action != ActionCallback {
				return err
			}
			result, code := resultLabel(c), codeLabel(c)
			if counter := accepted[result]; counter != nil && code == "200" {
				counter.Inc()
			} else {
				m.callbacks.WithLabelValues(result, code).Inc()
			}
			return err
		}
	}
}

// codeLabel returns the code of a response: that of its error body, or else its status.
func codeLabel(c echo.Context) string {
	if code := requestIn(c).errorCode; code != "" {
		return string(code)
	}
	return strconv.Itoa(c.Response().Status)
}

// resultLabel returns the result of a callback that the contract allows, or "".
func resultLabel(c echo.Context) string {
	body, ok := c.Request().Body.(*contract.Body)
	if !ok {
		return ""
	}
	return body.Text("result")
}

// serveMetrics answers scrapes.
func serveMetrics(registry *prometheus.Registry) echo.HandlerFunc {
	return echo.WrapHandler(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
}
