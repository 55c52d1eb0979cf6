package trace

import (
	"fmt"
	"time"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/internal/proto"
	"vda.internal/shadow/rfb/vendors"
)

// An Event is something in a session: the handshake, a message, or a rectangle.
type Event struct {
	At     time.Duration // when its last byte came
	From   rfb.Direction // who sent it
	Offset int64         // of its first byte among those that the peer sent
	Len    int           // bytes

	// One of these is set. Rectangles follow the FramebufferUpdate that they
	// belong to.
	Handshake *rfb.Handshake
	Message   rfb.Message     // without the rectangles of an update
	Vendor    vendors.Message // a message that a vendor has added
	Rectangle *rfb.Rectangle  // as it stands on the wire
}

// Name is the name of the message, or of the rectangle's encoding.
func (e Event) Name() string {
	switch {
	case e.Handshake != nil:
		return "Handshake"
	case e.Rectangle != nil:
		return e.Rectangle.Encoding.String()
	case e.Message != nil:
		b, err := rfb.AppendMessage(nil, e.Message)
		return e.named(b, err, e.Message)
	case e.Vendor != nil:
		b, err := vendors.AppendMessage(nil, e.Vendor)
		return e.named(b, err, e.Vendor)
	}
	return ""
}

// named is the name of a message, of the bytes that it has.
func (e Event) named(b []byte, err error, m any) string {
	if err != nil || len(b) == 0 {
		return fmt.Sprintf("%T", m)
	}
	if e.From == rfb.FromViewer {
		return rfb.ClientMessageType(b[0]).String()
	}
	return rfb.ServerMessageType(b[0]).String()
}

// String is one line: when, from whom, where in the stream, how long, and what.
// Of pixels and other bytes there is the number.
func (e Event) String() string {
	arrow := "S>V"
	if e.From == rfb.FromViewer {
		arrow = "V>S"
	}
	s := fmt.Sprintf("%8.3f %s %8d %6d  ", e.At.Seconds(), arrow, e.Offset, e.Len)
	switch {
	case e.Handshake != nil:
		h := e.Handshake
		if h.Refused {
			return s + fmt.Sprintf("Handshake %v %v refused: %q", h.ViewerVersion, h.Security, proto.CleanText(h.Reason, proto.MaxReason))
		}
		return s + fmt.Sprintf("Handshake %v %v %dx%d %v %q", h.ViewerVersion, h.Security, h.Init.Width, h.Init.Height,
			h.Init.Format, proto.CleanText(h.Init.Name, proto.MaxName))
	case e.Rectangle != nil:
		return s + "  " + e.Name() + " " + e.Rectangle.Rect.String() + fields(e.Rectangle.Body)
	case e.Message != nil:
		return s + e.Name() + fields(e.Message)
	case e.Vendor != nil:
		return s + e.Name() + fields(e.Vendor)
	}
	return s
}
