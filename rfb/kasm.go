package rfb

// KasmVNC's messages. The layouts are those of its SMsgReader.cxx and
// SMsgWriter.cxx of 2026; its versions differ, and some numbers mean other
// things elsewhere.

// A KasmRequest asks for statistics: KasmRequestStats, KasmNetworkStats or
// KasmSystemStats.
type KasmRequest struct {
	Type ClientMessageType // ClientKasmRequestStats, ClientKasmNetworkStats or ClientKasmSystemStats; anything else is an error
}

// AppendBinary implements [Message].
func (m KasmRequest) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmRequest) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmRequest) layout(c *coder) {
	c.kasmStats(&m.Type)
	c.pad(3)
}

// kasmStats is the type of a message about statistics; the server's have the
// same numbers.
func (c *coder) kasmStats(t *ClientMessageType) {
	c.u8((*uint8)(t))
	if c.err == nil && *t != ClientKasmRequestStats && *t != ClientKasmNetworkStats && *t != ClientKasmSystemStats {
		c.fail(ErrMalformed, "%v is not about statistics", *t)
	}
}

// A KasmStats is the answer to a [KasmRequest].
type KasmStats struct {
	Type ClientMessageType // of the request
	Text string            // JSON
}

// AppendBinary implements [Message].
func (m KasmStats) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmStats) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmStats) layout(c *coder) {
	c.kasmStats(&m.Type)
	c.pad(3)
	c.text(&m.Text, c.len32(len(m.Text)))
}

// A KasmRequestFrameStats asks a viewer for a [KasmFrameStats].
type KasmRequestFrameStats struct{}

// AppendBinary implements [Message].
func (m KasmRequestFrameStats) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmRequestFrameStats) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmRequestFrameStats) layout(c *coder) { c.server(ServerKasmRequestFrameStats) }

// A KasmFrameStats says how fast a viewer is.
type KasmFrameStats struct {
	All, Render uint32 // milliseconds
}

// AppendBinary implements [Message].
func (m KasmFrameStats) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmFrameStats) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmFrameStats) layout(c *coder) {
	c.client(ClientKasmFrameStats)
	c.pad(3)
	c.u32(&m.All)
	c.u32(&m.Render)
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

// AppendBinary implements [Message].
func (m KasmClipboard) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmClipboard) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmClipboard) layout(c *coder) { c.kasmClips(&m.Clips, false) }

// AppendBinary implements [Message].
func (m KasmServerClipboard) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmServerClipboard) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmServerClipboard) layout(c *coder) { c.kasmClips(&m.Clips, true) }

func (c *coder) kasmClips(v *[]KasmClip, ids bool) {
	c.client(ClientKasmBinaryClipboard) // the server's has the same number
	least := 1 + 4
	if ids {
		least += 4
	}
	list(c, v, c.len8(len(*v)), least, func(v *KasmClip) {
		if ids {
			c.u32(&v.ID)
		}
		c.text(&v.MIME, c.len8(len(v.MIME)))
		c.bytes(&v.Data, c.len32(len(v.Data)))
	})
}

// A KasmUpgradeToUDP is a part of the negotiation of another transport, from
// either peer. From a viewer an empty one goes back to this one.
type KasmUpgradeToUDP struct {
	Data []byte // at most 65535
}

// AppendBinary implements [Message].
func (m KasmUpgradeToUDP) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmUpgradeToUDP) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmUpgradeToUDP) layout(c *coder) {
	c.client(ClientKasmUpgradeToUDP) // the server's has the same number
	c.bytes(&m.Data, c.len16(len(m.Data)))
}

// A KasmSubscribeUnixRelay asks for a connection to a unix socket of the
// server's.
type KasmSubscribeUnixRelay struct {
	Name string // at most 255 bytes
}

// AppendBinary implements [Message].
func (m KasmSubscribeUnixRelay) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmSubscribeUnixRelay) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmSubscribeUnixRelay) layout(c *coder) {
	c.client(ClientKasmSubscribeUnixRelay)
	c.text(&m.Name, c.len8(len(m.Name)))
}

// A KasmUnixRelaySubscribed is the answer to a [KasmSubscribeUnixRelay].
type KasmUnixRelaySubscribed struct {
	OK   bool   // the socket is connected
	Text string // at most 255 bytes
}

// AppendBinary implements [Message].
func (m KasmUnixRelaySubscribed) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmUnixRelaySubscribed) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmUnixRelaySubscribed) layout(c *coder) {
	c.server(ServerKasmSubscribeUnixRelay)
	c.flag(&m.OK)
	c.text(&m.Text, c.len8(len(m.Text)))
}

// A KasmUnixRelay is what goes through a unix socket, from either peer.
type KasmUnixRelay struct {
	Name string // at most 255 bytes
	Data []byte // bytes of the stream
}

// AppendBinary implements [Message].
func (m KasmUnixRelay) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmUnixRelay) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmUnixRelay) layout(c *coder) {
	c.client(ClientKasmUnixRelay) // the server's has the same number
	c.text(&m.Name, c.len8(len(m.Name)))
	c.bytes(&m.Data, c.len32(len(m.Data)))
}

// A KasmVideoEncoders lists the video encoders that a viewer can use.
type KasmVideoEncoders struct {
	Encoders []int32 // at most 255
}

// AppendBinary implements [Message].
func (m KasmVideoEncoders) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmVideoEncoders) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmVideoEncoders) layout(c *coder) {
	c.client(ClientKasmVideoEncoders)
	list(c, &m.Encoders, c.len8(len(m.Encoders)), 4, func(v *int32) { c.i32(v) })
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

// AppendBinary implements [Message].
func (m KasmServerVideoEncoders) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmServerVideoEncoders) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmServerVideoEncoders) layout(c *coder) {
	c.server(ServerKasmVideoEncoders)
	list(c, &m.Encoders, c.len8(len(m.Encoders)), 3*4+1, func(v *KasmVideoEncoder) {
		c.i32(&v.Number)
		c.i32(&v.Worst)
		c.i32(&v.Best)
		list(c, &v.Presets, c.len8(len(v.Presets)), 4, func(v *int32) { c.i32(v) })
	})
}

// A KasmKeepAlive is one byte.
type KasmKeepAlive struct{}

// AppendBinary implements [Message].
func (m KasmKeepAlive) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmKeepAlive) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmKeepAlive) layout(c *coder) { c.client(ClientKasmKeepAlive) }

// A KasmServerDisconnect says that the server is about to close.
type KasmServerDisconnect struct {
	Graceful bool   // on purpose, not because of an error
	Reason   string // text from the peer, not to be trusted
}

// AppendBinary implements [Message].
func (m KasmServerDisconnect) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmServerDisconnect) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmServerDisconnect) layout(c *coder) {
	c.server(ServerKasmDisconnect)
	c.flag(&m.Graceful)
	c.pad(3)
	c.text(&m.Reason, c.len32(len(m.Reason)))
}

// A KasmForceGameMode tells a viewer to send how the pointer moves instead of
// where it is.
type KasmForceGameMode struct{}

// AppendBinary implements [Message].
func (m KasmForceGameMode) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmForceGameMode) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmForceGameMode) layout(c *coder) { c.server(ServerKasmForceGameMode) }

// A KasmDirectMouse moves the pointer by a distance.
type KasmDirectMouse struct {
	Buttons          uint8 // bits as in [PointerEvent]
	DX, DY           int16 // pixels
	ScrollX, ScrollY int16 // steps of the wheel
}

// AppendBinary implements [Message].
func (m KasmDirectMouse) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmDirectMouse) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmDirectMouse) layout(c *coder) {
	c.client(ClientKasmDirectMouse)
	c.u8(&m.Buttons)
	for _, v := range []*int16{&m.DX, &m.DY, &m.ScrollX, &m.ScrollY} {
		c.i16(v)
	}
}

// A KasmPointerEvent is KasmVNC's PointerEvent. It has the number of RFC 6143's
// and another length, so that [ParseClientMessage] doesn't read it.
type KasmPointerEvent struct {
	Buttons          uint16 // bits as in [PointerEvent]
	X, Y             uint16 // pixels of the framebuffer
	ScrollX, ScrollY int16  // steps of the wheel
}

// AppendBinary implements [Message].
func (m KasmPointerEvent) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmPointerEvent) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmPointerEvent) layout(c *coder) {
	c.client(ClientPointerEvent)
	for _, v := range []*uint16{&m.Buttons, &m.X, &m.Y} {
		c.u16(v)
	}
	c.i16(&m.ScrollX)
	c.i16(&m.ScrollY)
}

// A KasmLatency is a number that the server sends back, from either peer.
type KasmLatency struct {
	ID uint32 // any number
}

// AppendBinary implements [Message].
func (m KasmLatency) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KasmLatency) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmLatency) layout(c *coder) {
	c.client(ClientKasmLatency) // the server's has the same number
	c.pad(3)
	c.u32(&m.ID)
}

// A KasmSetMaxVideoResolution limits the pictures of a video. It shares its
// number with [Tight2].
type KasmSetMaxVideoResolution struct {
	Width, Height uint16 // pixels
}

// AppendBinary implements [Message].
func (m KasmSetMaxVideoResolution) AppendBinary(b []byte) ([]byte, error) {
	return appendMessage(b, &m)
}

// UnmarshalBinary implements [Message].
func (m *KasmSetMaxVideoResolution) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KasmSetMaxVideoResolution) layout(c *coder) {
	c.client(ClientTight2)
	c.u16(&m.Width)
	c.u16(&m.Height)
}
