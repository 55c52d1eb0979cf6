package web

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// patience bounds every wait for something that should happen soon.
const patience = testenv.Patience

// chromium is the browser of all tests; lack says why there is none.
var chromium struct {
	ctx  context.Context
	lack string
}

func TestMain(m *testing.M) { os.Exit(runWithBrowser(m)) }

func runWithBrowser(m *testing.M) int {
	profile, err := os.MkdirTemp("", "chromium-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(profile)
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), browserOptions(profile)...)
	defer endAllocator()
	browser, endBrowser := chromedp.NewContext(allocator)
	defer func() { _ = chromedp.Cancel(browser); endBrowser() }()
	if err := chromedp.Do(browser, chromedp.EmulateViewport(1280, 800)); err != nil {
		chromium.lack = err.Error()
	}
	chromium.ctx = browser
	return m.Run()
}

// browserOptions are how Chromium is started, with a profile of its own.
func browserOptions(profile string) []chromedp.ExecAllocatorOption {
	return append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // it may run as root
		chromedp.UserDataDir(profile),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
}

// needPages ends the test without the pages in this build.
func needPages(t testing.TB) {
	t.Helper()
	if _, err := built.ReadFile("dist/index.html"); err != nil {
		testenv.Lack(t, "the pages are not in this build: run make pages")
	}
}

// A tab is a page in the browser.
type tab struct {
	t   testing.TB
	ctx context.Context
	url string // of the gate

	mu     sync.Mutex
	errors []string // what the page did that it must not
}

// open shows a path of the gate in a tab that shares nothing with others. The test fails if the
// page throws an error or breaks its policy.
func (g *gate) open(t testing.TB, path string, first ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	if chromium.lack != "" {
		testenv.Lack(t, "Chromium is needed (Debian package chromium): %s", chromium.lack)
	}
	p := newTab(t, chromium.ctx, g.URL)
	p.do(first...)
	p.do(chromedp.Navigate(g.URL + path))
	return p
}

// newTab is a tab of a browser, for a gate at url.
func newTab(t testing.TB, browser context.Context, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx, url: url}
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(1280, 800))) // the tab lives as long as its first context
	require.NoError(t, chromedp.Listen(ctx, p.heard))
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Empty(t, p.errors, "the page did what it must not")
	})
	return p
}

func (p *tab) heard(ev any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		p.errors = append(p.errors, fmt.Sprintf("%+v %s", ev.ExceptionDetails.Exception, ev.ExceptionDetails.Text))
	case *log.EventEntryAdded:
		if ev.Entry.Source == log.EntrySourceSecurity || strings.Contains(ev.Entry.Text, "Content Security Policy") {
			p.errors = append(p.errors, ev.Entry.Text)
		}
	}
}

// do runs steps.
func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, steps...))
}

// eval is the value of a JavaScript expression.
func eval[T any](p *tab, format string, args ...any) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](fmt.Sprintf(format, args...), chromedp.EvalAwaitPromise))
	require.NoError(p.t, err, format)
	return v
}

// until waits until a JavaScript expression is true.
func (p *tab) until(format string, args ...any) {
	p.t.Helper()
	expression := fmt.Sprintf(format, args...)
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := testhost.Until(ctx, expression, func() (bool, error) { return eval[bool](p, "%s", "Boolean("+expression+")"), nil }); err != nil {
		p.t.Fatalf("%v; the page says:\n%s", err, p.text("body"))
	}
}

// quote is a JavaScript string.
func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// text is what an element shows, empty if there is none.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, `document.querySelector(%s)?.innerText ?? ""`, quote(selector))
}

// says waits until an element shows a text somewhere, whatever isolates names, and on however many lines.
func (p *tab) says(selector, text string) {
	p.t.Helper()
	p.until(`(document.querySelector(%s)?.innerText ?? "").replace(/[\u2068\u2069]/g, "").replace(/\s+/g, " ").includes(%s)`, quote(selector), quote(text))
}

// click presses the element with that text.
func (p *tab) click(selector, text string) {
	p.t.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll(%s)].find((e) => e.innerText.replace(/[\u2068\u2069]/g, "").trim() === %s && e.checkVisibility() && !e.disabled)`, quote(selector), quote(text))
	p.until("%s", find)
	p.until(`(() => { const e = %s; e?.scrollIntoView({block: "nearest"}); return e; })()`, find)
	at := eval[struct{ X, Y float64 }](p, `(() => { const b = %s.getBoundingClientRect(); return {X: b.x + b.width / 2, Y: b.y + b.height / 2}; })()`, find)
	p.do(chromedp.MouseClickXY(at.X, at.Y))
}

// fill types into a form control.
func (p *tab) fill(selector, text string) {
	p.t.Helper()
	p.do(chromedp.WaitVisible(chromedp.CSS(selector)))
	eval[any](p, `(document.querySelector(%s).select?.(), document.querySelector(%s).focus(), 1)`, quote(selector), quote(selector))
	p.do(chromedp.KeyEvent(text))
}

// dark has the page in its dark colours.
func dark(p *tab) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	})
	require.NoError(p.t, err)
}

// speaks makes the browser one that prefers a language.
func speaks(languages string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "Test", AcceptLanguage: languages})
		return err
	})
}

// accessible fails the test for what axe-core finds against WCAG 2.2, levels A and AA, and its
// best practices.
func (p *tab) accessible(what string) {
	p.t.Helper()
	axe, err := os.ReadFile(filepath.Join("axe", "axe.min.js"))
	if err != nil {
		testenv.Lack(p.t, "axe-core is needed: run make pages")
	}
	p.do(chromedp.Evaluate[chromedp.Void](string(axe) + ";0"))
	found := eval[string](p, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(({violations}) =>
		violations.map((v) => v.id + ": " + v.help + "\n" + v.nodes.map((n) => "  " + n.html + "\n  " + n.failureSummary).join("\n")).join("\n"))`)
	require.Empty(p.t, found, what)
}
