package web

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// BenchmarkManySessions measures the list of 10,000 sessions in Chromium: from the navigation to
// the first rows on the screen, from a change at the gate to its row on the screen, from a key
// in the search to its answer, and the worst frame while the list is scrolled through.
func BenchmarkManySessions(b *testing.B) {
	g := startGate(b)
	fill(g, 10_000)
	p := g.open(b, "/me")
	var first, change, search, frame float64
	for b.Loop() {
		p.do(chromedp.Navigate(g.URL + "/"))
		// When rows are there at two frames in a row they have been painted.
		first += eval[float64](p, `new Promise((done) => (function look() {
			if (!document.querySelector(".body .row")) return requestAnimationFrame(look);
			requestAnimationFrame(() => done(performance.now()));
		})())`)
		painted := `new Promise((done) => { window.changed = done; new MutationObserver((_, watch) => {
			if (document.querySelector(".body .row")?.innerText.includes("changed")) { watch.disconnect(); requestAnimationFrame(() => requestAnimationFrame(() => done(Date.now()))); }
		}).observe(document.querySelector(".body"), {subtree: true, childList: true, characterData: true}); })`
		at := make(chan float64, 1)
		go func() { at <- eval[float64](p, "%s", painted) }()
		p.until(`window.changed`)
		sent := time.Now()
		g.row("vda00000", "1", object{"user": "changed"})
		change += <-at - float64(sent.UnixMicro())/1000
		search += eval[float64](p, `(async () => {
			const input = document.querySelector("#search"), from = performance.now();
			input.value = "user97"; input.dispatchEvent(new Event("input"));
			await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
			const took = performance.now() - from;
			input.value = ""; input.dispatchEvent(new Event("input"));
			return took;
		})()`)
		frame += eval[float64](p, `(async () => {
			const list = document.querySelector(".list"); let worst = 0, before = performance.now();
			for (let i = 0; i < 120; i++) {
				list.scrollTop += 3000;
				const now = await new Promise(requestAnimationFrame);
				worst = Math.max(worst, now - before); before = now;
			}
			return worst;
		})()`)
		g.row("vda00000", "1", nil)
	}
	n := float64(b.N)
	require.Positive(b, n)
	b.ReportMetric(first/n, "first-ms")
	b.ReportMetric(change/n, "change-ms")
	b.ReportMetric(search/n, "search-ms")
	b.ReportMetric(frame/n, "worst-frame-ms")
}
