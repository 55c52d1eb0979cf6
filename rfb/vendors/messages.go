package vendors

import (
	"fmt"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/internal/proto"
)

// The types of messages of a viewer. rfb's String has their names.
const (
	ClientFixColourMapEntries     rfb.ClientMessageType = 1   // withdrawn before RFC 6143
	ClientFileTransfer            rfb.ClientMessageType = 7   // UltraVNC
	ClientSetScale                rfb.ClientMessageType = 8   // UltraVNC
	ClientSetServerInput          rfb.ClientMessageType = 9   // UltraVNC
	ClientSetSW                   rfb.ClientMessageType = 10  // UltraVNC: single window; moves the pointer
	ClientTextChat                rfb.ClientMessageType = 11  // UltraVNC
	ClientKeepAlive               rfb.ClientMessageType = 13  // UltraVNC
	ClientPalmSetScaleFactor      rfb.ClientMessageType = 15  // PalmVNC
	ClientRequestSession          rfb.ClientMessageType = 20  // UltraVNC
	ClientSetSession              rfb.ClientMessageType = 21  // UltraVNC
	ClientNotifyPluginStreaming   rfb.ClientMessageType = 80  // UltraVNC: the stream becomes ciphertext
	ClientCarConnectivity         rfb.ClientMessageType = 128 // MirrorLink
	ClientTightFileList           rfb.ClientMessageType = 130 // TightVNC 1.3
	ClientTightDownloadRequest    rfb.ClientMessageType = 131 // TightVNC 1.3
	ClientTightUploadRequest      rfb.ClientMessageType = 132 // TightVNC 1.3
	ClientTightUploadData         rfb.ClientMessageType = 133 // TightVNC 1.3
	ClientTightDownloadCancel     rfb.ClientMessageType = 134 // TightVNC 1.3
	ClientTightUploadFailed       rfb.ClientMessageType = 135 // TightVNC 1.3
	ClientTightCreateDirectory    rfb.ClientMessageType = 136 // TightVNC 1.3
	ClientVideoRectangleSelection rfb.ClientMessageType = 151 // TightVNC 2
	ClientKasmRequestStats        rfb.ClientMessageType = 178 // KasmVNC, as all to 191; they differ between its versions
	ClientKasmFrameStats          rfb.ClientMessageType = 179 // KasmVNC
	ClientKasmBinaryClipboard     rfb.ClientMessageType = 180 // KasmVNC
	ClientKasmUpgradeToUDP        rfb.ClientMessageType = 181 // KasmVNC
	ClientKasmSubscribeUnixRelay  rfb.ClientMessageType = 182 // KasmVNC
	ClientKasmUnixRelay           rfb.ClientMessageType = 183 // KasmVNC
	ClientKasmVideoEncoders       rfb.ClientMessageType = 184 // KasmVNC
	ClientKasmKeepAlive           rfb.ClientMessageType = 185 // KasmVNC
	ClientKasmDirectMouse         rfb.ClientMessageType = 188 // KasmVNC: the pointer
	ClientKasmLatency             rfb.ClientMessageType = 189 // KasmVNC
	ClientKasmNetworkStats        rfb.ClientMessageType = 190 // KasmVNC
	ClientKasmSystemStats         rfb.ClientMessageType = 191 // KasmVNC
	ClientReplitAudio             rfb.ClientMessageType = 245 // replit/rfbproxy
	ClientTight2                  rfb.ClientMessageType = 252 // TightVNC 2; KasmVNC's SetMaxVideoResolution
	ClientGII                     rfb.ClientMessageType = 253 // community: general input interface
)

// The types of messages of a server. rfb's String has their names.
const (
	ServerResizeFrameBuffer      rfb.ServerMessageType = 4   // UltraVNC
	ServerFileTransfer           rfb.ServerMessageType = 7   // UltraVNC
	ServerTextChat               rfb.ServerMessageType = 11  // UltraVNC
	ServerKeepAlive              rfb.ServerMessageType = 13  // UltraVNC
	ServerPalmResizeFrameBuffer  rfb.ServerMessageType = 15  // PalmVNC
	ServerCarConnectivity        rfb.ServerMessageType = 128 // MirrorLink
	ServerTightFileList          rfb.ServerMessageType = 130 // TightVNC 1.3
	ServerTightDownloadData      rfb.ServerMessageType = 131 // TightVNC 1.3
	ServerTightUploadCancel      rfb.ServerMessageType = 132 // TightVNC 1.3
	ServerTightDownloadFailed    rfb.ServerMessageType = 133 // TightVNC 1.3
	ServerState                  rfb.ServerMessageType = 173 // UltraVNC
	ServerKasmStats              rfb.ServerMessageType = 178 // KasmVNC, as all to 191
	ServerKasmRequestFrameStats  rfb.ServerMessageType = 179 // KasmVNC
	ServerKasmBinaryClipboard    rfb.ServerMessageType = 180 // KasmVNC
	ServerKasmUpgradeToUDP       rfb.ServerMessageType = 181 // KasmVNC
	ServerKasmSubscribeUnixRelay rfb.ServerMessageType = 182 // KasmVNC
	ServerKasmUnixRelay          rfb.ServerMessageType = 183 // KasmVNC
	ServerKasmVideoEncoders      rfb.ServerMessageType = 184 // KasmVNC
	ServerKasmDisconnect         rfb.ServerMessageType = 186 // KasmVNC
	ServerKasmForceGameMode      rfb.ServerMessageType = 187 // KasmVNC
	ServerKasmLatency            rfb.ServerMessageType = 189 // KasmVNC
	ServerKasmNetworkStats       rfb.ServerMessageType = 190 // KasmVNC
	ServerKasmSystemStats        rfb.ServerMessageType = 191 // KasmVNC
	ServerTight2                 rfb.ServerMessageType = 252 // TightVNC 2; UltraVNC's MonitorInfo
	ServerGII                    rfb.ServerMessageType = 253 // community: general input interface; KasmVNC: somebody has joined
)

// A Message is a message of a vendor, from either peer: a pointer to one of the types of this
// package that are named after messages. [AppendMessage] writes one, [ReadMessage],
// [ParseClientMessage] and [ParseServerMessage] read one.
type Message interface{ layout(*proto.Coder) }

// AppendMessage appends m to b as [rfb.AppendMessage] does.
func AppendMessage(b []byte, m Message) ([]byte, error) {
	c := proto.Append(b)
	m.layout(&c)
	return c.Appended(b)
}

// ReadMessage reads m as [rfb.ReadMessage] does.
func ReadMessage(b []byte, m Message) error {
	c := proto.Read(b)
	m.layout(&c)
	return c.ReadAll()
}

// ParseClientMessage reads the message that b begins with, as a viewer sends it, and returns it and
// its length. The errors are those of [rfb.ParseClientMessage]; [rfb.ErrMalformed] also if the
// message is none of this package.
func ParseClientMessage(b []byte) (Message, int, error) {
	return parse(b, newClientMessage, "client")
}

// ParseServerMessage is [ParseClientMessage] for a server's message.
func ParseServerMessage(b []byte) (Message, int, error) {
	return parse(b, newServerMessage, "server")
}

func parse(b []byte, empty func([]byte) Message, peer string) (Message, int, error) {
	if len(b) == 0 {
		return nil, 0, proto.Short(1)
	}
	m := empty(b)
	if m == nil {
		return nil, 0, fmt.Errorf("%w: %s message %d is none of a vendor's", rfb.ErrMalformed, peer, b[0])
	}
	c := proto.Read(b)
	m.layout(&c)
	n, err := c.Parsed(len(b))
	if err != nil {
		return nil, 0, err
	}
	return m, n, nil
}

// Has reports whether messages of a peer that begin with this byte are messages of this package.
func Has(from rfb.Direction, first byte) bool {
	if from == rfb.FromViewer {
		return clientMessages[first] != nil
	}
	return serverMessages[first] != nil
}

// is goes over the type of a message.
func is[T ~uint8](c *proto.Coder, t T) { c.Constant(uint8(t), "message of this type") }

// of is an empty message to read into.
func of[T any, P interface {
	*T
	Message
}]() Message {
	return P(new(T))
}

var clientMessages = [256]func() Message{
	ClientFixColourMapEntries:     of[FixColourMapEntries],
	ClientFileTransfer:            of[FileTransfer],
	ClientSetScale:                of[SetScale],
	ClientSetServerInput:          of[SetServerInput],
	ClientSetSW:                   of[SetSW],
	ClientTextChat:                of[TextChat],
	ClientKeepAlive:               of[KeepAlive],
	ClientPalmSetScaleFactor:      of[PalmSetScaleFactor],
	ClientRequestSession:          of[RequestSession],
	ClientSetSession:              of[SetSession],
	ClientNotifyPluginStreaming:   of[NotifyPluginStreaming],
	ClientCarConnectivity:         of[CarConnectivity],
	ClientTightFileList:           of[TightFileListRequest],
	ClientTightDownloadRequest:    of[TightFileRequest],
	ClientTightUploadRequest:      of[TightFileRequest],
	ClientTightUploadData:         of[TightFileData],
	ClientTightDownloadCancel:     of[TightFileNote],
	ClientTightUploadFailed:       of[TightFileNote],
	ClientTightCreateDirectory:    of[TightFileNote],
	ClientVideoRectangleSelection: of[VideoRectangleSelection],
	ClientKasmRequestStats:        of[KasmRequest],
	ClientKasmFrameStats:          of[KasmFrameStats],
	ClientKasmBinaryClipboard:     of[KasmClipboard],
	ClientKasmUpgradeToUDP:        of[KasmUpgradeToUDP],
	ClientKasmSubscribeUnixRelay:  of[KasmSubscribeUnixRelay],
	ClientKasmUnixRelay:           of[KasmUnixRelay],
	ClientKasmVideoEncoders:       of[KasmVideoEncoders],
	ClientKasmKeepAlive:           of[KasmKeepAlive],
	ClientKasmDirectMouse:         of[KasmDirectMouse],
	ClientKasmLatency:             of[KasmLatency],
	ClientKasmNetworkStats:        of[KasmRequest],
	ClientKasmSystemStats:         of[KasmRequest],
	ClientReplitAudio:             of[ReplitAudio],
	ClientTight2:                  of[Tight2],
	ClientGII:                     of[GII],
}

var serverMessages = [256]func() Message{
	ServerResizeFrameBuffer:      of[ResizeFrameBuffer],
	ServerFileTransfer:           of[FileTransfer],
	ServerTextChat:               of[TextChat],
	ServerKeepAlive:              of[KeepAlive],
	ServerPalmResizeFrameBuffer:  of[PalmResizeFrameBuffer],
	ServerCarConnectivity:        of[CarConnectivity],
	ServerTightFileList:          of[TightFileList],
	ServerTightDownloadData:      of[TightFileData],
	ServerTightUploadCancel:      of[TightFileNote],
	ServerTightDownloadFailed:    of[TightFileNote],
	ServerState:                  of[ServerStateMessage],
	ServerKasmStats:              of[KasmStats],
	ServerKasmRequestFrameStats:  of[KasmRequestFrameStats],
	ServerKasmBinaryClipboard:    of[KasmServerClipboard],
	ServerKasmUpgradeToUDP:       of[KasmUpgradeToUDP],
	ServerKasmSubscribeUnixRelay: of[KasmUnixRelaySubscribed],
	ServerKasmUnixRelay:          of[KasmUnixRelay],
	ServerKasmVideoEncoders:      of[KasmServerVideoEncoders],
	ServerKasmDisconnect:         of[KasmServerDisconnect],
	ServerKasmForceGameMode:      of[KasmForceGameMode],
	ServerKasmLatency:            of[KasmLatency],
	ServerKasmNetworkStats:       of[KasmStats],
	ServerKasmSystemStats:        of[KasmStats],
	ServerTight2:                 of[Tight2],
	ServerGII:                    of[GII],
}

// newClientMessage is an empty message of the type that b begins with; nil if there is none. Of some
// numbers a few more bytes tell which it is.
func newClientMessage(b []byte) Message {
	switch rfb.ClientMessageType(b[0]) {
	case ClientTight2:
		if !tight2Prefix(b) {
			return new(KasmSetMaxVideoResolution)
		}
	case ClientGII:
		if len(b) > 1 {
			return newGII(rfb.FromViewer, b[1]&^giiBig)
		}
	}
	if f := clientMessages[b[0]]; f != nil {
		return f()
	}
	return nil
}

// newServerMessage is newClientMessage for a server's.
func newServerMessage(b []byte) Message {
	switch rfb.ServerMessageType(b[0]) {
	case ServerTight2:
		if !tight2Prefix(b) {
			return new(MonitorInfo)
		}
	case ServerGII:
		if len(b) > 1 {
			return newGII(rfb.FromServer, b[1]&^giiBig)
		}
	}
	if f := serverMessages[b[0]]; f != nil {
		return f()
	}
	return nil
}

// newGII is an empty gii message of a type.
func newGII(from rfb.Direction, kind uint8) Message {
	switch {
	case kind == giiVersion:
		return new(GIIVersion)
	case kind == giiCreate && from == rfb.FromViewer:
		return new(GIICreate)
	case kind == giiCreate:
		return new(GIICreated)
	case kind == giiDestroy && from == rfb.FromViewer:
		return new(GIIDestroy)
	case kind == giiInject && from == rfb.FromViewer:
		return new(GIIInject)
	}
	return new(GII)
}
