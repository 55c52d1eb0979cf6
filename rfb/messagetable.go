package rfb

// A message is what this package knows of a type of message, and what becomes
// of one. The tables below are all there is: the filter, the walker, the
// dissector and the documentation read them.
type message struct {
	name    string
	new     func() Message // an empty one to read into; nil: the layout isn't public
	head    uint8          // bytes until the length is known, the type included; 0: it never is
	view    verdict        // under ViewOnly
	control verdict        // under Control
	layout  string         // for people
	origin  string         // who defined it, for people
}

// of is an empty message to read into.
func of[T any, P interface {
	*T
	Message
}]() Message {
	return P(new(T))
}

// A verdict is what becomes of a message. The zero verdict ends the session.
type verdict uint8

const (
	unknown   verdict = iota // ends the session: its length isn't known
	forbidden                // ends the session
	dropped                  // is parsed to its end and goes nowhere
	passes                   // is parsed, checked and, towards the server, written anew
	agreedTo                 // passes if both peers have asked for it, is dropped or forbidden otherwise
)

const (
	rfc   = "RFC 6143"
	ultra = "UltraVNC"
	tight = "TightVNC"
	tiger = "community"
	kasm  = "KasmVNC"
)

// clientMessages are the messages of a viewer.
var clientMessages = [256]message{
	ClientSetPixelFormat:           {"SetPixelFormat", of[SetPixelFormat], setPixelFormatLen, passes, passes, "20", rfc},
	ClientFixColourMapEntries:      {"FixColourMapEntries", of[FixColourMapEntries], 0, unknown, unknown, "6 + 6·n; dead", "withdrawn"},
	ClientSetEncodings:             {"SetEncodings", of[SetEncodings], 4, passes, passes, "4 + 4·n", rfc},
	ClientFramebufferUpdateRequest: {"FramebufferUpdateRequest", of[FramebufferUpdateRequest], framebufferUpdateRequestLen, passes, passes, "10", rfc},
	ClientKeyEvent:                 {"KeyEvent", of[KeyEvent], 8, dropped, passes, "8", rfc},
	ClientPointerEvent:             {"PointerEvent", of[PointerEvent], 6, dropped, passes, "6; 7 if ExtendedMouse was confirmed", rfc},
	ClientCutText:                  {"ClientCutText", of[CutText], 8, dropped, passes, "8 + n; a negative n is the extended clipboard's", rfc},
	ClientFileTransfer:             {"FileTransfer", of[FileTransfer], 0, forbidden, forbidden, "12 + n, n not to be relied on", ultra},
	ClientSetScale:                 {"SetScale", of[SetScale], 0, forbidden, forbidden, "4", ultra},
	ClientSetServerInput:           {"SetServerInput", of[SetServerInput], 0, forbidden, forbidden, "4", ultra},
	ClientSetSW:                    {"SetSW", of[SetSW], 0, forbidden, forbidden, "6", ultra},
	ClientTextChat:                 {"TextChat", of[TextChat], 0, forbidden, forbidden, "8 + n; three values of n without data", ultra},
	ClientKeyFrameRequest:          {name: "KeyFrameRequest", origin: ultra},
	ClientKeepAlive:                {"KeepAlive", of[KeepAlive], 1, dropped, dropped, "1", ultra},
	ClientUltra14:                  {name: "Ultra14", origin: ultra},
	ClientPalmSetScaleFactor:       {"PalmSetScaleFactor", of[PalmSetScaleFactor], 0, forbidden, forbidden, "4", "PalmVNC"},
	ClientUltra16:                  {name: "Ultra16", origin: ultra},
	ClientUltra17:                  {name: "Ultra17", origin: ultra},
	ClientUltra18:                  {name: "Ultra18", origin: ultra},
	ClientUltra19:                  {name: "Ultra19", origin: ultra},
	ClientRequestSession:           {"RequestSession", of[RequestSession], 0, forbidden, forbidden, "1", ultra},
	ClientSetSession:               {"SetSession", of[SetSession], 0, forbidden, forbidden, "2", ultra},
	ClientNotifyPluginStreaming:    {"NotifyPluginStreaming", of[NotifyPluginStreaming], 0, forbidden, forbidden, "4; the stream becomes ciphertext", ultra},
	ClientVMware:                   {name: "VMware", view: forbidden, control: forbidden, origin: "VMware"},
	ClientCarConnectivity:          {"CarConnectivity", of[CarConnectivity], 0, forbidden, forbidden, "4 + n", "MirrorLink"},
	ClientTightFileList:            {"TightFileListRequest", of[TightFileListRequest], 0, forbidden, forbidden, "4 + n", tight},
	ClientTightDownloadRequest:     {"TightDownloadRequest", of[TightFileRequest], 0, forbidden, forbidden, "8 + n", tight},
	ClientTightUploadRequest:       {"TightUploadRequest", of[TightFileRequest], 0, forbidden, forbidden, "8 + n", tight},
	ClientTightUploadData:          {"TightUploadData", of[TightFileData], 0, forbidden, forbidden, "6 + n; 10 at the end", tight},
	ClientTightDownloadCancel:      {"TightDownloadCancel", of[TightFileNote], 0, forbidden, forbidden, "4 + n", tight},
	ClientTightUploadFailed:        {"TightUploadFailed", of[TightFileNote], 0, forbidden, forbidden, "4 + n", tight},
	ClientTightCreateDirectory:     {"TightCreateDirectory", of[TightFileNote], 0, forbidden, forbidden, "4 + n", tight},
	ClientEnableContinuousUpdates:  {"EnableContinuousUpdates", of[EnableContinuousUpdates], enableContinuousUpdatesLen, agreedTo, agreedTo, "10", tiger},
	ClientVideoRectangleSelection:  {"VideoRectangleSelection", of[VideoRectangleSelection], 0, forbidden, forbidden, "10", tight},
	ClientKasmRequestStats:         {"KasmRequestStats", of[KasmRequest], 0, forbidden, forbidden, "4", kasm},
	ClientKasmFrameStats:           {"KasmFrameStats", of[KasmFrameStats], 0, forbidden, forbidden, "12", kasm},
	ClientKasmBinaryClipboard:      {"KasmBinaryClipboard", of[KasmClipboard], 0, forbidden, forbidden, "2 + 5·n + mime + data; each of n is U8, MIME type, U32, data", kasm},
	ClientKasmUpgradeToUDP:         {"KasmUpgradeToUDP", of[KasmUpgradeToUDP], 0, forbidden, forbidden, "3 + n", kasm},
	ClientKasmSubscribeUnixRelay:   {"KasmSubscribeUnixRelay", of[KasmSubscribeUnixRelay], 0, forbidden, forbidden, "2 + n", kasm},
	ClientKasmUnixRelay:            {"KasmUnixRelay", of[KasmUnixRelay], 0, forbidden, forbidden, "6 + name + n", kasm},
	ClientKasmVideoEncoders:        {"KasmVideoEncoders", of[KasmVideoEncoders], 0, forbidden, forbidden, "2 + 4·n", kasm},
	ClientKasmKeepAlive:            {"KasmKeepAlive", of[KasmKeepAlive], 0, forbidden, forbidden, "1", kasm},
	ClientKasmDirectMouse:          {"KasmDirectMouse", of[KasmDirectMouse], 0, forbidden, forbidden, "10", kasm},
	ClientKasmLatency:              {"KasmLatency", of[KasmLatency], 0, forbidden, forbidden, "8", kasm},
	ClientKasmNetworkStats:         {"KasmNetworkStats", of[KasmRequest], 0, forbidden, forbidden, "4", kasm},
	ClientKasmSystemStats:          {"KasmSystemStats", of[KasmRequest], 0, forbidden, forbidden, "4", kasm},
	ClientReplitAudio:              {"ReplitAudio", of[ReplitAudio], 0, forbidden, forbidden, "4 + n", "Replit"},
	ClientFence:                    {"ClientFence", of[Fence], fenceLen, agreedTo, agreedTo, "9 + n, n up to 64", tiger},
	ClientOLIVECallControl:         {name: "OLIVECallControl", view: forbidden, control: forbidden, origin: "OLIVE"},
	ClientXVP:                      {"xvp", of[XVP], 4, forbidden, agreedTo, "4", tiger},
	ClientSetDesktopSize:           {"SetDesktopSize", of[SetDesktopSize], 8, dropped, agreedTo, "8 + 16·n", tiger},
	ClientTight2:                   {"Tight2", of[Tight2], 0, forbidden, forbidden, "U32 code and what it says; KasmVNC: 5", tight},
	ClientGII:                      {"gii", of[GII], 0, forbidden, forbidden, "4 + n, byte order in the message", tiger},
	ClientVMware2:                  {name: "VMware2", view: forbidden, control: forbidden, layout: "unpublished, differs between servers; UltraVNC: 4", origin: "VMware"},
	ClientQEMU:                     {"QEMU", of[QEMUKeyEvent], 4, dropped, agreedTo, "key: 12; audio: 4 or 10; any other unknown", tiger},
}

// serverMessages are the messages of a server.
var serverMessages = [256]message{
	ServerFramebufferUpdate:      {"FramebufferUpdate", of[FramebufferUpdate], 4, passes, passes, "4 and rectangles", rfc},
	ServerSetColorMapEntries:     {"SetColorMapEntries", of[SetColorMapEntries], 6, agreedTo, agreedTo, "6 + 6·n", rfc},
	ServerBell:                   {"Bell", of[Bell], 1, passes, passes, "1", rfc},
	ServerCutText:                {"ServerCutText", of[CutText], 8, dropped, passes, "8 + n; a negative n is the extended clipboard's", rfc},
	ServerResizeFrameBuffer:      {"ResizeFrameBuffer", of[ResizeFrameBuffer], 6, forbidden, forbidden, "6", ultra},
	ServerKeyFrameUpdate:         {name: "KeyFrameUpdate", origin: ultra},
	ServerFileTransfer:           {"FileTransfer", of[FileTransfer], 12, forbidden, forbidden, "12 + n", ultra},
	ServerTextChat:               {"TextChat", of[TextChat], 8, forbidden, forbidden, "8 + n; three values of n without data", ultra},
	ServerKeepAlive:              {"KeepAlive", of[KeepAlive], 1, dropped, dropped, "1", ultra},
	ServerPalmResizeFrameBuffer:  {"PalmResizeFrameBuffer", of[PalmResizeFrameBuffer], 12, forbidden, forbidden, "12", "PalmVNC"},
	ServerVMware:                 {name: "VMware", origin: "VMware"},
	ServerCarConnectivity:        {"CarConnectivity", of[CarConnectivity], 4, forbidden, forbidden, "4 + n", "MirrorLink"},
	ServerTightFileList:          {"TightFileList", of[TightFileList], 8, forbidden, forbidden, "8 + 8·files + n", tight},
	ServerTightDownloadData:      {"TightDownloadData", of[TightFileData], 6, forbidden, forbidden, "6 + n; 10 at the end", tight},
	ServerTightUploadCancel:      {"TightUploadCancel", of[TightFileNote], 4, forbidden, forbidden, "4 + n", tight},
	ServerTightDownloadFailed:    {"TightDownloadFailed", of[TightFileNote], 4, forbidden, forbidden, "4 + n", tight},
	ServerEndOfContinuousUpdates: {"EndOfContinuousUpdates", of[EndOfContinuousUpdates], 1, agreedTo, agreedTo, "1", tiger},
	ServerState:                  {"ServerState", of[ServerStateMessage], 12, dropped, dropped, "12", ultra},
	ServerKasmStats:              {"KasmStats", of[KasmStats], 0, forbidden, forbidden, "8 + n", kasm},
	ServerKasmRequestFrameStats:  {"KasmRequestFrameStats", of[KasmRequestFrameStats], 0, forbidden, forbidden, "1", kasm},
	ServerKasmBinaryClipboard:    {"KasmBinaryClipboard", of[KasmServerClipboard], 0, forbidden, forbidden, "2 + 9·n + mime + data; each of n is U32, U8, MIME type, U32, data", kasm},
	ServerKasmUpgradeToUDP:       {"KasmUpgradeToUDP", of[KasmUpgradeToUDP], 0, forbidden, forbidden, "3 + n", kasm},
	ServerKasmSubscribeUnixRelay: {"KasmSubscribeUnixRelay", of[KasmUnixRelaySubscribed], 0, forbidden, forbidden, "3 + n", kasm},
	ServerKasmUnixRelay:          {"KasmUnixRelay", of[KasmUnixRelay], 0, forbidden, forbidden, "6 + name + n", kasm},
	ServerKasmVideoEncoders:      {"KasmVideoEncoders", of[KasmServerVideoEncoders], 0, forbidden, forbidden, "2 + 13·n + 4·presets; each of n has presets of its own", kasm},
	ServerKasmDisconnect:         {"KasmDisconnect", of[KasmServerDisconnect], 0, forbidden, forbidden, "9 + n", kasm},
	ServerKasmForceGameMode:      {"KasmForceGameMode", of[KasmForceGameMode], 0, forbidden, forbidden, "1", kasm},
	ServerKasmLatency:            {"KasmLatency", of[KasmLatency], 0, forbidden, forbidden, "8", kasm},
	ServerKasmNetworkStats:       {"KasmNetworkStats", of[KasmStats], 0, forbidden, forbidden, "8 + n", kasm},
	ServerKasmSystemStats:        {"KasmSystemStats", of[KasmStats], 0, forbidden, forbidden, "8 + n", kasm},
	ServerFence:                  {"ServerFence", of[Fence], fenceLen, agreedTo, agreedTo, "9 + n, n up to 64", tiger},
	ServerOLIVECallControl:       {name: "OLIVECallControl", origin: "OLIVE"},
	ServerXVP:                    {"xvp", of[XVP], 4, dropped, agreedTo, "4", tiger},
	ServerTight2:                 {"Tight2", of[Tight2], 0, forbidden, forbidden, "U32 code and what it says; UltraVNC: 4", tight},
	ServerGII:                    {"gii", of[GII], 4, forbidden, forbidden, "4 + n, byte order in the message", tiger},
	ServerVMware2:                {name: "VMware2", origin: "VMware"},
	ServerQEMU:                   {"QEMU", of[QEMUAudio], 4, dropped, agreedTo, "audio: 4, or 8 + n; any other unknown", tiger},
}
