package rfb

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"vda.internal/shadow/rfb/internal/proto"
)

// A Handshake is what two peers say to each other before their session, as an
// onlooker sees it: of a capture or of a live stream. Fields are set as far as the handshake has come. The zero
// Handshake is one that hasn't begun.
type Handshake struct {
	ServerVersion ProtocolVersion // zero until it was said
	ViewerVersion ProtocolVersion // what is spoken, if Framing knows it

	Offered  []SecurityType // in the server's order; in 3.3 the one it has chosen
	Security SecurityType   // what the viewer chose

	SubtypesOffered []VeNCryptType // with SecurityVeNCrypt
	Subtype         VeNCryptType   // the one that the viewer chose

	Tunnels        []Capability // with SecurityTight
	Authentication []Capability // with SecurityTight
	TightType      SecurityType // inside SecurityTight; SecurityNone if nothing was offered

	Refused bool   // the server ended the handshake; without Done, a reason may follow
	Reason  string // why, if it said so: text from the peer, not to be trusted

	Shared       bool         // the viewer leaves other viewers alone, or wasn't asked
	Init         ServerInit   // Width is zero until it was said
	Capabilities []Capability // after Init, with SecurityTight: what the server sends, what it takes, encodings

	seen   [3][]byte // by direction
	used   [3]int    // how much of it is handshake
	enough [3]int    // bytes of it without which reading on is no use
	waits  Direction // whose bytes are missing
	done   bool
	ended  bool // it is over if nothing more comes
}

// A Capability is what TightVNC calls one: a number and who gave it which
// meaning.
type Capability struct {
	Code      int32  // the number that it is about
	Vendor    string // four bytes
	Signature string // eight bytes
}

const capabilityLen = 16

const (
	maxHandshake = 64 << 10 // bytes of a handshake from each peer
	maxEarly     = 16 << 20 // bytes that a peer may send before the handshake is over, those included
)

// Done reports whether the handshake is over: the session has begun, or
// Refused is set.
func (h *Handshake) Done() bool { return h.done }

// Feed takes what a peer has sent next. Bytes that belong to the session
// already are kept, however many come with the end of the handshake; see
// [Handshake.Rest]. The error wraps [ErrMalformed], [ErrLimit], or [ErrSecurity]
// if what was agreed on encrypts the stream or has no layout that is public; it
// names the type. The limits are 64 KiB of handshake from each peer, and 16 MiB
// from one that goes on while the other's half isn't over. Don't feed a
// handshake that is done.
func (h *Handshake) Feed(from Direction, p []byte) error {
	if from != FromViewer && from != FromServer {
		return pkg.Errorf("%v is no direction", from)
	}
	h.seen[from] = append(h.seen[from], p...)
	h.ended = h.ended && (from == FromViewer || len(p) == 0)
	for d, seen := range h.seen {
		if len(seen) < h.enough[d] {
			return h.early(from)
		}
	}
	// A handshake is short: it is read from its beginning when there is more of
	// what it waits for.
	next := Handshake{seen: h.seen}
	r := &onlooker{h: &next}
	var given [3]int
	for d, seen := range h.seen {
		given[d] = min(len(seen), maxHandshake)
		r.peers[d] = coder{Coder: proto.Read(seen[:given[d]])}
	}
	err := r.handshake()
	for d := range next.seen {
		next.used[d] = given[d] - len(r.peers[d].B)
	}
	next.done, next.waits = err == nil, r.last
	*h = next
	if errors.Is(err, io.ErrUnexpectedEOF) {
		h.enough[r.last] = given[r.last] + r.peers[r.last].Short
		if h.enough[r.last] <= maxHandshake {
			return h.early(from)
		}
		err = fmt.Errorf("%w: handshake of more than %d bytes", ErrLimit, maxHandshake)
	}
	if err != nil {
		return &ProtocolError{r.last, int64(h.used[r.last]), err}
	}
	return nil
}

// early is the error of a peer that goes on and on while the handshake isn't
// over.
func (h *Handshake) early(from Direction) error {
	if n := len(h.seen[from]); n > maxEarly {
		return &ProtocolError{from, int64(n), fmt.Errorf("%w: more than %d bytes before the handshake is over", ErrLimit, maxEarly)}
	}
	return nil
}

// End says whether the handshake may end with what has been fed. It returns nil
// if it is over, or was refused by a server that may give a reason and gives
// none; then Done reports true from now on. Otherwise the error is a
// [*ProtocolError] that names the peer whose bytes are missing, and wraps
// [io.ErrUnexpectedEOF].
func (h *Handshake) End() error {
	if h.ended {
		h.done = true
	}
	if h.done {
		return nil
	}
	waits := h.waits
	if waits == 0 {
		waits = FromServer
	}
	return &ProtocolError{waits, h.Len(waits), fmt.Errorf("inside the handshake: %w", io.ErrUnexpectedEOF)}
}

// Rest is what a peer was seen to send after the handshake.
func (h *Handshake) Rest(from Direction) []byte { return h.seen[from][h.used[from]:] }

// Len is how many bytes of the handshake a peer has sent.
func (h *Handshake) Len(from Direction) int64 { return int64(h.used[from]) }

// String tells what is known, line by line.
func (h *Handshake) String() string {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-15s %s\n", what, fmt.Sprintf(format, args...))
	}
	if h.ServerVersion != (ProtocolVersion{}) {
		line("server version", "%v", h.ServerVersion)
	}
	if h.ViewerVersion != (ProtocolVersion{}) {
		line("viewer version", "%v", h.ViewerVersion)
	}
	if len(h.Offered) > 0 {
		line("offered", "%s", described(h.Offered))
	}
	if h.Security != SecurityInvalid {
		line("chosen", "%s", described([]SecurityType{h.Security}))
	}
	if len(h.SubtypesOffered) > 0 {
		line("sub-types", "%s", described(h.SubtypesOffered))
		line("sub-type", "%s", described([]VeNCryptType{h.Subtype}))
	}
	if h.TightType != SecurityInvalid {
		line("inside Tight", "%v", h.TightType)
	}
	if h.Refused {
		line("refused", "%s", proto.CleanText(h.Reason, maxReason))
	}
	if h.Init.Width != 0 {
		line("shared", "%v", h.Shared)
		line("size", "%dx%d", h.Init.Width, h.Init.Height)
		line("pixel format", "%v", h.Init.Format)
		line("name", "%s", proto.CleanText(h.Init.Name, maxName))
	}
	if len(h.Capabilities) > 0 {
		line("capabilities", "%d", len(h.Capabilities))
	}
	return b.String()
}
