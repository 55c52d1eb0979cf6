package viewers

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testfirefox"
)

// A browser shows pages, and does what its user does.
type browser interface {
	open(t *testing.T, url string)
	eval(t *testing.T, expression string) string // empty: not now
	click(t *testing.T, x, y int)
	keys(t *testing.T, text string)
}

type chromium struct{ tab context.Context }

func startChromium(t *testing.T) browser {
	t.Helper()
	testenv.Program(t, "chromium", "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	tab, endTab := chromedp.NewContext(allocator)
	t.Cleanup(func() { _ = chromedp.Cancel(tab); endTab() })
	require.NoError(t, chromedp.Do(tab, chromedp.Navigate("about:blank")))
	return chromium{tab}
}

func (c chromium) open(t *testing.T, url string) {
	t.Helper()
	require.NoError(t, chromedp.Do(c.tab, chromedp.Navigate(url)))
}

func (c chromium) eval(_ *testing.T, expression string) string {
	got, _ := chromedp.Run(c.tab, chromedp.Evaluate[string](expression))
	return got
}

func (c chromium) click(t *testing.T, x, y int) {
	t.Helper()
	require.NoError(t, chromedp.Do(c.tab, chromedp.MouseClickXY(float64(x), float64(y))))
}

func (c chromium) keys(t *testing.T, text string) {
	t.Helper()
	require.NoError(t, chromedp.Do(c.tab, chromedp.KeyEvent(text)))
}

// A firefox is one that fails the test that uses it.
type firefox struct{ *testfirefox.Browser }

func startFirefox(t *testing.T) browser {
	return firefox{testfirefox.Start(t, time.Hour)}
}

func (f firefox) open(t *testing.T, url string) { f.For(t).Open(url) }

func (f firefox) eval(t *testing.T, expression string) string {
	if v := f.For(t).Eval(expression); v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

func (f firefox) click(t *testing.T, x, y int) { f.For(t).Click(x, y) }

func (f firefox) keys(t *testing.T, text string) { f.For(t).Keys(text) }
