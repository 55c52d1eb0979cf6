package server

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/version"
)

// metrics are the daemon's figures. Counters follow the event stream; gauges
// ask the engine when they are read.
type metrics struct {
	handler  http.Handler
	engine   Engine
	requests *prometheus.CounterVec
	ended    *prometheus.CounterVec
	rejected prometheus.Counter
	sent     prometheus.Counter
}

func newMetrics(e Engine, o Options) *metrics {
	m := &metrics{
		engine: e,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shadowd_requests_total",
			Help: "Requests to shadow a session, by outcome (granted, refused) and, if refused, reason.",
		}, []string{"outcome", "reason"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shadowd_ended_total",
			Help: "Granted shadows that have ended, by reason.",
		}, []string{"reason"}),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shadowd_viewers_rejected_total",
			Help: "Connections turned away from viewers' ports: wrong token or origin.",
		}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shadowd_viewer_sent_bytes_total",
			Help: "Bytes sent to viewers, counted when a shadow ends.",
		}),
	}
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "shadowd_build_info", Help: "Always 1; the version is a label.", ConstLabels: prometheus.Labels{"version": version.String()}})
	build.Set(1)
	r.MustRegister(build, m.requests, m.ended, m.rejected, m.sent, &activeCollector{e},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if o.PortsInUse != nil {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "shadowd_ports_in_use",
			Help: "Viewers' ports that are taken.",
		}, func() float64 { return float64(o.PortsInUse()) }))
	}
	if o.Audit != nil {
		r.MustRegister(auditFigures(o.Audit)...)
	}
	if o.Crowd != nil {
		r.MustRegister(crowdFigures(o.Crowd)...)
	}
	m.requests.WithLabelValues("granted", "")
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{})
	return m
}

// crowdFigures tell of connections to viewers' ports that have not shown a token.
func crowdFigures(crowd func() shadow.Crowd) []prometheus.Collector {
	turned := func(why string, count func(shadow.Crowd) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "shadowd_strangers_turned_away_total",
			Help:        "Connections to viewers' ports that were closed before they had shown a token: for others (crowded), or after their time (late).",
			ConstLabels: prometheus.Labels{"why": why},
		}, func() float64 { return float64(count(crowd())) })
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "shadowd_strangers",
			Help: "Connections to viewers' ports that have not shown a token.",
		}, func() float64 { return float64(crowd().Now) }),
		turned("crowded", func(c shadow.Crowd) uint64 { return c.Crowded }),
		turned("late", func(c shadow.Crowd) uint64 { return c.Late }),
	}
}

// auditFigures tell how the audit is doing.
func auditFigures(state func() shadow.AuditState) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "shadowd_audit_failures_total",
			Help: "Failed attempts to write a line of the audit.",
		}, func() float64 { return float64(state().Failures) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "shadowd_audit_lost_total",
			Help: "Lines of the audit that are lost: too many waited.",
		}, func() float64 { return float64(state().Lost) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "shadowd_audit_waiting",
			Help: "Lines of the audit that wait to be written.",
		}, func() float64 { return float64(state().Waiting) }),
	}
}

// follow counts events until ctx ends. A closed stream is taken up again: what
// happened in between isn't counted.
func (m *metrics) follow(ctx context.Context) {
	for {
		for e := range m.engine.Subscribe(ctx) {
			m.count(e)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second): // an engine that has shut down closes every stream at once
		}
	}
}

func (m *metrics) count(e shadow.Event) {
	switch e.Type {
	case shadow.EventGranted:
		m.requests.WithLabelValues("granted", "").Inc()
	case shadow.EventRefused:
		m.requests.WithLabelValues("refused", string(e.Reason)).Inc()
	case shadow.EventRejected:
		m.rejected.Inc()
	case shadow.EventEnded:
		m.ended.WithLabelValues(string(e.Reason)).Inc()
		m.sent.Add(float64(max(e.Sent, 0)))
	}
}

// An activeCollector counts the engine's shadows by state.
type activeCollector struct{ engine Engine }

var activeDesc = prometheus.NewDesc("shadowd_shadows", "Shadows that have not ended, by state.", []string{"state"}, nil)

// Describe implements prometheus.Collector.
func (*activeCollector) Describe(c chan<- *prometheus.Desc) { c <- activeDesc }

// Collect implements prometheus.Collector.
func (a *activeCollector) Collect(c chan<- prometheus.Metric) {
	count := map[shadow.State]int{shadow.Requested: 0, shadow.Prompting: 0, shadow.Granted: 0, shadow.Viewing: 0}
	for _, s := range a.engine.List() {
		count[s.State]++
	}
	for state, n := range count {
		c <- prometheus.MustNewConstMetric(activeDesc, prometheus.GaugeValue, float64(n), string(state))
	}
}
