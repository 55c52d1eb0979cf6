package rfb

import "fmt"

// A Policy says what a [Relay] lets pass. It holds for a whole session: no
// message can change it.
type Policy uint8

// ViewOnly lets a viewer see and do nothing else. It is the zero Policy.
//
// Towards the server go SetPixelFormat (any that RFC 6143 §7.4 allows),
// SetEncodings (reduced to what a viewer needs to see) and
// FramebufferUpdateRequest (cut to the framebuffer), all written by the relay
// itself. If the viewer lists both
// Fence and ContinuousUpdates, both are asked for, and once the server has
// shown that it knows them EnableContinuousUpdates passes and answers to the
// server's fences do; a viewer that doesn't answer one is answered for. Keys,
// pointer, clipboard, resizing, keep-alives and audio are dropped. Everything
// else ends the session: what is known and forbidden with [ErrForbidden], what
// has no known length with [ErrMalformed].
//
// Towards the viewer go FramebufferUpdate and Bell, with encodings that were
// asked for, fences and the end of continuous updates if these were, and the
// colours of a map if the viewer wants one. The clipboard and the like are
// dropped, everything else ends the session.
//
// docs/rfb.md has all of it in a table.
const ViewOnly Policy = 0

// Control lets a viewer take part: everything that can be framed beyond doubt
// passes, towards either peer, what the relay adds being the same as under
// [ViewOnly]. Besides what ViewOnly passes those are keys, pointer and plain
// clipboard, and what a server has confirmed that it understands: extended
// keys, sound, resizing, and power. Extensions that change the length of other
// messages (extended clipboard, further mouse buttons), file transfer and
// messages that differ between servers stay out.
//
// The daemon of this module never uses it.
const Control Policy = 1

// String is the policy's name.
func (p Policy) String() string {
	switch p {
	case ViewOnly:
		return "ViewOnly"
	case Control:
		return "Control"
	}
	return fmt.Sprintf("Policy(%d)", uint8(p))
}

// client is the policy's rule for a viewer's message.
func (p Policy) client(t ClientMessageType) verdict {
	if p == Control {
		return clientMessages[t].control
	}
	return clientMessages[t].view
}

// server is the policy's rule for a server's message.
func (p Policy) server(t ServerMessageType) verdict {
	if p == Control {
		return serverMessages[t].control
	}
	return serverMessages[t].view
}

// keeps reports whether a viewer may have an encoding of this kind, apart from
// Fence and ContinuousUpdates; pointer says that it is told where the pointer is.
func (p Policy) keeps(asks asking, pointer bool) bool {
	return asks == viewAsks || asks == controlAsks && p == Control || asks == pointerAsks && (pointer || p == Control)
}

// encodings are those of a viewer's list, as it is on the wire, that the policy
// lets it have, in the viewer's order, each once, at most maxEncodingsOut, and
// Raw if nothing with pixels is among them. Fence and ContinuousUpdates are kept
// if both are there, or neither; Cursor and XCursor if PointerPos is: a server
// that sends the pointer's picture leaves it out of the screen's, and a viewer
// that isn't told where the pointer is shows it where its own is. The DesktopName is left out if the viewer is
// shown a name of our own, and Tight unless the format is exact about the length of
// its pixels. The set has what rectangles may come of it. The memory
// of kept is used again.
func (p Policy) encodings(kept []Encoding, list []byte, ownName, exact bool) ([]Encoding, encodingSet) {
	var set encodingSet
	var seen [maxAsked]bool // by encodingRule.nth
	seen[rules.at(EncodingDesktopName).nth] = ownName
	seen[rules.at(EncodingTight).nth], seen[rules.at(EncodingTightPNG).nth] = !exact, !exact
	kept = kept[:0]
	twins, pointer := together(list)    // places that they will take
	room := maxEncodingsOut - twins - 1 // without one for Raw
	for ; len(list) >= 4; list = list[4:] {
		e := Encoding(be32(list))
		r := rules.at(e)
		switch {
		case seen[r.nth]:
			continue
		case p.keeps(r.asks, pointer):
			if set&pixels == 0 && r.bit&pixels != 0 {
				room++
			}
			if room <= 0 {
				continue
			}
			room--
		case r.asks == fencesAsk && twins > 0:
			twins--
		default:
			continue
		}
		kept = append(kept, e)
		set |= r.bit
		seen[r.nth] = true
	}
	if set&pixels == 0 {
		kept = append(kept, EncodingRaw)
	}
	return kept, set
}

// together is 2 if Fence and ContinuousUpdates are both in a list, else 0, and
// whether PointerPos is.
func together(list []byte) (twins int, pointer bool) {
	var found uint32
	for ; len(list) >= 4; list = list[4:] {
		e := Encoding(be32(list))
		pointer = pointer || e == EncodingPointerPos
		// They are neighbours: one comparison for most.
		if d := uint32(EncodingFence - e); d < 2 {
			found |= 1 + d
		}
	}
	if found == 3 {
		twins = 2
	}
	return twins, pointer
}
