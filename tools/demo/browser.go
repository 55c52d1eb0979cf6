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
func (p *player) click(ctx context.Context, canvas string, x, y int) error {
	px, py, err := place(ctx, canvas, x, y)
	if err != nil {
		return err
	}
	return chromedp.Do(ctx, chromedp.MouseClickXY(px, py))
}

// The canvases of both halves, as JavaScript has them: the user's desktop, and the view in the console.
const (
	desktopCanvas = `document.querySelector("#desktop canvas")`
	viewCanvas    = console + `.querySelector(".target canvas")`
	console       = `document.getElementById("console").contentDocument`
)

// box is JavaScript that has where an element is on the whole page, also if it is in the console.
const box = `const box = (e) => {
	const at = e.getBoundingClientRect(), frame = e.ownerDocument.defaultView.frameElement?.getBoundingClientRect();
	return {x: at.x + (frame?.x ?? 0), y: at.y + (frame?.y ?? 0), width: at.width, height: at.height};
}`

// place is where the page shows a place of the desktop.
func place(ctx context.Context, canvas string, x, y int) (px, py float64, err error) {
	at, err := chromedp.Run(ctx, chromedp.Evaluate[struct{ X, Y float64 }](fmt.Sprintf(`(() => {
		%s
		const canvas = %s, at = box(canvas);
		return {X: at.x + (%d + 0.5) * at.width / canvas.width, Y: at.y + (%d + 0.5) * at.height / canvas.height};
	})()`, box, canvas, x, y)))
	return at.X, at.Y, err
}

// press clicks with the browser's mouse on an element of the console, with that text if there is one,
// once it is there.
func (p *player) press(ctx context.Context, selector, text string) error {
	find := fmt.Sprintf(`[...%s.querySelectorAll(%q)].find((e) => (%q === "" || e.innerText.trim() === %q) && e.checkVisibility() && !e.disabled)`, console, selector, text, text)
	if err := p.state(ctx, find+` !== undefined`); err != nil {
		return err
	}
	at, err := chromedp.Run(ctx, chromedp.Evaluate[struct{ X, Y float64 }](fmt.Sprintf(`(() => {
		%s
		const at = box(%s);
		return {X: at.x + at.width / 2, Y: at.y + at.height / 2};
	})()`, box, find)))
	if err != nil {
		return err
	}
	return chromedp.Do(ctx, chromedp.MouseClickXY(at.X, at.Y))
}

// says waits until an element of the console has a text in it.
func (p *player) says(ctx context.Context, selector, text string) error {
	return p.state(ctx, fmt.Sprintf(`(%s.querySelector(%q)?.innerText ?? "").includes(%q)`, console, selector, text))
}

// same waits until a canvas shows what is on the user's screen.
func (p *player) same(ctx context.Context, canvas string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("its picture is not the session's"))
	defer cancel()
	return testhost.Until(ctx, canvas, func() (bool, error) {
		data, err := chromedp.Run(ctx, chromedp.Evaluate[string](canvas+`?.toDataURL("image/png") ?? ""`))
		if err != nil || data == "" {
			return false, err
		}
		_, data, _ = strings.Cut(data, ",")
		raw, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return false, err
		}
		shown, err := png.Decode(bytes.NewReader(raw))
		if err != nil {
			return false, err
		}
		session, err := p.desktop.Screenshot(ctx)
		return err == nil && alike(shown, session), err
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
