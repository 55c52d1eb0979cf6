package e2e

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// BenchmarkAgainstWebsockify measures what an administrator waits for, with
// shadowd and with what hosts run today (x11vnc on a TCP port and Debian's
// websockify, both started on Yes), in turns in one run. It prints the medians
// in milliseconds and shadowd's share of the other's time:
//
//	first    from the user's Yes (the key that presses the button) to the
//	         session's first pixel in the browser's canvas
//	follow   from a change in the session to the same in the canvas
//
// Run it with -benchtime=10x. It needs Debian's websockify, too.
func BenchmarkAgainstWebsockify(b *testing.B) {
	testenv.Program(b, "websockify", "websockify")
	session := testhost.Require(b, testhost.Options{WindowManager: true})
	d := startDaemon(b, options{banner: true}, session)
	samples := map[string][]float64{}
	run := func(name string, begin func(colour string) *watcher) {
		w := begin("#123456")
		defer w.end()
		samples[name+"-first"] = append(samples[name+"-first"], w.first())
		for i := range 5 {
			samples[name+"-follow"] = append(samples[name+"-follow"], w.follow(fmt.Sprintf("#%02x8040", 20+40*i)))
		}
	}
	for b.Loop() {
		run("shadowd", func(c string) *watcher { return withShadowd(b, d, session, c) })
		run("websockify", func(c string) *watcher { return withWebsockify(b, session, c) })
	}
	for _, what := range []string{"first", "follow"} {
		ours, theirs := median(samples["shadowd-"+what]), median(samples["websockify-"+what])
		b.ReportMetric(ours, "shadowd-"+what+"-ms")
		b.ReportMetric(theirs, "websockify-"+what+"-ms")
		b.ReportMetric(ours/theirs, what+"-ratio")
	}
	b.ReportMetric(0, "ns/op")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// A watcher is a page that says when a colour has come.
type watcher struct {
	b       *testing.B
	session *testhost.Desktop
	page    context.Context
	start   time.Time // of the wait for the first pixel
	seen    float64   // when it came, Unix time in ms
	end     func()
}

// await is a page's function that resolves, with the time, once the middle of
// the canvas has a colour.
const await = `
window.pixel = (r, g, b) => new Promise(done => {
	const look = () => {
		const canvas = document.querySelector("canvas");
		const p = canvas?.width && canvas.getContext("2d").getImageData(canvas.width >> 1, canvas.height - 9, 1, 1).data;
		if (p && p[0] === r && p[1] === g && p[2] === b) done(performance.timeOrigin + performance.now());
		else setTimeout(look, 1);
	};
	look();
});0`

// newWatcher opens the page without a connection yet.
func newWatcher(b *testing.B, session *testhost.Desktop, colour string) *watcher {
	b.Helper()
	require.NoError(b, session.SetRoot(b.Context(), colour))
	ctx, cancel := chromedp.NewContext(suite.browser)
	w := &watcher{b: b, session: session, page: ctx, end: cancel}
	require.NoError(b, chromedp.Do(ctx, chromedp.Navigate("http://"+suite.pageHost+"/#none")))
	_, err := chromedp.Run(ctx, chromedp.Evaluate[int](await))
	require.NoError(b, err)
	return w
}

// connect shows url and waits for the colour of the session.
func (w *watcher) connect(url string, colour string) {
	w.b.Helper()
	w.seen = w.pixel(fmt.Sprintf("connect(%q)", url), colour)
}

// pixel runs a statement in the page and returns when the colour has come.
func (w *watcher) pixel(statement, colour string) float64 {
	w.b.Helper()
	rgb, err := strconv.ParseUint(colour[1:], 16, 32)
	require.NoError(w.b, err)
	ctx, cancel := context.WithTimeout(w.page, patience)
	defer cancel()
	at, err := chromedp.Run(ctx, chromedp.Evaluate[float64](
		fmt.Sprintf("%s, pixel(%d, %d, %d)", statement, rgb>>16, rgb>>8&255, rgb&255), chromedp.EvalAwaitPromise))
	require.NoError(w.b, err)
	return at
}

// since is the milliseconds from start to at.
func since(start time.Time, at float64) float64 { return at - float64(start.UnixMicro())/1000 }

func (w *watcher) first() float64 { return since(w.start, w.seen) }

// follow changes the session and returns how long the canvas took.
func (w *watcher) follow(colour string) float64 {
	w.b.Helper()
	come := make(chan float64, 1)
	go func() { come <- w.pixel("0", colour) }()
	time.Sleep(200 * time.Millisecond) // the page waits, and the last change is long over
	start := time.Now()
	require.NoError(w.b, w.session.SetRoot(w.b.Context(), colour))
	return since(start, <-come)
}

func withShadowd(b *testing.B, d *daemon, session *testhost.Desktop, colour string) *watcher {
	w := newWatcher(b, session, colour)
	r := d.ask("s1", "alice")
	question(b, session)
	time.Sleep(700 * time.Millisecond) // the question takes no input for its first half second
	require.NoError(b, session.Key(b.Context(), "Right"))
	w.start = time.Now()
	require.NoError(b, session.Key(b.Context(), "Return"))
	g := r.granted()
	w.connect(g.URL, colour)
	closeTab := w.end
	w.end = func() { closeTab(); d.event(shadow.EventEnded, g.ID) }
	return w
}

func withWebsockify(b *testing.B, session *testhost.Desktop, colour string) *watcher {
	w := newWatcher(b, session, colour)
	rfb, ws := freePort(b), freePort(b)
	w.start = time.Now()
	server := exec.Command("x11vnc", "-display", session.Display, "-auth", session.Xauthority, "-viewonly", "-localhost",
		"-rfbport", strconv.Itoa(rfb), "-nopw", "-once", "-quiet", "-noipv6", "-no6")
	vnc, err := child.Start(server, session.Identity)
	require.NoError(b, err)
	proxy := exec.Command("websockify", "127.0.0.1:"+strconv.Itoa(ws), "127.0.0.1:"+strconv.Itoa(rfb))
	require.NoError(b, proxy.Start())
	listening(b, rfb)
	listening(b, ws)
	w.connect(fmt.Sprintf("ws://127.0.0.1:%d/websockify", ws), colour)
	closeTab := w.end
	w.end = func() {
		closeTab()
		vnc.Stop(0, 5*time.Second)
		_ = proxy.Process.Kill()
		_ = proxy.Wait()
	}
	return w
}

// freePort is a port that nobody has now.
func freePort(b testing.TB) int {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// listening waits until a port is in the kernel's table of listeners; a
// connection would be taken for the viewer.
func listening(b testing.TB, port int) {
	b.Helper()
	wanted := fmt.Sprintf(":%04X", port)
	deadline := time.Now().Add(patience)
	for !slices.ContainsFunc(listeners(b), func(address string) bool { return address[len(address)-5:] == wanted }) {
		require.True(b, time.Now().Before(deadline), "nobody listens on %d", port)
		time.Sleep(2 * time.Millisecond)
	}
}
