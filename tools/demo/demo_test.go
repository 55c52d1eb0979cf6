package main

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/wsproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestOnce plays the whole demo with the real shadowd and a real browser.
func TestOnce(t *testing.T) {
	programs := build(t)
	t.Chdir(t.TempDir())
	t.Setenv("TMPDIR", shortTemp(t))
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), append(programs, "-once", "-addr", "localhost:0"), &out, &out), "%s", &out)
	assert.Equal(t, 10, strings.Count(out.String(), "\n  "), "%s", &out)

	f, err := os.Open(pictureFile)
	require.NoError(t, err)
	defer f.Close()
	picture, err := png.Decode(f)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, picture.Bounds().Dx(), 1280)
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left, "the demo left files behind")
}

// TestEnds ends the demo as Ctrl-C does.
func TestEnds(t *testing.T) {
	programs := build(t)
	t.Setenv("TMPDIR", shortTemp(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &ender{end: cancel}
	require.NoError(t, run(ctx, append(programs, "-addr", "localhost:0"), out, out))
	assert.Contains(t, out.String(), "Ending.")
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left, "the demo left files behind")
}

// ender calls end once the demo has said what to do.
type ender struct {
	bytes.Buffer
	end func()
}

func (e *ender) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("Press Ask to view")) {
		e.end()
	}
	return e.Buffer.Write(p)
}

// The page fits a phone, both halves one below the other, and a screen, both side by side.
func TestPageFits(t *testing.T) {
	testenv.Program(t, "chromium", "chromium")
	p := &page{gate: &gate{address: "127.0.0.1:1"}, screen: &wsproxy.Handler{}}
	server := httptest.NewServer(p.routes())
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	browser, closeBrowser, err := openBrowser(ctx)
	require.NoError(t, err)
	defer closeBrowser()
	for width, stacked := range map[int64]bool{390: true, 1280: false} {
		require.NoError(t, chromedp.Do(browser, chromedp.EmulateViewport(width, 800), chromedp.Navigate(server.URL+start)))
		wide, err := chromedp.Run(browser, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`))
		require.NoError(t, err)
		assert.False(t, wide, "%d pixels wide, it scrolls sideways", width)
		cut, err := chromedp.Run(browser, chromedp.Evaluate[bool](
			`document.getElementById("account").textContent = "name alice, password 2f7c-91d0-55ab", [...document.querySelectorAll(".half")].some((e) => e.scrollWidth > e.clientWidth)`))
		require.NoError(t, err)
		assert.False(t, cut, "%d pixels wide, something is cut off", width)
		below, err := chromedp.Run(browser, chromedp.Evaluate[bool](
			`(([user, admin]) => user.height > 200 && admin.height > 200 && user.bottom <= admin.top)([...document.querySelectorAll(".screen")].map((e) => e.getBoundingClientRect()))`))
		require.NoError(t, err)
		assert.Equal(t, stacked, below, "%d", width)
	}
}

func TestShadowdThatDoesNotStartSaysWhy(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "shadowd")
	require.NoError(t, os.WriteFile(broken, []byte("#!/bin/sh\necho no such luck >&2\nexit 3\n"), 0o755))
	err := run(t.Context(), []string{"-addr", "localhost:0", "-shadowd", broken}, &bytes.Buffer{}, &bytes.Buffer{})
	require.ErrorContains(t, err, "exit code 3")
	require.ErrorContains(t, err, "no such luck")
	err = run(t.Context(), []string{"-addr", "localhost:0", "-shadowd", broken + "x"}, &bytes.Buffer{}, &bytes.Buffer{})
	require.ErrorContains(t, err, "make build")
}

func TestBusyPortGivesAnother(t *testing.T) {
	first, err := listen("localhost:0")
	require.NoError(t, err)
	defer first.Close()
	second, err := listen(first.Addr().String())
	require.NoError(t, err)
	defer second.Close()
	assert.NotEqual(t, first.Addr(), second.Addr())
}

func TestAllOfIPv4IsNoIPv6(t *testing.T) {
	ln, err := listen("0.0.0.0:0")
	require.NoError(t, err)
	defer ln.Close()
	assert.Equal(t, "0.0.0.0", ln.Addr().(*net.TCPAddr).IP.String())
}

func TestAlikeForgivesAClockButNotAWindow(t *testing.T) {
	paint := func(r image.Rectangle) image.Image {
		img := image.NewRGBA(image.Rect(0, 0, 100, 100))
		draw.Draw(img, img.Rect, image.NewUniform(color.Gray{100}), image.Point{}, draw.Src)
		draw.Draw(img, r, image.White, image.Point{}, draw.Src)
		return img
	}
	plain := paint(image.Rectangle{})
	assert.True(t, alike(plain, paint(image.Rect(0, 0, 10, 10))))
	assert.False(t, alike(plain, paint(image.Rect(0, 0, 20, 20))))
	assert.False(t, alike(plain, image.NewRGBA(image.Rect(0, 0, 100, 99))))
}

// build builds both programs, and returns the arguments that name them.
func build(t *testing.T) (args []string) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for _, name := range []string{"shadowd", "shadowgate"} {
		path := filepath.Join(dir, name)
		out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "vda.internal/shadow/cmd/"+name).CombinedOutput()
		require.NoError(t, err, "%s", out)
		args = append(args, "-"+name, path)
	}
	return args
}

// shortTemp is a temporary folder that every user may enter, with a name short
// enough for a socket in it.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "demo-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}
