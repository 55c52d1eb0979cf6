package rfb

import "fmt"

// A ClientMessageType is the first byte of a message from viewer to server
// (RFC 6143 §7.5 and the registry of the community's specification). Some
// numbers mean different things to different servers; see [ViewOnly] for what
// is done about each.
type ClientMessageType uint8

// The types whose layout is public.
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
	ClientKeepAlive                ClientMessageType = 13  // UltraVNC
	ClientPalmSetScaleFactor       ClientMessageType = 15  // PalmVNC
	ClientRequestSession           ClientMessageType = 20  // UltraVNC
	ClientSetSession               ClientMessageType = 21  // UltraVNC
	ClientNotifyPluginStreaming    ClientMessageType = 80  // UltraVNC: the stream becomes ciphertext
	ClientVMware                   ClientMessageType = 127 // VMware
	ClientCarConnectivity          ClientMessageType = 128 // MirrorLink
	ClientTightFileList            ClientMessageType = 130 // TightVNC 1.3; up to 136
	ClientTightCreateDirectory     ClientMessageType = 136 // TightVNC 1.3
	ClientEnableContinuousUpdates  ClientMessageType = 150 // TigerVNC
	ClientVideoRectangleSelection  ClientMessageType = 151 // TightVNC
	ClientKasmRequestStats         ClientMessageType = 178 // KasmVNC; up to 191
	ClientKasmLast                 ClientMessageType = 191 // KasmVNC
	ClientReplitAudio              ClientMessageType = 245 // Replit
	ClientFence                    ClientMessageType = 248 // TigerVNC
	ClientOLIVECallControl         ClientMessageType = 249 // OLIVE
	ClientXVP                      ClientMessageType = 250 // shut down, reboot, reset
	ClientSetDesktopSize           ClientMessageType = 251 // TigerVNC
	ClientTight2                   ClientMessageType = 252 // TightVNC 2; others use the number too
	ClientGII                      ClientMessageType = 253 // general input interface
	ClientVMware2                  ClientMessageType = 254 // VMware; UltraVNC's SetMonitor
	ClientQEMU                     ClientMessageType = 255 // QEMU: extended keys, audio
)

var clientMessageNames = map[ClientMessageType]string{
	ClientSetPixelFormat: "SetPixelFormat", ClientFixColourMapEntries: "FixColourMapEntries",
	ClientSetEncodings: "SetEncodings", ClientFramebufferUpdateRequest: "FramebufferUpdateRequest",
	ClientKeyEvent: "KeyEvent", ClientPointerEvent: "PointerEvent", ClientCutText: "ClientCutText",
	ClientFileTransfer: "FileTransfer", ClientSetScale: "SetScale", ClientSetServerInput: "SetServerInput",
	ClientSetSW: "SetSW", ClientTextChat: "TextChat", ClientKeepAlive: "KeepAlive",
	ClientPalmSetScaleFactor: "PalmSetScaleFactor", ClientRequestSession: "RequestSession",
	ClientSetSession: "SetSession", ClientNotifyPluginStreaming: "NotifyPluginStreaming",
	ClientVMware: "VMware", ClientCarConnectivity: "CarConnectivity",
	ClientTightFileList: "TightFileList", ClientTightCreateDirectory: "TightCreateDirectory",
	ClientEnableContinuousUpdates: "EnableContinuousUpdates",
	ClientVideoRectangleSelection: "VideoRectangleSelection", ClientKasmRequestStats: "KasmRequestStats",
	ClientReplitAudio: "ReplitAudio", ClientFence: "ClientFence", ClientOLIVECallControl: "OLIVECallControl",
	ClientXVP: "xvp", ClientSetDesktopSize: "SetDesktopSize", ClientTight2: "Tight2", ClientGII: "gii",
	ClientVMware2: "VMware2", ClientQEMU: "QEMU",
}

// String names the type, or gives its number if it has no name here.
func (t ClientMessageType) String() string {
	if s, ok := clientMessageNames[t]; ok {
		return s
	}
	return fmt.Sprintf("ClientMessageType(%d)", uint8(t))
}

// A ServerMessageType is the first byte of a message from server to viewer
// (RFC 6143 §7.6 and the registry of the community's specification).
type ServerMessageType uint8

// The types whose layout is public.
const (
	ServerFramebufferUpdate      ServerMessageType = 0   // RFC 6143 §7.6.1
	ServerSetColorMapEntries     ServerMessageType = 1   // RFC 6143 §7.6.2; the community's spelling is Colour
	ServerBell                   ServerMessageType = 2   // RFC 6143 §7.6.3
	ServerCutText                ServerMessageType = 3   // RFC 6143 §7.6.4, and the extended clipboard
	ServerResizeFrameBuffer      ServerMessageType = 4   // UltraVNC
	ServerFileTransfer           ServerMessageType = 7   // UltraVNC
	ServerTextChat               ServerMessageType = 11  // UltraVNC
	ServerKeepAlive              ServerMessageType = 13  // UltraVNC
	ServerPalmResizeFrameBuffer  ServerMessageType = 15  // PalmVNC
	ServerTightFileTransfer      ServerMessageType = 130 // TightVNC 1.3; up to 133
	ServerEndOfContinuousUpdates ServerMessageType = 150 // TigerVNC
	ServerState                  ServerMessageType = 173 // UltraVNC
	ServerFence                  ServerMessageType = 248 // TigerVNC
	ServerXVP                    ServerMessageType = 250
	ServerTight2                 ServerMessageType = 252 // TightVNC 2
	ServerGII                    ServerMessageType = 253
	ServerQEMU                   ServerMessageType = 255 // QEMU: audio
)

var serverMessageNames = map[ServerMessageType]string{
	ServerFramebufferUpdate: "FramebufferUpdate", ServerSetColorMapEntries: "SetColorMapEntries",
	ServerBell: "Bell", ServerCutText: "ServerCutText", ServerResizeFrameBuffer: "ResizeFrameBuffer",
	ServerFileTransfer: "FileTransfer", ServerTextChat: "TextChat", ServerKeepAlive: "KeepAlive",
	ServerPalmResizeFrameBuffer: "PalmResizeFrameBuffer", ServerTightFileTransfer: "TightFileTransfer",
	ServerEndOfContinuousUpdates: "EndOfContinuousUpdates", ServerState: "ServerState",
	ServerFence: "ServerFence", ServerXVP: "xvp", ServerTight2: "Tight2", ServerGII: "gii", ServerQEMU: "QEMU",
}

// String names the type, or gives its number if it has no name here.
func (t ServerMessageType) String() string {
	if s, ok := serverMessageNames[t]; ok {
		return s
	}
	return fmt.Sprintf("ServerMessageType(%d)", uint8(t))
}
