package dialog

import (
	"fmt"
	"os"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// systemFonts are where distributions keep fonts for the scripts that the
// built-in ones (Latin, Greek, Cyrillic) don't have, in the order in which they
// are asked for a glyph. Those that aren't there are passed over.
var systemFonts = [...]string{
	"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
	"/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
	"/usr/share/fonts/dejavu/DejaVuSans.ttf",
	"/usr/share/fonts/TTF/DejaVuSans.ttf",
	"/usr/share/fonts/truetype/DejaVuSans.ttf",
	"/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
	"/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
	"/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
	"/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
	"/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
}

// A library holds the fonts. System fonts are opened when a rune first needs
// one, and stay open as long as the process.
type library struct {
	regular, bold *opentype.Font
	system        []*opentype.Font
	opened        int // of systemFonts
}

func newLibrary() (*library, error) {
	regular, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("the built-in font: %w", err)
	}
	bold, err := opentype.Parse(gobold.TTF)
	if err != nil {
		return nil, fmt.Errorf("the built-in font: %w", err)
	}
	return &library{regular: regular, bold: bold}, nil
}

// fallback finds a system font with a glyph for r; nil if there is none.
func (l *library) fallback(r rune) *opentype.Font {
	for _, f := range l.system {
		if has(f, r) {
			return f
		}
	}
	for l.opened < len(systemFonts) {
		path := systemFonts[l.opened]
		l.opened++
		if f := openFont(path); f != nil {
			l.system = append(l.system, f)
			if has(f, r) {
				return f
			}
		}
	}
	return nil
}

// openFont opens a font file, the first of a collection; nil if it can't be used.
func openFont(path string) *opentype.Font {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	c, err := opentype.ParseCollectionReaderAt(file)
	if err == nil {
		if f, err := c.Font(0); err == nil {
			return f // reads glyphs from file as they are needed
		}
	}
	file.Close()
	return nil
}

func has(f *opentype.Font, r rune) bool {
	i, err := f.GlyphIndex(nil, r)
	return err == nil && i != 0
}

// A style is a font at a size, with others for what it has no glyph for.
type style struct {
	lib   *library
	main  *opentype.Font
	size  float64 // pixels an em
	faces map[*opentype.Font]font.Face
}

func (l *library) style(f *opentype.Font, size float64) *style {
	return &style{lib: l, main: f, size: size, faces: map[*opentype.Font]font.Face{}}
}

// A glyph is one rune, ready to be drawn.
type glyph struct {
	r       rune
	face    font.Face // nil: no font has it, a box is drawn
	advance fixed.Int26_6
	ink     *ink
}

// glyph finds r. A glyph wider than two ems is an ornament that would break any
// layout, and becomes a box, too.
func (s *style) glyph(r rune, c *ink) glyph {
	f := s.main
	if !has(f, r) {
		f = s.lib.fallback(r)
	}
	if f != nil {
		face := s.face(f)
		if a, ok := face.GlyphAdvance(r); ok && a >= 0 && a <= s.px(2) {
			return glyph{r: r, face: face, advance: a, ink: c}
		}
	}
	return glyph{r: r, advance: s.px(0.7), ink: c}
}

func (s *style) face(f *opentype.Font) font.Face {
	face, ok := s.faces[f]
	if !ok {
		// The only error is one for hinting that doesn't exist.
		face, _ = opentype.NewFace(f, &opentype.FaceOptions{Size: s.size, DPI: 72, Hinting: font.HintingNone})
		s.faces[f] = face
	}
	return face
}

// px is a number of ems in pixels.
func (s *style) px(ems float64) fixed.Int26_6 { return fixed.Int26_6(ems * s.size * 64) }
