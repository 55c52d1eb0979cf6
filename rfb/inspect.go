package rfb

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Handshake is what two peers say to each other before their session, as an
// onlooker sees it: of a capture ([Trace.Handshake]) or of a live stream
// ([Handshake.Feed]). Fields are set as far as the handshake has come. The zero
// Handshake is one that hasn't begun.
type Handshake struct {
	ServerVersion ProtocolVersion // zero until it was said
	ViewerVersion ProtocolVersion // what is spoken, if Framing knows it

	Offered  []SecurityType // in the server's order; in 3.3 the one it has chosen
	Security SecurityType   // what the viewer chose

	SubtypesOffered []VeNCryptType // with SecurityVeNCrypt
	Subtype         VeNCryptType

	Tunnels        []Capability // with SecurityTight
	Authentication []Capability
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
	Code      int32
	Vendor    string // four bytes
	Signature string // eight bytes
}

const capabilityLen = 16

const (
	maxHandshake = 64 << 10 // bytes of a handshake from each peer
	maxEarly     = maxChunk // bytes that a peer may send before the handshake is over, those included
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
		return fmt.Errorf("rfb: %v is no direction", from)
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
		r.peers[d] = coder{b: seen[:given[d]], read: true}
	}
	err := r.handshake()
	for d := range next.seen {
		next.used[d] = given[d] - len(r.peers[d].b)
	}
	next.done, next.waits = err == nil, r.last
	*h = next
	if errors.Is(err, io.ErrUnexpectedEOF) {
		h.enough[r.last] = given[r.last] + r.peers[r.last].short
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
		line("refused", "%s", cleanText(h.Reason, maxReason))
	}
	if h.Init.Width != 0 {
		line("shared", "%v", h.Shared)
		line("size", "%dx%d", h.Init.Width, h.Init.Height)
		line("pixel format", "%v", h.Init.Format)
		line("name", "%s", cleanText(h.Init.Name, maxName))
	}
	if len(h.Capabilities) > 0 {
		line("capabilities", "%d", len(h.Capabilities))
	}
	return b.String()
}

// An onlooker reads a handshake from its beginning, both peers' bytes, as far
// as they go. Its steps return io.ErrUnexpectedEOF where there are no more.
type onlooker struct {
	h     *Handshake
	peers [3]coder
	last  Direction // who was read from last
	begun bool      // the server has left out SecurityResult and ClientInit
}

// from is what reads a peer's bytes.
func (r *onlooker) from(d Direction) *coder {
	r.last = d
	return &r.peers[d]
}

func (r *onlooker) server() *coder { return r.from(FromServer) }
func (r *onlooker) viewer() *coder { return r.from(FromViewer) }

func (r *onlooker) handshake() error {
	if err := r.version(r.server(), &r.h.ServerVersion); err != nil {
		return err
	}
	if err := r.version(r.viewer(), &r.h.ViewerVersion); err != nil {
		return err
	}
	framing, who, ok := r.h.ViewerVersion.Framing()
	if !ok {
		return fmt.Errorf("%w: %v (%s)", ErrMalformed, r.h.ViewerVersion, who)
	}
	over, err := r.security(framing)
	if err != nil || over {
		return err
	}
	if r.begun {
		r.h.Shared = true
		return r.init()
	}
	c := r.viewer()
	if c.flag(&r.h.Shared); c.err != nil {
		return c.err
	}
	return r.init()
}

func (r *onlooker) version(c *coder, v *ProtocolVersion) (err error) {
	b := c.next(versionLen)
	if b == nil {
		return c.err
	}
	*v, err = ParseVersion(b)
	return err
}

// security reads types, the choice, and what the chosen one is about. It
// reports whether the handshake is over.
func (r *onlooker) security(framing ProtocolVersion) (over bool, err error) {
	c := r.server()
	if framing == version33 {
		var n uint32
		c.u32(&n)
		if c.err != nil {
			return false, c.err
		}
		if n == uint32(SecurityInvalid) {
			return true, r.reason()
		}
		if n > 255 {
			return false, fmt.Errorf("%w: %s, which can't be followed", ErrSecurity, largeType(n))
		}
		r.h.Offered = []SecurityType{SecurityType(n)}
		r.h.Security = SecurityType(n)
		return r.perform(r.h.Security, framing)
	}
	list(c, &r.h.Offered, c.len8(0), 1, func(t *SecurityType) { c.u8((*uint8)(t)) })
	if c.err != nil {
		return false, c.err
	}
	if len(r.h.Offered) == 0 {
		return true, r.reason()
	}
	v := r.viewer()
	if v.u8((*uint8)(&r.h.Security)); v.err != nil {
		return false, v.err
	}
	return r.perform(r.h.Security, framing)
}

// perform reads what a security type is about, and its result.
func (r *onlooker) perform(t SecurityType, framing ProtocolVersion) (over bool, err error) {
	switch t {
	case SecurityNone:
		if framing != version38 {
			return false, nil
		}
		if r.h.ViewerVersion == versionApple {
			if err := r.apple(); err != nil || r.begun {
				return false, err
			}
		}
	case SecurityVNCAuth:
		err = r.exchange(challengeLen, challengeLen)
	case SecurityMSLogonI:
		err = r.exchange(64+challengeLen, 256+256+64+challengeLen)
	case SecurityMSLogonII:
		err = r.exchange(8+8+8, 8+256+64)
	case SecurityMSLogonIII:
		err = r.exchange(32, 32+256+64)
	case SecurityAppleDH:
		err = r.appleDH()
	case SecurityXVP:
		if err = r.text8(); err == nil {
			err = r.exchange(challengeLen, challengeLen)
		}
	case SecurityRA2ne, SecurityRA2ne_256:
		err = r.ra2()
	case SecuritySASL:
		err = r.sasl()
	case SecurityUltraPrompt:
		err = r.prompt()
	case SecurityUltraExtra:
		c := r.viewer()
		c.next(c.len8(0))
		err = c.err
	case SecurityUltra:
		return r.result(framing)
	case SecurityVeNCrypt:
		return r.veNCrypt(framing)
	case SecurityTight:
		return r.tight(framing)
	default:
		return false, r.unreadable(described([]SecurityType{t}), t.stream())
	}
	if err != nil {
		return false, err
	}
	return r.result(framing)
}

// apple looks whether the server is one of libvncserver's. To a viewer that
// announces Apple's version they send ServerInit at once, read no ClientInit,
// and let it share the desktop (rfbVncAuthNone in libvncserver's auth.c). Others
// send a SecurityResult, whose first two bytes are zero; a width isn't.
func (r *onlooker) apple() error {
	c := r.server()
	ahead := *c
	var width uint16
	if ahead.u16(&width); ahead.err != nil {
		*c = ahead
		return c.err
	}
	r.begun = width != 0
	return nil
}

func (r *onlooker) unreadable(name string, stream clarity) error {
	if stream == encrypted {
		return fmt.Errorf("%w: %s", ErrSecurity, name)
	}
	return fmt.Errorf("%w: %s has no layout that is public", ErrSecurity, name)
}

// exchange is n bytes of the server's and m of the viewer's.
func (r *onlooker) exchange(n, m int) error {
	if c := r.server(); c.next(n) == nil {
		return c.err
	}
	if c := r.viewer(); c.next(m) == nil {
		return c.err
	}
	return nil
}

// ra2 is what RA2ne does before the stream is clear again: keys, random numbers,
// and then, in packets of an AES cipher, hashes, the kind of login, and the
// login.
func (r *onlooker) ra2() error {
	for _, peer := range []func() *coder{r.server, r.viewer} {
		c := peer()
		var bits uint32
		if c.u32(&bits); bits > 8192 {
			return fmt.Errorf("%w: RSA key of %d bits, at most 8192", ErrLimit, bits)
		}
		if c.next(2 * int((bits+7)/8)); c.err != nil {
			return c.err
		}
	}
	const mac = 16
	for _, packet := range []struct {
		peer func() *coder
		more int // bytes that its length doesn't count
	}{
		{r.server, 0}, {r.viewer, 0}, // random numbers
		{r.server, mac}, {r.viewer, mac}, // hashes
		{r.server, mac}, {r.viewer, mac}, // kind, login
	} {
		c := packet.peer()
		if c.next(c.len16(0) + packet.more); c.err != nil {
			return c.err
		}
	}
	return nil
}

// saslClear are the mechanisms of SASL that can't add a layer which encrypts
// the stream.
var saslClear = []string{"ANONYMOUS", "PLAIN", "LOGIN", "EXTERNAL", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-224",
	"SCRAM-SHA-256", "SCRAM-SHA-384", "SCRAM-SHA-512"}

// maxSASL is how long a part of SASL may be.
const maxSASL = 16 << 10

// sasl is a list of mechanisms, the choice, and challenges and responses until
// the server says that they are over.
func (r *onlooker) sasl() error {
	part := func(c *coder) (b []byte) {
		var n uint32
		if c.u32(&n); n > maxSASL {
			c.fail(ErrLimit, "%d bytes of SASL, at most %d", n, maxSASL)
		}
		return c.next(int(n))
	}
	c := r.server()
	if part(c); c.err != nil {
		return c.err
	}
	c = r.viewer()
	mechanism := string(part(c))
	if c.err != nil {
		return c.err
	}
	if !slices.Contains(saslClear, mechanism) {
		return fmt.Errorf("%w: SASL's %q may encrypt the stream", ErrSecurity, cleanText(mechanism, maxReason))
	}
	for {
		c = r.viewer()
		if part(c); c.err != nil {
			return c.err
		}
		c = r.server()
		part(c)
		var over bool
		if c.flag(&over); c.err != nil || over {
			return c.err
		}
	}
}

// prompt is a text of the server's and the viewer's answer, their numbers in
// little endian.
func (r *onlooker) prompt() error {
	c := r.server()
	var n uint32
	c.little = true
	if c.u32(&n); n > maxReason {
		return fmt.Errorf("%w: question of %d bytes, at most %d", ErrLimit, n, maxReason)
	}
	c.little = false
	if c.next(int(n)); c.err != nil {
		return c.err
	}
	v := r.viewer()
	v.next(4)
	return v.err
}

// appleDH is a generator, a prime and a public key; credentials and a public
// key.
func (r *onlooker) appleDH() error {
	c := r.server()
	c.pad(2)
	n := c.len16(0)
	if c.next(2 * n); c.err != nil {
		return c.err
	}
	v := r.viewer()
	v.next(128 + n)
	return v.err
}

// text8 is xvp's user and target.
func (r *onlooker) text8() error {
	c := r.viewer()
	n := c.len8(0)
	n += c.len8(0)
	c.next(n)
	return c.err
}

// login is a user and a password, their lengths first.
func (r *onlooker) login() error {
	c := r.viewer()
	var user, password uint32
	c.u32(&user)
	c.u32(&password)
	if user > maxHandshake || password > maxHandshake {
		return fmt.Errorf("%w: user of %d bytes, password of %d", ErrLimit, user, password)
	}
	c.next(int(user) + int(password))
	return c.err
}

// veNCrypt reads versions, sub-types, the choice, and what that is about.
func (r *onlooker) veNCrypt(framing ProtocolVersion) (over bool, err error) {
	c := r.server()
	if c.pad(2); c.err != nil {
		return false, c.err
	}
	v := r.viewer()
	b := v.next(2)
	if v.err != nil {
		return false, v.err
	}
	if b[0] == 0 && b[1] < 2 {
		return false, fmt.Errorf("%w: VeNCrypt %d.%d", ErrSecurity, b[0], b[1])
	}
	var no bool
	c = r.server()
	if c.flag(&no); no {
		r.h.Refused = true
		return true, nil
	}
	list(c, &r.h.SubtypesOffered, c.len8(0), 4, func(t *VeNCryptType) { c.u32((*uint32)(t)) })
	if c.err != nil {
		return false, c.err
	}
	v = r.viewer()
	if v.u32((*uint32)(&r.h.Subtype)); v.err != nil {
		return false, v.err
	}
	switch t := r.h.Subtype; {
	case t == VeNCryptPlain:
		err = r.login()
	case t == VeNCryptIdent:
		err = r.ident()
	case t.Encrypts():
		return false, r.unreadable("VeNCrypt "+described([]VeNCryptType{t}), encrypted)
	case t == VeNCryptType(SecurityVeNCrypt) || t > VeNCryptPlain:
		return false, fmt.Errorf("%w: VeNCrypt inside VeNCrypt, or %v", ErrSecurity, t)
	default:
		return r.perform(SecurityType(t), framing)
	}
	if err != nil {
		return false, err
	}
	return r.result(framing)
}

func (r *onlooker) ident() error {
	c := r.viewer()
	var n uint32
	if c.u32(&n); n > maxHandshake {
		return fmt.Errorf("%w: user of %d bytes", ErrLimit, n)
	}
	c.next(int(n))
	return c.err
}

// capabilities reads n of them.
func (r *onlooker) capabilities(c *coder, v *[]Capability, n int) {
	if n > maxHandshake/capabilityLen {
		c.fail(ErrLimit, "%d capabilities", n)
	}
	list(c, v, n, capabilityLen, func(v *Capability) {
		code := uint32(v.Code)
		c.u32(&code)
		v.Code = int32(code)
		c.text(&v.Vendor, 4)
		c.text(&v.Signature, 8)
	})
}

// tight reads tunnels, the choice, types, and the choice.
func (r *onlooker) tight(framing ProtocolVersion) (over bool, err error) {
	var n, choice uint32
	c := r.server()
	c.u32(&n)
	if r.capabilities(c, &r.h.Tunnels, int(n)); c.err != nil {
		return false, c.err
	}
	if n > 0 {
		v := r.viewer()
		if v.u32(&choice); v.err != nil {
			return false, v.err
		}
		if choice != 0 {
			return false, fmt.Errorf("%w: a Tight tunnel of kind %d", ErrSecurity, choice)
		}
		c = r.server()
	}
	c.u32(&n)
	if r.capabilities(c, &r.h.Authentication, int(n)); c.err != nil {
		return false, c.err
	}
	if r.h.TightType = SecurityNone; n > 0 {
		v := r.viewer()
		if v.u32(&choice); v.err != nil {
			return false, v.err
		}
		if choice > 255 || choice == uint32(SecurityTight) {
			return false, fmt.Errorf("%w: Tight with security type %d", ErrSecurity, choice)
		}
		r.h.TightType = SecurityType(choice)
	}
	if r.h.TightType == SecurityUnixLogin {
		if err := r.login(); err != nil {
			return false, err
		}
		return r.result(framing)
	}
	return r.perform(r.h.TightType, framing)
}

// result reads a SecurityResult, and what UltraVNC does after one.
func (r *onlooker) result(framing ProtocolVersion) (over bool, err error) {
	c := r.server()
	var n uint32
	if c.u32(&n); c.err != nil {
		return false, c.err
	}
	switch {
	case n == resultOK:
		return false, nil
	case n == resultContinue:
		return r.security(version38)
	case framing == version38:
		r.h.Refused = n == resultTooMany
		r.h.ended = r.h.Refused && len(c.b) == 0
		return true, r.reason()
	}
	r.h.Refused = true
	return true, nil
}

// reason reads why the server ends the handshake.
func (r *onlooker) reason() error {
	c := r.server()
	var n uint32
	if c.u32(&n); n > maxReason {
		return fmt.Errorf("%w: failure reason of %d bytes", ErrLimit, n)
	}
	c.text(&r.h.Reason, int(n))
	if c.err == nil {
		r.h.Refused = true
	}
	return c.err
}

// init reads a ServerInit, and TightVNC's capabilities after it.
func (r *onlooker) init() error {
	c := r.server()
	var m ServerInit
	c.u16(&m.Width)
	c.u16(&m.Height)
	c.pixelFormat(&m.Format)
	var n uint32
	if c.u32(&n); n > maxName {
		return fmt.Errorf("%w: desktop name of %d bytes", ErrLimit, n)
	}
	if c.text(&m.Name, int(n)); c.err != nil {
		return c.err
	}
	if r.h.Security == SecurityTight {
		total := c.len16(0)
		total += c.len16(0)
		total += c.len16(0)
		c.pad(2)
		r.capabilities(c, &r.h.Capabilities, total)
	}
	if c.err == nil {
		r.h.Init = m
	}
	return c.err
}
