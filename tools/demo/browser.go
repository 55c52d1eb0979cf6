package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"strings"
	"time"

	"github.com/chromedp/chromedp"

	"vda.internal/shadow/internal/host/testhost"
)

// openBrowser starts Chromium. It is given no network service of its own to
// talk to, and no sandbox if we are root, under whom it has none.
func openBrowser(ctx context.Context) (context.Context, func(), error) {
	profile, err := os.MkdirTemp("", "chromium-")
	if err != nil {
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(profile),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, endAllocator := chromedp.NewExecAllocator(ctx, options...)
	browser, endBrowser := chromedp.NewContext(allocator)
	closeAll := func() {
		_ = chromedp.Cancel(browser) // waits until Chromium has ended
		endBrowser()
		endAllocator()
		_ = os.RemoveAll(profile)
	}
	if err := chromedp.Do(browser, chromedp.EmulateViewport(1280, 720)); err != nil {
		closeAll()
		return nil, nil, fmt.Errorf("starting Chromium (apt-get install chromium): %w", err)
	}
	return browser, closeAll, nil
}

// state waits until a JavaScript expression is true on the page.
func (p *player) state(ctx context.Context, expression string) error {
	return testhost.Until(ctx, expression, func() (bool, error) {
		return chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
	})
}

// click clicks with the browser's mouse on a place of the desktop as a canvas shows it.
func (p *player) click(ctx context.Context, half string, x, y int) error {
	px, py, err := place(ctx, half, x, y)
	if err != nil {
		return err
	}
	return chromedp.Do(ctx, chromedp.MouseClickXY(px, py))
}

// place is where the page shows a place of the desktop.
func place(ctx context.Context, half string, x, y int) (px, py float64, err error) {
	at, err := chromedp.Run(ctx, chromedp.Evaluate[struct{ X, Y float64 }](fmt.Sprintf(`(() => {
		const canvas = document.querySelector("%s canvas"), box = canvas.getBoundingClientRect();
		return {X: box.x + (%d + 0.5) * box.width / canvas.width, Y: box.y + (%d + 0.5) * box.height / canvas.height};
	})()`, half, x, y)))
	return at.X, at.Y, err
}

// same waits until a half's canvas shows what is on the user's screen.
func (p *player) same(ctx context.Context, half string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("its picture is not the session's"))
	defer cancel()
	return testhost.Until(ctx, half, func() (bool, error) {
		data, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("`+half+` canvas").toDataURL("image/png")`))
		if err != nil {
			return false, err
		}
		_, data, _ = strings.Cut(data, ",")
		raw, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return false, err
		}
		canvas, err := png.Decode(bytes.NewReader(raw))
		if err != nil {
			return false, err
		}
		session, err := p.desktop.Screenshot(ctx)
		return err == nil && alike(canvas, session), err
	})
}

// alike says whether two pictures show the same: but for one pixel in fifty,
// for the clock may have moved on, and but for what JPEG changes.
func alike(a, b image.Image) bool {
	size := a.Bounds()
	if size != b.Bounds() {
		return false
	}
	different := 0
	for y := range size.Dy() {
		for x := range size.Dx() {
			ar, ag, ab, _ := a.At(x, y).RGBA()
			br, bg, bb, _ := b.At(x, y).RGBA()
			if far(ar, br) || far(ag, bg) || far(ab, bb) {
				different++
			}
		}
	}
	return different <= size.Dx()*size.Dy()/50
}

// far says whether two 16-bit values of a channel differ by more than an eighth.
func far(a, b uint32) bool { return max(a, b)-min(a, b) > 0xffff/8 }
