package rfb

import "fmt"

// An Encoding is how a rectangle's pixels are written, or a pseudo-encoding:
// something a viewer understands besides pixels (RFC 6143 §7.7 and §7.8, and
// the registry of the community's specification).
type Encoding int32

// The encodings that a view-only session may use.
const (
	EncodingRaw      Encoding = 0  // RFC 6143 §7.7.1
	EncodingCopyRect Encoding = 1  // RFC 6143 §7.7.2
	EncodingRRE      Encoding = 2  // RFC 6143 §7.7.3
	EncodingCoRRE    Encoding = 4  // RRE with coordinates of one byte
	EncodingHextile  Encoding = 5  // RFC 6143 §7.7.4
	EncodingZlib     Encoding = 6  // Raw, deflated
	EncodingTight    Encoding = 7  // TightVNC's
	EncodingZRLE     Encoding = 16 // RFC 6143 §7.7.6

	EncodingDesktopSize Encoding = -223 // RFC 6143 §7.8.2
	EncodingLastRect    Encoding = -224 // ends an update early
	EncodingPointerPos  Encoding = -232 // where the pointer is
	EncodingCursor      Encoding = -239 // RFC 6143 §7.8.1
	EncodingXCursor     Encoding = -240 // a cursor of two colours
	EncodingLEDState    Encoding = -261 // QEMU: the keyboard's lamps
	EncodingDesktopName Encoding = -307 // a new desktop name
)

// The hints: ranges of pseudo-encodings that stand in SetEncodings only and
// tell the server how to encode. The names give the ends of a range.
const (
	EncodingQuality0       Encoding = -32  // JPEG quality, worst
	EncodingQuality9       Encoding = -23  // best
	EncodingCompress0      Encoding = -256 // compression, fastest
	EncodingCompress9      Encoding = -247 // smallest
	EncodingFineQuality0   Encoding = -512 // TurboVNC's quality, worst
	EncodingFineQuality100 Encoding = -412 // best
	EncodingSubsample1X    Encoding = -768 // TurboVNC's chroma subsampling, first
	EncodingSubsample16X   Encoding = -763 // last
)

// The other encodings that noVNC asks for. A view-only session has no use for
// them, and most of them would widen what a viewer may send.
const (
	EncodingJPEG                Encoding = 21
	EncodingH264                Encoding = 50
	EncodingTightPNG            Encoding = -260
	EncodingQEMUPointer         Encoding = -257 // relative motion: changes PointerEvent
	EncodingQEMUKey             Encoding = -258 // QEMU's key events
	EncodingQEMUAudio           Encoding = -259
	EncodingExtendedDesktopSize Encoding = -308 // lets the viewer resize
	EncodingXVP                 Encoding = -309 // lets the viewer shut down
	EncodingFence               Encoding = -312
	EncodingContinuousUpdates   Encoding = -313
	EncodingExtendedMouse       Encoding = -316 // changes PointerEvent's length
	EncodingExtendedClipboard   Encoding = -0x3f5e1a32
	EncodingVMwareCursor        Encoding = 0x574d5664
)

var encodingNames = map[Encoding]string{
	EncodingRaw: "Raw", EncodingCopyRect: "CopyRect", EncodingRRE: "RRE", EncodingCoRRE: "CoRRE",
	EncodingHextile: "Hextile", EncodingZlib: "Zlib", EncodingTight: "Tight", EncodingZRLE: "ZRLE",
	EncodingDesktopSize: "DesktopSize", EncodingLastRect: "LastRect", EncodingPointerPos: "PointerPos",
	EncodingCursor: "Cursor", EncodingXCursor: "XCursor", EncodingLEDState: "LEDState",
	EncodingDesktopName: "DesktopName", EncodingJPEG: "JPEG", EncodingH264: "H.264",
	EncodingTightPNG: "TightPNG", EncodingQEMUPointer: "QEMUPointer", EncodingQEMUKey: "QEMUKey",
	EncodingQEMUAudio: "QEMUAudio", EncodingExtendedDesktopSize: "ExtendedDesktopSize",
	EncodingXVP: "xvp", EncodingFence: "Fence", EncodingContinuousUpdates: "ContinuousUpdates",
	EncodingExtendedMouse: "ExtendedMouse", EncodingExtendedClipboard: "ExtendedClipboard",
	EncodingVMwareCursor: "VMwareCursor",
}

// String names the encoding, or gives its number if it has no name here.
func (e Encoding) String() string {
	switch {
	case e >= EncodingQuality0 && e <= EncodingQuality9:
		return fmt.Sprintf("Quality%d", e-EncodingQuality0)
	case e >= EncodingCompress0 && e <= EncodingCompress9:
		return fmt.Sprintf("Compress%d", e-EncodingCompress0)
	case e.hint():
		return fmt.Sprintf("Hint(%d)", int32(e))
	}
	if s, ok := encodingNames[e]; ok {
		return s
	}
	return fmt.Sprintf("Encoding(%d)", int32(e))
}

// hint reports whether e only tells the server how to encode: no rectangle
// ever has this encoding.
func (e Encoding) hint() bool {
	return e >= EncodingQuality0 && e <= EncodingQuality9 ||
		e >= EncodingCompress0 && e <= EncodingCompress9 ||
		e >= EncodingFineQuality0 && e <= EncodingFineQuality100 ||
		e >= EncodingSubsample1X && e <= EncodingSubsample16X
}
