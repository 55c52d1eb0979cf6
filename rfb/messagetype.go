package rfb

import "fmt"

// A ClientMessageType is the first byte of a message from viewer to server
// (RFC 6143 §7.5 and the registry of the community's specification, rfbproto.rst,
// which is meant by "community"). Some
// numbers mean different things to different servers, which is why a message
// whose length isn't beyond doubt ends a session; see [ViewOnly].
type ClientMessageType uint8

// The types that are registered or seen. Those with a layout that is public
// have a [Message], named after them.
const (
	ClientSetPixelFormat           ClientMessageType = 0   // RFC 6143 §7.5.1
	ClientFixColourMapEntries      ClientMessageType = 1   // withdrawn before RFC 6143
	ClientSetEncodings             ClientMessageType = 2   // RFC 6143 §7.5.2
	ClientFramebufferUpdateRequest ClientMessageType = 3   // RFC 6143 §7.5.3
	ClientKeyEvent                 ClientMessageType = 4   // RFC 6143 §7.5.4
	ClientPointerEvent             ClientMessageType = 5   // RFC 6143 §7.5.5
	ClientCutText                  ClientMessageType = 6   // RFC 6143 §7.5.6, and the extended clipboard
	ClientFileTransfer             ClientMessageType = 7   // UltraVNC
	ClientSetScale                 ClientMessageType = 8   // UltraVNC
	ClientSetServerInput           ClientMessageType = 9   // UltraVNC
	ClientSetSW                    ClientMessageType = 10  // UltraVNC: single window; moves the pointer
	ClientTextChat                 ClientMessageType = 11  // UltraVNC
	ClientKeyFrameRequest          ClientMessageType = 12  // UltraVNC, obsolete; layout unpublished
	ClientKeepAlive                ClientMessageType = 13  // UltraVNC
	ClientUltra14                  ClientMessageType = 14  // reserved for UltraVNC
	ClientPalmSetScaleFactor       ClientMessageType = 15  // PalmVNC
	ClientUltra16                  ClientMessageType = 16  // reserved for UltraVNC
	ClientUltra17                  ClientMessageType = 17  // reserved for UltraVNC
	ClientUltra18                  ClientMessageType = 18  // reserved for UltraVNC
	ClientUltra19                  ClientMessageType = 19  // reserved for UltraVNC
	ClientRequestSession           ClientMessageType = 20  // UltraVNC
	ClientSetSession               ClientMessageType = 21  // UltraVNC
	ClientNotifyPluginStreaming    ClientMessageType = 80  // UltraVNC: the stream becomes ciphertext
	ClientVMware                   ClientMessageType = 127 // VMware; layout unpublished
	ClientCarConnectivity          ClientMessageType = 128 // MirrorLink
	ClientTightFileList            ClientMessageType = 130 // TightVNC 1.3
	ClientTightDownloadRequest     ClientMessageType = 131 // TightVNC 1.3
	ClientTightUploadRequest       ClientMessageType = 132 // TightVNC 1.3
	ClientTightUploadData          ClientMessageType = 133 // TightVNC 1.3
	ClientTightDownloadCancel      ClientMessageType = 134 // TightVNC 1.3
	ClientTightUploadFailed        ClientMessageType = 135 // TightVNC 1.3
	ClientTightCreateDirectory     ClientMessageType = 136 // TightVNC 1.3
	ClientEnableContinuousUpdates  ClientMessageType = 150 // TigerVNC
	ClientVideoRectangleSelection  ClientMessageType = 151 // TightVNC 2
	ClientKasmRequestStats         ClientMessageType = 178 // KasmVNC, as all to 191; they differ between its versions
	ClientKasmFrameStats           ClientMessageType = 179 // KasmVNC
	ClientKasmBinaryClipboard      ClientMessageType = 180 // KasmVNC
	ClientKasmUpgradeToUDP         ClientMessageType = 181 // KasmVNC
	ClientKasmSubscribeUnixRelay   ClientMessageType = 182 // KasmVNC
	ClientKasmUnixRelay            ClientMessageType = 183 // KasmVNC
	ClientKasmVideoEncoders        ClientMessageType = 184 // KasmVNC
	ClientKasmKeepAlive            ClientMessageType = 185 // KasmVNC
	ClientKasmDirectMouse          ClientMessageType = 188 // KasmVNC: the pointer
	ClientKasmLatency              ClientMessageType = 189 // KasmVNC
	ClientKasmNetworkStats         ClientMessageType = 190 // KasmVNC
	ClientKasmSystemStats          ClientMessageType = 191 // KasmVNC
	ClientReplitAudio              ClientMessageType = 245 // replit/rfbproxy
	ClientFence                    ClientMessageType = 248 // TigerVNC
	ClientOLIVECallControl         ClientMessageType = 249 // OLIVE; layout unpublished
	ClientXVP                      ClientMessageType = 250 // community, xvp: shut down, reboot, reset
	ClientSetDesktopSize           ClientMessageType = 251 // TigerVNC
	ClientTight2                   ClientMessageType = 252 // TightVNC 2; KasmVNC's SetMaxVideoResolution
	ClientGII                      ClientMessageType = 253 // community: general input interface
	ClientVMware2                  ClientMessageType = 254 // VMware, layout unpublished; UltraVNC's SetMonitor
	ClientQEMU                     ClientMessageType = 255 // QEMU: extended keys, audio
)

// A ServerMessageType is the first byte of a message from server to viewer
// (RFC 6143 §7.6 and the registry of the community's specification).
type ServerMessageType uint8

// The types that are registered or seen. Those with a layout that is public
// have a [Message], named after them.
const (
	ServerFramebufferUpdate      ServerMessageType = 0   // RFC 6143 §7.6.1
	ServerSetColorMapEntries     ServerMessageType = 1   // RFC 6143 §7.6.2; the community's spelling is Colour
	ServerBell                   ServerMessageType = 2   // RFC 6143 §7.6.3
	ServerCutText                ServerMessageType = 3   // RFC 6143 §7.6.4, and the extended clipboard
	ServerResizeFrameBuffer      ServerMessageType = 4   // UltraVNC
	ServerKeyFrameUpdate         ServerMessageType = 5   // UltraVNC, obsolete; layout unpublished
	ServerFileTransfer           ServerMessageType = 7   // UltraVNC
	ServerTextChat               ServerMessageType = 11  // UltraVNC
	ServerKeepAlive              ServerMessageType = 13  // UltraVNC
	ServerPalmResizeFrameBuffer  ServerMessageType = 15  // PalmVNC
	ServerVMware                 ServerMessageType = 127 // VMware; layout unpublished
	ServerCarConnectivity        ServerMessageType = 128 // MirrorLink
	ServerTightFileList          ServerMessageType = 130 // TightVNC 1.3
	ServerTightDownloadData      ServerMessageType = 131 // TightVNC 1.3
	ServerTightUploadCancel      ServerMessageType = 132 // TightVNC 1.3
	ServerTightDownloadFailed    ServerMessageType = 133 // TightVNC 1.3
	ServerEndOfContinuousUpdates ServerMessageType = 150 // TigerVNC
	ServerState                  ServerMessageType = 173 // UltraVNC
	ServerKasmStats              ServerMessageType = 178 // KasmVNC, as all to 191
	ServerKasmRequestFrameStats  ServerMessageType = 179 // KasmVNC
	ServerKasmBinaryClipboard    ServerMessageType = 180 // KasmVNC
	ServerKasmUpgradeToUDP       ServerMessageType = 181 // KasmVNC
	ServerKasmSubscribeUnixRelay ServerMessageType = 182 // KasmVNC
	ServerKasmUnixRelay          ServerMessageType = 183 // KasmVNC
	ServerKasmVideoEncoders      ServerMessageType = 184 // KasmVNC
	ServerKasmDisconnect         ServerMessageType = 186 // KasmVNC
	ServerKasmForceGameMode      ServerMessageType = 187 // KasmVNC
	ServerKasmLatency            ServerMessageType = 189 // KasmVNC
	ServerKasmNetworkStats       ServerMessageType = 190 // KasmVNC
	ServerKasmSystemStats        ServerMessageType = 191 // KasmVNC
	ServerFence                  ServerMessageType = 248 // TigerVNC
	ServerOLIVECallControl       ServerMessageType = 249 // OLIVE; layout unpublished
	ServerXVP                    ServerMessageType = 250 // community, xvp: power is there, or failed
	ServerTight2                 ServerMessageType = 252 // TightVNC 2; UltraVNC's MonitorInfo
	ServerGII                    ServerMessageType = 253 // community: general input interface; KasmVNC: somebody has joined
	ServerVMware2                ServerMessageType = 254 // VMware, layout unpublished; KasmVNC: somebody has left
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
