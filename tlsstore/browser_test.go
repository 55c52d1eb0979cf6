package tlsstore_test

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// netError is how Chromium names the reason of a failed connection
// (net/base/net_error_list.h of its source).
var netError = regexp.MustCompile(`net::ERR_[A-Z0-9_]+`)

// A browser is a page in a Chromium that trusts root.
type browser struct {
	ctx  context.Context
	said chan string // the codes of why WebSockets failed
}

// startBrowser starts Chromium with a home of its own, where it finds root in
// the database of trusted authorities.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	home := newDir(t)
	testenv.Trust(t, home.file(".pki/nssdb"), rootFiles.cert)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // it may run as root
		chromedp.DisableGPU,
		chromedp.Env("HOME="+home.path, "XDG_DATA_HOME="+home.file(".local/share"), "XDG_CONFIG_HOME="+home.file(".config")),
		chromedp.UserDataDir(home.file("chromium")),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP "+caseHost+" 127.0.0.1"),
	)
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancel(); cancelAllocator() })
	b := &browser{ctx: ctx, said: make(chan string, 100)}
	require.NoError(t, chromedp.Listen(ctx, func(ev any) {
		if ev, ok := ev.(*network.EventWebSocketFrameError); ok {
			// The words around the code differ from one version to the next.
			if code := netError.FindString(ev.ErrorMessage); code != "" {
				b.said <- code
			}
		}
	}), "starting Chromium (Debian package chromium)")

	// The page that viewers are loaded from.
	good := issue(t, nil, nil, func(c *x509.Certificate) { c.DNSNames = []string{caseHost} })
	url, stop := serve(t, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{good.cert.Raw}, PrivateKey: good.key}}})
	defer stop()
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate("https"+url)))
	return b
}

// serve answers with a page or a WebSocket on an address of caseHost, which is
// returned without the scheme.
func serve(t *testing.T, config *tls.Config) (url string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" {
				_, _ = io.WriteString(w, "<p>the page")
				return
			}
			upgrade(w, r)
		}),
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: 10 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(tls.NewListener(ln, config)) }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	return "://" + net.JoinHostPort(caseHost, port) + "/", func() {
		_ = server.Close()
		<-served
	}
}

// upgrade opens a WebSocket (RFC 6455 section 4.2.2) and ends it.
func upgrade(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	_ = rw.Flush()
}

// visit connects the page to a server with config by wss and says what came of it.
func (b *browser) visit(t *testing.T, config *tls.Config) string {
	t.Helper()
	url, stop := serve(t, config)
	defer stop()
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Minute)
	defer cancel()
	opened, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`new Promise(done => {
		const ws = new WebSocket("wss`+url+`");
		ws.onopen = () => done(true);
		ws.onerror = () => done(false);
	})`, chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	if opened {
		return "connects"
	}
	select {
	case why := <-b.said:
		return why
	case <-ctx.Done():
		require.Fail(t, "Chromium doesn't say why it refused")
	}
	return ""
}
