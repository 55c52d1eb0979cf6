package rfb

// allowed reports whether a viewer may have an encoding of this kind, apart from
// Fence and ContinuousUpdates; pointer says that it is told where the pointer is.
func (a asking) allowed(pointer bool) bool { return a == viewAsks || a == pointerAsks && pointer }

// asksFor are the encodings of a viewer's list, as it is on the wire, that the
// server is asked for, in the viewer's order, each once, at most maxEncodingsOut, and
// Raw if nothing with pixels is among them. Fence and ContinuousUpdates are kept
// if both are there, or neither; Cursor and XCursor if PointerPos is: a server
// that sends the pointer's picture leaves it out of the screen's, and a viewer
// that isn't told where the pointer is shows it where its own is. The DesktopName is left out if the viewer is
// shown a name of our own, and Tight unless the format is exact about the length of
// its pixels. The set has what rectangles may come of it. The memory
// of kept is used again.
func asksFor(kept []Encoding, list []byte, ownName, exact bool) ([]Encoding, encodingSet) {
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
		case r.asks.allowed(pointer):
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
