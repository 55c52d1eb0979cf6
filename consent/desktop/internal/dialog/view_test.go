package dialog

import (
	"image"
	"image/color"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
)

// ask is a question in English. replaces may be empty.
func ask(admin, host, replaces string) Question {
	q := Question{
		Language: "en", No: "No", Yes: "Yes", Left: 20 * time.Second,
		Head:      consent.Sentence{{Text: admin, Role: consent.Name}, {Text: " wants to view your screen"}},
		Sees:      consent.Sentence{{Text: "They will see everything that you see on "}, {Text: host, Role: consent.Name}, {Text: "."}},
		Cannot:    consent.Sentence{{Text: "They cannot use your mouse or keyboard."}},
		Countdown: consent.Sentence{{Text: "No answer in "}, {Role: consent.Seconds}, {Text: " s counts as No"}},
	}
	if replaces != "" {
		q.Replaces = consent.Sentence{{Text: replaces, Role: consent.Name}, {Text: " is watching now and will be disconnected if you say Yes."}}
	}
	return q
}

// Who watches is marked where the name is only claimed, in the box that names them.
func TestLayoutMarksWhoWatches(t *testing.T) {
	q := ask("alice", "vda1", "bob")
	for language, texts := range sixLanguages(t) {
		lib := testLibrary(t, language)
		q.Replaces, q.Watcher = texts.Replaces, nil
		without := layout(q, lib, 1, true)
		q.Watcher = texts.Watcher
		v := layout(q, lib, 1, true)
		assert.GreaterOrEqual(t, v.img.Rect.Dy(), without.img.Rect.Dy()+21, language)
		assert.Equal(t, without.deny.Min.X, v.deny.Min.X)
	}
}

// A notice that ends another's view names them, in the box of the question and without a word of a Yes, which it hasn't got.
func TestLayoutOfANoticeMarksWhoWatches(t *testing.T) {
	for language, texts := range sixLanguages(t) {
		assert.NotEqual(t, texts.Replaces, texts.Displaces, language)
		assert.NotContains(t, texts.Displaces.Text(0), texts.Yes, language)
		assert.Contains(t, texts.Displaces.Text(0), `CORP\bob`, language)
		for _, scale := range []float64{1, 2} {
			q := Question{
				Language: language, Head: texts.Notice, Doubt: texts.Doubt, Sees: texts.Sees, Cannot: texts.Cannot, Basis: texts.Basis, Countdown: texts.Begins,
				No: texts.Stop, Left: 20 * time.Second, Notice: consent.NoticeTime,
			}
			lib := testLibrary(t, language)
			without := layout(q, lib, scale, true)
			q.Replaces, q.Watcher = texts.Displaces, texts.Watcher
			v := layout(q, lib, scale, true)
			assert.False(t, has(without.img, warnPaper), language)
			assert.True(t, has(v.img, warnPaper), language)
			assert.GreaterOrEqual(t, v.img.Rect.Dy(), without.img.Rect.Dy()+int(42*scale), language)
			assert.True(t, v.deny.In(v.img.Rect) && v.note.In(v.img.Rect) && !v.note.Overlaps(v.deny), language)
			assert.Empty(t, v.allow)
		}
	}
}

// sixLanguages are the words about an administrator whose name is only claimed, as is that of who watches, with
// all that a banner can say, in every language.
func sixLanguages(t *testing.T) map[string]consent.Wording {
	t.Helper()
	all := map[string]consent.Wording{}
	for _, language := range []string{"en", "de", "fr", "es", "ja", "zh"} {
		all[language] = consent.Texts{}.Wording(consent.Request{
			Admin: `CORP\alice`, Replaces: `CORP\bob`, ReplacesUnverified: true, Locale: language, Basis: consent.BySilence,
			Purpose: strings.Repeat("The screen flickers since this morning, whatever the user does. ", 5),
		})
		require.Equal(t, language, all[language].Language)
	}
	return all
}

func TestLayoutHoldsHostileNames(t *testing.T) {
	lib := testLibrary(t, "en")
	for _, name := range hostile {
		for _, scale := range []float64{0.5, 1, 1.25, 3} {
			v := layout(ask(name, name, name), lib, scale, true)
			inside := v.img.Rect
			for _, r := range []image.Rectangle{v.deny, v.allow, v.bar, v.note} {
				assert.True(t, r.In(inside) && !r.Empty(), "%v in %v", r, inside)
			}
			assert.False(t, v.deny.Overlaps(v.allow) || v.note.Overlaps(v.deny))
			assert.Equal(t, int(viewWidth*scale), inside.Dx())
			assert.Less(t, inside.Dy(), int(720*scale), "%q", name)
			assert.Equal(t, denyButton, v.at(v.deny.Min.X, v.deny.Min.Y))
			assert.Equal(t, allowButton, v.at(v.allow.Max.X-1, v.allow.Max.Y-1))
			assert.Equal(t, noButton, v.at(v.allow.Max.X, v.allow.Min.Y))
			assert.Equal(t, noButton, v.at(-1, -1))
		}
	}
}

// Only what update names as changed may change, or the screen would show the old.
func TestUpdateNamesWhatChanges(t *testing.T) {
	v := layout(ask("a", "h", ""), testLibrary(t, "en"), 1, false)
	states := []state{
		{left: 20 * time.Second, focus: denyButton},
		{left: 19800 * time.Millisecond, focus: denyButton},
		{left: 19800 * time.Millisecond, focus: denyButton, ready: true},
		{left: 19800 * time.Millisecond, focus: denyButton, hover: allowButton, ready: true},
		{left: 18 * time.Second, focus: allowButton, hover: allowButton, down: allowButton, ready: true},
		{left: 5001 * time.Millisecond, focus: allowButton, ready: true},
		{left: 5 * time.Second, focus: allowButton, ready: true},
		{left: 0, focus: denyButton, ready: true},
		{left: -time.Second, focus: denyButton, ready: true},
	}
	v.update(states[0])
	for i, s := range states[1:] {
		before := image.NewRGBA(v.img.Rect)
		copy(before.Pix, v.img.Pix)
		dirty := v.update(s)
		changed := false
		for y := range v.img.Rect.Dy() {
			for x := range v.img.Rect.Dx() {
				if v.img.RGBAAt(x, y) == before.RGBAAt(x, y) {
					continue
				}
				changed = true
				in := false
				for _, r := range dirty {
					in = in || image.Pt(x, y).In(r)
				}
				require.True(t, in, "state %d changes %d,%d outside of %v", i+1, x, y, dirty)
			}
		}
		assert.Equal(t, i+1 != len(states)-1, changed, "state %d", i+1)
	}
	assert.Empty(t, v.update(states[len(states)-1]), "the same again")
}

func TestSeconds(t *testing.T) {
	for left, want := range map[time.Duration]int{
		20 * time.Second: 20, 19001 * time.Millisecond: 20, time.Millisecond: 1, 0: 0, -time.Second: 0,
	} {
		assert.Equal(t, want, seconds(left), left)
	}
}

func TestEncode(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 3, 2))
	img.SetRGBA(1, 1, color.RGBA{0xff, 0x80, 0x01, 0xff})
	img.SetRGBA(2, 1, color.RGBA{0xff, 0xff, 0xff, 0xff})
	r := image.Rect(1, 1, 3, 2)
	deep := func(depth byte, red, green, blue uint32, size int, big bool) format {
		order := byte(xproto.ImageOrderLSBFirst)
		if big {
			order = xproto.ImageOrderMSBFirst
		}
		setup := &xproto.SetupInfo{ImageByteOrder: order, PixmapFormats: []xproto.Format{
			{Depth: 1, BitsPerPixel: 1, ScanlinePad: 32}, {Depth: depth, BitsPerPixel: byte(8 * size), ScanlinePad: 32}}}
		screen := &xproto.ScreenInfo{RootDepth: depth, RootVisual: 33, AllowedDepths: []xproto.DepthInfo{{Depth: depth, Visuals: []xproto.VisualInfo{
			{VisualId: 32, Class: xproto.VisualClassTrueColor, RedMask: 1, GreenMask: 2, BlueMask: 4},
			{VisualId: 33, Class: xproto.VisualClassTrueColor, RedMask: red, GreenMask: green, BlueMask: blue}}}}}
		f, err := formatOf(setup, screen)
		require.NoError(t, err)
		return f
	}
	for name, c := range map[string]struct {
		f    format
		want []byte
	}{
		"24 in 32":         {deep(24, 0xff0000, 0xff00, 0xff, 4, false), []byte{0x01, 0x80, 0xff, 0, 0xff, 0xff, 0xff, 0}},
		"24 in 32, big":    {deep(24, 0xff0000, 0xff00, 0xff, 4, true), []byte{0, 0xff, 0x80, 0x01, 0, 0xff, 0xff, 0xff}},
		"24 in 32, BGR":    {deep(24, 0xff, 0xff00, 0xff0000, 4, false), []byte{0xff, 0x80, 0x01, 0, 0xff, 0xff, 0xff, 0}},
		"24 in 24, padded": {deep(24, 0xff0000, 0xff00, 0xff, 3, false), []byte{0x01, 0x80, 0xff, 0xff, 0xff, 0xff, 0, 0}},
		"32, with alpha":   {deep(32, 0xff0000, 0xff00, 0xff, 4, false), []byte{0x01, 0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		"30":               {deep(30, 0x3ff00000, 0xffc00, 0x3ff, 4, true), []byte{0x3f, 0xf8, 0x08, 0x04, 0x3f, 0xff, 0xff, 0xff}},
		"16":               {deep(16, 0xf800, 0x7e0, 0x1f, 2, false), []byte{0x00, 0xfc, 0xff, 0xff}},
		"15, big":          {deep(15, 0x7c00, 0x3e0, 0x1f, 2, true), []byte{0x7e, 0x00, 0x7f, 0xff}},
	} {
		assert.Equal(t, c.want, c.f.encode(img, r), name)
	}
	_, err := formatOf(&xproto.SetupInfo{}, &xproto.ScreenInfo{RootDepth: 8, RootVisual: 33})
	assert.ErrorContains(t, err, "depth 8")
}

func TestStripsFitARequest(t *testing.T) {
	f := format{depth: 24, size: 4, pad: 4}
	for _, r := range []image.Rectangle{image.Rect(0, 0, 520, 260), image.Rect(7, 9, 1567, 800), image.Rect(0, 0, 1, 1), image.Rect(0, 0, 65529, 3)} {
		y := r.Min.Y
		for _, s := range f.strips(r, 262140) {
			assert.LessOrEqual(t, putHeader+len(f.encode(image.NewRGBA(s), s)), 262140)
			assert.Equal(t, image.Rect(r.Min.X, y, r.Max.X, s.Max.Y), s)
			y = s.Max.Y
		}
		assert.Equal(t, r.Max.Y, y)
	}
	assert.Nil(t, f.strips(image.Rect(0, 0, 65530, 1), 262140), "not even a row fits")
}

func TestScaleOf(t *testing.T) {
	for resources, want := range map[string]float64{
		"": 1, "Xft.dpi:\t96\n": 1, "Xft.dpi:\t192\n": 2, "Xft.antialias: 1\nXft.dpi: 144": 1.5, "Xft.dpi: 40": 1, "Xft.dpi: 9999": 3,
		"Xft.dpi: much\n": 1, "Xft.dpi: -5": 1, "Xft.dpi: NaN": 1, "*Xft.dpi: 192": 1,
	} {
		assert.Equal(t, want, scaleOf(resources), resources)
	}
}

func TestChooseMonitor(t *testing.T) {
	left, right := image.Rect(0, 0, 100, 100), image.Rect(100, 0, 300, 200)
	both := []image.Rectangle{left, right}
	assert.Equal(t, left, choose(both, image.Pt(99, 99)))
	assert.Equal(t, right, choose(both, image.Pt(100, 0)))
	assert.Equal(t, left, choose(both, image.Pt(50, 150)), "on none of them")
	assert.Equal(t, image.Pt(150, 75), centre(image.Pt(100, 50), right))
	assert.Equal(t, image.Pt(100, 0), centre(image.Pt(1000, 500), right), "too large")
}

func TestLatin1(t *testing.T) {
	assert.Equal(t, "Zo\xeb ?", latin1("Zoë 张"))
}

func TestSticksOut(t *testing.T) {
	left, right := image.Rect(0, 0, 100, 100), image.Rect(100, 0, 200, 80)
	for _, c := range []struct {
		r     image.Rectangle
		areas []image.Rectangle
		want  bool
	}{
		{image.Rect(0, 0, 10, 10), nil, true},
		{image.Rectangle{}, nil, false},
		{left, []image.Rectangle{left}, false},
		{image.Rect(50, 10, 150, 60), []image.Rectangle{left, right}, false},
		{image.Rect(50, 10, 150, 60), []image.Rectangle{right, left}, false},
		{image.Rect(50, 10, 150, 81), []image.Rectangle{left, right}, true}, // in the corner that no monitor shows
		{image.Rect(-1, 0, 50, 50), []image.Rectangle{left, right}, true},
		{image.Rect(150, 0, 201, 50), []image.Rectangle{left, right}, true},
		{image.Rect(0, 0, 200, 80), []image.Rectangle{image.Rect(0, 0, 200, 40), image.Rect(50, 20, 150, 90), image.Rect(-5, 40, 50, 80), image.Rect(150, 40, 300, 80)}, false},
		{image.Rect(0, 0, 200, 80), []image.Rectangle{image.Rect(0, 0, 200, 40), image.Rect(51, 20, 150, 90), image.Rect(-5, 40, 50, 80), image.Rect(150, 40, 300, 80)}, true},
	} {
		assert.Equal(t, c.want, sticksOut(c.r, c.areas), "%v in %v", c.r, c.areas)
	}
}

func TestMoveInto(t *testing.T) {
	m := image.Rect(100, 100, 200, 200)
	for _, c := range []struct{ r, want image.Rectangle }{
		{image.Rect(120, 130, 140, 150), image.Rect(120, 130, 140, 150)},
		{image.Rect(90, 190, 110, 210), image.Rect(100, 180, 120, 200)},
		{image.Rect(300, 0, 320, 20), image.Rect(180, 100, 200, 120)},
		{image.Rect(150, 90, 300, 250), image.Rect(100, 100, 250, 260)}, // too large
	} {
		assert.Equal(t, c.want, moveInto(c.r, m), "%v", c.r)
	}
	assert.Equal(t, m, nearest([]image.Rectangle{image.Rect(0, 0, 100, 200), m}, image.Rect(90, 150, 120, 160)))
	assert.Equal(t, m, nearest([]image.Rectangle{m, image.Rect(0, 0, 100, 200)}, image.Rect(900, 900, 910, 910)), "none shows any of it")
}
