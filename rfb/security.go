package rfb

import (
	"crypto/des"
	"fmt"
	"math/bits"
	"slices"
)

// A SecurityType is how a connection is authenticated and whether it is
// encrypted (RFC 6143 §7.1.2 and the registry of the community's
// specification).
type SecurityType uint8

// The security types. [Client] speaks None, VNCAuth and of VeNCrypt those
// inside it and Plain, in the clear or over TLS with certificates; [Server] None and VNCAuth; [Handshake] follows
// those that leave the stream clear and have a layout that is public. Sources:
// RFC 6143, the community's specification, and of UltraVNC its rfbproto.h.
const (
	SecurityInvalid      SecurityType = 0   // no choice: a reason follows and the server closes
	SecurityNone         SecurityType = 1   // no authentication, clear stream (RFC 6143 §7.2.1)
	SecurityVNCAuth      SecurityType = 2   // DES challenge and response (RFC 6143 §7.2.2)
	SecurityRA2          SecurityType = 5   // RSA-AES, encrypted
	SecurityRA2ne        SecurityType = 6   // RSA-AES, handshake encrypted only
	SecuritySSPI         SecurityType = 7   // RealVNC
	SecuritySSPIne       SecurityType = 8   // RealVNC
	SecurityRA2r         SecurityType = 13  // RSA-AES in two steps, encrypted
	SecurityTight        SecurityType = 16  // TightVNC tunnels and capabilities
	SecurityUltra        SecurityType = 17  // UltraVNC: more types follow
	SecurityTLS          SecurityType = 18  // anonymous TLS, vino
	SecurityVeNCrypt     SecurityType = 19  // sub-types, most of them TLS
	SecuritySASL         SecurityType = 20  // GTK-VNC and QEMU
	SecurityMD5          SecurityType = 21  // layout unpublished
	SecurityXVP          SecurityType = 22  // Colin Dean's xvp
	SecuritySecureTunnel SecurityType = 23  // layout unpublished
	SecuritySSH          SecurityType = 24  // integrated SSH; layout unpublished
	SecurityAppleDH      SecurityType = 30  // Apple Remote Desktop
	SecurityUltraPrompt  SecurityType = 104 // UltraVNC: a question to the viewer's user; more types follow
	SecurityUltraSession SecurityType = 105 // UltraVNC: a choice of session; more types follow
	SecurityMSLogonI     SecurityType = 112 // UltraVNC, Microsoft logon
	SecurityMSLogonII    SecurityType = 113 // UltraVNC, Microsoft logon
	SecuritySecureVNC    SecurityType = 114 // UltraVNC, a plug-in's cipher
	SecuritySecureVNCNew SecurityType = 115 // UltraVNC, a plug-in's cipher
	SecurityUltraExtra   SecurityType = 116 // UltraVNC: a text from the viewer; more types follow
	SecurityUltraExtra2  SecurityType = 117 // UltraVNC: registered for another text
	SecurityMSLogonIII   SecurityType = 118 // UltraVNC, Microsoft logon
	SecurityUnixLogin    SecurityType = 129 // inside Tight: user and password; outside: RA2_256
	SecurityRA2_256      SecurityType = 129 // RSA-AES-256, encrypted
	SecurityRA2ne_256    SecurityType = 130 // RSA-AES-256, handshake encrypted only
	SecurityRA2r_256     SecurityType = 133 // RSA-AES-256 in two steps, encrypted
)

// clarity is what a security type does to the stream after it.
type clarity uint8

const (
	unclear   clarity = iota // not known
	clear                    // can be read
	encrypted                // can't
)

var securityTypes = []struct {
	number SecurityType
	name   string
	stream clarity
	origin string
}{
	{SecurityInvalid, "Invalid", clear, rfc},
	{SecurityNone, "None", clear, rfc},
	{SecurityVNCAuth, "VNC Authentication", clear, rfc},
	{SecurityRA2, "RA2", encrypted, "RealVNC"},
	{SecurityRA2ne, "RA2ne", clear, "RealVNC"},
	{SecuritySSPI, "SSPI", unclear, "RealVNC"},
	{SecuritySSPIne, "SSPIne", unclear, "RealVNC"},
	{SecurityRA2r, "RA2r", encrypted, "RealVNC"},
	{SecurityTight, "Tight", clear, tight},
	{SecurityUltra, "Ultra", clear, ultra},
	{SecurityTLS, "TLS", encrypted, "vino"},
	{SecurityVeNCrypt, "VeNCrypt", clear, tiger},
	{SecuritySASL, "SASL", unclear, "QEMU"},
	{SecurityMD5, "MD5", unclear, "registered"},
	{SecurityXVP, "xvp", clear, "xvp"},
	{SecuritySecureTunnel, "Secure Tunnel", encrypted, "registered"},
	{SecuritySSH, "Integrated SSH", encrypted, "registered"},
	{SecurityAppleDH, "Apple DH", clear, "Apple"},
	{SecurityUltraPrompt, "UltraPrompt", clear, ultra},
	{SecurityUltraSession, "UltraSession", clear, ultra},
	{SecurityMSLogonI, "MSLogonI", clear, ultra},
	{SecurityMSLogonII, "MSLogonII", clear, ultra},
	{SecuritySecureVNC, "SecureVNC", encrypted, ultra},
	{SecuritySecureVNCNew, "SecureVNCNew", encrypted, ultra},
	{SecurityUltraExtra, "UltraExtra", clear, ultra},
	{SecurityUltraExtra2, "UltraExtra2", clear, ultra},
	{SecurityMSLogonIII, "MSLogonIII", clear, ultra},
	{SecurityRA2_256, "RA2_256", encrypted, "RealVNC"},
	{SecurityRA2ne_256, "RA2ne_256", clear, "RealVNC"},
	{SecurityRA2r_256, "RA2r_256", encrypted, "RealVNC"},
}

// String names the type, or gives its number if it has no name here: those of
// RealVNC (3, 4, 9 to 12, 14, 15, 128 to 255) and Apple (31 to 36) are
// registered without one.
func (t SecurityType) String() string {
	for _, known := range securityTypes {
		if known.number == t {
			return known.name
		}
	}
	switch {
	case t >= 31 && t <= 36:
		return fmt.Sprintf("Apple(%d)", uint8(t))
	case t == 3, t == 4, t >= 9 && t <= 12, t == 14, t == 15, t >= 128:
		return fmt.Sprintf("RealVNC(%d)", uint8(t))
	}
	return fmt.Sprintf("SecurityType(%d)", uint8(t))
}

// legacyMSLogon is what UltraVNC's servers send in 3.3, where a type has four
// bytes, to have a viewer log in with a Windows account (rfbproto.h of UltraVNC).
const legacyMSLogon = 0xfffffffa

// largeType names a security type of 3.3 that is no [SecurityType].
func largeType(n uint32) string {
	if n == legacyMSLogon {
		return "UltraVNC's MSLogon (0xfffffffa)"
	}
	return fmt.Sprintf("SecurityType(%d)", n)
}

// stream is what t does to the stream after it. VeNCrypt's and Tight's depends
// on what follows.
func (t SecurityType) stream() clarity {
	for _, known := range securityTypes {
		if known.number == t {
			return known.stream
		}
	}
	return unclear
}

// Encrypts reports whether t encrypts the stream after it, so that nobody
// between the peers can read it. False doesn't promise the opposite: of some
// types it isn't known.
func (t SecurityType) Encrypts() bool { return t.stream() == encrypted }

// A VeNCryptType is what is chosen inside [SecurityVeNCrypt]: one of these, or
// the number of a [SecurityType].
type VeNCryptType uint32

// The sub-types, from the community's specification (rfbproto.rst, "VeNCrypt").
// It gives TLSSASL and X509SASL the numbers 263 and 264, QEMU and libvncserver
// 264 and 263.
const (
	VeNCryptPlain     VeNCryptType = 256 // user and password, clear
	VeNCryptTLSNone   VeNCryptType = 257 // anonymous TLS, then nothing
	VeNCryptTLSVnc    VeNCryptType = 258 // anonymous TLS, then VNC authentication
	VeNCryptTLSPlain  VeNCryptType = 259 // anonymous TLS, then Plain
	VeNCryptX509None  VeNCryptType = 260 // TLS with certificates, then nothing
	VeNCryptX509Vnc   VeNCryptType = 261 // TLS with certificates, then VNC authentication
	VeNCryptX509Plain VeNCryptType = 262 // TLS with certificates, then Plain
	VeNCryptTLSSASL   VeNCryptType = 263 // anonymous TLS, then SASL
	VeNCryptX509SASL  VeNCryptType = 264 // TLS with certificates, then SASL
	VeNCryptIdent     VeNCryptType = 265 // user, clear
	VeNCryptTLSIdent  VeNCryptType = 266 // anonymous TLS, then Ident
	VeNCryptX509Ident VeNCryptType = 267 // TLS with certificates, then Ident
)

var veNCryptNames = [...]string{
	"Plain", "TLSNone", "TLSVnc", "TLSPlain", "X509None", "X509Vnc", "X509Plain", "TLSSASL", "X509SASL",
	"Ident", "TLSIdent", "X509Ident",
}

// String names the type.
func (t VeNCryptType) String() string {
	switch {
	case t < VeNCryptPlain:
		return SecurityType(t).String()
	case int(t-VeNCryptPlain) < len(veNCryptNames):
		return veNCryptNames[t-VeNCryptPlain]
	}
	return fmt.Sprintf("VeNCryptType(%d)", uint32(t))
}

// Encrypts reports whether t encrypts the stream, as all those do that are
// named after TLS and X.509.
func (t VeNCryptType) Encrypts() bool {
	if t < VeNCryptPlain {
		return SecurityType(t).Encrypts()
	}
	return t != VeNCryptPlain && t != VeNCryptIdent
}

// described are names of types, with a word about those that encrypt.
func described[T interface {
	fmt.Stringer
	Encrypts() bool
}](types []T) (s string) {
	for _, t := range types {
		if s += ", " + t.String(); t.Encrypts() {
			s += " (encrypts the stream)"
		}
	}
	return s[min(len(s), 2):]
}

// The SecurityResult message (RFC 6143 §7.1.3).
const (
	resultOK       uint32 = 0
	resultFailed   uint32 = 1
	resultTooMany  uint32 = 2
	resultContinue uint32 = 0xffffffff // UltraVNC: more types follow
)

// challengeLen is the length of VNC authentication's challenge and response.
const challengeLen = 16

// vncResponse is the answer to a challenge (RFC 6143 §7.2.2): it encrypted
// with DES, the key being the first eight bytes of the password, the bits of
// each the wrong way round. It is no protection against anybody who can listen.
func vncResponse(challenge [challengeLen]byte, password string) (response [challengeLen]byte) {
	var key [des.BlockSize]byte
	copy(key[:], password)
	for i, b := range key {
		key[i] = bits.Reverse8(b)
	}
	block, err := des.NewCipher(key[:])
	if err != nil {
		panic(err) // of the key's length
	}
	for i := 0; i < challengeLen; i += des.BlockSize {
		block.Encrypt(response[i:], challenge[i:])
	}
	return response
}

// firstOf is the first of types that is in list.
func firstOf[T comparable](list []T, types ...T) (T, bool) {
	for _, t := range types {
		if slices.Contains(list, t) {
			return t, true
		}
	}
	var none T
	return none, false
}
