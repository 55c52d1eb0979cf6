package dialog

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-text/typesetting/font/opentype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/math/fixed"
)

// rebuilt is a font with some tables changed; a nil one is left out.
func rebuilt(t *testing.T, ttf []byte, change map[string][]byte) []byte {
	t.Helper()
	ld, err := opentype.NewLoader(bytes.NewReader(ttf))
	require.NoError(t, err)
	var tables []opentype.Table
	for _, tag := range ld.Tables() {
		content, err := ld.RawTable(tag)
		require.NoError(t, err)
		if other, ok := change[tag.String()]; ok {
			content = other
		}
		if content != nil {
			tables = append(tables, opentype.Table{Tag: tag, Content: content})
		}
	}
	return opentype.WriteTTF(tables)
}

// A font that can't be used is passed over, and the next one is asked.
func TestBrokenFontsArePassedOver(t *testing.T) {
	const system = "/usr/share/fonts/truetype/noto/NotoSansArabic-Bold.ttf"
	whole, err := os.ReadFile(system)
	require.NoError(t, err, "install fonts-noto-core")
	noGlyphs := rebuilt(t, whole, map[string][]byte{"glyf": bytes.Repeat([]byte{0xff}, 1000), "loca": bytes.Repeat([]byte{0xff}, 5000)})
	for name, content := range map[string][]byte{
		"empty": {}, "garbage": bytes.Repeat([]byte("font"), 1000), "only a header": whole[:12], "half": whole[:len(whole)/2],
		"a collection of nothing": []byte("ttcf\x00\x01\x00\x00\x00\x00\x00\x00"),
		"no cmap":                 rebuilt(t, whole, map[string][]byte{"cmap": nil}),
		"broken GSUB":             rebuilt(t, whole, map[string][]byte{"GSUB": bytes.Repeat([]byte{0, 1, 0xff}, 300)}),
		"broken outlines":         noGlyphs,
	} {
		folder := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(folder, "NotoSansArabic-Bold.ttf"), content, 0o644))
		lib := testLibrary(t, "en")
		lib.folders = append([]string{folder + "/"}, lib.folders...)
		st := lib.style(true, 20)
		lines := breakLines([]span{{"أحمد", st, black, true}}, 1000, 1)
		require.NotEmpty(t, lines, name)
		for _, c := range lines[0].clusters {
			assert.NotNil(t, c.face, "%s: %q", name, string(c.text))
		}
		drawLine(image.NewRGBA(image.Rect(0, 0, 200, 40)), lines[0], 0, 0, 40, st) // and no panic
	}
}

// A font of a format that only one of the two readers knows is drawn by that one.
func TestOutlinesOfTheOtherReader(t *testing.T) {
	one, err := newFace(bytes.NewReader(goregular.TTF), 0)
	require.NoError(t, err)
	require.NotNil(t, one.drawing)
	other, err := newFace(bytes.NewReader(rebuilt(t, goregular.TTF, map[string][]byte{"post": nil})), 0)
	require.NoError(t, err)
	require.Nil(t, other.drawing)
	draw := func(f *face) []uint8 {
		img := image.NewRGBA(image.Rect(0, 0, 60, 60))
		id, ok := f.shaping.NominalGlyph('g')
		require.True(t, ok)
		drawOutline(img, f.outline(id, fixed.I(40)), fixed.P(10, 40), black)
		return img.Pix
	}
	a, b := draw(one), draw(other)
	assert.NotEqual(t, make([]uint8, len(a)), a, "something was drawn")
	for i := range a {
		assert.InDelta(t, a[i], b[i], 8, "at %d", i)
	}
}

// What is drawn beyond the picture is cut off, not written elsewhere.
func TestDrawingIsClipped(t *testing.T) {
	lib := testLibrary(t, "en")
	st := lib.style(true, 40)
	lines := breakLines([]span{{"WWWW", st, black, false}}, 1000, 1)
	whole := image.NewRGBA(image.Rect(0, 0, 100, 100))
	for _, at := range []image.Point{{-20, 10}, {60, -30}, {30, 80}, {-500, -500}, {500, 500}} {
		part := whole.SubImage(image.Rect(20, 20, 80, 80)).(*image.RGBA)
		drawLine(part, lines[0], at.X, at.Y, 50, st)
	}
	for y := range 100 {
		for x := range 100 {
			if !image.Pt(x, y).In(image.Rect(20, 20, 80, 80)) {
				require.Zero(t, whole.RGBAAt(x, y).A, "%d,%d", x, y)
			}
		}
	}
}
