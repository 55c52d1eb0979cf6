package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"image"
	"image/png"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/viewer"
)

// pageHTML shows what the WebSocket named in the fragment carries, with stock
// noVNC and nothing switched off: whether input gets through is not up to the page.
const pageHTML = `<!doctype html><meta charset="utf-8"><title>viewer</title>
<style>body{margin:0}#screen{width:1024px;height:768px}</style><div id="screen"></div>
<script type="module">
import RFB from "/novnc/core/rfb.js";
const state = window.state = {connected: false, closed: false, code: 0, reason: "", clipboard: "", frames: 0, foreign: 0};
window.watchFrames = () => { // frames are drawn elsewhere, and then onto the canvas that is shown
	const known = new Set([0, 0xff2d251d, 0xffe2dcd5]); // nothing, and the picture of a pause
	const draw = CanvasRenderingContext2D.prototype.drawImage;
	CanvasRenderingContext2D.prototype.drawImage = function(...args) {
		draw.apply(this, args);
		if (!this.canvas.isConnected) return;
		let foreign = 0;
		for (const pixel of new Uint32Array(this.getImageData(0, 0, this.canvas.width, this.canvas.height).data.buffer))
			if (!known.has(pixel)) foreign++;
		state.frames++;
		state.foreign = Math.max(state.foreign, foreign);
	};
};
if (sessionStorage.watch) watchFrames();
window.connect = url => {
	const ws = new WebSocket(url);
	ws.addEventListener("close", e => { state.closed = true; state.code = e.code; state.reason = e.reason; });
	const rfb = window.rfb = new RFB(document.getElementById("screen"), ws);
	rfb.addEventListener("clipboard", e => { state.clipboard = e.detail.text; });
	rfb.addEventListener("connect", () => { state.connected = true; rfb.focus(); });
};
if (location.hash !== "#none") connect(location.hash.slice(1));
</script>`

// servePage serves the page and noVNC on loopback.
func servePage() (stop func(), err error) {
	if _, err := viewer.FS(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/novnc/", http.StripPrefix("/novnc/", viewer.Handler()))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, pageHTML)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	suite.pageHost = ln.Addr().String()
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(ln) }()
	return func() { server.Close(); <-done }, nil
}

// A tab is one noVNC in the browser.
type tab struct {
	t     *testing.T
	ctx   context.Context
	close context.CancelFunc // what an administrator does who closes the window
}

// pageState is window.state of the page.
type pageState struct {
	Connected bool   `json:"connected"`
	Closed    bool   `json:"closed"`
	Code      int    `json:"code"`
	Reason    string `json:"reason"`
}

// open shows url in a new tab.
func open(t *testing.T, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(suite.browser)
	t.Cleanup(cancel)
	ctx, cancelTimeout := context.WithTimeout(ctx, 20*time.Minute)
	t.Cleanup(cancelTimeout)
	p := &tab{t, ctx, cancel}
	p.run(chromedp.Navigate("http://" + suite.pageHost + "/#" + url))
	return p
}

// openPage shows the page of a granted port in a new tab.
func openPage(t *testing.T, address string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(suite.browser)
	t.Cleanup(cancel)
	ctx, cancelTimeout := context.WithTimeout(ctx, 20*time.Minute)
	t.Cleanup(cancelTimeout)
	p := &tab{t, ctx, cancel}
	p.run(chromedp.Navigate(address))
	return p
}

// says waits until the granted port's page is in that state and shows that title; "" is any.
func (p *tab) says(state, title string) {
	p.t.Helper()
	eventually(p.t, "the page is "+state+": "+title, func() bool {
		said, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.dataset.state + ": " + document.getElementById("title").textContent`))
		require.NoError(p.t, err)
		return strings.HasPrefix(said, state+": "+title)
	})
}

// view is open, and waits until noVNC is connected.
func view(t *testing.T, url string) *tab {
	t.Helper()
	p := open(t, url)
	p.wait("the viewer is connected", func(s pageState) bool { return s.Connected || s.Closed })
	s := p.state()
	require.True(t, s.Connected, "closed instead: %+v", s)
	return p
}

func (p *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	require.NoError(p.t, chromedp.Do(p.ctx, steps...))
}

func (p *tab) state() (s pageState) {
	p.t.Helper()
	s, err := chromedp.Run(p.ctx, chromedp.Evaluate[pageState]("window.state ?? {}"))
	require.NoError(p.t, err)
	return s
}

func (p *tab) wait(what string, ok func(pageState) bool) {
	p.t.Helper()
	eventually(p.t, what, func() bool { return ok(p.state()) })
}

// closed waits until the WebSocket has closed with that code and reason.
func (p *tab) closed(code int, reason string) {
	p.t.Helper()
	p.wait("the WebSocket is closed", func(s pageState) bool { return s.Closed })
	s := p.state()
	require.Equal(p.t, code, s.Code)
	require.Equal(p.t, reason, s.Reason)
}

// canvas is what noVNC shows.
func (p *tab) canvas() *image.RGBA {
	p.t.Helper()
	url, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.querySelector("canvas")?.toDataURL("image/png") ?? ""`))
	require.NoError(p.t, err)
	_, data, ok := strings.Cut(url, "base64,")
	if !ok {
		return image.NewRGBA(image.Rectangle{})
	}
	raw, err := base64.StdEncoding.DecodeString(data)
	require.NoError(p.t, err)
	img, err := png.Decode(bytes.NewReader(raw))
	require.NoError(p.t, err)
	return toRGBA(img)
}

func toRGBA(img image.Image) *image.RGBA {
	if rgba, ok := img.(*image.RGBA); ok {
		return rgba
	}
	b := img.Bounds()
	out := image.NewRGBA(b)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			out.Set(x, y, img.At(x, y))
		}
	}
	return out
}
