package e2e

import (
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
)

// The colours of the picture of a pause.
var ground, ink = color.RGBA{0x1d, 0x25, 0x2d, 0xff}, color.RGBA{0xd5, 0xdc, 0xe2, 0xff}

// watch makes the page look at every frame that noVNC shows from now on, after a reload, too.
func (p *tab) watch() {
	p.t.Helper()
	p.run(chromedp.Evaluate[chromedp.Void]("sessionStorage.watch = 1; watchFrames()"))
}

// foreign is the most pixels that any frame had which belong to no picture of a pause.
func (p *tab) foreign() int { p.t.Helper(); return p.number("state.foreign") }

// frames is how many frames there were.
func (p *tab) frames() int { p.t.Helper(); return p.number("state.frames") }

func (p *tab) number(expression string) int {
	p.t.Helper()
	n, err := chromedp.Run(p.ctx, chromedp.Evaluate[int](expression))
	require.NoError(p.t, err)
	return n
}

// covered reports whether the canvas shows the picture of a pause and nothing else.
func (p *tab) covered() bool {
	p.t.Helper()
	canvas := p.canvas()
	if canvas == nil || canvas.Rect.Dx() < 1000 {
		return false // it isn't drawn
	}
	for y := canvas.Rect.Min.Y; y < canvas.Rect.Max.Y; y++ {
		for x := canvas.Rect.Min.X; x < canvas.Rect.Max.X; x++ {
			if c := canvas.RGBAAt(x, y); c != ground && c != ink {
				return false
			}
		}
	}
	return true
}

var update = flag.Bool("update", false, "write the pictures of testdata/consent/e2e-* anew")

// looksLike compares a window with its kept picture: of the question the part above its buttons, where the time goes by.
func looksLike(t *testing.T, d *testhost.Desktop, instance, name string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	img, ok := looks(t, d, instance, name, func(*image.RGBA) bool { return time.Now().Before(deadline) })
	if ok {
		return
	}
	failed := filepath.Join(os.TempDir(), name+".png")
	if img != nil {
		save(t, failed, img)
	}
	require.Fail(t, "it looks different", "%s; see %s", name, failed)
}

// looks compares a window with its kept picture again and again, as long as that says, and reports whether it ever looked
// so. It returns what it saw last; nil: no window.
func looks(t *testing.T, d *testhost.Desktop, instance, name string, goOn func(now *image.RGBA) bool) (img *image.RGBA, ok bool) {
	t.Helper()
	file := filepath.Join("../../testdata/consent", name+".png")
	var before *image.RGBA
	now := func() *image.RGBA {
		windows, err := d.Windows(t.Context(), instance)
		if err != nil || len(windows) == 0 {
			return nil
		}
		screen, err := d.Screenshot(t.Context())
		require.NoError(t, err)
		w := windows[0]
		part := image.NewRGBA(image.Rect(0, 0, w.Width, w.Height))
		if instance == "consent" {
			part.Rect.Max.Y -= 68
		}
		draw.Draw(part, part.Rect, screen, image.Pt(w.X, w.Y), draw.Src)
		return part
	}
	if *update {
		eventually(t, name+" stays the same", func() bool {
			time.Sleep(500 * time.Millisecond)
			before, img = img, now()
			return before != nil && img != nil && differences(before, img, 0) == 0
		})
		save(t, file, img)
		return img, true
	}
	f, err := os.Open(file)
	require.NoError(t, err, "make it with: go test ./internal/e2e -run 'Rules|Pause' -update")
	defer f.Close()
	decoded, err := png.Decode(f)
	require.NoError(t, err)
	want := toRGBA(decoded)
	for {
		if img = now(); img != nil {
			if n := differences(img, want, 40); n >= 0 && n <= 60 {
				return img, true
			}
		}
		if !goOn(img) {
			return img, false
		}
		time.Sleep(20 * time.Millisecond)
	}
}
