package rfb

// UltraVNC's messages, and those of others that share their numbers. The
// layouts are those of libvncserver's rfbproto.h, where not told otherwise.

// A FixColourMapEntries was withdrawn before RFC 6143; servers close on it.
type FixColourMapEntries struct {
	First  uint16  // index of the first colour
	Colors []Color // at most 65535
}

// AppendBinary implements [Message].
func (m FixColourMapEntries) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *FixColourMapEntries) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *FixColourMapEntries) layout(c *coder) {
	c.client(ClientFixColourMapEntries)
	c.pad(1)
	c.u16(&m.First)
	list(c, &m.Colors, c.len16(len(m.Colors)), colorLen, func(v *Color) { v.layout(c) })
}

// A FileTransfer is UltraVNC's, from either peer. Its length can't be relied
// on: for some contents it holds something else.
type FileTransfer struct {
	Content uint8  // what it is about
	Param   uint16 // libvncserver: one byte and padding
	Size    uint32 // depends on Content
	Data    []byte // what follows; a length of four bytes stands before it
}

// AppendBinary implements [Message].
func (m FileTransfer) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *FileTransfer) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *FileTransfer) layout(c *coder) {
	c.client(ClientFileTransfer) // the server's has the same number
	c.u8(&m.Content)
	c.u16(&m.Param)
	c.u32(&m.Size)
	c.bytes(&m.Data, c.len32(len(m.Data)))
}

// A SetScale asks the server to divide the framebuffer's sides. No version of
// x11vnc asks for more than a connection before it obeys.
type SetScale struct {
	Scale uint8 // the divisor; 1: as it is
}

// AppendBinary implements [Message].
func (m SetScale) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *SetScale) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *SetScale) layout(c *coder) {
	c.client(ClientSetScale)
	c.u8(&m.Scale)
	c.pad(2)
}

// A SetServerInput locks or unlocks the keyboard and mouse of the person in
// front of the machine.
type SetServerInput struct {
	Status uint8 // 1: locked, 0: unlocked
}

// AppendBinary implements [Message].
func (m SetServerInput) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *SetServerInput) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *SetServerInput) layout(c *coder) {
	c.client(ClientSetServerInput)
	c.u8(&m.Status)
	c.pad(2)
}

// A SetSW chooses the window at a point as the only one to be shown. x11vnc
// moves the pointer there.
type SetSW struct {
	Status uint8  // 0: that window, 1: all
	X, Y   uint16 // pixels of the framebuffer
}

// AppendBinary implements [Message].
func (m SetSW) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *SetSW) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *SetSW) layout(c *coder) {
	c.client(ClientSetSW)
	c.u8(&m.Status)
	c.u16(&m.X)
	c.u16(&m.Y)
}

// What a [TextChat] without text says with its length.
const (
	TextChatOpen     uint32 = 0xffffffff
	TextChatClose    uint32 = 0xfffffffe
	TextChatFinished uint32 = 0xfffffffd
)

// A TextChat is a line of a conversation, from either peer.
type TextChat struct {
	Action uint32 // TextChatOpen, TextChatClose or TextChatFinished; zero: there is Text
	Text   string // at most 4096 bytes by convention
}

// AppendBinary implements [Message].
func (m TextChat) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *TextChat) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *TextChat) layout(c *coder) {
	c.client(ClientTextChat) // the server's has the same number
	c.pad(3)
	n := m.Action
	if n == 0 {
		n = uint32(len(m.Text))
	}
	c.u32(&n)
	if n >= TextChatFinished {
		m.Action, m.Text = n, ""
		return
	}
	if !c.read && m.Action != 0 {
		c.fail(ErrMalformed, "TextChat action %d", m.Action)
	}
	m.Action = 0
	c.text(&m.Text, int(n))
}

// A KeepAlive is one byte, from either peer.
type KeepAlive struct{}

// AppendBinary implements [Message].
func (m KeepAlive) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KeepAlive) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KeepAlive) layout(c *coder) { c.client(ClientKeepAlive) }

// A PalmSetScaleFactor is PalmVNC's SetScale.
type PalmSetScaleFactor struct {
	Scale uint8 // the divisor; 1: as it is
}

// AppendBinary implements [Message].
func (m PalmSetScaleFactor) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *PalmSetScaleFactor) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *PalmSetScaleFactor) layout(c *coder) {
	c.client(ClientPalmSetScaleFactor)
	c.u8(&m.Scale)
	c.pad(2)
}

// A RequestSession asks which sessions there are.
type RequestSession struct{}

// AppendBinary implements [Message].
func (m RequestSession) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *RequestSession) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *RequestSession) layout(c *coder) { c.client(ClientRequestSession) }

// A SetSession chooses a session.
type SetSession struct {
	Number uint8 // of the session
}

// AppendBinary implements [Message].
func (m SetSession) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *SetSession) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *SetSession) layout(c *coder) {
	c.client(ClientSetSession)
	c.u8(&m.Number)
}

// A NotifyPluginStreaming says that the stream goes through a cipher of a
// plug-in from here on.
type NotifyPluginStreaming struct {
	Flags uint16 // not defined
}

// AppendBinary implements [Message].
func (m NotifyPluginStreaming) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *NotifyPluginStreaming) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *NotifyPluginStreaming) layout(c *coder) {
	c.client(ClientNotifyPluginStreaming)
	c.pad(1)
	c.u16(&m.Flags)
}

// A ResizeFrameBuffer is the server's answer to SetScale.
type ResizeFrameBuffer struct {
	Width, Height uint16 // pixels of the framebuffer from now on
}

// AppendBinary implements [Message].
func (m ResizeFrameBuffer) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *ResizeFrameBuffer) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *ResizeFrameBuffer) layout(c *coder) {
	c.server(ServerResizeFrameBuffer)
	c.pad(1)
	c.u16(&m.Width)
	c.u16(&m.Height)
}

// A PalmResizeFrameBuffer is the server's answer to PalmSetScaleFactor.
type PalmResizeFrameBuffer struct {
	DesktopWidth, DesktopHeight uint16 // pixels of the screen
	BufferWidth, BufferHeight   uint16 // pixels of the framebuffer from now on
}

// AppendBinary implements [Message].
func (m PalmResizeFrameBuffer) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *PalmResizeFrameBuffer) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *PalmResizeFrameBuffer) layout(c *coder) {
	c.server(ServerPalmResizeFrameBuffer)
	c.pad(1)
	c.u16(&m.DesktopWidth)
	c.u16(&m.DesktopHeight)
	c.u16(&m.BufferWidth)
	c.u16(&m.BufferHeight)
	c.pad(2)
}

// A ServerStateMessage tells of a change on the server.
type ServerStateMessage struct {
	State, Value uint32 // which state, and its new value; UltraVNC numbers them
}

// AppendBinary implements [Message].
func (m ServerStateMessage) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *ServerStateMessage) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *ServerStateMessage) layout(c *coder) {
	c.server(ServerState)
	c.pad(3)
	c.u32(&m.State)
	c.u32(&m.Value)
}

// A CarConnectivity is MirrorLink's, from either peer.
type CarConnectivity struct {
	Extension uint8  // as MirrorLink numbers them
	Payload   []byte // at most 65535
}

// AppendBinary implements [Message].
func (m CarConnectivity) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *CarConnectivity) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *CarConnectivity) layout(c *coder) {
	c.client(ClientCarConnectivity) // the server's has the same number
	c.u8(&m.Extension)
	c.bytes(&m.Payload, c.len16(len(m.Payload)))
}

// A ReplitAudio is a request about sound of replit/rfbproxy's.
type ReplitAudio struct {
	Type uint8  // which request; Data depends on it
	Data []byte // at most 65535
}

// AppendBinary implements [Message].
func (m ReplitAudio) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *ReplitAudio) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *ReplitAudio) layout(c *coder) {
	c.client(ClientReplitAudio)
	c.u8(&m.Type)
	c.bytes(&m.Data, c.len16(len(m.Data)))
}

// A SetMonitor chooses the monitor that UltraVNC's server shows. VMware uses
// the number for something unpublished, so that [ParseClientMessage] doesn't
// read it.
type SetMonitor struct {
	Number uint8 // as UltraVNC numbers them
}

// AppendBinary implements [Message].
func (m SetMonitor) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *SetMonitor) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *SetMonitor) layout(c *coder) {
	c.client(ClientVMware2)
	c.u8(&m.Number)
	c.pad(2)
}

// A MonitorInfo says how many monitors UltraVNC's server has. It shares its
// number with [Tight2].
type MonitorInfo struct {
	Monitors uint8 // how many there are
}

// AppendBinary implements [Message].
func (m MonitorInfo) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *MonitorInfo) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *MonitorInfo) layout(c *coder) {
	c.server(ServerTight2)
	c.u8(&m.Monitors)
	c.pad(2)
}
