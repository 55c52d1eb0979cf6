package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// meter counts, in a page, the messages that WebSockets receive, the update requests that noVNC
// sends, one for each update, and the milliseconds that noVNC works on what it receives.
const meter = `
window.meter = {messages: 0, updates: 0, ms: 0};
{
	const {set} = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage"), {send} = WebSocket.prototype;
	Object.defineProperty(WebSocket.prototype, "onmessage", {set(f) {
		set.call(this, e => {
			const start = performance.now();
			f(e);
			meter.ms += performance.now() - start;
			meter.messages++;
		});
	}});
	WebSocket.prototype.send = function (data) {
		if (data.byteLength === 10 && new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, 1)[0] === 3) meter.updates++;
		send.call(this, data);
	};
}0`

// BenchmarkBrowserPerUpdate measures what an update of a scrolling terminal costs noVNC in
// Chromium, in front of x11vnc: with Debian's websockify, and with ours, which makes one message
// of an update. It needs Debian's websockify and xterm. Run it with -benchtime=3x.
func BenchmarkBrowserPerUpdate(b *testing.B) {
	testenv.Program(b, "websockify", "websockify")
	ours := filepath.Join(b.TempDir(), "websockify")
	out, err := exec.Command("go", "build", "-o", ours, "vda.internal/shadow/cmd/websockify").CombinedOutput()
	require.NoError(b, err, "%s", out)
	session := testhost.Require(b, testhost.Options{WindowManager: true})
	_, err = session.Spawn("xterm", "-e", "sh", "-c", "n=0; while sleep 0.033; do n=$((n+1)); echo $n a line of a log that scrolls; done")
	require.NoError(b, err)
	peers := []struct {
		name string
		args []string
	}{{"debian", []string{"websockify"}}, {"ours", []string{ours, "--view-only"}}}
	samples := map[string][]float64{}
	for b.Loop() {
		for _, p := range peers {
			perMessage, perUpdate := browserCost(b, session, p.args)
			samples[p.name+"-messages/update"] = append(samples[p.name+"-messages/update"], perMessage)
			samples[p.name+"-ms/update"] = append(samples[p.name+"-ms/update"], perUpdate)
		}
	}
	for what, v := range samples {
		b.ReportMetric(median(v), what)
	}
	b.ReportMetric(0, "ns/op")
}

// browserCost is how many messages an update has, and how many milliseconds noVNC takes for it.
func browserCost(b *testing.B, session *testhost.Desktop, relay []string) (messages, ms float64) {
	b.Helper()
	rfb, ws := freePort(b), freePort(b)
	server := exec.Command("x11vnc", "-display", session.Display, "-auth", session.Xauthority, "-viewonly", "-localhost",
		"-rfbport", strconv.Itoa(rfb), "-nopw", "-once", "-quiet", "-noipv6", "-no6")
	vnc, err := child.Start(server, session.Identity)
	require.NoError(b, err)
	defer vnc.Stop(0, 5*time.Second)
	listening(b, rfb)
	proxy := exec.Command(relay[0], append(relay[1:], "127.0.0.1:"+strconv.Itoa(ws), "127.0.0.1:"+strconv.Itoa(rfb))...)
	require.NoError(b, proxy.Start())
	defer func() { _ = proxy.Process.Kill(); _ = proxy.Wait() }()
	listening(b, ws)
	ctx, cancel := chromedp.NewContext(suite.browser)
	defer cancel()
	require.NoError(b, chromedp.Do(ctx, chromedp.Navigate("http://"+suite.pageHost+"/#none")))
	_, err = chromedp.Run(ctx, chromedp.Evaluate[int](meter))
	require.NoError(b, err)
	_, err = chromedp.Run(ctx, chromedp.Evaluate[int](fmt.Sprintf(`new Promise(done => {
		const once = () => window.connect ? (connect("ws://127.0.0.1:%d/websockify"), done(0)) : setTimeout(once, 5);
		once();
	})`, ws), chromedp.EvalAwaitPromise))
	require.NoError(b, err)
	time.Sleep(3 * time.Second) // the first frame is over
	_, err = chromedp.Run(ctx, chromedp.Evaluate[int]("Object.assign(meter, {messages: 0, updates: 0, ms: 0}), 0"))
	require.NoError(b, err)
	time.Sleep(5 * time.Second)
	got, err := chromedp.Run(ctx, chromedp.Evaluate[map[string]float64]("meter"))
	require.NoError(b, err)
	require.Positive(b, got["updates"])
	return got["messages"] / got["updates"], got["ms"] / got["updates"]
}
