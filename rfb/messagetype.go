package rfb

import "fmt"

// A ClientMessageType is the first byte of a message from viewer to server
// (RFC 6143 §7.5 and the registry of the community's specification, rfbproto.rst,
// which is meant by "community"). Some
// numbers mean different things to different servers, which is why a message
// whose length isn't beyond doubt ends a session; see [Relay].
type ClientMessageType uint8

// The types that have a [Message] in this package. Those of vendors are in package
// [vda.internal/shadow/rfb/vendors].
const (
	ClientSetPixelFormat           ClientMessageType = 0   // RFC 6143 §7.5.1
	ClientSetEncodings             ClientMessageType = 2   // RFC 6143 §7.5.2
	ClientFramebufferUpdateRequest ClientMessageType = 3   // RFC 6143 §7.5.3
	ClientKeyEvent                 ClientMessageType = 4   // RFC 6143 §7.5.4
	ClientPointerEvent             ClientMessageType = 5   // RFC 6143 §7.5.5
	ClientCutText                  ClientMessageType = 6   // RFC 6143 §7.5.6, and the extended clipboard
	ClientEnableContinuousUpdates  ClientMessageType = 150 // TigerVNC
	ClientFence                    ClientMessageType = 248 // TigerVNC
	ClientXVP                      ClientMessageType = 250 // community, xvp: shut down, reboot, reset
	ClientSetDesktopSize           ClientMessageType = 251 // TigerVNC
	ClientQEMU                     ClientMessageType = 255 // QEMU: extended keys, audio
)

// A ServerMessageType is the first byte of a message from server to viewer
// (RFC 6143 §7.6 and the registry of the community's specification).
type ServerMessageType uint8

// The types that have a [Message] in this package. Those of vendors are in package
// [vda.internal/shadow/rfb/vendors].
const (
	ServerFramebufferUpdate      ServerMessageType = 0   // RFC 6143 §7.6.1
	ServerSetColorMapEntries     ServerMessageType = 1   // RFC 6143 §7.6.2; the community's spelling is Colour
	ServerBell                   ServerMessageType = 2   // RFC 6143 §7.6.3
	ServerCutText                ServerMessageType = 3   // RFC 6143 §7.6.4, and the extended clipboard
	ServerEndOfContinuousUpdates ServerMessageType = 150 // TigerVNC
	ServerFence                  ServerMessageType = 248 // TigerVNC
	ServerXVP                    ServerMessageType = 250 // community, xvp: power is there, or failed
	ServerQEMU                   ServerMessageType = 255 // QEMU: audio
)

// String names the type, or gives its number if it has no name here.
func (t ClientMessageType) String() string {
	if s := clientMessages[t].name; s != "" {
		return s
	}
	return fmt.Sprintf("ClientMessageType(%d)", uint8(t))
}

// String names the type, or gives its number if it has no name here.
func (t ServerMessageType) String() string {
	if s := serverMessages[t].name; s != "" {
		return s
	}
	return fmt.Sprintf("ServerMessageType(%d)", uint8(t))
}
