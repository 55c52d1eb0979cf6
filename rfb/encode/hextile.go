package encode

import (
	"vda.internal/shadow/rfb"
)

// A hextileEncoder is what Hextile needs (RFC 6143 §7.7.4).
type hextileEncoder struct {
	census census
	pixels [hextileSide * hextileSide]uint32
	last   struct {
		background, foreground       uint32
		hasBackground, hasForeground bool // for the next tile to leave out
	}
}

const hextileSide = 16

// The bits of a tile's mask.
const (
	hextileRaw        = 1
	hextileBackground = 2
	hextileForeground = 4
	hextileSubrects   = 8
	hextileColored    = 16
)

// appendHextile appends img at x, y.
func (e *Encoder) appendHextile(dst []byte, x, y int, img *Image) []byte {
	dst = e.rect(dst, x, y, img.Width, img.Height, rfb.EncodingHextile)
	h := &e.hextile
	h.last.hasBackground, h.last.hasForeground = false, false
	for ty := 0; ty < img.Height; ty += hextileSide {
		for tx := 0; tx < img.Width; tx += hextileSide {
			part := img.Sub(tx, ty, min(hextileSide, img.Width-tx), min(hextileSide, img.Height-ty))
			dst = h.appendTile(dst, &part, e.layout)
		}
	}
	return dst
}

// appendTile appends a tile: its most frequent colour and rectangles of others on
// it, or its pixels if that is shorter.
func (h *hextileEncoder) appendTile(dst []byte, m *Image, l *layout) []byte {
	c := &h.census
	c.take(m, func(*census) bool { return false })
	background := c.colors[0]
	for i, n := range c.counts[:c.n] {
		if n == c.most {
			background = c.colors[i]
			break
		}
	}
	start := len(dst)
	dst = append(dst, 0)
	mask := 0
	if !h.last.hasBackground || h.last.background != background {
		mask |= hextileBackground
		dst = l.appendPixel(dst, background)
	}
	switch c.n {
	case 1:
	case 2:
		foreground := c.colors[0] ^ c.colors[1] ^ background
		mask |= hextileSubrects
		if !h.last.hasForeground || h.last.foreground != foreground {
			mask |= hextileForeground
			dst = l.appendPixel(dst, foreground)
		}
		h.last.foreground, h.last.hasForeground = foreground, true
	default:
		mask |= hextileSubrects | hextileColored
		h.last.hasForeground = false
	}
	ok := true
	if mask&hextileSubrects != 0 {
		dst, ok = h.appendSubrects(dst, m, background, l, mask&hextileColored != 0, start+m.Width*m.Height*l.bytes)
	}
	if !ok {
		h.last.hasBackground, h.last.hasForeground = false, false
		return l.append(append(dst[:start], hextileRaw), m)
	}
	h.last.background, h.last.hasBackground = background, true
	dst[start] = byte(mask)
	return dst
}

// appendSubrects appends the number of rectangles that differ from the
// background, and the rectangles. It reports false if dst grows beyond limit.
func (h *hextileEncoder) appendSubrects(
	dst []byte, m *Image, background uint32, l *layout, colored bool, limit int,
) (out []byte, ok bool) {
	p, width := h.pixels[:m.Width*m.Height], m.Width
	for y := range m.Height {
		for x, row := 0, m.row(y); x < width; x++ {
			p[y*width+x] = color(row[4*x:])
		}
	}
	count := len(dst)
	dst = append(dst, 0)
	n := 0
	for i, col := range p {
		if col == background {
			continue
		}
		w, height := subrect(p[i:], width, width-i%width)
		if n++; n > 255 || len(dst) > limit {
			return dst, false
		}
		for y := range height { // done with
			for x := range w {
				p[i+y*width+x] = background
			}
		}
		if colored {
			dst = l.appendPixel(dst, col)
		}
		dst = append(dst, byte(i%width<<4|i/width), byte((w-1)<<4|(height-1)))
	}
	dst[count] = byte(n)
	return dst, len(dst) <= limit
}

// subrect is the size of a rectangle of one colour that p begins with, at most so
// many pixels wide: the widest.
func subrect(p []uint32, stride, most int) (width, height int) {
	col := p[0]
	for width = 1; width < most && p[width] == col; width++ {
	}
	for height = 1; len(p) >= height*stride+width; height++ {
		for _, c := range p[height*stride:][:width] {
			if c != col {
				return width, height
			}
		}
	}
	return width, height
}
