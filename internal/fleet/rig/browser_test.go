package rig_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
)

// insecure trusts whatever certificate there is: it is the test's own.
func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// A tab is a page of the console, in a browser in which somebody has signed in. It knows the gates by the load balancer.
type tab struct {
	page context.Context
}

// browse starts a browser.
func (r *rig) browse(t *testing.T) *tab {
	t.Helper()
	testenv.Program(t, "chromium", "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // it runs as root
		chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("disable-quic", true),
		chromedp.UserDataDir(filepath.Join(t.TempDir(), "chromium")), chromedp.DisableGPU, chromedp.Flag("disable-component-update", true),
	)
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	page, end := chromedp.NewContext(allocator)
	t.Cleanup(func() { _ = chromedp.Cancel(page); end(); endAllocator() })
	p := &tab{page}
	require.NoError(t, chromedp.Do(page, chromedp.EmulateViewport(1280, 900)))
	p.open(t, "/signin")
	status := get[int](t, p, `fetch("/api/v1/signin", {method: "POST", headers: {"Content-Type": "application/json"},
		body: JSON.stringify({name: %q, password: %q})}).then(r => r.status)`, browsing, testgate.Password)
	require.Equal(t, http.StatusNoContent, status)
	return p
}

// open opens an address of the console.
func (p *tab) open(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, chromedp.Do(p.page, chromedp.Navigate("https://"+front+path)))
}

// leave goes elsewhere, which ends the page's view.
func (p *tab) leave(t *testing.T) { t.Helper(); p.open(t, "/activity") }

// get is the value of an expression of JavaScript.
func get[T any](t *testing.T, p *tab, format string, args ...any) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.page, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](fmt.Sprintf(format, args...), chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	return v
}

// view asks for a host's session, and views it. It returns the view's id.
func (p *tab) view(t *testing.T, host, purpose string) (id string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Second) {
		id = get[string](t, p, `fetch("/api/v1/shadows", {method: "POST", headers: {"Content-Type": "application/json"},
			body: JSON.stringify({host: %q, session: "s1", purpose: %q})}).then(async r => r.ok ? (await r.json()).id : "refused: " + await r.text(), e => "refused: " + e)`, host, purpose)
		if !strings.HasPrefix(id, "refused: ") {
			p.open(t, "/view/"+id+"?host="+host)
			return id
		}
	}
	require.Fail(t, "the page can't ask", "%s", id)
	return ""
}

// shown waits until the page's view is live and shows a colour in its middle, and says how long that has taken.
func (p *tab) shown(t *testing.T, colour string) time.Duration {
	t.Helper()
	var last string
	began := time.Now()
	for ; time.Since(began) < patience; time.Sleep(50 * time.Millisecond) {
		last = get[string](t, p, `(() => {
			const state = document.querySelector("section.view")?.dataset.state ?? "no view", canvas = document.querySelector("canvas");
			if (state !== "live" || !canvas?.width) return state + ": " + (document.querySelector("section.view")?.innerText ?? document.body.innerText);
			const d = canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data;
			return "#" + [...d].slice(0, 3).map(c => c.toString(16).padStart(2, "0")).join("");
		})()`)
		if near(last, colour) {
			return time.Since(began).Round(100 * time.Millisecond)
		}
	}
	require.Fail(t, "the page doesn't show it", "%s, not %s", last, colour)
	return 0
}

// near reports whether two colours are one, but for what a lossy picture makes of it.
func near(a, b string) bool {
	parse := func(colour string) (c [3]int, ok bool) {
		_, err := fmt.Sscanf(colour, "#%02x%02x%02x", &c[0], &c[1], &c[2])
		return c, err == nil
	}
	x, isColour := parse(a)
	y, _ := parse(b)
	for i := range x {
		if d := x[i] - y[i]; d < -16 || d > 16 {
			return false
		}
	}
	return isColour
}

// over waits until the page says that its view has ended, and returns its words.
func (p *tab) over(t *testing.T) (words string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(100 * time.Millisecond) {
		state := get[[]string](t, p, `(() => { const v = document.querySelector("section.view"); return [v?.dataset.state ?? "", v?.querySelector("h2")?.textContent ?? "", v?.querySelector(".text")?.textContent ?? ""]; })()`)
		if words = strings.TrimSpace(state[1] + " " + state[2]); state[0] == "ended" {
			return words
		}
	}
	require.Fail(t, "the page doesn't say that the view has ended", "%s", words)
	return ""
}
