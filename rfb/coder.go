package rfb

import "vda.internal/shadow/rfb/internal/proto"

// A Message is one message of a session, from either peer: a pointer to one of
// the types of this package named after messages. [AppendMessage] writes one,
// [ReadMessage], [ParseClientMessage] and [ParseServerMessage] read one.
type Message interface{ layout(*coder) }

// AppendMessage appends m to b as it goes over the wire, padding as zero. If a
// field is longer than its length can say, the error wraps [ErrLimit]; if one
// contradicts another, [ErrMalformed]; b is returned as it was then.
func AppendMessage(b []byte, m Message) ([]byte, error) {
	c := coder{Coder: proto.Append(b)}
	m.layout(&c)
	return c.Appended(b)
}

// ReadMessage reads m from exactly its bytes and copies what it keeps of them.
// Padding may be anything. The error wraps [ErrMalformed], [ErrLimit] if the
// message is well-formed and longer than this package reads, or
// [io.ErrUnexpectedEOF] if there are too few bytes; m is undefined then.
func ReadMessage(b []byte, m Message) error {
	c := coder{Coder: proto.Read(b)}
	m.layout(&c)
	return c.ReadAll()
}

// A coder goes over the fields of a message or a rectangle; see [proto.Coder].
type coder struct {
	proto.Coder

	format PixelFormat // of a rectangle's pixels
	rect   Rect        // the rectangle
	enc    Encoding    // its encoding
	bpp    int         // bytes of a pixel
	tpixel int         // bytes of a pixel in Tight
}

// set gives a field a value that was read.
func set[T any](c *coder, field *T, value T) { proto.Set(&c.Coder, field, value) }

// list is n elements of size bytes each on the wire.
func list[T any](c *coder, v *[]T, n, size int, each func(*T)) {
	proto.List(&c.Coder, v, n, size, each)
}

func (c *coder) encoding(v *Encoding) {
	n := uint32(*v)
	if c.U32(&n); c.Reading {
		*v = Encoding(n)
	}
}

func (c *coder) rectangle(r *Rect) {
	c.U16(&r.X)
	c.U16(&r.Y)
	c.U16(&r.Width)
	c.U16(&r.Height)
}

func (c *coder) pixelFormat(f *PixelFormat) {
	c.U8(&f.BitsPerPixel)
	c.U8(&f.Depth)
	c.Flag(&f.BigEndian)
	c.Flag(&f.TrueColor)
	c.U16(&f.RedMax)
	c.U16(&f.GreenMax)
	c.U16(&f.BlueMax)
	c.U8(&f.RedShift)
	c.U8(&f.GreenShift)
	c.U8(&f.BlueShift)
	c.Pad(3)
}

func (c *coder) client(t ClientMessageType) { c.Constant(byte(t), "message of this type") }
func (c *coder) server(t ServerMessageType) { c.Constant(byte(t), "message of this type") }
