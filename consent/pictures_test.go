package consent

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testhost"
)

var update = flag.Bool("update", false, "write the pictures of testdata/consent anew")

// pictures is where what the windows look like is kept.
const pictures = "../testdata/consent"

// spoken are the languages by a locale that asks for them.
var spoken = map[string]string{
	"en": "en_GB.UTF-8", "de": "de_DE.UTF-8", "fr": "fr_FR.UTF-8", "es": "es_ES.UTF-8", "ja": "ja_JP.UTF-8", "zh": "zh_CN.UTF-8",
}

// The colours of what tells a window that is ready from one that is not.
var (
	accent = color.RGBA{0x0b, 0x5c, 0xad, 0xff} // a button with the focus
	faint  = color.RGBA{0xb4, 0xbc, 0xc6, 0xff} // the edge of one that doesn't count yet
)

// gallery is a desktop on which one window after the other is looked at.
func gallery(t *testing.T, scale int, o testhost.Options) *desk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	d := &desk{Desktop: testhost.Require(t, o), t: t, ctx: ctx}
	require.NoError(t, d.SetRoot(ctx, "#35506b"))
	if scale != 1 {
		d.run("sh", "-c", fmt.Sprintf("echo 'Xft.dpi: %d' | xrdb -merge", 96*scale))
	}
	return d
}

// question is what the question looks like once it can be answered; on is what it is on,
// the window or the whole screen.
func (d *desk) question(r Request, scale int, whole bool) *image.RGBA {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = quick.Ask(ctx, r)
	}()
	defer func() { cancel(); <-done; require.NoError(d.t, d.WaitNoWindow(d.ctx, "consent")) }()
	var img *image.RGBA
	eventually(d.t, func() bool {
		var ok bool
		img, ok = d.look("consent", whole)
		if !ok {
			return false
		}
		foot := image.Rect(d.win.X, d.win.Y+d.win.Height-60*scale, d.win.X+d.win.Width, d.win.Y+d.win.Height)
		if !whole {
			foot = foot.Sub(image.Pt(d.win.X, d.win.Y))
		}
		return holds(img, foot, accent) && !holds(img, foot, faint)
	}, "the question never came alive")
	return img
}

// banner is what the banner looks like, and what it does when viewing has ended.
func (d *desk) banner(r Request, why string, whole bool) (viewing, over *image.RGBA) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.ctx)
	done := make(chan struct{})
	ended := make(chan string, 1)
	go func() {
		defer close(done)
		_ = quick.Show(ctx, r, ended)
	}()
	defer func() { cancel(); <-done; require.NoError(d.t, d.WaitNoWindow(d.ctx, "banner")) }()
	// A picture counts once its edge is whole and the next one is the same.
	shows := func(c color.RGBA) (img *image.RGBA) {
		eventually(d.t, func() bool {
			before := img
			var ok bool
			if img, ok = d.look("banner", whole); !ok || !holds(img, img.Rect, c) {
				return false
			}
			r := image.Rect(0, 0, d.win.Width, d.win.Height)
			if whole {
				r = r.Add(image.Pt(d.win.X, d.win.Y))
			}
			edge := color.RGBA{0x5b, 0x68, 0x75, 0xff}
			return img.RGBAAt(r.Min.X, r.Min.Y) == edge && img.RGBAAt(r.Max.X-1, r.Max.Y-1) == edge &&
				before != nil && bytes.Equal(before.Pix, img.Pix)
		}, "no banner")
		return img
	}
	viewing = shows(color.RGBA{0xd9, 0x3a, 0x2b, 0xff}) // a red button
	if why != "" {
		ended <- why
		over = shows(color.RGBA{0x8b, 0x98, 0xa5, 0xff}) // a grey eye
	}
	return viewing, over
}

// look is a window of an instance name, or the whole screen with it.
func (d *desk) look(instance string, whole bool) (*image.RGBA, bool) {
	windows, err := d.Windows(d.ctx, instance)
	if err != nil || len(windows) == 0 {
		return nil, false
	}
	d.win = windows[0]
	screen, err := d.Screenshot(d.ctx)
	if err != nil || whole {
		return screen, err == nil
	}
	img := image.NewRGBA(image.Rect(0, 0, d.win.Width, d.win.Height))
	draw.Draw(img, img.Rect, screen, image.Pt(d.win.X, d.win.Y), draw.Src)
	return img, true
}

// holds reports whether a part of a picture has a pixel of a colour.
func holds(img *image.RGBA, part image.Rectangle, c color.RGBA) bool {
	part = part.Intersect(img.Rect)
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if img.RGBAAt(x, y) == c {
				return true
			}
		}
	}
	return false
}

// like compares a picture with the one that is kept under a name, or keeps it. So many of
// its squares may look different.
func like(t *testing.T, name string, img *image.RGBA, block, most int) {
	t.Helper()
	path := filepath.Join(pictures, name+".png")
	if *update {
		require.NoError(t, os.MkdirAll(pictures, 0o755))
		keep(t, path, img)
		return
	}
	f, err := os.Open(path)
	require.NoError(t, err, "make the pictures with: go test ./consent -run Picture -update")
	defer f.Close()
	kept, err := png.Decode(f)
	require.NoError(t, err)
	if off := difference(img, kept, block); off > most {
		failed := filepath.Join(os.TempDir(), "consent-"+name+".png")
		keep(t, failed, img)
		assert.Fail(t, "it looks different", "%s: %d squares, and %d are tolerated; see %s", name, off, most, failed)
	}
}

func keep(t *testing.T, path string, img image.Image) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	require.NoError(t, enc.Encode(f, img))
	require.NoError(t, f.Close())
}

// How many squares may look different: other releases of a font draw letters a little
// differently, and the seconds go by. A missing word or one of another language is more.
const (
	few  = 16  // of our windows
	some = 150 // of a screen, where a window manager writes titles and the time of day
)

// difference is how many squares, so many pixels wide, are clearly brighter in one picture
// than in another. Pictures of different sizes differ altogether.
func difference(a, b image.Image, block int) int {
	size := a.Bounds().Size()
	if other := b.Bounds().Size(); max(size.X-other.X, other.X-size.X, size.Y-other.Y, other.Y-size.Y) > block/2 {
		return size.X * size.Y
	}
	const clearly = 32 // of 255
	off := 0
	for y := 0; y+block <= size.Y; y += block {
		for x := 0; x+block <= size.X; x += block {
			if d := brightness(a, x, y, block) - brightness(b, x, y, block); max(d, -d) > clearly {
				off++
			}
		}
	}
	return off
}

// brightness is the mean of a square, from 0 to 255.
func brightness(img image.Image, x, y, block int) int {
	at := img.Bounds().Min.Add(image.Pt(x, y))
	sum := 0
	for dy := range block {
		for dx := range block {
			sum += int(color.GrayModel.Convert(img.At(at.X+dx, at.Y+dy)).(color.Gray).Y)
		}
	}
	return sum / (block * block)
}

// The comparison sees another language, and that a line or a button is missing.
func TestPicturesTellApart(t *testing.T) {
	load := func(name string) *image.RGBA {
		f, err := os.Open(filepath.Join(pictures, name+".png"))
		require.NoError(t, err)
		defer f.Close()
		kept, err := png.Decode(f)
		require.NoError(t, err)
		img := image.NewRGBA(kept.Bounds())
		draw.Draw(img, img.Rect, kept, image.Point{}, draw.Src)
		return img
	}
	for _, kind := range []string{"dialog-%s-1", "takeover-%s", "banner-%s-1", "ended-%s-1"} {
		for a := range spoken {
			for b := range spoken {
				if a != b {
					assert.Greater(t, difference(load(fmt.Sprintf(kind, a)), load(fmt.Sprintf(kind, b)), 4), 2*few, "%s: %s and %s", kind, a, b)
				}
			}
		}
	}
	for what, part := range map[string]image.Rectangle{
		"headline": image.Rect(100, 22, 500, 49), "second line": image.Rect(100, 78, 500, 99), "countdown": image.Rect(24, 140, 290, 180),
		"No": image.Rect(295, 136, 395, 180), "the word Yes": image.Rect(420, 140, 480, 176), "icon": image.Rect(20, 20, 80, 80),
	} {
		img := load("dialog-en-1")
		draw.Draw(img, part, image.NewUniform(img.At(part.Min.X, part.Min.Y)), image.Point{}, draw.Src)
		assert.Greater(t, difference(img, load("dialog-en-1"), 4), few, what)
	}
}

// What the windows look like in every language, at two scales.
func TestPictures(t *testing.T) {
	t.Parallel()
	for _, scale := range []int{1, 2} {
		t.Run(fmt.Sprint(scale), func(t *testing.T) {
			t.Parallel()
			d := gallery(t, scale, testhost.Options{Width: 640 * scale, Height: 480 * scale})
			for language, locale := range spoken {
				r := request(d.Desktop)
				r.Locale = locale
				like(t, fmt.Sprintf("dialog-%s-%d", language, scale), d.question(r, scale, false), 4*scale, few)
				viewing, over := d.banner(r, "viewer_left", false)
				like(t, fmt.Sprintf("banner-%s-%d", language, scale), viewing, 4*scale, few)
				like(t, fmt.Sprintf("ended-%s-%d", language, scale), over, 4*scale, few)
			}
		})
	}
}

// What a Yes would end, in every language.
func TestPicturesOfATakeOver(t *testing.T) {
	t.Parallel()
	d := gallery(t, 1, testhost.Options{Width: 640, Height: 480})
	for language, locale := range spoken {
		r := request(d.Desktop)
		r.Locale, r.Replaces = locale, `CORP\bob.the.builder`
		like(t, "takeover-"+language, d.question(r, 1, false), 4, few)
	}
}

// Names that are not Latin, and names that try to break the layout.
var names = map[string]string{
	"greek":      "Ελένη Παπαδοπούλου",
	"cyrillic":   "Мария Иванова",
	"arabic":     "أحمد العربي (IT)",
	"hebrew":     "CORP\\יעל כהן 42",
	"devanagari": "अमित शर्मा क्षितिज",
	"thai":       "สมชาย ใจดี",
	"chinese":    "张伟",
	"japanese":   "山田 太郎",
	"korean":     "김민수",
	"vietnamese": "Nguyễn Thị Ánh",
	"wide":       strings.Repeat("W", 80),
	"marks":      strings.Repeat("Z\u0351\u036b\u0343", 30),
	"unknown":    "\U000e0fff x\U0010fffe\u0378",
	"emoji":      "Alice 😀👩‍👩‍👧 ❤",
}

func TestPicturesOfNames(t *testing.T) {
	t.Parallel()
	d := gallery(t, 1, testhost.Options{Width: 640, Height: 480})
	for script, name := range names {
		r := request(d.Desktop)
		r.Admin, r.Host = name, "vda1"
		like(t, "name-"+script, d.question(r, 1, false), 4, few)
	}
	r := request(d.Desktop)
	r.Admin = names["wide"]
	viewing, over := d.banner(r, "viewer_violation", false)
	like(t, "name-wide-banner", viewing, 4, few)
	like(t, "name-wide-ended", over, 4, few)
}

// The question and the banner under three window managers, with a compositor and without.
func TestPicturesOfWindowManagers(t *testing.T) {
	t.Parallel()
	for manager, argv := range managers {
		for _, composited := range []bool{false, true} {
			name := manager
			if composited {
				name += "-picom"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				d := gallery(t, 1, testhost.Options{Width: 640, Height: 480, WindowManager: argv == nil})
				if argv != nil {
					d.manage(argv)
				}
				if composited {
					d.composite()
				}
				r := request(d.Desktop)
				like(t, name+"-dialog", d.question(r, 1, true), 4, some)
				viewing, _ := d.banner(r, "", true)
				like(t, name+"-banner", viewing, 4, some)
			})
		}
	}
}

// A small screen, and one that is small for its resolution, show everything there is.
func TestPicturesOfSmallScreens(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ width, height, scale int }{"small": {320, 240, 1}, "coarse": {640, 480, 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := gallery(t, c.scale, testhost.Options{Width: c.width, Height: c.height})
			r := request(d.Desktop)
			r.Locale, r.Replaces = "de_DE.UTF-8", `CORP\bob`
			like(t, name+"-dialog", d.question(r, 1, true), 4, few)
			viewing, over := d.banner(r, "viewer_left", true)
			like(t, name+"-banner", viewing, 4, few)
			like(t, name+"-ended", over, 4, few)
		})
	}
}
