package vendors

import (
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/internal/proto"
)

// KasmVNC's messages. The layouts are those of its SMsgReader.cxx and
// SMsgWriter.cxx of 2026; its versions differ, and some numbers mean other
// things elsewhere.

// A KasmRequest asks for statistics: KasmRequestStats, KasmNetworkStats or
// KasmSystemStats.
type KasmRequest struct {
	Type rfb.ClientMessageType // ClientKasmRequestStats, ClientKasmNetworkStats or ClientKasmSystemStats; anything else is an error
}

func (m *KasmRequest) layout(c *proto.Coder) {
	kasmStats(c, &m.Type)
	c.Pad(3)
}

// kasmStats is the type of a message about statistics; the server's have the
// same numbers.
func kasmStats(c *proto.Coder, t *rfb.ClientMessageType) {
	c.U8((*uint8)(t))
	if c.Err == nil && *t != ClientKasmRequestStats && *t != ClientKasmNetworkStats && *t != ClientKasmSystemStats {
		c.Fail(proto.ErrMalformed, "%v is not about statistics", *t)
	}
}

// A KasmStats is the answer to a [KasmRequest].
type KasmStats struct {
	Type rfb.ClientMessageType // of the request
	Text string                // JSON
}

func (m *KasmStats) layout(c *proto.Coder) {
	kasmStats(c, &m.Type)
	c.Pad(3)
	c.Text(&m.Text, c.Len32(len(m.Text)))
}

// A KasmRequestFrameStats asks a viewer for a [KasmFrameStats].
type KasmRequestFrameStats struct{}

func (m *KasmRequestFrameStats) layout(c *proto.Coder) { is(c, ServerKasmRequestFrameStats) }

// A KasmFrameStats says how fast a viewer is.
type KasmFrameStats struct {
	All, Render uint32 // milliseconds
}

func (m *KasmFrameStats) layout(c *proto.Coder) {
	is(c, ClientKasmFrameStats)
	c.Pad(3)
	c.U32(&m.All)
	c.U32(&m.Render)
}

// A KasmClipboard is a clipboard in one or more formats, from a viewer.
type KasmClipboard struct {
	Clips []KasmClip // at most 255
}

// A KasmServerClipboard is a clipboard in one or more formats, from a server.
type KasmServerClipboard struct {
	Clips []KasmClip // at most 255
}

// A KasmClip is a clipboard in one format.
type KasmClip struct {
	ID   uint32 // of a server's; not sent by viewers
	MIME string // at most 255 bytes
	Data []byte // in that format
}

func (m *KasmClipboard) layout(c *proto.Coder) { kasmClips(c, &m.Clips, false) }

func (m *KasmServerClipboard) layout(c *proto.Coder) { kasmClips(c, &m.Clips, true) }

func kasmClips(c *proto.Coder, v *[]KasmClip, ids bool) {
	is(c, ClientKasmBinaryClipboard) // the server's has the same number
	least := 1 + 4
	if ids {
		least += 4
	}
	proto.List(c, v, c.Len8(len(*v)), least, func(v *KasmClip) {
		if ids {
			c.U32(&v.ID)
		}
		c.Text(&v.MIME, c.Len8(len(v.MIME)))
		c.Bytes(&v.Data, c.Len32(len(v.Data)))
	})
}

// A KasmUpgradeToUDP is a part of the negotiation of another transport, from
// either peer. From a viewer an empty one goes back to this one.
type KasmUpgradeToUDP struct {
	Data []byte // at most 65535
}

func (m *KasmUpgradeToUDP) layout(c *proto.Coder) {
	is(c, ClientKasmUpgradeToUDP) // the server's has the same number
	c.Bytes(&m.Data, c.Len16(len(m.Data)))
}

// A KasmSubscribeUnixRelay asks for a connection to a unix socket of the
// server's.
type KasmSubscribeUnixRelay struct {
	Name string // at most 255 bytes
}

func (m *KasmSubscribeUnixRelay) layout(c *proto.Coder) {
	is(c, ClientKasmSubscribeUnixRelay)
	c.Text(&m.Name, c.Len8(len(m.Name)))
}

// A KasmUnixRelaySubscribed is the answer to a [KasmSubscribeUnixRelay].
type KasmUnixRelaySubscribed struct {
	OK   bool   // the socket is connected
	Text string // at most 255 bytes
}

func (m *KasmUnixRelaySubscribed) layout(c *proto.Coder) {
	is(c, ServerKasmSubscribeUnixRelay)
	c.Flag(&m.OK)
	c.Text(&m.Text, c.Len8(len(m.Text)))
}

// A KasmUnixRelay is what goes through a unix socket, from either peer.
type KasmUnixRelay struct {
	Name string // at most 255 bytes
	Data []byte // bytes of the stream
}

func (m *KasmUnixRelay) layout(c *proto.Coder) {
	is(c, ClientKasmUnixRelay) // the server's has the same number
	c.Text(&m.Name, c.Len8(len(m.Name)))
	c.Bytes(&m.Data, c.Len32(len(m.Data)))
}

// A KasmVideoEncoders lists the video encoders that a viewer can use.
type KasmVideoEncoders struct {
	Encoders []int32 // at most 255
}

func (m *KasmVideoEncoders) layout(c *proto.Coder) {
	is(c, ClientKasmVideoEncoders)
	proto.List(c, &m.Encoders, c.Len8(len(m.Encoders)), 4, func(v *int32) { c.I32(v) })
}

// A KasmServerVideoEncoders lists the video encoders that both peers can use.
type KasmServerVideoEncoders struct {
	Encoders []KasmVideoEncoder // at most 255
}

// A KasmVideoEncoder is a video encoder of the server's, and its settings.
type KasmVideoEncoder struct {
	Number  int32   // of the encoder
	Worst   int32   // quality
	Best    int32   // quality
	Presets []int32 // at most 255
}

func (m *KasmServerVideoEncoders) layout(c *proto.Coder) {
	is(c, ServerKasmVideoEncoders)
	proto.List(c, &m.Encoders, c.Len8(len(m.Encoders)), 3*4+1, func(v *KasmVideoEncoder) {
		c.I32(&v.Number)
		c.I32(&v.Worst)
		c.I32(&v.Best)
		proto.List(c, &v.Presets, c.Len8(len(v.Presets)), 4, func(v *int32) { c.I32(v) })
	})
}

// A KasmKeepAlive is one byte.
type KasmKeepAlive struct{}

func (m *KasmKeepAlive) layout(c *proto.Coder) { is(c, ClientKasmKeepAlive) }

// A KasmServerDisconnect says that the server is about to close.
type KasmServerDisconnect struct {
	Graceful bool   // on purpose, not because of an error
	Reason   string // text from the peer, not to be trusted
}

func (m *KasmServerDisconnect) layout(c *proto.Coder) {
	is(c, ServerKasmDisconnect)
	c.Flag(&m.Graceful)
	c.Pad(3)
	c.Text(&m.Reason, c.Len32(len(m.Reason)))
}

// A KasmForceGameMode tells a viewer to send how the pointer moves instead of
// where it is.
type KasmForceGameMode struct{}

func (m *KasmForceGameMode) layout(c *proto.Coder) { is(c, ServerKasmForceGameMode) }

// A KasmDirectMouse moves the pointer by a distance.
type KasmDirectMouse struct {
	Buttons          uint8 // bits as in [rfb.PointerEvent]
	DX, DY           int16 // pixels
	ScrollX, ScrollY int16 // steps of the wheel
}

func (m *KasmDirectMouse) layout(c *proto.Coder) {
	is(c, ClientKasmDirectMouse)
	c.U8(&m.Buttons)
	for _, v := range []*int16{&m.DX, &m.DY, &m.ScrollX, &m.ScrollY} {
		c.I16(v)
	}
}

// A KasmLatency is a number that the server sends back, from either peer.
type KasmLatency struct {
	ID uint32 // any number
}

func (m *KasmLatency) layout(c *proto.Coder) {
	is(c, ClientKasmLatency) // the server's has the same number
	c.Pad(3)
	c.U32(&m.ID)
}

// A KasmSetMaxVideoResolution limits the pictures of a video. It shares its
// number with [Tight2].
type KasmSetMaxVideoResolution struct {
	Width, Height uint16 // pixels
}

func (m *KasmSetMaxVideoResolution) layout(c *proto.Coder) {
	is(c, ClientTight2)
	c.U16(&m.Width)
	c.U16(&m.Height)
}
