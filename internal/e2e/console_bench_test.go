package e2e

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/testhost"
)

// drawn is what a page of ours needs to say when its canvas has a colour: it looks whenever noVNC has drawn.
// Its canvas has Display.flip's drawImage for every update.
const drawn = `
window.wanted = null;
{
	const draw = CanvasRenderingContext2D.prototype.drawImage;
	CanvasRenderingContext2D.prototype.drawImage = function (...args) {
		draw.apply(this, args);
		if (!wanted || !this.canvas.isConnected) return;
		const p = this.getImageData(this.canvas.width >> 1, this.canvas.height - 9, 1, 1).data;
		if (p[0] === wanted.r && p[1] === wanted.g && p[2] === wanted.b) { wanted.done(performance.timeOrigin + performance.now()); wanted = null; }
	};
	window.pixel = (r, g, b) => new Promise(done => { wanted = {r, g, b, done}; });
}0`

// A changing is a page with a view, and the way to measure how soon a change of the session is on its canvas.
type changing struct {
	b       *testing.B
	session *testhost.Desktop
	page    context.Context
	close   func()
}

// follow changes the session and returns how many milliseconds the canvas took.
func (c *changing) follow(n int) float64 {
	c.b.Helper()
	r, g := 20+n%200, 20+n/200%200
	come := make(chan float64, 1)
	inPage[bool](c.b, c.page, "(window.came = pixel(%d, %d, 64), true)", r, g)
	go func() { come <- inPage[float64](c.b, c.page, "came") }()
	time.Sleep(100 * time.Millisecond) // the last change is long over
	start := time.Now()
	require.NoError(c.b, c.session.SetRoot(c.b.Context(), fmt.Sprintf("#%02x%02x40", r, g)))
	return since(start, <-come)
}

// BenchmarkGateAdds measures from a change in the session to the same in Chromium's canvas, with the view's
// own WebSocket and through the console, in turns in one run. Run it with -benchtime=40x.
func BenchmarkGateAdds(b *testing.B) {
	sessions := []*testhost.Desktop{testhost.Require(b, testhost.Options{WindowManager: true}), testhost.Require(b, testhost.Options{WindowManager: true})}
	d := startDaemon(b, options{viewer: `reconnect = "1m"`}, sessions...)
	c := startConsole(b, d)
	direct, through := viewDirectly(b, d, sessions[0]), viewThrough(b, d, c, sessions[1])
	defer direct.close()
	defer through.close()
	samples := map[*changing][]float64{}
	n := 0
	for b.Loop() {
		for _, one := range []*changing{direct, through} {
			samples[one] = append(samples[one], one.follow(n))
			n++
		}
	}
	without, with := median(samples[direct]), median(samples[through])
	b.ReportMetric(with-without, "added-ms")
	b.ReportMetric(without, "direct-ms")
	b.ReportMetric(with, "gate-ms")
	b.ReportMetric(0, "ns/op")
}

func viewDirectly(b *testing.B, d *daemon, session *testhost.Desktop) *changing {
	g := d.grantWithYes("s1", "alice", session)
	ctx, cancel := chromedp.NewContext(suite.browser, chromedp.WithNewBrowserContext())
	c := &changing{b, session, ctx, cancel}
	require.NoError(b, chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)))
	require.NoError(b, chromedp.Do(ctx, chromedp.Navigate(g.Page)))
	c.live(`document.body.dataset.state`)
	return c
}

func viewThrough(b *testing.B, d *daemon, console *console, session *testhost.Desktop) *changing {
	page, cancel := console.open()
	c := &changing{b, session, page, cancel}
	id := console.ask(page, "s2")
	yes(b, session)
	require.NoError(b, chromedp.Do(page, chromedp.Navigate(console.url+"/view/"+id())))
	c.live(`document.querySelector("section.view")?.dataset.state`)
	return c
}

// live waits until the view is there, and has the page watch its canvas.
func (c *changing) live(state string) {
	c.b.Helper()
	eventually(c.b, "the view is live", func() bool { return inPage[bool](c.b, c.page, "%s === 'live'", state) })
	inPage[int](c.b, c.page, "%s", drawn)
}

// BenchmarkPage measures from the user's Yes to the first pixel in Chromium, in turns in one run: with the page of
// the granted port, with a page of one's own that is opened for the plain URL, and with one that was open before.
// Run it with -benchtime=10x.
func BenchmarkPage(b *testing.B) {
	session := testhost.Require(b, testhost.Options{WindowManager: true})
	d := startDaemon(b, options{}, session)
	samples := map[string][]float64{}
	for b.Loop() {
		for how, colour := range map[string]string{"page": "#123456", "plain": "#345612", "open": "#561234"} {
			samples[how] = append(samples[how], firstPixel(b, d, session, colour, how))
		}
	}
	page, plain := median(samples["page"]), median(samples["plain"])
	b.ReportMetric(page, "page-ms")
	b.ReportMetric(plain, "plain-ms")
	b.ReportMetric(median(samples["open"]), "plain-in-an-open-page-ms")
	b.ReportMetric(page/plain, "page-ratio")
	b.ReportMetric(0, "ns/op")
}

// firstPixel is how many milliseconds it takes.
func firstPixel(b *testing.B, d *daemon, session *testhost.Desktop, colour, how string) float64 {
	w := newWatcher(b, session, colour)
	r := d.ask("s1", "alice")
	question(b, session)
	time.Sleep(700 * time.Millisecond) // the question takes no input for its first half second
	require.NoError(b, session.Key(b.Context(), "Right"))
	if how != "open" { // there is a tab that the address goes into
		require.NoError(b, chromedp.Do(w.page, chromedp.Navigate("about:blank")))
		rgb, err := strconv.ParseUint(colour[1:], 16, 32)
		require.NoError(b, err)
		script := fmt.Sprintf("%s; window.came = pixel(%d, %d, %d);", await, rgb>>16, rgb>>8&255, rgb&255)
		_, err = chromedp.Call(w.page, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		require.NoError(b, err)
	}
	w.start = time.Now()
	require.NoError(b, session.Key(b.Context(), "Return"))
	g := r.granted()
	address := map[string]string{"page": g.Page, "plain": "http://" + suite.pageHost + "/#" + g.URL}[how]
	if address == "" {
		w.connect(g.URL, colour)
	} else {
		require.NoError(b, chromedp.Do(w.page, chromedp.Navigate(address)))
		w.seen = inPage[float64](b, w.page, "came")
	}
	w.end()
	d.event(shadow.EventEnded, g.ID)
	return w.first()
}
