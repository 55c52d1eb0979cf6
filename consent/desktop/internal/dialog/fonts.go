package dialog

import (
	"bytes"
	"fmt"
	"os"

	"github.com/go-text/typesetting/language"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/math/fixed"
)

// maxFaces is how many system fonts are opened at most, whatever a name needs.
const maxFaces = 24

// A library holds the fonts: the built-in ones (Latin, Greek, Cyrillic), and those of the
// system, which are opened when a rune first needs one, and stay open as long as the
// process.
type library struct {
	speaks        string // the language of the words
	regular, bold *face
	folders       []string
	system        map[fontFile]*face // nil for one that can't be used
	opened        int                // of them
	found         map[want]*face
}

// A want is a rune that the built-in fonts don't have.
type want struct {
	r    rune
	bold bool
}

func newLibrary(speaks string) (*library, error) {
	lib := &library{speaks: speaks, folders: fontFolders[:], system: map[fontFile]*face{}, found: map[want]*face{}}
	for to, ttf := range map[**face][]byte{&lib.regular: goregular.TTF, &lib.bold: gobold.TTF} {
		f, err := newFace(bytes.NewReader(ttf), 0)
		if err != nil {
			return nil, fmt.Errorf("the built-in font: %w", err)
		}
		*to = f
	}
	return lib, nil
}

// eastAsian reports whether the words are Japanese or Chinese.
func (l *library) eastAsian() bool { return l.speaks == "ja" || l.speaks == "zh" }

// A style is a weight and a size.
type style struct {
	lib  *library
	bold bool
	main *face
	size fixed.Int26_6 // of an em, in pixels
	caps fixed.Int26_6 // height of a capital
}

// style makes a style of a size in pixels.
func (l *library) style(bold bool, size float64) *style {
	s := &style{lib: l, bold: bold, main: l.regular, size: fixed.Int26_6(size * 64)}
	if bold {
		s.main = l.bold
	}
	// The only error is one of the built-in fonts' tables, which have been read.
	m, _ := s.main.drawing.Metrics(&s.main.buffer, s.size, font.HintingNone)
	s.caps = m.CapHeight
	return s
}

// px is a number of ems in pixels.
func (s *style) px(ems float64) fixed.Int26_6 { return fixed.Int26_6(ems * float64(s.size)) }

// face finds the font for a grapheme of a script: one that has all of its runes, or at
// least the first. It returns nil if there is none. wide prefers a font of East Asia.
func (s *style) face(grapheme []rune, script language.Script, wide bool) *face {
	if !wide && s.main.hasAll(grapheme) {
		return s.main
	}
	if wide {
		script = language.Han
	}
	builtIn := s.main.has(grapheme[0])
	if f := s.lib.find(want{grapheme[0], s.bold}, script); f != nil && (wide || !builtIn || f.hasAll(grapheme)) {
		return f
	}
	if builtIn {
		return s.main
	}
	return nil
}

// find is the first system font with a glyph for a rune; nil if there is none.
func (l *library) find(w want, script language.Script) *face {
	f, known := l.found[w]
	if !known {
		f = l.search(w, script)
		l.found[w] = f
	}
	return f
}

func (l *library) search(w want, script language.Script) *face {
	for _, file := range fontFiles(script, l.speaks, w.bold) {
		if f := l.open(file); f != nil && f.has(w.r) {
			return f
		}
	}
	return nil
}

// open opens a font file, from the first folder that has it; nil if none can be used.
func (l *library) open(file fontFile) *face {
	f, known := l.system[file]
	if known {
		return f
	}
	for _, folder := range l.folders {
		if l.opened == maxFaces {
			break
		}
		path := folder + file.name
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if opened, err := openFace(path, file.nth); err == nil {
			f = opened
			l.opened++
			break
		}
	}
	l.system[file] = f
	return f
}
