package desktop

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

var update = flag.Bool("update", false, "write the pictures of testdata/consent anew")

// pictures is where what the windows look like is kept.
const pictures = "../../testdata/consent"

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
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
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
func (d *desk) question(r consent.Request, scale int, whole bool) *image.RGBA {
	d.t.Helper()
	r.Timeout = 99 * time.Second // two digits in the picture for as long as a busy machine needs
	return d.asking(quick.Ask, r, scale, whole)
}

// asking is what is shown while the user is asked, or only told.
func (d *desk) asking(ask func(context.Context, consent.Request) (consent.Decision, error), r consent.Request, scale int, whole bool) *image.RGBA {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.ctx)
	var done chan struct{}
	start := func() {
		over := make(chan struct{})
		done = over
		go func() {
			defer close(over)
			_, _ = ask(ctx, r)
		}()
	}
	start()
	defer func() { cancel(); <-done; require.NoError(d.t, d.WaitNoWindow(d.ctx, "consent")) }()
	var img *image.RGBA
	eventually(d.t, func() bool {
		select {
		case <-done: // a notice is there for some seconds only: on a busy machine it is put again until it was seen
			start()
		default:
		}
		var ok bool
		img, ok = d.look("consent", whole)
		if !ok {
			return false
		}
		foot := d.part(img, whole)
		foot.Min.Y = foot.Max.Y - 60*scale
		return holds(img, foot, accent) && !holds(img, foot, faint)
	}, "the question never came alive")
	return img
}

// banner is what the banner looks like, and what it does when viewing has ended, which it says for some seconds
// only: on a busy machine it is put up again until that was seen.
func (d *desk) banner(r consent.Request, why string, whole bool) (viewing, over *image.RGBA) {
	d.t.Helper()
	for {
		viewing, over = d.bannerOnce(r, why, whole)
		if why == "" || over != nil {
			return viewing, over
		}
		require.NoError(d.t, d.ctx.Err(), "its last words were never seen")
	}
}

// bannerOnce is banner, which may miss the last words: nil.
func (d *desk) bannerOnce(r consent.Request, why string, whole bool) (viewing, over *image.RGBA) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.ctx)
	s := showing(ctx, quick, r)
	defer func() { cancel(); <-s.Done(); require.NoError(d.t, d.WaitNoWindow(d.ctx, "banner")) }()
	// A picture counts once its edge is whole and the next one is the same.
	shows := func(c color.RGBA) (img *image.RGBA) {
		var window *image.RGBA
		eventually(d.t, func() bool {
			select {
			case <-s.Done():
				img = nil
				return true
			default:
			}
			var ok bool
			if img, ok = d.look("banner", whole); !ok {
				return false
			}
			part, before := d.part(img, whole), window
			window = crop(img, part)
			edge := color.RGBA{0x5b, 0x68, 0x75, 0xff}
			return holds(img, part, c) && img.RGBAAt(part.Min.X, part.Min.Y) == edge && img.RGBAAt(part.Max.X-1, part.Max.Y-1) == edge &&
				before != nil && bytes.Equal(before.Pix, window.Pix)
		}, "no banner")
		return img
	}
	viewing = shows(color.RGBA{0xd9, 0x3a, 0x2b, 0xff}) // a red button
	require.NotNil(d.t, viewing, "the banner has gone")
	if why != "" {
		s.End(why)
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
	return crop(screen, d.part(screen, true)), true
}

// part is where the window is in what look returned.
func (d *desk) part(img *image.RGBA, whole bool) image.Rectangle {
	if !whole {
		return img.Rect
	}
	return image.Rect(0, 0, d.win.Width, d.win.Height).Add(image.Pt(d.win.X, d.win.Y))
}

func crop(img image.Image, part image.Rectangle) *image.RGBA {
	to := image.NewRGBA(image.Rect(0, 0, part.Dx(), part.Dy()))
	draw.Draw(to, to.Rect, img, part.Min, draw.Src)
	return to
}

// timeless blanks what the time changes in pictures of the question, which is in a part
// of them: the bar, and the number, which is all that is black at the left of the buttons.
func timeless(part image.Rectangle, scale int, all ...*image.RGBA) {
	foot := image.Rect(part.Min.X, part.Max.Y-68*scale, part.Max.X, part.Max.Y)
	note := image.Rect(foot.Min.X+20*scale, foot.Min.Y+8*scale, foot.Max.X-224*scale, foot.Max.Y)
	var number image.Rectangle
	for _, img := range all {
		draw.Draw(img, image.Rect(foot.Min.X, foot.Min.Y, foot.Max.X, foot.Min.Y+4*scale), image.Black, image.Point{}, draw.Src)
		for y := note.Min.Y; y < note.Max.Y; y++ {
			for x := note.Min.X; x < note.Max.X; x++ {
				if img.RGBAAt(x, y).R < 0x40 {
					number = number.Union(image.Rect(x, y, x+1, y+1))
				}
			}
		}
	}
	for _, img := range all {
		draw.Draw(img, number.Inset(-scale), image.Black, image.Point{}, draw.Src)
	}
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

// The comparison sees another language, and that a line or a button is missing.
func TestPicturesTellApart(t *testing.T) {
	for _, kind := range []string{"dialog-%s-1", "takeover-%s", "banner-%s-1", "ended-%s-1"} {
		for a := range spoken {
			for b := range spoken {
				if a != b {
					assert.Greater(t, difference(kept(t, fmt.Sprintf(kind, a)), kept(t, fmt.Sprintf(kind, b)), 4), 2*few, "%s: %s and %s", kind, a, b)
				}
			}
		}
	}
	for what, part := range map[string]image.Rectangle{
		"headline": image.Rect(100, 22, 500, 49), "second line": image.Rect(100, 78, 500, 99), "countdown": image.Rect(24, 140, 290, 180),
		"No": image.Rect(295, 136, 395, 180), "the word Yes": image.Rect(420, 140, 480, 176), "icon": image.Rect(20, 20, 80, 80),
	} {
		img := kept(t, "dialog-en-1")
		draw.Draw(img, part, image.NewUniform(img.At(part.Min.X, part.Min.Y)), image.Point{}, draw.Src)
		assert.Greater(t, difference(img, kept(t, "dialog-en-1"), 4), few, what)
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
				d.same(fmt.Sprintf("dialog-%s-%d", language, scale), r, scale)
				viewing, over := d.banner(r, "viewer_left", false)
				like(t, fmt.Sprintf("banner-%s-%d", language, scale), viewing, 4*scale, few, nil)
				like(t, fmt.Sprintf("ended-%s-%d", language, scale), over, 4*scale, few, nil)
			}
		})
	}
}

// scales looks at a desktop at both scales, at once. named is a picture's name at the scale.
func scales(t *testing.T, width int, look func(t *testing.T, d *desk, scale int, named func(string) string)) {
	for _, scale := range []int{1, 2} {
		t.Run(fmt.Sprint(scale), func(t *testing.T) {
			t.Parallel()
			named := func(name string) string {
				if scale == 1 {
					return name
				}
				return fmt.Sprintf("%s-%d", name, scale)
			}
			look(t, gallery(t, scale, testhost.Options{Width: width * scale, Height: 480 * scale}), scale, named)
		})
	}
}

// What a Yes would end, in every language.
func TestPicturesOfATakeOver(t *testing.T) {
	t.Parallel()
	scales(t, 640, func(_ *testing.T, d *desk, scale int, named func(string) string) {
		for language, locale := range spoken {
			r := request(d.Desktop)
			r.Locale, r.Replaces = locale, `CORP\bob.the.builder`
			d.same(named("takeover-"+language), r, scale)
			r.ReplacesUnverified = true
			d.same(named("takeover-claimed-"+language), r, scale)
		}
	})
}

// An administrator's reason in the question and the banner, in every language, of an account with a full name.
func TestPicturesOfAPurpose(t *testing.T) {
	t.Parallel()
	scales(t, 640, func(t *testing.T, d *desk, scale int, named func(string) string) {
		for language, locale := range spoken {
			r := request(d.Desktop)
			r.Locale, r.Purpose, r.Identity.Name, r.Wish = locale, "INC-1234 screen flickers", "Alice Ng", func(consent.Wish) {}
			d.same(named("purpose-"+language), r, scale)
			viewing, _ := d.banner(r, "", false)
			like(t, named("purpose-"+language+"-banner"), viewing, 4*scale, few, nil)
		}
		for script, purpose := range purposes {
			if scale > 1 {
				break
			}
			r := request(d.Desktop)
			r.Purpose = purpose
			d.same("purpose-"+script, r, 1)
			viewing, _ := d.banner(r, "", false)
			like(t, "purpose-"+script+"-banner", viewing, 4, few, nil)
		}
	})
}

// Who asks, in every language: a name that is only claimed, with a reason that isn't shown; and an account that calls
// itself otherwise.
func TestPicturesOfClaims(t *testing.T) {
	t.Parallel()
	scales(t, 640, func(t *testing.T, d *desk, scale int, named func(string) string) {
		for language, locale := range spoken {
			r := request(d.Desktop)
			r.Locale, r.Identity, r.PurposeHidden = locale, consent.Identity{}, true
			for _, name := range []string{"claimed-", "alias-"} {
				d.same(named(name+language), r, scale)
				viewing, over := d.banner(r, "viewer_left", false)
				like(t, named(name+language+"-banner"), viewing, 4*scale, few, nil)
				like(t, named(name+language+"-ended"), over, 4*scale, few, nil)
				r.Identity, r.PurposeHidden, r.Purpose = consent.Identity{Account: "mallory", Name: "Mallory Moe"}, false, "INC-1234 screen flickers"
			}
		}
	})
}

// Reasons that are not Latin, and that try to break the layout or to say something else.
var purposes = map[string]string{
	"arabic":   "الشاشة تومض منذ الصباح (INC-1234)",
	"chinese":  strings.Repeat("屏幕从今天早上开始一直闪烁，", 14),
	"wide":     strings.Repeat("W", 300),
	"sentence": strings.Repeat("The screen flickers since this morning, whatever the user does. ", 5),
	"forged":   "x”.\nYour helpdesk asks you to press Yes. “",
}

// What an organisation's rules make of the question, the notice and the banner, in every language.
func TestPicturesOfRules(t *testing.T) {
	t.Parallel()
	scales(t, 640, func(t *testing.T, d *desk, scale int, named func(string) string) {
		for language, locale := range spoken {
			r := request(d.Desktop)
			r.Locale, r.Purpose, r.SilenceAllows, r.LockAllows, r.Wish = locale, "INC-1234 screen flickers", true, true, func(consent.Wish) {}
			d.same(named("silence-"+language), r, scale)
			r.SilenceAllows, r.LockAllows, r.Basis = false, false, consent.ByNotice
			img := d.asking(quick.Announce, r, scale, false)
			like(t, named("notice-"+language), img, 4*scale, few, func(all ...*image.RGBA) { timeless(img.Rect, scale, all...) })
			over := r
			over.Replaces, over.ReplacesUnverified = `CORP\bob.the.builder`, true
			img = d.asking(quick.Announce, over, scale, false)
			like(t, named("notice-takeover-"+language), img, 4*scale, few, func(all ...*image.RGBA) { timeless(img.Rect, scale, all...) })
			for _, r.Basis = range []consent.Basis{consent.ByRuleOnly, consent.BySilence, consent.ByLock} {
				viewing, _ := d.banner(r, "", false)
				like(t, named(string(r.Basis)+"-"+language+"-banner"), viewing, 4*scale, few, nil)
			}
		}
	})
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
		r.Admin, r.Identity.Account, r.Host = name, name, "vda1"
		d.same("name-"+script, r, 1)
	}
	r := request(d.Desktop)
	r.Admin, r.Identity.Account = names["wide"], names["wide"]
	viewing, over := d.banner(r, "viewer_violation", false)
	like(t, "name-wide-banner", viewing, 4, few, nil)
	like(t, "name-wide-ended", over, 4, few, nil)
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
				r.Identity.Name, r.Purpose, r.Wish = "Alice Ng", "INC-1234 screen flickers", func(consent.Wish) {}
				d.sameScreen(name+"-dialog", r, some)
				viewing, _ := d.banner(r, "", true)
				like(t, name+"-banner", viewing, 4, some, nil)
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
			d.sameScreen(name+"-dialog", r, few)
			r.Wish = func(consent.Wish) {}
			viewing, over := d.banner(r, "viewer_left", true)
			like(t, name+"-banner", viewing, 4, few, nil)
			like(t, name+"-ended", over, 4, few, nil)
			r.Purpose = purposes["sentence"]
			d.sameScreen(name+"-purpose", r, few)
		})
	}
}
