package rfb

// A Raw is pixels, row by row (RFC 6143 §7.7.1).
type Raw struct {
	Pixels []byte // Width x Height pixels, row by row, as on the wire
}

func (m *Raw) layout(c *coder) { c.Bytes(&m.Pixels, c.area()*c.bpp) }

// A CopyRect is where the same pixels are already (RFC 6143 §7.7.2).
type CopyRect struct {
	X, Y uint16 // the corner that they are copied from
}

func (m *CopyRect) layout(c *coder) {
	c.U16(&m.X)
	c.U16(&m.Y)
}

// An RRE is one colour and rectangles of others on it (RFC 6143 §7.7.3), also
// for CoRRE, whose numbers don't exceed 255.
type RRE struct {
	Background []byte    // a pixel
	Subrects   []Subrect // painted in this order
}

// A Subrect is a rectangle of one colour, its place counted from the corner of
// the rectangle it is in.
type Subrect struct {
	Pixel []byte // its colour, as on the wire
	Rect  Rect   // relative to the rectangle it is in
}

func (m *RRE) layout(c *coder) {
	n := c.Len32(len(m.Subrects))
	if n > c.area() {
		c.Fail(ErrMalformed, "%v with %d subrectangles in %v", c.enc, n, c.rect)
	}
	c.pixel(&m.Background)
	if c.enc == EncodingCoRRE {
		list(c, &m.Subrects, n, c.bpp+4, func(s *Subrect) {
			c.pixel(&s.Pixel)
			for _, v := range []*uint16{&s.Rect.X, &s.Rect.Y, &s.Rect.Width, &s.Rect.Height} {
				if n := c.Len8(int(*v)); c.Reading {
					*v = uint16(n)
				}
			}
		})
		return
	}
	list(c, &m.Subrects, n, c.bpp+8, func(s *Subrect) {
		c.pixel(&s.Pixel)
		c.rectangle(&s.Rect)
	})
}

// A Hextile is tiles of 16 x 16 pixels, row by row, smaller at the right and
// lower edge (RFC 6143 §7.7.4); also for ZlibHex and ZstdHex.
type Hextile struct {
	Tiles []Tile // row by row
}

// A Tile is a part of a [Hextile]. The bits of Mask say which fields exist: 1
// Raw, 2 Background, 4 Foreground, 8 Subrects, 16 subrectangles with pixels of
// their own; with ZlibHex and ZstdHex 32 and 64 Packed, which then is all there
// is.
type Tile struct {
	Mask       uint8         // which of the fields below exist
	Raw        []byte        // pixels, row by row
	Background []byte        // a pixel
	Foreground []byte        // a pixel, of subrectangles without their own
	Subrects   []TileSubrect // at most 255
	Packed     []byte        // compressed tile
}

// A TileSubrect is a rectangle of one colour in a tile.
type TileSubrect struct {
	Pixel    []byte // with bit 16
	Position uint8  // x in the upper four bits, y in the lower
	Size     uint8  // width less one in the upper four bits, height less one in the lower
}

func (m *Hextile) layout(c *coder) {
	across, down := (int(c.rect.Width)+15)/16, (int(c.rect.Height)+15)/16
	if !c.Reading && len(m.Tiles) != across*down {
		c.Fail(ErrMalformed, "%d tiles in %v", len(m.Tiles), c.rect)
		return
	}
	list(c, &m.Tiles, across*down, 1, func(*Tile) {})
	for i := range m.Tiles {
		if c.Err != nil {
			return
		}
		w := min(16, int(c.rect.Width)-i%across*16)
		h := min(16, int(c.rect.Height)-i/across*16)
		m.Tiles[i].layout(c, w*h*c.bpp)
	}
}

func (m *Tile) layout(c *coder, raw int) {
	c.U8(&m.Mask)
	allowed := uint8(tileBits)
	if c.enc != EncodingHextile {
		allowed |= tilePacked
	}
	switch {
	case m.Mask&^allowed != 0:
		c.Fail(ErrMalformed, "Hextile mask %#x", m.Mask)
		return
	case m.Mask&tilePacked != 0:
		c.Bytes(&m.Packed, c.Len16(len(m.Packed)))
		return
	case m.Mask&tileRaw != 0:
		c.Bytes(&m.Raw, raw)
		return
	}
	if m.Mask&tileBackground != 0 {
		c.pixel(&m.Background)
	}
	if m.Mask&tileForeground != 0 {
		c.pixel(&m.Foreground)
	}
	if m.Mask&tileSubrects == 0 {
		return
	}
	size := 2
	if m.Mask&tileColored != 0 {
		size += c.bpp
	}
	list(c, &m.Subrects, c.Len8(len(m.Subrects)), size, func(s *TileSubrect) {
		if m.Mask&tileColored != 0 {
			c.pixel(&s.Pixel)
		}
		c.U8(&s.Position)
		c.U8(&s.Size)
	})
}

// A Packed is compressed pixels: the body of Zlib, ZRLE, ZYWRLE, Zstd and its
// kin, Ultra, Ultra2, and of UltraVNC's rectangles that hold many.
type Packed struct {
	Data []byte // compressed; the length stands before it on the wire
}

func (m *Packed) layout(c *coder) {
	n := c.Len32(len(m.Data))
	if uint64(n) > packedLimit(c.enc, uint64(c.area()), c.bpp) {
		c.Fail(ErrLimit, "%v of %d bytes in %v", c.enc, n, c.rect)
	}
	c.Bytes(&m.Data, n)
}

// A ManyRects is the body of XZ and XZYW: many rectangles, compressed at once.
// The rectangle that has it counts as X·65536 + Y of its update's, and its
// length is Width·65536 + Height, at most 16 MiB.
type ManyRects struct {
	Data []byte // compressed rectangles
}

func (m *ManyRects) layout(c *coder) {
	rects, length := c.rect.represents()
	if rects == 0 {
		c.Fail(ErrMalformed, "%v for no rectangles", c.enc)
	}
	if length > maxMany {
		c.Fail(ErrLimit, "%v of %d bytes", c.enc, length)
		return
	}
	c.Bytes(&m.Data, int(length))
}

// A Tight is TightVNC's encoding, also for TightPNG and TightZstd. The length of Data is
// written in as few bytes as it needs, which not every server does.
type Tight struct {
	// Control says in its upper half what it is: 8 one pixel, 9 JPEG, with
	// TightPNG 10 PNG; 0 to 7 compressed pixels, the two lowest bits being the
	// zlib stream and the third saying that there is a Filter. With
	// [EncodingTightNoZlib] also 10 and 14, pixels that aren't compressed,
	// without and with Filter. The lower half resets streams.
	Control uint8
	Filter  uint8  // 0 copy, 1 palette, 2 gradient
	Palette []byte // with filter 1: 1 to 256 pixels
	Data    []byte // a pixel, a picture, or pixels
}

func (m *Tight) layout(c *coder) {
	c.U8(&m.Control)
	kind := m.Control >> 4
	png := c.enc == EncodingTightPNG
	switch {
	case kind == tightFill:
		c.Bytes(&m.Data, c.tpixel)
	case kind == tightJPEG, kind == tightPNG && png:
		c.Bytes(&m.Data, c.tightLength(len(m.Data), c.area()*c.bpp))
	case kind > tightBasic && kind != tightPlain && kind != tightPlain|tightFilter, png:
		c.Fail(ErrMalformed, "Tight control byte %#x", m.Control)
	default:
		m.basic(c, kind)
	}
}

// basic is pixels, through a filter.
func (m *Tight) basic(c *coder, kind uint8) {
	if kind&tightFilter != 0 {
		c.U8(&m.Filter)
	}
	n := c.area() * c.tpixel
	switch m.Filter {
	case filterCopy, filterGradient:
	case filterPalette:
		if !c.Reading && len(m.Palette)%c.tpixel != 0 {
			c.Fail(ErrMalformed, "palette of %d bytes", len(m.Palette))
			return
		}
		colors := c.Len8(len(m.Palette)/c.tpixel-1) + 1
		c.Bytes(&m.Palette, colors*c.tpixel)
		if n = c.area(); colors <= 2 {
			n = c.mask()
		}
	default:
		c.Fail(ErrMalformed, "Tight filter %d", m.Filter)
	}
	if n >= tightRaw && kind <= tightBasic {
		n = c.tightLength(len(m.Data), n)
	}
	c.Bytes(&m.Data, n)
}

// tightLength is a length of one to three bytes, of what was pixels bytes.
func (c *coder) tightLength(n, pixels int) int {
	if n >= 1<<22 {
		c.Fail(ErrLimit, "Tight data of %d bytes", n)
	}
	var v [3]uint8
	v[0], v[1], v[2] = uint8(n&0x7f), uint8(n>>7&0x7f), uint8(n>>14)
	used := 1
	switch {
	case n >= 1<<14:
		used, v[0], v[1] = 3, v[0]|0x80, v[1]|0x80
	case n >= 1<<7:
		used, v[0] = 2, v[0]|0x80
	}
	for i := range v {
		if c.Reading && i > 0 && v[i-1]&0x80 == 0 || !c.Reading && i == used {
			v[i] = 0
			if i == 1 {
				v[2] = 0
			}
			break
		}
		c.U8(&v[i])
	}
	n = int(v[0]&0x7f) | int(v[1]&0x7f)<<7 | int(v[2])<<14
	if n > pixels+maxSlack {
		c.Fail(ErrLimit, "Tight data of %d bytes", n)
	}
	return n
}

// A TRLE is tiles of 16 x 16 pixels, each a palette, runs, or both (RFC 6143
// §7.7.5).
type TRLE struct {
	Data []byte // tiles, as on the wire
}

func (m *TRLE) layout(c *coder) { c.walked(&m.Data) }

// A JPEG is a bare JFIF stream, its tables perhaps left out.
type JPEG struct {
	Data []byte // from SOI to EOI
}

func (m *JPEG) layout(c *coder) { c.walked(&m.Data) }

// An H264 is frames of a video.
type H264 struct {
	Flags uint32 // 1: forget this rectangle's context, 2: forget all
	Data  []byte // NAL units
}

func (m *H264) layout(c *coder) {
	n := c.Len32(len(m.Data))
	if n > maxH264 {
		c.Fail(ErrLimit, "H.264 of %d bytes", n)
	}
	c.U32(&m.Flags)
	c.Bytes(&m.Data, n)
}
