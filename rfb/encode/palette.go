package encode

import (
	"encoding/binary"
	"math/bits"
)

// maxPalette is how many colours a palette can have.
const maxPalette = 256

// A palette is a set of colours, in the order in which they were found.
type palette struct {
	colors [maxPalette]uint32
	n      int
	slots  [1 << slotBits]uint16 // hash to index + 1; zero: empty
}

const slotBits = 10

// reset empties p.
func (p *palette) reset() {
	clear(p.slots[:])
	p.n = 0
}

// index is where color is in p, after adding it if it wasn't; -1 if it wasn't and
// p is full.
func (p *palette) index(color uint32) int {
	h := color * 0x9e3779b1 >> (32 - slotBits)
	for {
		i := int(p.slots[h])
		if i == 0 {
			break
		}
		if p.colors[(i-1)&(maxPalette-1)] == color {
			return i - 1
		}
		h = (h + 1) & (1<<slotBits - 1)
	}
	if p.n == maxPalette {
		return -1
	}
	p.slots[h] = uint16(p.n + 1)
	p.colors[p.n] = color
	p.n++
	return p.n - 1
}

// join adds the colours of q if all fit into limit, and reports whether.
func (p *palette) join(q *palette, limit int) bool {
	before := p.n
	for _, c := range q.colors[:q.n] {
		if i := p.index(c); i < 0 || p.n > limit {
			p.cut(before)
			return false
		}
	}
	return true
}

// cut forgets all colours but the first n.
func (p *palette) cut(n int) {
	clear(p.slots[:])
	p.n = 0
	for _, c := range p.colors[:n] {
		p.index(c)
	}
}

// A census is which colours a block of pixels has, and how they lie.
type census struct {
	palette
	counts  [maxPalette]int // pixels of each colour
	most    int             // of one colour
	runs    int             // pieces of rows that have one colour
	singles int             // of these, pieces of one pixel
	steps   int             // from a piece of a row to the next
	gentle  int             // of these, steps to a similar colour
	pixels  int
	more    bool // there are more colours; the counts are of what was seen until then
}

// take counts the colours of m, until there are too many for a palette or stop
// reports true. It doesn't count on then. It looks at four rows that are far
// apart first, so that they tell something about all, then at four others.
func (c *census) take(m *Image, stop func(*census) bool) {
	c.reset()
	c.most, c.runs, c.singles, c.steps, c.gentle, c.pixels, c.more = 0, 0, 0, 0, 0, 0, false
	step := (m.Height + 3) / 4
	for first := range step {
		for y := first; y < m.Height; y += step {
			if !c.row(m.row(y)) {
				c.more = true
				return
			}
		}
		if stop(c) {
			return
		}
	}
}

// few makes c the census of m, but for the counts, and reports true, if m has no
// more than two colours. It takes a fraction of the time.
func (c *census) few(m *Image) bool {
	first, second := color(m.Pix), color(m.Pix)
	y := 0
	for ; y < m.Height && first == second; y++ {
		row := m.row(y)
		if n := sameRun(row, first); color(row) != first {
			second = color(row)
		} else if n < m.Width {
			second = color(row[4*n:])
		}
	}
	c.reset()
	c.more = false
	c.index(first)
	if first == second {
		return true
	}
	c.index(second)
	differ := first ^ second
	shift := bits.TrailingZeros32(differ)
	if first>>shift&1 != 0 {
		first = second
	}
	// The bit at shift says which of the two a pixel should be.
	const both = 1<<32 | 1
	base, flip := uint64(first)*both, uint64(differ)
	for y--; y < m.Height; y++ {
		row := m.row(y)
		wrong := uint64(0)
		for ; len(row) >= 8; row = row[8:] {
			p := binary.LittleEndian.Uint64(row)
			wrong |= p ^ base ^ p>>shift&both*flip
		}
		if len(row) >= 4 {
			p := uint64(binary.LittleEndian.Uint32(row))
			wrong |= p ^ base&colorMask ^ p>>shift&1*flip
		}
		if wrong&(colorMask*both) != 0 {
			return false
		}
	}
	return true
}

// row counts the colours of a row, and reports whether they fit.
func (c *census) row(row []byte) bool {
	last := color(row)
	for i := 0; i < len(row); {
		col := color(row[i:])
		if i > 0 {
			c.steps++
			if similar(last, col) {
				c.gentle++
			}
			last = col
		}
		n := sameRun(row[i:], col)
		i += 4 * n
		c.runs++
		c.singles += max(2-n, 0)
		c.pixels += n
		known := c.n
		at := c.index(col)
		if at < 0 {
			return false
		}
		if at == known {
			c.counts[at] = 0
		}
		c.counts[at] += n
		c.most = max(c.most, c.counts[at])
	}
	return true
}

// similar reports whether colours differ as little as neighbours in smooth light.
func similar(a, b uint32) bool {
	const most = 6 // levels of 255
	for shift := 0; shift < 24; shift += 8 {
		if a>>shift&0xff-b>>shift&0xff+most > 2*most { // unsigned
			return false
		}
	}
	return true
}

// sameRun is how many pixels b begins with that have a colour; the first has.
func sameRun(b []byte, col uint32) int {
	const mask = colorMask<<32 | colorMask
	both := uint64(col)<<32 | uint64(col)
	n := 4
	for len(b)-n >= 8 {
		if d := (binary.LittleEndian.Uint64(b[n:]) ^ both) & mask; d != 0 {
			return n/4 + bits.TrailingZeros64(d)>>5
		}
		n += 8
		for len(b)-n >= 32 { // most runs that are not short are long
			p := b[n:][:32]
			d := binary.LittleEndian.Uint64(p) ^ both
			d |= binary.LittleEndian.Uint64(p[8:]) ^ both
			d |= binary.LittleEndian.Uint64(p[16:]) ^ both
			d |= binary.LittleEndian.Uint64(p[24:]) ^ both
			if d&mask != 0 {
				break
			}
			n += 32
		}
	}
	if len(b)-n >= 4 && color(b[n:]) == col {
		n += 4
	}
	return n / 4
}

// copy makes p a copy of q.
func (p *palette) copy(q *palette) {
	p.n, p.slots = q.n, q.slots
	copy(p.colors[:], q.colors[:q.n])
}

// appendIndices appends a byte for each pixel of m, all of whose colours are in
// p.
func (p *palette) appendIndices(b []byte, m *Image) []byte {
	at := len(b)
	b = extend(b, m.Width*m.Height)
	dst := b[at:]
	for y := range m.Height {
		for row := m.row(y); len(row) >= 4; {
			col := color(row)
			n := sameRun(row, col)
			i := byte(p.index(col))
			for k := range dst[:n] {
				dst[k] = i
			}
			row, dst = row[4*n:], dst[n:]
		}
	}
	return b
}

// appendBits appends a bit for each pixel of m, whose colours are the two of p;
// the first pixel is the highest bit, and rows are padded to bytes. It may swap
// the colours.
func (p *palette) appendBits(b []byte, m *Image) []byte {
	// A bit in which the colours differ tells which one it is.
	shift := bits.TrailingZeros32(p.colors[0] ^ p.colors[1])
	if p.colors[0]>>shift&1 != 0 {
		p.colors[0], p.colors[1] = p.colors[1], p.colors[0]
	}
	for y := range m.Height {
		row := m.row(y)
		for ; len(row) >= 32; row = row[32:] {
			var acc uint64 // even pixels in the lower half, odd ones in the upper
			for i := 0; i < 32; i += 8 {
				acc = acc<<2 | binary.LittleEndian.Uint64(row[i:])>>shift&(1<<32|1)
			}
			b = append(b, byte(acc<<1|acc>>32))
		}
		if len(row) > 0 {
			var acc byte
			for i := 0; i < len(row); i += 4 {
				acc |= byte(color(row[i:])>>shift&1) << (7 - i/4)
			}
			b = append(b, acc)
		}
	}
	return b
}
