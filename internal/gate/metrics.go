package gate

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the figures for Prometheus. No label is anything that a visitor can choose.
type metrics struct {
	signIns *prometheus.CounterVec // by method and result
	asks    *prometheus.CounterVec // by result: "granted" or the reason
	ends    *prometheus.CounterVec // of views, by reason
	bytes   *prometheus.CounterVec // of views, by direction
	lost    prometheus.Counter     // events that could not be kept

	refusals *prometheus.CounterVec // of requests, by reason

	handler http.Handler
}

func newMetrics(g *Gate) *metrics {
	m := &metrics{
		signIns:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shadowgate_sign_ins_total", Help: "Attempts to sign in."}, []string{"method", "result"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shadowgate_refusals_total", Help: "Requests that were refused: by the access table, of another site or for another name, or for another's view."}, []string{"why"}),

		asks:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shadowgate_asks_total", Help: "Questions put to users, by their result."}, []string{"result"}),
		ends:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shadowgate_ends_total", Help: "Views that have ended on the hosts, by reason."}, []string{"reason"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shadowgate_view_bytes_total", Help: "Bytes of views that have ended here, to browsers (down) and from them (up)."}, []string{"direction"}),
		lost:  prometheus.NewCounter(prometheus.CounterOpts{Name: "shadowgate_events_lost_total", Help: "Events that could not be kept for the activity."}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "shadowgate_build_info", Help: "Always 1; the version is a label.", ConstLabels: prometheus.Labels{"version": g.Version}})
	build.Set(1)
	reg := prometheus.NewRegistry()
	reg.MustRegister(build, m.signIns, m.asks, m.ends, m.bytes, m.lost, m.refusals,
		gauge("shadowgate_views", "Views that browsers are connected to.", func() float64 { return float64(g.views.open()) }),
		gauge("shadowgate_questions", "Questions that are open.", func() float64 { return float64(g.asking.count()) }),
		gauge("shadowgate_streams", "Streams of events to browsers.", func() float64 { return float64(g.streams.count()) }),
		gauge("shadowgate_hosts_up", "Hosts that can be reached.", func() float64 {
			up := 0
			for _, h := range g.hub.hostStates() {
				if h.State == "up" {
					up++
				}
			}
			return float64(up)
		}),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	return m
}
