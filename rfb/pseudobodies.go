package rfb

// A NoBody is the body of rectangles that are headers only: DesktopSize,
// LastRect, PointerPos, and the confirmations of extensions.
type NoBody struct{}

func (m *NoBody) layout(*coder) {}

// A Cursor is a pointer's picture, the rectangle's place being its hot spot
// (RFC 6143 §7.8.1).
type Cursor struct {
	Pixels []byte // Width x Height pixels, as on the wire
	Mask   []byte // a bit for each pixel, rows padded to bytes
}

func (m *Cursor) layout(c *coder) {
	c.Bytes(&m.Pixels, c.area()*c.bpp)
	c.Bytes(&m.Mask, c.mask())
}

// An XCursor is a pointer's picture in two colours, given as red, green and
// blue. An empty one has no body.
type XCursor struct {
	Foreground, Background [3]byte // red, green, blue
	Bitmap, Mask           []byte  // a bit for each pixel, rows padded to bytes
}

func (m *XCursor) layout(c *coder) {
	if c.rect.Empty() {
		return
	}
	c.Array(m.Foreground[:])
	c.Array(m.Background[:])
	c.Bytes(&m.Bitmap, c.mask())
	c.Bytes(&m.Mask, c.mask())
}

// alphaFormat is the format of a CursorWithAlpha's pixels: red, green, blue,
// alpha.
var alphaFormat = PixelFormat{
	BitsPerPixel: 32, Depth: 32, TrueColor: true,
	RedMax: 255, GreenMax: 255, BlueMax: 255,
	RedShift: 0, GreenShift: 8, BlueShift: 16,
}

// A CursorWithAlpha is a pointer's picture with transparency, in an encoding
// of its own and always with four bytes a pixel.
type CursorWithAlpha struct {
	Encoding Encoding      // of pixels
	Body     RectangleBody // in alpha-premultiplied RGBA
}

func (m *CursorWithAlpha) layout(c *coder) {
	c.encoding(&m.Encoding)
	switch {
	case c.Err != nil:
	case !m.Encoding.picture(), m.Encoding == EncodingCopyRect:
		c.Fail(ErrMalformed, "CursorWithAlpha with encoding %v", m.Encoding)
	default:
		c.enc = m.Encoding
		c.setFormat(alphaFormat)
		c.encodeBody(&m.Body)
	}
}

// An LEDState is the keyboard's lamps, QEMU's way: bit 0 scroll lock, 1 num
// lock, 2 caps lock.
type LEDState struct {
	State uint8 // bits as above
}

func (m *LEDState) layout(c *coder) { c.U8(&m.State) }

// A DesktopName is a new name: text from the peer, not to be trusted.
type DesktopName struct {
	Name string // UTF-8
}

func (m *DesktopName) layout(c *coder) {
	n := c.Len32(len(m.Name))
	if n > maxName {
		c.Fail(ErrLimit, "desktop name of %d bytes", n)
	}
	c.Text(&m.Name, n)
}

// An ExtendedDesktopSize is a new framebuffer size, the rectangle's, and the
// screens in it. The rectangle's x tells why: 0 the server's decision, 1 this
// viewer's, 2 another's; with 1, a y other than zero is an error and means
// that nothing has changed.
type ExtendedDesktopSize struct {
	Screens []Screen // at most 255
}

func (m *ExtendedDesktopSize) layout(c *coder) {
	n := c.Len8(len(m.Screens))
	c.Pad(3)
	list(c, &m.Screens, n, screenLen, func(s *Screen) { s.layout(c) })
}

// A VMwareCursor is a pointer's picture.
type VMwareCursor struct {
	Kind   uint8  // 0: Pixels are an AND and a XOR mask; 1: Pixels are red, green, blue, alpha
	Pixels []byte // 2·w·h pixels, or w·h·4 bytes
}

func (m *VMwareCursor) layout(c *coder) {
	c.U8(&m.Kind)
	c.Pad(1)
	switch m.Kind {
	case 0:
		c.Bytes(&m.Pixels, 2*c.area()*c.bpp)
	case 1:
		c.Bytes(&m.Pixels, 4*c.area())
	default:
		c.Fail(ErrMalformed, "VMware cursor of kind %d", m.Kind)
	}
}

// A VMwareState is flags: of VMwareCursorState and VMwareMachineState.
type VMwareState struct {
	Flags uint16 // as VMware defines them
}

func (m *VMwareState) layout(c *coder) { c.U16(&m.Flags) }

// A VMwareKeyRepeat says who repeats keys, and how soon.
type VMwareKeyRepeat struct {
	Enabled       uint16 // 1: the viewer
	Period, Delay uint32 // milliseconds
}

func (m *VMwareKeyRepeat) layout(c *coder) {
	c.U16(&m.Enabled)
	c.U32(&m.Period)
	c.U32(&m.Delay)
}

// A VMwareLEDState is the keyboard's lamps, VMware's way.
type VMwareLEDState struct {
	State uint32 // bits as in [LEDState]
}

func (m *VMwareLEDState) layout(c *coder) { c.U32(&m.State) }

// A VMwareDisplayMode changes the framebuffer's size, to the rectangle's, and
// the pixel format from the server's side: what follows it is in this format.
type VMwareDisplayMode struct {
	Format PixelFormat // in force from the next message on
}

func (m *VMwareDisplayMode) layout(c *coder) { c.pixelFormat(&m.Format) }

// A SupportedMessages has a bit for each message that libvncserver knows; the
// rectangle's width is its length.
type SupportedMessages struct {
	Mask []byte // 32 bytes for a viewer's messages, 32 for a server's
}

func (m *SupportedMessages) layout(c *coder) { c.Bytes(&m.Mask, int(c.rect.Width)) }

// A SupportedEncodings lists what libvncserver knows; the rectangle's width is
// its length in bytes.
type SupportedEncodings struct {
	Encodings []Encoding // in no order
}

func (m *SupportedEncodings) layout(c *coder) {
	n := int(c.rect.Width) / 4
	if c.rect.Width%4 != 0 || !c.Reading && len(m.Encodings) != n {
		c.Fail(ErrMalformed, "%d encodings in %d bytes", len(m.Encodings), c.rect.Width)
		return
	}
	list(c, &m.Encodings, n, 4, func(e *Encoding) { c.encoding(e) })
}

// A ServerIdentity is a text about a server; the rectangle's width is its
// length.
type ServerIdentity struct {
	Text string // text from the peer, not to be trusted
}

func (m *ServerIdentity) layout(c *coder) { c.Text(&m.Text, int(c.rect.Width)) }

// An UltraCache names a picture that UltraVNC's viewer has kept.
type UltraCache struct {
	Special uint16 // the number of a kept picture
}

func (m *UltraCache) layout(c *coder) { c.U16(&m.Special) }

// A ReplitCodecs lists what replit/rfbproxy can send as sound.
type ReplitCodecs struct {
	Version uint16   // of the extension
	Codecs  []uint16 // numbers of codecs
}

func (m *ReplitCodecs) layout(c *coder) {
	c.U16(&m.Version)
	list(c, &m.Codecs, c.Len16(len(m.Codecs)), 2, func(v *uint16) { c.U16(v) })
}
