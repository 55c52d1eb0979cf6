package rfb

import "fmt"

// A Policy says what a [Relay] lets pass. It holds for a whole session: no
// message can change it.
type Policy uint8

// ViewOnly lets a viewer see and do nothing else. It is the zero Policy.
//
// Towards the server go SetPixelFormat (always the same), SetEncodings
// (reduced to what a viewer needs to see) and FramebufferUpdateRequest (cut to
// the framebuffer), all written by the relay itself. Keys, pointer, clipboard,
// resizing, keep-alives and audio are dropped. Everything else ends the
// session: what is known and forbidden with [ErrForbidden], what has no known
// length with [ErrMalformed].
//
// Towards the viewer go FramebufferUpdate and Bell, with encodings that were
// asked for. The clipboard, colour maps and the like are dropped, everything
// else ends the session.
const ViewOnly Policy = 0

// String is the policy's name.
func (p Policy) String() string {
	if p == ViewOnly {
		return "ViewOnly"
	}
	return fmt.Sprintf("Policy(%d)", uint8(p))
}

// A verdict is what becomes of a message. The zero verdict ends the session.
type verdict uint8

const (
	unknown   verdict = iota // ends the session: its length isn't known
	forbidden                // ends the session
	dropped                  // is parsed to its end and goes nowhere
	passes                   // is parsed, checked and, towards the server, written anew
)

// A rule is a verdict and how many bytes decide on a message's length (towards
// the server) or come before the length is known (towards the viewer), its
// type included.
type rule struct {
	verdict verdict
	head    uint8
}

// clientRules are ViewOnly's rules for what a viewer sends.
var clientRules = func() (t [256]rule) {
	t[ClientSetPixelFormat] = rule{passes, setPixelFormatLen}
	t[ClientSetEncodings] = rule{passes, 4}
	t[ClientFramebufferUpdateRequest] = rule{passes, framebufferUpdateRequestLen}

	t[ClientKeyEvent] = rule{dropped, 8}
	t[ClientPointerEvent] = rule{dropped, 6} // never 7: the server can't confirm ExtendedMouse
	t[ClientCutText] = rule{dropped, 8}
	t[ClientKeepAlive] = rule{dropped, 1}
	t[ClientSetDesktopSize] = rule{dropped, 8}
	t[ClientQEMU] = rule{dropped, 4}

	for _, m := range []ClientMessageType{
		ClientFileTransfer, ClientSetScale, ClientSetServerInput, ClientSetSW, ClientTextChat,
		ClientPalmSetScaleFactor, ClientRequestSession, ClientSetSession, ClientNotifyPluginStreaming,
		ClientVMware, ClientCarConnectivity, ClientEnableContinuousUpdates, ClientVideoRectangleSelection,
		ClientReplitAudio, ClientFence, ClientOLIVECallControl, ClientXVP, ClientTight2, ClientGII, ClientVMware2,
	} {
		t[m] = rule{verdict: forbidden}
	}
	for m := ClientTightFileList; m <= ClientTightCreateDirectory; m++ {
		t[m] = rule{verdict: forbidden}
	}
	for m := ClientKasmRequestStats; m <= ClientKasmLast; m++ {
		t[m] = rule{verdict: forbidden}
	}
	return t
}()

// serverRules are ViewOnly's rules for what a server sends.
var serverRules = func() (t [256]rule) {
	t[ServerFramebufferUpdate] = rule{passes, 4}
	t[ServerBell] = rule{passes, 1}

	t[ServerSetColorMapEntries] = rule{dropped, 6}
	t[ServerCutText] = rule{dropped, 8}
	t[ServerKeepAlive] = rule{dropped, 1}
	t[ServerState] = rule{dropped, 12}
	t[ServerXVP] = rule{dropped, 4}
	t[ServerQEMU] = rule{dropped, 4}

	for _, m := range []ServerMessageType{
		ServerResizeFrameBuffer, ServerFileTransfer, ServerTextChat, ServerPalmResizeFrameBuffer,
		ServerTightFileTransfer, ServerEndOfContinuousUpdates, ServerFence, ServerTight2, ServerGII,
	} {
		t[m] = rule{verdict: forbidden}
	}
	return t
}()

// An encodingSet holds encodings that rectangles can have; see encodingBit.
type encodingSet uint32

// encodingBit is the set of e alone. It is empty for hints and for encodings
// that this package can't find the end of.
func encodingBit(e Encoding) encodingSet {
	switch e {
	case EncodingRaw:
		return 1 << 0
	case EncodingCopyRect:
		return 1 << 1
	case EncodingRRE:
		return 1 << 2
	case EncodingCoRRE:
		return 1 << 3
	case EncodingHextile:
		return 1 << 4
	case EncodingZlib:
		return 1 << 5
	case EncodingTight:
		return 1 << 6
	case EncodingZRLE:
		return 1 << 7
	case EncodingDesktopSize:
		return 1 << 8
	case EncodingLastRect:
		return 1 << 9
	case EncodingPointerPos:
		return 1 << 10
	case EncodingCursor:
		return 1 << 11
	case EncodingXCursor:
		return 1 << 12
	case EncodingLEDState:
		return 1 << 13
	case EncodingDesktopName:
		return 1 << 14
	}
	return 0
}

// pixels are the encodings that carry pixels; one of them must be asked for.
var pixels = encodingBit(EncodingRaw) | encodingBit(EncodingRRE) | encodingBit(EncodingCoRRE) |
	encodingBit(EncodingHextile) | encodingBit(EncodingZlib) | encodingBit(EncodingTight) | encodingBit(EncodingZRLE)

// viewEncodings appends to kept those of a viewer's encodings that a view-only
// session may use, in the viewer's order, each once, at most maxEncodingsOut,
// and Raw if nothing with pixels is among them. It returns them as a set too.
// The DesktopName is left out if the viewer is shown a name of our own.
func viewEncodings(kept, wanted []Encoding, ownName bool) ([]Encoding, encodingSet) {
	var set encodingSet
	kept = kept[:0]
next:
	for _, e := range wanted {
		bit := encodingBit(e)
		if bit == 0 && !e.hint() || e == EncodingDesktopName && ownName {
			continue
		}
		for _, k := range kept {
			if k == e {
				continue next
			}
		}
		if len(kept) == maxEncodingsOut-1 && set&pixels == 0 && bit&pixels == 0 {
			continue // leaves room for Raw
		}
		if len(kept) == maxEncodingsOut {
			break
		}
		kept = append(kept, e)
		set |= bit
	}
	if set&pixels == 0 {
		kept = append(kept, EncodingRaw)
	}
	return kept, set
}
