package websockify

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/rfc6455"
)

// A screen is what a VNC server of one colour after the other sends: RFB 3.8
// without authentication, and updates of the whole screen in raw pixels.
type screen struct{ width, height int }

// hello is what it says first, in the steps that noVNC takes.
func (s screen) hello() [][]byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(s.width))
	b = binary.BigEndian.AppendUint16(b, uint16(s.height))
	b = append(b, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0) // as noVNC asks for
	b = append(b, 0, 0, 0, 1, 's')
	return [][]byte{[]byte("RFB 003.008\n"), {1, 1}, {0, 0, 0, 0}, b} // one security type, None
}

func (s screen) update(red, green, blue byte) []byte {
	b := []byte{0, 0, 0, 1, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(s.width))
	b = binary.BigEndian.AppendUint16(b, uint16(s.height))
	b = append(b, 0, 0, 0, 0)
	for range s.width * s.height {
		b = append(b, red, green, blue, 0xff) // noVNC 1.3 takes the padding for opacity
	}
	return b
}

// serveViewer serves noVNC's modules, as Debian installs them, with a page.
func serveViewer(t *testing.T, page string) (*http.ServeMux, string) {
	const novnc = "/usr/share/novnc"
	require.FileExists(t, filepath.Join(novnc, "core/rfb.js"), "apt-get install novnc")
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(novnc)))
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return mux, server.URL
}

// colourAt is JavaScript for the colour of the picture's middle.
const colourAt = `(() => {
	const c = document.querySelector('canvas');
	if (!c || !c.width) return '';
	return c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data.slice(0, 3).join();
})()`

// A recording is played as noVNC's tests/vnc_playback.html plays it: by its
// viewer, on what stands behind "{", for a WebSocket.
const playbackPage = `<!DOCTYPE html><div id=screen></div><script src=/recording></script><script type=module>
import RFB from '/core/rfb.js';
const channel = {binaryType: 'arraybuffer', protocol: '', readyState: 'open', onopen() {}, onmessage() {}, onerror() {}, onclose() {}, send() {}, close() {}};
const rfb = new RFB(document.getElementById('screen'), channel);
rfb.viewOnly = true;
let index = 0;
window.told = '';
window.onerror = m => { window.told = m; };
rfb.addEventListener('disconnect', e => { window.told = e.detail.clean ? 'clean' : 'failed at ' + index; });
const next = () => {
	const frame = VNC_frame_data[index++];
	if (frame === 'EOF') { window.told ||= 'played'; return; }
	if (frame[0] === '{') {
		const at = frame.indexOf('{', 1) + 1;
		channel.onmessage({data: Uint8Array.from(frame.slice(at), c => c.charCodeAt(0))});
	}
	setTimeout(next, 0);
};
setTimeout(next, 0);
</script>`

func TestRecordingIsPlayed(t *testing.T) {
	t.Parallel()
	s := screen{320, 240}
	target := serve(t, listenLoopback(t), func(c net.Conn) {
		for i, step := range s.hello() {
			_, _ = c.Write(step)
			_, _ = io.CopyN(io.Discard, c, []int64{12, 1, 1, 0}[i])
		}
		_, _ = c.Write(s.update(250, 0, 0))
		_, _ = c.Write(s.update(0, '\'', '\\')) // characters that have to be escaped
		_, _ = io.Copy(io.Discard, c)
	})
	dir := t.TempDir()
	p := theGo.start(t, "LISTEN", target, "--record", filepath.Join(dir, "rec"))
	c := dialRaw(t, p.addr).upgrade("/")
	for i, step := range s.hello() {
		c.stream(len(step))
		c.send(frame(binFin, []string{"RFB 003.008\n", "\x01", "\x01", "\x06\x00\x00\x00\x00\x00\x00\x05'}{\\\n"}[i]))
	}
	c.stream(2 * len(s.update(0, 0, 0)))
	c.send(bye)
	c.rest()
	p.says("session ended by the client")
	files, err := filepath.Glob(filepath.Join(dir, "rec.*"))
	require.NoError(t, err)
	require.Len(t, files, 1)

	mux, url := serveViewer(t, playbackPage)
	mux.HandleFunc("/recording", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		b, err := os.ReadFile(files[0])
		assert.NoError(t, err)
		_, _ = w.Write(b)
	})
	browser, _ := startBrowser(t)
	require.NoError(t, chromedp.Do(browser, chromedp.Navigate(url+"/page")))
	var told, colour string
	assert.Eventually(t, func() bool {
		told, err = chromedp.Run(browser, chromedp.Evaluate[string]("window.told"))
		colour, _ = chromedp.Run(browser, chromedp.Evaluate[string](colourAt))
		return err == nil && told == "played" && colour == "0,39,92"
	}, patience, 50*time.Millisecond)
	assert.Equal(t, "played", told)
	assert.Equal(t, "0,39,92", colour)
}

// framesPage shows what a WebSocket brings and how large the queue becomes.
const framesPage = `<!DOCTYPE html><div id=screen></div><script type=module>
import RFB from '/core/rfb.js';
const size = new URLSearchParams(location.search).get('size');
window.told = '';
window.queue = 0;
window.onerror = m => { window.told = m; };
const rfb = new RFB(document.getElementById('screen'), location.origin.replace('http', 'ws') + '/stream?size=' + size);
rfb.viewOnly = true;
rfb.addEventListener('disconnect', e => { window.told = 'disconnected'; });
setInterval(() => { window.queue = Math.max(window.queue, rfb._sock._rQbufferSize); }, 1);
</script>`

// noVNC takes frames as large as wsproxy makes them, even where it has to put
// by as much as it ever can before it goes on: a text of 36 MiB (its queue ends
// at 40). The log has what it makes of them; docs/performance.md repeats it.
func TestNoVNCTakesLargeFrames(t *testing.T) {
	t.Parallel()
	s := screen{1920, 1080}
	const updates = 8
	update := s.update(100, 100, 100)
	const text = 36 << 20
	cut := append([]byte{3, 0, 0, 0}, binary.BigEndian.AppendUint32(nil, text)...)
	cut = append(cut, make([]byte, text)...)
	last := s.update(0, 200, 0)

	mux, url := serveViewer(t, framesPage)
	took := make(chan time.Duration, 1)
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		var size int
		_, err := fmt.Sscan(r.FormValue("size"), &size)
		assert.NoError(t, err)
		c := upgradeByHand(t, w, r)
		defer c.Close()
		for _, step := range s.hello() {
			sendFrames(c, size, step)
		}
		start := time.Now()
		for range updates {
			awaitRequest(c)
			sendFrames(c, size, update)
		}
		awaitRequest(c)
		took <- time.Since(start)
		sendFrames(c, size, cut)
		sendFrames(c, size, last)
		_, _ = io.Copy(io.Discard, c)
	})
	for _, size := range []int{64 << 10, 256 << 10, 1 << 20} {
		browser, stop := startBrowser(t)
		require.NoError(t, chromedp.Do(browser, chromedp.Navigate(fmt.Sprintf("%s/page?size=%d", url, size))))
		var told, colour string
		assert.Eventually(t, func() bool {
			told, _ = chromedp.Run(browser, chromedp.Evaluate[string]("window.told"))
			colour, _ = chromedp.Run(browser, chromedp.Evaluate[string](colourAt))
			return told != "" || colour == "0,200,0"
		}, 2*patience, 50*time.Millisecond)
		assert.Equal(t, "0,200,0", colour, "frames of %d bytes: %s", size, told)
		assert.Empty(t, told)
		queue, err := chromedp.Run(browser, chromedp.Evaluate[float64]("window.queue"))
		require.NoError(t, err)
		assert.LessOrEqual(t, queue, float64(40<<20))
		d := <-took
		t.Logf("frames of %4d KiB: %d MB of raw updates in %v, queue of %.0f MiB at most", size>>10, updates*len(update)/1e6, d.Round(time.Millisecond), queue/(1<<20))
		stop()
	}
}

// upgradeByHand accepts a WebSocket.
func upgradeByHand(t *testing.T, w http.ResponseWriter, r *http.Request) net.Conn {
	c, rw, err := http.NewResponseController(w).Hijack()
	require.NoError(t, err)
	_, _ = io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		rfc6455.Accept(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
	require.NoError(t, rw.Flush())
	return c
}

// awaitRequest reads what a viewer sends up to a FramebufferUpdateRequest.
func awaitRequest(c net.Conn) {
	for {
		b := make([]byte, 6)
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		p := make([]byte, b[1]&0x7f) // the viewer's messages are short
		if _, err := io.ReadFull(c, p); err != nil {
			return
		}
		if len(p) > 0 && p[0]^b[2] == 3 {
			return
		}
	}
}

// sendFrames sends p in frames of size bytes, until one can't be sent.
func sendFrames(w io.Writer, size int, p []byte) {
	for len(p) > 0 {
		n := min(size, len(p))
		head := []byte{binFin, byte(n)}
		switch {
		case n > 0xffff:
			head = binary.BigEndian.AppendUint64([]byte{binFin, 127}, uint64(n))
		case n > 125:
			head = binary.BigEndian.AppendUint16([]byte{binFin, 126}, uint16(n))
		}
		buffers := net.Buffers{head, p[:n]}
		if _, err := buffers.WriteTo(w); err != nil {
			return
		}
		p = p[n:]
	}
}
