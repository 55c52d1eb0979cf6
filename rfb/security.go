package rfb

import "fmt"

// A SecurityType is how a connection is authenticated and whether it is
// encrypted (RFC 6143 §7.1.2 and the registry of the community's
// specification).
type SecurityType uint8

// The security types that servers are seen to offer. [Connect] chooses
// SecurityNone; the others have names for the sake of its errors.
const (
	SecurityInvalid   SecurityType = 0   // no choice: a reason follows and the server closes
	SecurityNone      SecurityType = 1   // no authentication, clear stream (RFC 6143 §7.2.1)
	SecurityVNCAuth   SecurityType = 2   // DES challenge and response (RFC 6143 §7.2.2)
	SecurityRA2       SecurityType = 5   // RealVNC, encrypted
	SecurityRA2ne     SecurityType = 6   // RealVNC, handshake encrypted only
	SecurityTight     SecurityType = 16  // TightVNC tunnels and capabilities
	SecurityUltra     SecurityType = 17  // UltraVNC
	SecurityTLS       SecurityType = 18  // anonymous TLS, vino
	SecurityVeNCrypt  SecurityType = 19  // sub-types, most of them TLS
	SecuritySASL      SecurityType = 20  // GTK-VNC and QEMU
	SecurityXVP       SecurityType = 22  // Colin Dean's xvp
	SecurityAppleDH   SecurityType = 30  // Apple Remote Desktop
	SecurityMSLogonII SecurityType = 113 // UltraVNC, Microsoft logon
	SecurityRA2_256   SecurityType = 129 // RealVNC, encrypted
)

var securityNames = map[SecurityType]string{
	SecurityInvalid: "Invalid", SecurityNone: "None", SecurityVNCAuth: "VNC Authentication",
	SecurityRA2: "RA2", SecurityRA2ne: "RA2ne", SecurityTight: "Tight", SecurityUltra: "Ultra",
	SecurityTLS: "TLS", SecurityVeNCrypt: "VeNCrypt", SecuritySASL: "SASL", SecurityXVP: "xvp",
	SecurityAppleDH: "Apple DH", SecurityMSLogonII: "MSLogonII", SecurityRA2_256: "RA2_256",
}

// String names the type, or gives its number if it has no name here.
func (t SecurityType) String() string {
	if s, ok := securityNames[t]; ok {
		return s
	}
	return fmt.Sprintf("SecurityType(%d)", uint8(t))
}

// The SecurityResult message (RFC 6143 §7.1.3).
const (
	resultOK     uint32 = 0
	resultFailed uint32 = 1
)
