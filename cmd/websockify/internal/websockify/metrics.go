package websockify

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vda.internal/shadow/internal/version"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/wsproxy"
)

// metrics are what --metrics shows.
type metrics struct {
	registry *prometheus.Registry

	active   prometheus.Gauge
	sessions *prometheus.CounterVec // by close code
	seconds  prometheus.Histogram
	bytes    *prometheus.CounterVec // by direction
	refused  *prometheus.CounterVec // by HTTP status
	requests prometheus.Counter
	dials    *prometheus.HistogramVec // by result
	dropped  *prometheus.CounterVec   // by message
}

func newMetrics() *metrics {
	const ns = "websockify"
	m := &metrics{
		registry: prometheus.NewRegistry(),
		active:   prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: "sessions", Help: "Sessions at this moment."}),
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "sessions_total", Help: "Sessions that have ended, by WebSocket close code."}, []string{"code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Name: "session_duration_seconds", Help: "How long sessions lasted.",
			Buckets: []float64{1, 10, 60, 600, 3600, 8 * 3600, 24 * 3600}}),
		bytes:    prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "bytes_total", Help: "Bytes of sessions that have ended, without framing."}, []string{"direction"}),
		refused:  prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "refused_total", Help: "Clients that were not admitted, by HTTP status; 101 if they were told by a close code."}, []string{"status"}),
		requests: prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: "http_requests_total", Help: "Requests that weren't for WebSocket."}),
		dials: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: ns, Name: "connect_duration_seconds", Help: "Time to reach a target, or not to.",
			Buckets: []float64{.001, .01, .1, 1, 10}}, []string{"result"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "view_only_dropped_total", Help: "Messages that --view-only didn't let through."}, []string{"message"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: "build_info", Help: "Always 1; the version is a label.", ConstLabels: prometheus.Labels{"version": version.String()}})
	build.Set(1)
	m.registry.MustRegister(build, m.active, m.sessions, m.seconds, m.bytes, m.refused, m.requests, m.dials, m.dropped,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// enter counts a session in.
func (m *metrics) enter() { m.active.Inc() }

// leave counts one out.
func (m *metrics) leave(r wsproxy.Record) {
	m.active.Dec()
	m.sessions.WithLabelValues(codeLabel(r.Code)).Inc()
	m.seconds.Observe(r.Duration.Seconds())
	m.bytes.WithLabelValues("to_client").Add(float64(r.Sent))
	m.bytes.WithLabelValues("from_client").Add(float64(r.Received))
}

// codeLabel keeps the clients' own codes from becoming any number of series.
func codeLabel(code int) string {
	if code >= 1000 && code <= 1015 || code == wsproxy.StatusStalled {
		return strconv.Itoa(code)
	}
	return "other"
}

func (m *metrics) refuse(status int)            { m.refused.WithLabelValues(strconv.Itoa(status)).Inc() }
func (m *metrics) request()                     { m.requests.Inc() }
func (m *metrics) drop(t rfb.ClientMessageType) { m.dropped.WithLabelValues(t.String()).Inc() }

func (m *metrics) dialed(took time.Duration, err error) {
	result := "connected"
	if err != nil {
		result = "failed"
	}
	m.dials.WithLabelValues(result).Observe(took.Seconds())
}

// serveMetrics serves --metrics until the function that it returns is called.
func (s *server) serveMetrics() (closeAll func(), err error) {
	if s.o.metrics == "" {
		return func() {}, nil
	}
	ln, err := s.o.listenTCP(s.o.metricsListen)
	if err != nil {
		return nil, fmt.Errorf("--metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	srv := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	s.log.Info("  - metrics at http://" + ln.Addr().String() + "/metrics")
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
		_ = srv.Close()
		<-done
	}, nil
}
