package dialog

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// A face is an open font. Its tables for shaping are read at once, which are few; its
// outlines are most of the file and read one by one, as they are drawn.
//
// Fonts are files of the system and yet not to be relied upon: what panics over one makes
// a box of a glyph, and no more.
type face struct {
	shaping *font.Face
	drawing *sfnt.Font // nil: shaping has the outlines, too
	buffer  sfnt.Buffer
	shaper  shaping.HarfbuzzShaper
}

// shapingTables are those that shaping needs.
var shapingTables = [...]string{"cmap", "head", "maxp", "hhea", "hmtx", "OS/2", "GSUB", "GPOS", "GDEF", "kern"}

// openFace opens a font file, the nth of a collection.
func openFace(path string, nth int) (f *face, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	// A face stays open as long as the process.
	defer func() {
		if f == nil {
			file.Close()
		}
	}()
	return newFace(file, nth)
}

// A resource is what a font is read from.
type resource interface {
	io.ReadSeeker
	io.ReaderAt
}

// newFace reads a font.
func newFace(r resource, nth int) (f *face, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, errors.New("the font makes its reader panic")
		}
	}()
	loaders, err := opentype.NewLoaders(r)
	if err != nil {
		return nil, err
	}
	if nth >= len(loaders) {
		nth = 0
	}
	f = new(face)
	if f.drawing, err = outlines(r, nth); err == nil {
		var tables []opentype.Table
		for _, name := range shapingTables {
			tag := opentype.MustNewTag(name)
			if content, err := loaders[nth].RawTable(tag); err == nil {
				tables = append(tables, opentype.Table{Tag: tag, Content: content})
			}
		}
		if loaders[nth], err = opentype.NewLoader(bytes.NewReader(opentype.WriteTTF(tables))); err != nil {
			return nil, err
		}
	}
	all, err := font.NewFont(loaders[nth])
	if err != nil {
		return nil, err
	}
	f.shaping = font.NewFace(all)
	return f, nil
}

// outlines opens a font for drawing. It fails with formats that only the other reader
// knows: CFF2, which variable fonts have, WOFF, and some kerning of Noto's.
func outlines(r io.ReaderAt, nth int) (*sfnt.Font, error) {
	c, err := sfnt.ParseCollectionReaderAt(r)
	if err != nil {
		return nil, err
	}
	if nth >= c.NumFonts() {
		nth = 0
	}
	return c.Font(nth)
}

// has reports whether the font has a glyph for r.
func (f *face) has(r rune) bool {
	_, ok := f.shaping.NominalGlyph(r)
	return ok
}

// hasAll reports whether the font has glyphs for all runes of a grapheme.
func (f *face) hasAll(grapheme []rune) bool {
	for _, r := range grapheme {
		if !f.has(r) {
			return false
		}
	}
	return true
}

// A run is runes to be shaped together.
type run struct {
	face     *face // nil: no font has them
	script   language.Script
	language language.Language
	level    int           // of embedding; odd ones run from right to left
	size     fixed.Int26_6 // of an em
}

// shape turns text[start:end] into glyphs, from left to right as they are drawn. It
// returns nil if that fails.
func (f *face) shape(text []rune, start, end int, r run) (glyphs []shaping.Glyph) {
	defer func() {
		if p := recover(); p != nil {
			glyphs = nil
		}
	}()
	direction := di.DirectionLTR
	if r.level%2 == 1 {
		direction = di.DirectionRTL
	}
	return f.shaper.ShapeNoExtents(shaping.Input{
		Text: text, RunStart: start, RunEnd: end,
		Direction: direction, Face: f.shaping, Size: r.size, Script: r.script, Language: r.language,
	}).Glyphs
}

// outline is a glyph's, in pixels from its origin, y downwards; nil if there is none.
func (f *face) outline(id font.GID, size fixed.Int26_6) (segments sfnt.Segments) {
	defer func() {
		if p := recover(); p != nil {
			segments = nil
		}
	}()
	if f.drawing != nil {
		segments, _ = f.drawing.LoadGlyph(&f.buffer, sfnt.GlyphIndex(id), size, nil)
		return segments
	}
	o, ok := f.shaping.GlyphDataOutline(id)
	if !ok {
		return nil
	}
	scale := float32(size) / float32(f.shaping.Upem())
	for _, s := range o.Segments {
		// The operations are the same ones in the same order.
		to := sfnt.Segment{Op: sfnt.SegmentOp(s.Op)}
		for i, p := range s.Args {
			to.Args[i] = fixed.Point26_6{X: fixed.Int26_6(p.X * scale), Y: fixed.Int26_6(-p.Y * scale)}
		}
		segments = append(segments, to)
	}
	return segments
}
