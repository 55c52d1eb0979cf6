package server

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/version"
)

// figures are the lines of /metrics that are ours.
func figures(t *testing.T, c api.Client) map[string]string {
	t.Helper()
	resp, body := do(t, c, "GET", "/metrics", "", "")
	require.Equal(t, 200, resp.StatusCode)
	all := map[string]string{}
	for line := range strings.Lines(body) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "shadowd_") {
			all[name] = value
		}
	}
	return all
}

func TestMetrics(t *testing.T) {
	e := &fakeEngine{list: []shadow.Status{{ID: "1", State: shadow.Viewing}, {ID: "2", State: shadow.Viewing}, {ID: "3", State: shadow.Prompting}}}
	client, _ := serve(t, e, Options{PortsInUse: func() int { return 2 }})
	require.Eventually(t, func() bool { return e.subscribers() == 1 }, patience, time.Millisecond)

	e.send(event(shadow.EventRequested, ""))
	e.send(event(shadow.EventGranted, ""))
	e.send(event(shadow.EventRefused, shadow.Denied))
	e.send(event(shadow.EventRefused, shadow.Denied))
	e.send(event(shadow.EventRejected, ""))
	ended := event(shadow.EventEnded, shadow.ViewerLeft)
	ended.Sent = 1500
	e.send(ended)

	want := map[string]string{
		`shadowd_build_info{version="` + version.String() + `"}`:    "1",
		`shadowd_requests_total{outcome="granted",reason=""}`:       "1",
		`shadowd_requests_total{outcome="refused",reason="denied"}`: "2",
		`shadowd_ended_total{reason="viewer_left"}`:                 "1",
		`shadowd_viewers_rejected_total`:                            "1",
		`shadowd_viewer_sent_bytes_total`:                           "1500",
		`shadowd_ports_in_use`:                                      "2",
		`shadowd_shadows{state="requested"}`:                        "0",
		`shadowd_shadows{state="prompting"}`:                        "1",
		`shadowd_shadows{state="granted"}`:                          "0",
		`shadowd_shadows{state="viewing"}`:                          "2",
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Equal(c, want, figures(t, client))
	}, patience, 10*time.Millisecond)

	// Cut off, the metrics subscribe again.
	e.dropAll()
	require.Eventually(t, func() bool { return e.subscribers() == 1 }, patience, 10*time.Millisecond)
	e.send(event(shadow.EventGranted, ""))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Equal(c, "2", figures(t, client)[`shadowd_requests_total{outcome="granted",reason=""}`])
	}, patience, 10*time.Millisecond)
}

func TestMetricsWithoutPorts(t *testing.T) {
	client, _ := serve(t, &fakeEngine{}, Options{})
	assert.NotContains(t, figures(t, client), "shadowd_ports_in_use")
}

func TestMetricsOfStrangers(t *testing.T) {
	client, _ := serve(t, &fakeEngine{}, Options{Crowd: func() shadow.Crowd { return shadow.Crowd{Now: 3, Crowded: 2, Late: 1} }})
	all := figures(t, client)
	assert.Equal(t, "3", all["shadowd_strangers"])
	assert.Equal(t, "2", all[`shadowd_strangers_turned_away_total{why="crowded"}`])
	assert.Equal(t, "1", all[`shadowd_strangers_turned_away_total{why="late"}`])
}
