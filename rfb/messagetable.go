package rfb

// A message is what this package knows of a type of message, and what becomes
// of one. The tables below are all there is: the filter, the walker, the
// dissector and the documentation read them.
type message struct {
	name    string
	new     func() Message // an empty one to read into; nil: the layout isn't public
	head    uint8          // bytes until the length is known, the type included; 0: it never is
	verdict verdict        // what becomes of one
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
	ClientSetPixelFormat:           {"SetPixelFormat", of[SetPixelFormat], setPixelFormatLen, passes, "20", rfc},
	1:                              {"FixColourMapEntries", nil, 0, unknown, "6 + 6·n; dead", "withdrawn"},
	ClientSetEncodings:             {"SetEncodings", of[SetEncodings], 4, passes, "4 + 4·n", rfc},
	ClientFramebufferUpdateRequest: {"FramebufferUpdateRequest", of[FramebufferUpdateRequest], framebufferUpdateRequestLen, passes, "10", rfc},
	ClientKeyEvent:                 {"KeyEvent", of[KeyEvent], 8, dropped, "8", rfc},
	ClientPointerEvent:             {"PointerEvent", of[PointerEvent], 6, dropped, "6; 7 if ExtendedMouse was confirmed", rfc},
	ClientCutText:                  {"ClientCutText", of[CutText], 8, dropped, "8 + n; a negative n is the extended clipboard's", rfc},
	7:                              {"FileTransfer", nil, 0, forbidden, "12 + n, n not to be relied on", ultra},
	8:                              {"SetScale", nil, 0, forbidden, "4", ultra},
	9:                              {"SetServerInput", nil, 0, forbidden, "4", ultra},
	10:                             {"SetSW", nil, 0, forbidden, "6", ultra},
	11:                             {"TextChat", nil, 0, forbidden, "8 + n; three values of n without data", ultra},
	12:                             {name: "KeyFrameRequest", origin: ultra},
	13:                             {"KeepAlive", nil, 1, dropped, "1", ultra},
	14:                             {name: "Ultra14", origin: ultra},
	15:                             {"PalmSetScaleFactor", nil, 0, forbidden, "4", "PalmVNC"},
	16:                             {name: "Ultra16", origin: ultra},
	17:                             {name: "Ultra17", origin: ultra},
	18:                             {name: "Ultra18", origin: ultra},
	19:                             {name: "Ultra19", origin: ultra},
	20:                             {"RequestSession", nil, 0, forbidden, "1", ultra},
	21:                             {"SetSession", nil, 0, forbidden, "2", ultra},
	80:                             {"NotifyPluginStreaming", nil, 0, forbidden, "4; the stream becomes ciphertext", ultra},
	127:                            {name: "VMware", verdict: forbidden, origin: "VMware"},
	128:                            {"CarConnectivity", nil, 0, forbidden, "4 + n", "MirrorLink"},
	130:                            {"TightFileListRequest", nil, 0, forbidden, "4 + n", tight},
	131:                            {"TightDownloadRequest", nil, 0, forbidden, "8 + n", tight},
	132:                            {"TightUploadRequest", nil, 0, forbidden, "8 + n", tight},
	133:                            {"TightUploadData", nil, 0, forbidden, "6 + n; 10 at the end", tight},
	134:                            {"TightDownloadCancel", nil, 0, forbidden, "4 + n", tight},
	135:                            {"TightUploadFailed", nil, 0, forbidden, "4 + n", tight},
	136:                            {"TightCreateDirectory", nil, 0, forbidden, "4 + n", tight},
	ClientEnableContinuousUpdates:  {"EnableContinuousUpdates", of[EnableContinuousUpdates], enableContinuousUpdatesLen, agreedTo, "10", tiger},
	151:                            {"VideoRectangleSelection", nil, 0, forbidden, "10", tight},
	178:                            {"KasmRequestStats", nil, 0, forbidden, "4", kasm},
	179:                            {"KasmFrameStats", nil, 0, forbidden, "12", kasm},
	180:                            {"KasmBinaryClipboard", nil, 0, forbidden, "2 + 5·n + mime + data; each of n is U8, MIME type, U32, data", kasm},
	181:                            {"KasmUpgradeToUDP", nil, 0, forbidden, "3 + n", kasm},
	182:                            {"KasmSubscribeUnixRelay", nil, 0, forbidden, "2 + n", kasm},
	183:                            {"KasmUnixRelay", nil, 0, forbidden, "6 + name + n", kasm},
	184:                            {"KasmVideoEncoders", nil, 0, forbidden, "2 + 4·n", kasm},
	185:                            {"KasmKeepAlive", nil, 0, forbidden, "1", kasm},
	188:                            {"KasmDirectMouse", nil, 0, forbidden, "10", kasm},
	189:                            {"KasmLatency", nil, 0, forbidden, "8", kasm},
	190:                            {"KasmNetworkStats", nil, 0, forbidden, "4", kasm},
	191:                            {"KasmSystemStats", nil, 0, forbidden, "4", kasm},
	245:                            {"ReplitAudio", nil, 0, forbidden, "4 + n", "Replit"},
	ClientFence:                    {"ClientFence", of[Fence], fenceLen, agreedTo, "9 + n, n up to 64", tiger},
	249:                            {name: "OLIVECallControl", verdict: forbidden, origin: "OLIVE"},
	ClientXVP:                      {"xvp", of[XVP], 4, forbidden, "4", tiger},
	ClientSetDesktopSize:           {"SetDesktopSize", of[SetDesktopSize], 8, dropped, "8 + 16·n", tiger},
	252:                            {"Tight2", nil, 0, forbidden, "U32 code and what it says; KasmVNC: 5", tight},
	253:                            {"gii", nil, 0, forbidden, "4 + n, byte order in the message", tiger},
	254:                            {name: "VMware2", verdict: forbidden, layout: "unpublished, differs between servers; UltraVNC: 4", origin: "VMware"},
	ClientQEMU:                     {"QEMU", of[QEMUKeyEvent], 4, dropped, "key: 12; audio: 4 or 10; any other unknown", tiger},
}

// serverMessages are the messages of a server.
var serverMessages = [256]message{
	ServerFramebufferUpdate:      {"FramebufferUpdate", of[FramebufferUpdate], 4, passes, "4 and rectangles", rfc},
	ServerSetColorMapEntries:     {"SetColorMapEntries", of[SetColorMapEntries], 6, agreedTo, "6 + 6·n", rfc},
	ServerBell:                   {"Bell", of[Bell], 1, passes, "1", rfc},
	ServerCutText:                {"ServerCutText", of[CutText], 8, dropped, "8 + n; a negative n is the extended clipboard's", rfc},
	4:                            {"ResizeFrameBuffer", nil, 6, forbidden, "6", ultra},
	5:                            {name: "KeyFrameUpdate", origin: ultra},
	7:                            {"FileTransfer", nil, 0, forbidden, "12 + n", ultra},
	11:                           {"TextChat", nil, 0, forbidden, "8 + n; three values of n without data", ultra},
	13:                           {"KeepAlive", nil, 1, dropped, "1", ultra},
	15:                           {"PalmResizeFrameBuffer", nil, 12, forbidden, "12", "PalmVNC"},
	127:                          {name: "VMware", origin: "VMware"},
	128:                          {"CarConnectivity", nil, 0, forbidden, "4 + n", "MirrorLink"},
	130:                          {"TightFileList", nil, 0, forbidden, "8 + 8·files + n", tight},
	131:                          {"TightDownloadData", nil, 0, forbidden, "6 + n; 10 at the end", tight},
	132:                          {"TightUploadCancel", nil, 0, forbidden, "4 + n", tight},
	133:                          {"TightDownloadFailed", nil, 0, forbidden, "4 + n", tight},
	ServerEndOfContinuousUpdates: {"EndOfContinuousUpdates", of[EndOfContinuousUpdates], 1, agreedTo, "1", tiger},
	173:                          {"ServerState", nil, 12, dropped, "12", ultra},
	178:                          {"KasmStats", nil, 0, forbidden, "8 + n", kasm},
	179:                          {"KasmRequestFrameStats", nil, 0, forbidden, "1", kasm},
	180:                          {"KasmBinaryClipboard", nil, 0, forbidden, "2 + 9·n + mime + data; each of n is U32, U8, MIME type, U32, data", kasm},
	181:                          {"KasmUpgradeToUDP", nil, 0, forbidden, "3 + n", kasm},
	182:                          {"KasmSubscribeUnixRelay", nil, 0, forbidden, "3 + n", kasm},
	183:                          {"KasmUnixRelay", nil, 0, forbidden, "6 + name + n", kasm},
	184:                          {"KasmVideoEncoders", nil, 0, forbidden, "2 + 13·n + 4·presets; each of n has presets of its own", kasm},
	186:                          {"KasmDisconnect", nil, 0, forbidden, "9 + n", kasm},
	187:                          {"KasmForceGameMode", nil, 0, forbidden, "1", kasm},
	189:                          {"KasmLatency", nil, 0, forbidden, "8", kasm},
	190:                          {"KasmNetworkStats", nil, 0, forbidden, "8 + n", kasm},
	191:                          {"KasmSystemStats", nil, 0, forbidden, "8 + n", kasm},
	ServerFence:                  {"ServerFence", of[Fence], fenceLen, agreedTo, "9 + n, n up to 64", tiger},
	249:                          {name: "OLIVECallControl", origin: "OLIVE"},
	ServerXVP:                    {"xvp", of[XVP], 4, dropped, "4", tiger},
	252:                          {"Tight2", nil, 0, forbidden, "U32 code and what it says; UltraVNC: 4", tight},
	253:                          {"gii", nil, 0, forbidden, "4 + n, byte order in the message", tiger},
	254:                          {name: "VMware2", origin: "VMware"},
	ServerQEMU:                   {"QEMU", of[QEMUAudio], 4, dropped, "audio: 4, or 8 + n; any other unknown", tiger},
}
