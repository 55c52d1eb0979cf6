package encode

import (
	"vda.internal/shadow/rfb"
)

// A tightEncoder is what the Tight encoding needs (rfbproto, "Tight Encoding").
// Pixels are looked at in tiles; neighbours of the same kind go into one
// rectangle.
type tightEncoder struct {
	full, mono, indexed stream // zlib streams 0, 1 and 2
	jpeg                jpegEncoder
	census              census
	scratch             []byte // pixels or indices before they are deflated

	img     Image
	x, y    int
	jpegs   bool    // JPEG is allowed
	run     block   // of the current row of tiles, still growing
	palette palette // of run
	held    []block // may grow downwards
}

// A block is tiles of one kind, its place counted from the corner of the image.
type block struct {
	kind                blockKind
	color               uint32 // of a fill
	x, y, width, height int
}

// A blockKind is how a block is sent.
type blockKind uint8

const (
	noBlock   blockKind = iota
	fillBlock           // one colour
	monoBlock           // two
	indexBlock
	fullBlock
	jpegBlock
)

const (
	tile = 64

	// Viewers needn't take wider rectangles.
	maxTightWidth = 2048
	// Some viewers have buffers for so many pixels; they use none for JPEG, whose
	// tables make small pictures expensive.
	maxTightArea = 1 << 16
	maxJPEGArea  = 1 << 18
	minJPEGArea  = 1 << 9

	maxHeld = 16
)

// appendTight appends img at x, y.
func (e *Encoder) appendTight(dst []byte, x, y int, img Image, lossless bool) (out []byte, lossy bool) {
	t := &e.tight
	t.img, t.x, t.y = img, x, y
	jpegs := len(e.lossy)
	t.jpegs = !lossless && e.hints.quality >= 0 && e.layout.bytes > 1
	if t.jpegs {
		t.jpeg.setQuality(e.hints.jpegQuality())
	}
	for ty := 0; ty < img.Height; ty += tile {
		height := min(tile, img.Height-ty)
		for tx := 0; tx < img.Width; tx += tile {
			b := block{x: tx, y: ty, width: min(tile, img.Width-tx), height: height}
			part := img.Sub(b.x, b.y, b.width, b.height)
			t.classify(&b, &part)
			if !t.grow(&b) {
				dst = e.endRun(dst)
				t.run, t.palette.n = b, 0
				if b.kind <= indexBlock {
					t.palette.copy(&t.census.palette)
				}
			}
		}
		dst = e.endRun(dst)
	}
	for i := range t.held {
		dst = e.appendBlock(dst, &t.held[i])
	}
	t.held, t.img = t.held[:0], Image{}
	return dst, len(e.lossy) > jpegs
}

// classify finds out how to send the pixels of b.
func (t *tightEncoder) classify(b *block, part *Image) {
	c := &t.census
	jpegs := t.jpegs && part.Width*part.Height >= minJPEGArea
	if !c.few(part) {
		c.take(part, func(c *census) bool { return jpegs && c.pixels >= sample && c.photo() })
	}
	switch {
	case c.n == 1:
		b.kind, b.color = fillBlock, c.colors[0]
	case c.n == 2:
		b.kind = monoBlock
	case jpegs && c.photo():
		b.kind = jpegBlock
	case c.more:
		b.kind = fullBlock
	default:
		b.kind = indexBlock
	}
}

// sample is how many pixels tell what the others of a tile are.
const sample = 256

// fewColors is how many colours are drawn rather than photographed.
const fewColors = 24

// photo reports whether what was counted looks like a photograph: many colours,
// none of which is the paper, and no long runs of the same; or smooth light,
// however few its colours are.
func (c *census) photo() bool {
	switch {
	case c.n > 4 && c.gentle*4 >= c.steps*3 && c.steps*32 > c.pixels:
		return true
	case c.more:
		return c.most*3 < c.pixels*2
	case c.n > fewColors:
		return c.most*2 < c.pixels && c.runs*8 > c.pixels
	}
	return false
}

// grow makes b part of the run to its left, if that is better than a rectangle
// of its own, and reports whether.
func (t *tightEncoder) grow(b *block) bool {
	r := &t.run
	area := maxTightArea
	switch {
	case r.kind == fillBlock && b.kind == fillBlock && r.color == b.color:
		area = maxTightWidth * tile
	case r.kind == jpegBlock && b.kind == jpegBlock:
		area = maxJPEGArea
	case r.kind == fullBlock && b.kind == fullBlock:
	case r.kind == indexBlock && b.kind == indexBlock:
	case r.kind == monoBlock && b.kind <= monoBlock, r.kind == fillBlock && b.kind == monoBlock:
	default:
		return false
	}
	if width := r.width + b.width; width > maxTightWidth || width*r.height > area {
		return false
	}
	switch {
	case r.kind <= monoBlock && r.kind+b.kind > 2*fillBlock:
		if !t.palette.join(&t.census.palette, 2) {
			return false
		}
		r.kind = monoBlock
	case r.kind == indexBlock && !t.palette.join(&t.census.palette, maxPalette):
		return false
	}
	r.width += b.width
	return true
}

// endRun ends the run: what may grow downwards is held back, the rest appended.
func (e *Encoder) endRun(dst []byte) []byte {
	t := &e.tight
	r := t.run
	t.run.kind = noBlock
	if r.kind != fillBlock && r.kind != jpegBlock {
		return e.appendBlock(dst, &r)
	}
	for i := range t.held {
		h := &t.held[i]
		if h.kind == r.kind && h.color == r.color && h.x == r.x && h.width == r.width && h.y+h.height == r.y &&
			(r.kind == fillBlock || h.width*(h.height+r.height) <= maxJPEGArea) {
			h.height += r.height
			return dst
		}
	}
	if len(t.held) == maxHeld {
		dst = e.appendBlock(dst, &t.held[0])
		t.held = append(t.held[:0], t.held[1:]...)
	}
	t.held = append(t.held, r)
	return dst
}

// Tight's control bytes and filters; the zlib stream is part of them.
const (
	tightFull    = 0x00
	tightMono    = 0x10 | tightFilter
	tightIndexed = 0x20 | tightFilter
	tightFilter  = 0x40
	tightFill    = 0x80
	tightJPEG    = 0x90

	paletteFilter = 1
)

// appendBlock appends a block as a rectangle.
func (e *Encoder) appendBlock(dst []byte, b *block) []byte {
	if b.kind == noBlock {
		return dst
	}
	t, l := &e.tight, e.layout
	dst = e.rect(dst, t.x+b.x, t.y+b.y, b.width, b.height, rfb.EncodingTight)
	part := t.img.Sub(b.x, b.y, b.width, b.height)
	switch b.kind {
	case fillBlock:
		dst = append(dst, tightFill)
		return l.appendTight(dst, b.color)
	case jpegBlock:
		e.lossy = append(e.lossy, rfb.Rect{
			X: uint16(t.x + b.x), Y: uint16(t.y + b.y), Width: uint16(b.width), Height: uint16(b.height),
		})
		dst = append(dst, tightJPEG, 0, 0, 0)
		return compactLength(t.jpeg.append(dst, &part), len(dst))
	case monoBlock:
		t.scratch = t.palette.appendBits(t.scratch[:0], &part)
		dst = append(dst, e.begins(&t.mono, tightMono), paletteFilter, 1)
		dst = l.appendTight(dst, t.palette.colors[0])
		dst = l.appendTight(dst, t.palette.colors[1])
		return e.appendDeflated(dst, &t.mono)
	case indexBlock:
		t.scratch = t.palette.appendIndices(t.scratch[:0], &part)
		dst = append(dst, e.begins(&t.indexed, tightIndexed), paletteFilter, byte(t.palette.n-1))
		for _, c := range t.palette.colors[:t.palette.n] {
			dst = l.appendTight(dst, c)
		}
		return e.appendDeflated(dst, &t.indexed)
	default:
		t.scratch = l.appendTightRows(t.scratch[:0], &part)
		return e.appendDeflated(append(dst, e.begins(&t.full, tightFull)), &t.full)
	}
}

// begins is the control byte of a rectangle in a stream. It says that the stream begins anew, if the viewer has
// asked for that.
func (e *Encoder) begins(s *stream, control byte) byte {
	if !e.hints.fresh {
		return control
	}
	s.restart()
	return control | 1<<(control>>4&3)
}

// tightRaw is how many bytes are deflated at least.
const tightRaw = 12

// appendDeflated appends what is in scratch.
func (e *Encoder) appendDeflated(dst []byte, s *stream) []byte {
	p := e.tight.scratch
	if len(p) < tightRaw {
		return append(dst, p...)
	}
	dst = append(dst, 0, 0, 0)
	from := len(dst)
	s.begin(dst, e.hints.level())
	s.write(p)
	return compactLength(s.end(), from)
}

// compactLength writes the length of b[from:] into the three bytes before it, or
// into as many as it needs: seven bits, seven bits, eight bits, lowest first,
// the top bit of the first two saying that there is more.
func compactLength(b []byte, from int) []byte {
	n := len(b) - from
	head := b[from-3:]
	switch {
	case n < 1<<7:
		head[0] = byte(n)
		return append(b[:from-2], b[from:]...)
	case n < 1<<14:
		head[0], head[1] = byte(n)|0x80, byte(n>>7)
		return append(b[:from-1], b[from:]...)
	}
	head[0], head[1], head[2] = byte(n)|0x80, byte(n>>7)|0x80, byte(n>>14)
	return b
}

// appendTight appends a TPIXEL.
func (l *layout) appendTight(b []byte, color uint32) []byte {
	if l.tight == 3 && l.bytes == 4 {
		return append(b, byte(color>>16), byte(color>>8), byte(color))
	}
	return appendLow(b, l.pixel(color), l.bytes)
}

// appendTightRows appends the TPIXELs of m.
func (l *layout) appendTightRows(b []byte, m *Image) []byte {
	if l.tight != 3 {
		return l.append(b, m)
	}
	at := len(b)
	b = extend(b, m.Width*m.Height*3)
	dst := b[at:]
	for y := range m.Height {
		for row := m.row(y); len(row) >= 4; row, dst = row[4:], dst[3:] {
			dst[0], dst[1], dst[2] = row[2], row[1], row[0]
		}
	}
	return b
}
