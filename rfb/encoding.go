package rfb

import "fmt"

// An Encoding is how a rectangle's pixels are written, or a pseudo-encoding:
// something a viewer understands besides pixels (RFC 6143 §7.7 and §7.8, and
// the registry of the community's specification, rfbproto.rst, which is meant by
// "community"; "registered" is what has a number there and no layout).
type Encoding int32

// The encodings of pixels. Those whose layout is public can be read with
// [ParseRectangle].
const (
	EncodingRaw       Encoding = 0          // RFC 6143 §7.7.1
	EncodingCopyRect  Encoding = 1          // RFC 6143 §7.7.2
	EncodingRRE       Encoding = 2          // RFC 6143 §7.7.3
	EncodingCoRRE     Encoding = 4          // community: RRE with coordinates of one byte
	EncodingHextile   Encoding = 5          // RFC 6143 §7.7.4
	EncodingZlib      Encoding = 6          // community: Raw, deflated
	EncodingTight     Encoding = 7          // TightVNC's; community
	EncodingZlibHex   Encoding = 8          // community: Hextile, tiles deflated; KasmVNC uses the number for another
	EncodingUltra     Encoding = 9          // UltraVNC: Raw, packed with LZO
	EncodingUltra2    Encoding = 10         // UltraVNC
	EncodingTRLE      Encoding = 15         // RFC 6143 §7.7.5
	EncodingZRLE      Encoding = 16         // RFC 6143 §7.7.6
	EncodingZYWRLE    Encoding = 17         // Hitachi's, ZRLE with wavelets; KasmVNC uses the number for video
	EncodingXZ        Encoding = 18         // UltraVNC: many rectangles, packed with LZMA
	EncodingXZYW      Encoding = 19         // UltraVNC: XZ with wavelets
	EncodingVendor264 Encoding = 20         // registered: H.264; layout unpublished
	EncodingJPEG      Encoding = 21         // community: a bare JFIF stream
	EncodingJRLE      Encoding = 22         // registered; layout unpublished
	EncodingZstd      Encoding = 25         // UltraVNC: Zlib with Zstandard instead, as the others to 29
	EncodingTightZstd Encoding = 26         // UltraVNC
	EncodingZstdHex   Encoding = 27         // UltraVNC
	EncodingZstdRLE   Encoding = 28         // UltraVNC
	EncodingZstdYWRLE Encoding = 29         // UltraVNC
	EncodingH264      Encoding = 50         // community: Open H.264
	EncodingTightPNG  Encoding = -260       // community: Tight with PNG; QEMU and noVNC
	EncodingVA264     Encoding = 0x48323634 // registered: VA H.264; layout unpublished

	EncodingUltraCache         Encoding = -0x10000 // UltraVNC: 0xffff0000
	EncodingUltraCacheEnable   Encoding = -0xffff  // UltraVNC, as all to UltraQueueEnable
	EncodingUltraXORZlib       Encoding = -0xfffe  // layout unpublished, as the others to SolidColor
	EncodingUltraXORMono       Encoding = -0xfffd
	EncodingUltraXORMultiColor Encoding = -0xfffc
	EncodingUltraSolidColor    Encoding = -0xfffb
	EncodingUltraXOREnable     Encoding = -0xfffa
	EncodingUltraCacheZip      Encoding = -0xfff9 // many UltraCache
	EncodingUltraSolMonoZip    Encoding = -0xfff8 // today: many rectangles at once
	EncodingUltraZip           Encoding = -0xfff7 // 0xffff0009: many small rectangles at once
	EncodingUltraQueueZstd     Encoding = -0xfff6 // the same with Zstandard
	EncodingUltraQueueEnable   Encoding = -0xfff5
)

// The pseudo-encodings. Some have rectangles of their own, some only allow
// messages.
const (
	EncodingDesktopSize         Encoding = -223        // RFC 6143 §7.8.2
	EncodingLastRect            Encoding = -224        // community, TightVNC: ends an update early
	EncodingPointerPos          Encoding = -232        // TightVNC, in the capabilities of type 16: where the pointer is
	EncodingCursor              Encoding = -239        // RFC 6143 §7.8.1
	EncodingXCursor             Encoding = -240        // community: a cursor of two colours
	EncodingQEMUPointer         Encoding = -257        // community, QEMU: relative motion: changes PointerEvent
	EncodingQEMUKey             Encoding = -258        // community: QEMU's key events
	EncodingQEMUAudio           Encoding = -259        // community, QEMU: sound
	EncodingLEDState            Encoding = -261        // community, QEMU: the keyboard's lamps
	EncodingGII                 Encoding = -305        // community: general input interface
	EncodingPopa                Encoding = -306        // registered; layout unpublished
	EncodingDesktopName         Encoding = -307        // community, TigerVNC: a new desktop name
	EncodingExtendedDesktopSize Encoding = -308        // community, TigerVNC: lets the viewer resize
	EncodingXVP                 Encoding = -309        // community, xvp: lets the viewer shut down
	EncodingOLIVECallControl    Encoding = -310        // OLIVE; layout unpublished
	EncodingClientRedirect      Encoding = -311        // registered: sends the viewer elsewhere
	EncodingFence               Encoding = -312        // community, TigerVNC: places in the stream
	EncodingContinuousUpdates   Encoding = -313        // community, TigerVNC: updates without requests
	EncodingCursorWithAlpha     Encoding = -314        // community, TigerVNC: a cursor with transparency
	EncodingExtendedMouse       Encoding = -316        // community, TigerVNC: changes PointerEvent's length
	EncodingTightNoZlib         Encoding = -317        // community: allows Tight to leave out zlib
	EncodingReplitAudio         Encoding = 0x52706c41  // replit/rfbproxy
	EncodingFreshStreams        Encoding = 0x53684672  // ours, between a [Relay] and [ServerConn.FreshStreams]: each of Tight's rectangles begins its zlib stream anew
	EncodingVMwareCursor        Encoding = 0x574d5664  // VMware: a cursor
	EncodingVMwareCursorState   Encoding = 0x574d5665  // VMware
	EncodingVMwareCursorPos     Encoding = 0x574d5666  // VMware
	EncodingVMwareKeyRepeat     Encoding = 0x574d5667  // VMware
	EncodingVMwareLEDState      Encoding = 0x574d5668  // VMware
	EncodingVMwareDisplayMode   Encoding = 0x574d5669  // VMware: changes the pixel format from the server's side
	EncodingVMwareMachineState  Encoding = 0x574d566a  // VMware
	EncodingExtendedClipboard   Encoding = -0x3f5e1a32 // 0xc0a1e5ce; community: makes CutText's length signed
	EncodingPluginStreaming     Encoding = -0x3f5e1a31 // 0xc0a1e5cf; UltraVNC: the stream becomes ciphertext
	EncodingKeyboardLEDState    Encoding = -0x20000    // libvncserver: 0xfffe0000
	EncodingSupportedMessages   Encoding = -0x1ffff    // libvncserver
	EncodingSupportedEncodings  Encoding = -0x1fffe    // libvncserver
	EncodingServerIdentity      Encoding = -0x1fffd    // libvncserver
	EncodingServerState         Encoding = -0x8000     // UltraVNC: 0xffff8000
	EncodingEnableKeepAlive     Encoding = -0x7fff     // UltraVNC
	EncodingFTProtocolVersion   Encoding = -0x7ffe     // UltraVNC: file transfer
	EncodingSession             Encoding = -0x7ffd     // UltraVNC
	EncodingEnableIdleTime      Encoding = -0x7ffc     // UltraVNC
	EncodingMonitorInfo         Encoding = -0x7ffb     // UltraVNC: allows MonitorInfo and SetMonitor
	EncodingTextChat            Encoding = -0x7ffa     // UltraVNC: 0xffff8006
	EncodingChatFileTransfer    Encoding = -0x7ff9     // UltraVNC
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
	for _, known := range encodings {
		if known.number == e {
			return known.name
		}
	}
	for _, r := range encodingRanges {
		if e >= r.first && e <= r.last {
			return fmt.Sprintf("%s(%d)", r.name, int32(e))
		}
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
