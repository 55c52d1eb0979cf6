package rfb

// An encodingInfo is what this package knows of an encoding, and whether it is
// asked for. The table below is all there is: the filter, the walker, the
// dissector and the documentation read it.
type encodingInfo struct {
	number Encoding
	name   string
	new    func() RectangleBody // an empty body to read into; nil: it has no rectangles, or their layout isn't public
	asks   asking
	layout string // of a rectangle's body, for people
	origin string // who defined it, for people
}

// asking is who may have an encoding.
type asking uint8

const (
	never       asking = iota // is left out of SetEncodings
	viewAsks                  // is kept
	fencesAsk                 // kept with its twin: Fence and ContinuousUpdates, or neither
	pointerAsks               // is kept if PointerPos is there
)

const (
	pixelsLayout = "w·h·B"
	lengthLayout = "U32 n + n"
	manyLayout   = "w·65536 + h; stands for x·65536 + y rectangles"
	noLayout     = "unpublished"
	noBody       = "0"
	noRectangle  = "no rectangles"
)

// encodings are the encodings. B is the bytes of a pixel, T those of a pixel
// in Tight, C those in TRLE.
var encodings = []encodingInfo{
	{EncodingRaw, "Raw", body[Raw], viewAsks, pixelsLayout, rfc},
	{EncodingCopyRect, "CopyRect", body[CopyRect], viewAsks, "4", rfc},
	{EncodingRRE, "RRE", body[RRE], viewAsks, "U32 n + B + n·(B + 8)", rfc},
	{EncodingCoRRE, "CoRRE", body[RRE], viewAsks, "U32 n + B + n·(B + 4)", tiger},
	{EncodingHextile, "Hextile", body[Hextile], viewAsks, "tiles of 16 x 16: U8 mask; raw tw·th·B, or colours and subrectangles", rfc},
	{EncodingZlib, "Zlib", body[Packed], viewAsks, lengthLayout, tiger},
	{EncodingTight, "Tight", body[Tight], viewAsks, "U8 control; fill T; JPEG U8..U24 n + n; basic: filter, palette, data", tight},
	{EncodingZlibHex, "ZlibHex", body[Hextile], never, "as Hextile; packed tiles U16 n + n", tiger},
	{EncodingUltra, "Ultra", body[Packed], never, lengthLayout, ultra},
	{EncodingUltra2, "Ultra2", body[Packed], never, lengthLayout, ultra},
	{EncodingTRLE, "TRLE", body[TRLE], never, "tiles of 16 x 16: U8 kind; raw, palette or runs of C", rfc},
	{EncodingZRLE, "ZRLE", body[Packed], viewAsks, lengthLayout, rfc},
	{EncodingZYWRLE, "ZYWRLE", body[Packed], never, lengthLayout, "Hitachi"},
	{EncodingXZ, "XZ", body[ManyRects], never, manyLayout, ultra},
	{EncodingXZYW, "XZYW", body[ManyRects], never, manyLayout, ultra},
	{EncodingVendor264, "VendorH.264", nil, never, noLayout, "registered"},
	{EncodingJPEG, "JPEG", body[JPEG], never, "JFIF markers up to FFD9", tiger},
	{EncodingJRLE, "JRLE", nil, never, noLayout, "registered"},
	{EncodingZstd, "Zstd", body[Packed], never, lengthLayout, ultra},
	{EncodingTightZstd, "TightZstd", body[Tight], never, "as Tight", ultra},
	{EncodingZstdHex, "ZstdHex", body[Hextile], never, "as ZlibHex", ultra},
	{EncodingZstdRLE, "ZstdRLE", body[Packed], never, lengthLayout, ultra},
	{EncodingZstdYWRLE, "ZstdYWRLE", body[Packed], never, lengthLayout, ultra},
	{EncodingH264, "H.264", body[H264], never, "U32 n + U32 flags + n", tiger},
	{EncodingTightPNG, "TightPNG", body[Tight], never, "as Tight; PNG instead of basic", tight},
	{EncodingVA264, "VAH.264", nil, never, noLayout, "registered"},

	{EncodingDesktopSize, "DesktopSize", body[NoBody], viewAsks, noBody, rfc},
	{EncodingLastRect, "LastRect", body[NoBody], viewAsks, noBody + "; ends the update", tight},
	{EncodingPointerPos, "PointerPos", body[NoBody], viewAsks, noBody, tight},
	{EncodingCursor, "Cursor", body[Cursor], pointerAsks, "w·h·B + ⌈w/8⌉·h", rfc},
	{EncodingXCursor, "XCursor", body[XCursor], pointerAsks, "0 if empty, else 6 + 2·⌈w/8⌉·h", tiger},
	{EncodingQEMUPointer, "QEMUPointer", body[NoBody], never, noBody, "QEMU"},
	{EncodingQEMUKey, "QEMUKey", body[NoBody], never, noBody, "QEMU"},
	{EncodingQEMUAudio, "QEMUAudio", body[NoBody], never, noBody, "QEMU"},
	{EncodingLEDState, "LEDState", body[LEDState], viewAsks, "U8", "QEMU"},
	{EncodingGII, "gii", nil, never, noRectangle, tiger},
	{EncodingPopa, "popa", nil, never, noLayout, "registered"},
	{EncodingDesktopName, "DesktopName", body[DesktopName], viewAsks, lengthLayout, tiger},
	{EncodingExtendedDesktopSize, "ExtendedDesktopSize", body[ExtendedDesktopSize], never, "U8 n + 3 + 16·n; no resize if x = 1 and y ≠ 0", tiger},
	{EncodingXVP, "xvp", nil, never, noRectangle, tiger},
	{EncodingOLIVECallControl, "OLIVECallControl", nil, never, noLayout, "OLIVE"},
	{EncodingClientRedirect, "ClientRedirect", nil, never, noLayout, "registered"},
	{EncodingFence, "Fence", nil, fencesAsk, noRectangle, tiger},
	{EncodingContinuousUpdates, "ContinuousUpdates", nil, fencesAsk, noRectangle, tiger},
	{EncodingCursorWithAlpha, "CursorWithAlpha", body[CursorWithAlpha], never, "S32 encoding + its body at B = 4", tiger},
	{EncodingExtendedMouse, "ExtendedMouse", body[NoBody], never, noBody + "; makes PointerEvent 7 bytes", tiger},
	{EncodingTightNoZlib, "TightNoZlib", nil, never, noRectangle, tiger},
	{EncodingReplitAudio, "ReplitAudio", body[ReplitCodecs], never, "U16 version + U16 n + 2·n", "Replit"},
	{EncodingFreshStreams, "FreshStreams", nil, never, noRectangle, "this project"},
	{EncodingVMwareCursor, "VMwareCursor", body[VMwareCursor], never, "2 + 2·w·h·B or 2 + 4·w·h", "VMware"},
	{EncodingVMwareCursorState, "VMwareCursorState", body[VMwareState], never, "U16", "VMware"},
	{EncodingVMwareCursorPos, "VMwareCursorPos", body[NoBody], never, noBody, "VMware"},
	{EncodingVMwareKeyRepeat, "VMwareKeyRepeat", body[VMwareKeyRepeat], never, "10", "VMware"},
	{EncodingVMwareLEDState, "VMwareLEDState", body[VMwareLEDState], never, "U32", "VMware"},
	{EncodingVMwareDisplayMode, "VMwareDisplayMode", body[VMwareDisplayMode], never, "16: a new pixel format", "VMware"},
	{EncodingVMwareMachineState, "VMwareMachineState", body[VMwareState], never, "U16", "VMware"},
	{EncodingExtendedClipboard, "ExtendedClipboard", nil, never, noRectangle, tiger},
	{EncodingPluginStreaming, "PluginStreaming", nil, never, noRectangle, ultra},
	{EncodingKeyboardLEDState, "KeyboardLEDState", body[NoBody], never, noBody + "; the state is in x", "libvncserver"},
	{EncodingSupportedMessages, "SupportedMessages", body[SupportedMessages], never, "w bytes", "libvncserver"},
	{EncodingSupportedEncodings, "SupportedEncodings", body[SupportedEncodings], never, "w bytes", "libvncserver"},
	{EncodingServerIdentity, "ServerIdentity", body[ServerIdentity], never, "w bytes", "libvncserver"},
	{EncodingServerState, "ServerState", nil, never, noRectangle, ultra},
	{EncodingEnableKeepAlive, "EnableKeepAlive", nil, never, noRectangle, ultra},
	{EncodingFTProtocolVersion, "FTProtocolVersion", nil, never, noRectangle, ultra},
	{EncodingSession, "Session", nil, never, noRectangle, ultra},
	{EncodingEnableIdleTime, "EnableIdleTime", nil, never, noRectangle, ultra},
	{EncodingMonitorInfo, "MonitorInfo", nil, never, noRectangle, ultra},
	{EncodingTextChat, "TextChat", nil, never, noRectangle, ultra},
	{EncodingChatFileTransfer, "ChatFileTransfer", nil, never, noRectangle, ultra},
	{EncodingUltraCache, "UltraCache", body[UltraCache], never, "2", ultra},
	{EncodingUltraCacheEnable, "UltraCacheEnable", nil, never, noRectangle, ultra},
	{EncodingUltraXORZlib, "UltraXORZlib", nil, never, noLayout, ultra},
	{EncodingUltraXORMono, "UltraXORMono", nil, never, noLayout, ultra},
	{EncodingUltraXORMultiColor, "UltraXORMultiColor", nil, never, noLayout, ultra},
	{EncodingUltraSolidColor, "UltraSolidColor", nil, never, noLayout, ultra},
	{EncodingUltraXOREnable, "UltraXOREnable", nil, never, noRectangle, ultra},
	{EncodingUltraCacheZip, "UltraCacheZip", body[Packed], never, lengthLayout, ultra},
	{EncodingUltraSolMonoZip, "UltraSolMonoZip", body[Packed], never, lengthLayout, ultra},
	{EncodingUltraZip, "UltraZip", body[Packed], never, lengthLayout, ultra},
	{EncodingUltraQueueZstd, "UltraQueueZstd", body[Packed], never, lengthLayout, ultra},
	{EncodingUltraQueueEnable, "UltraQueueEnable", nil, never, noRectangle, ultra},
}

// encodingRanges are registered as ranges, without layouts.
var encodingRanges = []struct {
	first, last Encoding
	name        string
}{
	{1000, 1002, "Apple"}, {1011, 1011, "Apple"}, {1100, 1105, "Apple"}, {1024, 1099, "RealVNC"},
	{-22, -1, "TightOption"}, {-218, -33, "TightOption"}, {-222, -219, "LibVNCServer"}, {-225, -225, "OldPointerPos"},
	{-238, -226, "TightOption"}, {-246, -241, "TightOption"}, {-272, -262, "QEMU"}, {-304, -273, "VMware"},
	{-528, -523, "CarConnectivity"}, {-1024, -770, "KasmVNC"}, {-1170, -1025, "KasmVNC"}, {-2048, -1884, "KasmVNC"}, {0x574d5600, 0x574d56ff, "VMware"},
	{-0x1fffc, -0x1ff01, "LibVNCServer"}, {-0x7ffc, -0x7ff8, "UltraVNC"},
}

// An encodingSet holds encodings that rectangles can have; see encodingBit.
type encodingSet uint64

// An encodingRule is what the filter and the walker have to know of an encoding.
// The zero value is that of one unknown.
type encodingRule struct {
	bit  encodingSet // of those that have rectangles which this package can find the end of
	asks asking      // who may ask for it
	nth  uint8       // a number of its own, if anybody may ask for it; else 0
}

// encodingRules has the rules by numbers. The numbers that rectangles have and
// the hints are found without a search, the few far from zero by a hash.
type encodingRules struct {
	positive [64]encodingRule
	negative [maxNegative + 1]encodingRule // by the number's negative
	others   [256]struct {
		number Encoding
		rule   encodingRule
		taken  bool
	}
}

// maxNegative is that of the hint farthest below zero.
const maxNegative = -EncodingSubsample1X

// at is where the rule of e is, or would be.
func (t *encodingRules) at(e Encoding) *encodingRule {
	switch {
	case uint32(e) < uint32(len(t.positive)):
		return &t.positive[e]
	case uint32(-e) < uint32(len(t.negative)): // not so of -1<<31, which is its own negative
		return &t.negative[-e]
	}
	i := uint8(uint32(e) * 0x9e3779b1 >> 24) // by the golden ratio, which spreads neighbours
	for t.others[i].taken && t.others[i].number != e {
		i++
	}
	return &t.others[i].rule
}

func (t *encodingRules) of(e Encoding) encodingRule { return *t.at(e) }

// set notes the rule of e. There are far fewer others than places for them.
func (t *encodingRules) set(e Encoding, r encodingRule) {
	p := t.at(e)
	*p = r
	for i := range t.others {
		if o := &t.others[i]; p == &o.rule {
			o.number, o.taken = e, true
		}
	}
}

// rules are what the table of encodings and the ranges of hints come to.
var rules = func() *encodingRules {
	t := new(encodingRules)
	bit, nth := encodingSet(1), 0
	add := func(e Encoding, r encodingRule) {
		if r.asks != never {
			if nth++; nth >= maxAsked {
				panic("rfb: more encodings than numbers for them")
			}
			r.nth = uint8(nth)
		}
		t.set(e, r)
	}
	for _, e := range encodings {
		r := encodingRule{asks: e.asks}
		if e.new != nil {
			if r.bit, bit = bit, bit<<1; bit == 0 {
				panic("rfb: more encodings than bits")
			}
		}
		add(e.number, r)
	}
	for e := Encoding(-1); e >= -maxNegative; e-- {
		if e.hint() {
			add(e, encodingRule{asks: viewAsks})
		}
	}
	return t
}()

// maxAsked is more than there are encodings that somebody may ask for.
const maxAsked = 256

// encodingBit is the set of e alone. It is empty for hints and for encodings
// that this package can't find the end of.
func encodingBit(e Encoding) encodingSet { return rules.of(e).bit }

// setOf is a set of encodings.
func setOf(list ...Encoding) (set encodingSet) {
	for _, e := range list {
		set |= encodingBit(e)
	}
	return set
}

// pixels are the encodings that carry pixels; one of them must be asked for.
var pixels = setOf(EncodingRaw, EncodingRRE, EncodingCoRRE, EncodingHextile, EncodingZlib, EncodingTight, EncodingZRLE,
	EncodingTightPNG, EncodingJPEG)
