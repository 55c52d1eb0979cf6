package encode

import (
	"encoding/binary"

	"vda.internal/shadow/rfb"
)

// A zrleEncoder is what ZRLE needs (RFC 6143 §7.7.6).
type zrleEncoder struct {
	stream  stream
	census  census
	scratch []byte // a tile before it is deflated
}

// The kinds of a tile.
const (
	zrleRaw        = 0
	zrleSolid      = 1
	zrleMostPacked = 16 // colours of a packed palette, which are the kind
	zrlePlainRuns  = 128
	zrleIndexRuns  = 128 // with the number of colours, up to 127
	zrleMostRuns   = 127
)

// appendZRLE appends img at x, y.
func (e *Encoder) appendZRLE(dst []byte, x, y int, img *Image) []byte {
	dst = e.rect(dst, x, y, img.Width, img.Height, rfb.EncodingZRLE)
	dst = appendU32(dst, 0)
	from := len(dst)
	z := &e.zrle
	z.stream.begin(dst, e.hints.level())
	for ty := 0; ty < img.Height; ty += tile {
		for tx := 0; tx < img.Width; tx += tile {
			part := img.Sub(tx, ty, min(tile, img.Width-tx), min(tile, img.Height-ty))
			z.scratch = e.appendZRLETile(z.scratch[:0], &part)
			z.stream.write(z.scratch)
		}
	}
	dst = z.stream.end()
	binary.BigEndian.PutUint32(dst[from-4:], uint32(len(dst)-from))
	return dst
}

// appendZRLETile appends a tile in the way that takes the fewest bytes before
// they are deflated.
func (e *Encoder) appendZRLETile(b []byte, m *Image) []byte {
	c, l := &e.zrle.census, e.layout
	c.take(m, func(*census) bool { return false })
	area := m.Width * m.Height
	if c.n == 1 {
		return l.appendRun(append(b, zrleSolid), c.colors[0])
	}
	kind, least := zrleRaw, area*l.run
	if n := c.runs * area / c.pixels * (l.run + 1); n < least {
		kind, least = zrlePlainRuns, n
	}
	palette := c.n * l.run
	if n := palette + 2*c.runs - c.singles; c.n <= zrleMostRuns && n < least {
		kind, least = zrleIndexRuns+c.n, n
	}
	width := packedBits(c.n)
	if n := palette + (m.Width*width+7)/8*m.Height; c.n <= zrleMostPacked && n < least {
		kind = c.n
	}
	b = append(b, byte(kind))
	switch {
	case kind == zrleRaw:
		return l.appendRunRows(b, m)
	case kind == zrlePlainRuns:
		return c.appendRuns(b, m, func(b []byte, color uint32, n int) []byte {
			return appendRunLength(l.appendRun(b, color), n)
		})
	}
	for _, color := range c.colors[:c.n] {
		b = l.appendRun(b, color)
	}
	if kind <= zrleMostPacked {
		return c.appendPacked(b, m, width)
	}
	return c.appendRuns(b, m, func(b []byte, color uint32, n int) []byte {
		i := byte(c.index(color))
		if n == 1 {
			return append(b, i)
		}
		return appendRunLength(append(b, i|0x80), n)
	})
}

// packedBits is how many bits an index into a packed palette of n colours has.
func packedBits(n int) int {
	switch {
	case n <= 2:
		return 1
	case n <= 4:
		return 2
	}
	return 4
}

// appendRunLength appends a length: bytes of 255 and one less, the sum being one
// less than n.
func appendRunLength(b []byte, n int) []byte {
	for n--; n >= 255; n -= 255 {
		b = append(b, 255)
	}
	return append(b, byte(n))
}

// appendRuns appends what each makes of the runs of m, which go on from row to
// row.
func (c *census) appendRuns(b []byte, m *Image, each func(b []byte, color uint32, n int) []byte) []byte {
	current, length := color(m.Pix), 0
	for y := range m.Height {
		for row := m.row(y); len(row) >= 4; {
			next := color(row)
			n := sameRun(row, next)
			if next != current {
				b = each(b, current, length)
				current, length = next, 0
			}
			length += n
			row = row[4*n:]
		}
	}
	return each(b, current, length)
}

// appendPacked appends an index of so many bits for each pixel of m, the first
// in the highest bits, rows padded to bytes.
func (p *palette) appendPacked(b []byte, m *Image, width int) []byte {
	for y := range m.Height {
		acc, used := 0, 0
		for row := m.row(y); len(row) >= 4; row = row[4:] {
			acc = acc<<width | p.index(color(row))
			if used += width; used == 8 {
				b = append(b, byte(acc))
				acc, used = 0, 0
			}
		}
		if used > 0 {
			b = append(b, byte(acc<<(8-used)))
		}
	}
	return b
}

// appendRun appends a CPIXEL.
func (l *layout) appendRun(b []byte, color uint32) []byte {
	return appendLow(b, l.pixel(color)>>l.runSkip, l.run)
}

// appendRunRows appends the CPIXELs of m.
func (l *layout) appendRunRows(b []byte, m *Image) []byte {
	if l.run != 3 {
		return l.append(b, m)
	}
	at := len(b)
	b = extend(b, m.Width*m.Height*3)
	dst := b[at:]
	for y := range m.Height {
		for row := m.row(y); len(row) >= 4; row, dst = row[4:], dst[3:] {
			v := l.pixel(color(row)) >> l.runSkip
			dst[0], dst[1], dst[2] = byte(v), byte(v>>8), byte(v>>16)
		}
	}
	return b
}
