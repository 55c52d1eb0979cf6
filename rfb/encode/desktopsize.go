package encode

import (
	"strings"

	"vda.internal/shadow/rfb"
)

// The reasons of an ExtendedDesktopSize: who wanted the size to change.
const (
	ReasonServer      = 0 // the server, or whoever sits in front of it
	ReasonViewer      = 1 // this viewer, by SetDesktopSize
	ReasonOtherViewer = 2
)

// The results of a SetDesktopSize.
const (
	ResizeDone       = 0
	ResizeProhibited = 1
	ResizeNoMemory   = 2
	ResizeInvalid    = 3 // the screens make no sense
)

// AppendDesktopSize appends that the framebuffer now has this size. Nothing that
// the viewer had of it counts any more: the whole is to be sent again. It reports
// false, and appends nothing, if the viewer understands neither
// ExtendedDesktopSize nor DesktopSize; the session can't go on then.
//
// Screens are the monitors that make up the framebuffer, nil for one that is
// all of it. Only viewers with ExtendedDesktopSize are told; they also expect to
// be told the size at the beginning (rfbproto, "ExtendedDesktopSize").
func (e *Encoder) AppendDesktopSize(dst []byte, width, height int, screens []rfb.Screen) (out []byte, ok bool) {
	if out, ok = e.AppendExtendedDesktopSize(dst, ReasonServer, ResizeDone, width, height, screens); ok {
		return out, true
	}
	if !e.asked[rfb.EncodingDesktopSize] {
		return dst, false
	}
	return e.rect(dst, 0, 0, width, height, rfb.EncodingDesktopSize), true
}

// AppendExtendedDesktopSize appends what became of a SetDesktopSize: reason is
// one of [ReasonServer] and its like, result one of [ResizeDone] and its like,
// the size and screens what there is now. It reports false, and appends nothing,
// unless the viewer understands ExtendedDesktopSize.
func (e *Encoder) AppendExtendedDesktopSize(
	dst []byte, reason, result, width, height int, screens []rfb.Screen,
) (out []byte, ok bool) {
	if !e.asked[rfb.EncodingExtendedDesktopSize] {
		return dst, false
	}
	dst = e.rect(dst, reason, result, width, height, rfb.EncodingExtendedDesktopSize)
	whole := [1]rfb.Screen{{Rect: rfb.Rect{Width: uint16(width), Height: uint16(height)}}}
	if len(screens) == 0 {
		screens = whole[:]
	}
	screens = screens[:min(len(screens), 255)]
	dst = append(dst, byte(len(screens)), 0, 0, 0)
	for _, s := range screens {
		dst = appendU32(dst, s.ID)
		dst = appendU16(dst, int(s.Rect.X))
		dst = appendU16(dst, int(s.Rect.Y))
		dst = appendU16(dst, int(s.Rect.Width))
		dst = appendU16(dst, int(s.Rect.Height))
		dst = appendU32(dst, s.Flags)
	}
	return dst, true
}

// AppendDesktopName appends that the desktop is now called so, which viewers show in their
// title. What is no UTF-8 becomes a question mark. It reports false, and appends nothing, unless
// the viewer understands DesktopName (rfbproto, "DesktopName").
func (e *Encoder) AppendDesktopName(dst []byte, name string) (out []byte, ok bool) {
	if !e.asked[rfb.EncodingDesktopName] {
		return dst, false
	}
	name = strings.ToValidUTF8(name, "?")
	dst = e.rect(dst, 0, 0, 0, 0, rfb.EncodingDesktopName)
	dst = appendU32(dst, uint32(len(name)))
	return append(dst, name...), true
}
