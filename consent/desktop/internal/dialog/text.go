package dialog

import (
	"image"
	"slices"

	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/segmenter"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
)

// An ink is what text is drawn with.
type ink = image.Uniform

// A span is text of one style and colour within a paragraph.
type span struct {
	text  string
	style *style
	ink   *ink
	name  bool // it is somebody's, and has a direction of its own
}

// A cluster is runes that can't be told apart once they are drawn: a letter with its
// marks, a ligature.
type cluster struct {
	glyphs  []shaping.Glyph // from left to right
	face    *face           // nil: no font has it, a box is drawn
	span    *span
	advance fixed.Int26_6
	level   int  // of embedding (Unicode Standard Annex 9)
	space   bool // nothing but room
	last    bool // a line may end behind it
	text    []rune
}

// A line is the clusters that stand side by side, in the order in which they are read.
type line struct {
	clusters []cluster
	width    fixed.Int26_6
	torn     bool // it ends within a word
}

func (l *line) add(c cluster) {
	l.clusters = append(l.clusters, c)
	l.width += c.advance
}

// A paragraph is text on its way to clusters.
type paragraph struct {
	text   []rune
	spans  []*span // of each rune
	levels []int
	breaks []bool // a line may end behind the rune
	starts []bool // a grapheme begins with the rune
}

// set shapes spans into clusters, in the order in which they are read.
func set(spans []span) []cluster {
	var p paragraph
	for i := range spans {
		for _, r := range spans[i].text {
			p.text = append(p.text, r)
			p.spans = append(p.spans, &spans[i])
		}
	}
	p.levels = levelsOf(spans)
	p.analyse()
	return p.clusters()
}

// analyse finds places for line breaks (UAX 14) and graphemes (UAX 29).
func (p *paragraph) analyse() {
	n := len(p.text)
	p.breaks, p.starts = make([]bool, n), make([]bool, n)
	var cut segmenter.Segmenter
	cut.Init(p.text)
	for lines := cut.LineIterator(); lines.Next(); {
		l := lines.Line()
		p.breaks[l.Offset+len(l.Text)-1] = true
	}
	for graphemes := cut.GraphemeIterator(); graphemes.Next(); {
		p.starts[graphemes.Grapheme().Offset] = true
	}
}

// clusters shapes the paragraph run by run.
func (p *paragraph) clusters() []cluster {
	var all []cluster
	script := language.Latin
	var now run // the one that is being gathered
	from := 0
	for i := 0; i < len(p.text); {
		end := i + 1
		for end < len(p.text) && !p.starts[end] && p.spans[end] == p.spans[i] {
			end++
		}
		s := p.spans[i]
		if own := language.LookupScript(p.text[i]); own != language.Common && own != language.Inherited && own != language.Unknown {
			script = own
		}
		wide := !s.name && s.style.lib.eastAsian() && wideMark(p.text[i])
		next := run{
			face: s.style.face(p.text[i:end], script, wide), script: script, level: p.levels[i],
			language: language.NewLanguage(s.style.lib.speaks), size: s.style.size,
		}
		if from < i && (next != now || s != p.spans[i-1]) {
			all = append(all, p.shape(now, from, i)...)
			from = i
		}
		now, i = next, end
	}
	return append(all, p.shape(now, from, len(p.text))...)
}

// wideMark reports whether a mark of punctuation that Latin text has, too, looks different
// in East Asian text.
func wideMark(r rune) bool {
	switch r {
	case '‘', '’', '“', '”', '—', '…':
		return true
	}
	return false
}

// shape turns text[start:end], which is one run, into clusters.
func (p *paragraph) shape(r run, start, end int) []cluster {
	if start == end {
		return nil
	}
	var glyphs []shaping.Glyph
	if r.face != nil {
		glyphs = r.face.shape(p.text, start, end, r)
	}
	if len(glyphs) == 0 {
		return p.boxes(r, start, end)
	}
	var all []cluster
	for len(glyphs) > 0 {
		n := 1
		for n < len(glyphs) && glyphs[n].TextIndex() == glyphs[0].TextIndex() {
			n++
		}
		at := glyphs[0].TextIndex()
		all = append(all, p.cluster(r, glyphs[:n], at, min(at+max(1, glyphs[0].RunesCount()), end)))
		glyphs = glyphs[n:]
	}
	if r.level%2 == 1 {
		slices.Reverse(all)
	}
	return all
}

// cluster is the glyphs of text[start:end]. What a font draws wider than two ems a rune is
// an ornament that would break any layout, and becomes a box, as what it has no glyph for.
// Only a mark without one is left out, so that its letter can be read.
func (p *paragraph) cluster(r run, glyphs []shaping.Glyph, start, end int) cluster {
	known := slices.DeleteFunc(glyphs, func(g shaping.Glyph) bool { return g.GlyphID == 0 })
	c := cluster{glyphs: known, face: r.face, span: p.spans[start], level: r.level, last: p.breaks[end-1], text: p.text[start:end]}
	c.space = p.text[start] == ' ' || p.text[start] == '\u3000'
	for _, g := range known {
		c.advance += g.Advance
	}
	if len(known) == 0 || c.advance < 0 || c.advance > 2*r.size*fixed.Int26_6(end-start) {
		return p.boxes(r, start, end)[0].with(p.breaks[end-1])
	}
	return c
}

// with is c as the end of a place where a line may break, or not.
func (c cluster) with(last bool) cluster {
	c.last = last
	return c
}

// boxes are clusters for graphemes that no font has.
func (p *paragraph) boxes(r run, start, end int) []cluster {
	var all []cluster
	for start < end {
		stop := start + 1
		for stop < end && !p.starts[stop] {
			stop++
		}
		s := p.spans[start]
		all = append(all, cluster{span: s, level: r.level, advance: s.style.px(0.7), last: p.breaks[stop-1], text: p.text[start:stop]})
		start = stop
	}
	return all
}
