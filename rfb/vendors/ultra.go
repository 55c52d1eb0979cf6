package vendors

import (
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/internal/proto"
)

// UltraVNC's messages, and those of others that share their numbers. The
// layouts are those of libvncserver's rfbproto.h, where not told otherwise.

// A FixColourMapEntries was withdrawn before RFC 6143; servers close on it.
type FixColourMapEntries struct {
	First  uint16      // index of the first colour
	Colors []rfb.Color // at most 65535
}

func (m *FixColourMapEntries) layout(c *proto.Coder) {
	is(c, ClientFixColourMapEntries)
	c.Pad(1)
	c.U16(&m.First)
	proto.List(c, &m.Colors, c.Len16(len(m.Colors)), 3*2, func(v *rfb.Color) {
		c.U16(&v.Red)
		c.U16(&v.Green)
		c.U16(&v.Blue)
	})
}

// A FileTransfer is UltraVNC's, from either peer. Its length can't be relied
// on: for some contents it holds something else.
type FileTransfer struct {
	Content uint8  // what it is about
	Param   uint16 // libvncserver: one byte and padding
	Size    uint32 // depends on Content
	Data    []byte // what follows; a length of four bytes stands before it
}

func (m *FileTransfer) layout(c *proto.Coder) {
	is(c, ClientFileTransfer) // the server's has the same number
	c.U8(&m.Content)
	c.U16(&m.Param)
	c.U32(&m.Size)
	c.Bytes(&m.Data, c.Len32(len(m.Data)))
}

// A SetScale asks the server to divide the framebuffer's sides. No version of
// x11vnc asks for more than a connection before it obeys.
type SetScale struct {
	Scale uint8 // the divisor; 1: as it is
}

func (m *SetScale) layout(c *proto.Coder) {
	is(c, ClientSetScale)
	c.U8(&m.Scale)
	c.Pad(2)
}

// A SetServerInput locks or unlocks the keyboard and mouse of the person in
// front of the machine.
type SetServerInput struct {
	Status uint8 // 1: locked, 0: unlocked
}

func (m *SetServerInput) layout(c *proto.Coder) {
	is(c, ClientSetServerInput)
	c.U8(&m.Status)
	c.Pad(2)
}

// A SetSW chooses the window at a point as the only one to be shown. x11vnc
// moves the pointer there.
type SetSW struct {
	Status uint8  // 0: that window, 1: all
	X, Y   uint16 // pixels of the framebuffer
}

func (m *SetSW) layout(c *proto.Coder) {
	is(c, ClientSetSW)
	c.U8(&m.Status)
	c.U16(&m.X)
	c.U16(&m.Y)
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

func (m *TextChat) layout(c *proto.Coder) {
	is(c, ClientTextChat) // the server's has the same number
	c.Pad(3)
	n := m.Action
	if n == 0 {
		n = uint32(len(m.Text))
	}
	c.U32(&n)
	if n >= TextChatFinished {
		proto.Set(c, &m.Action, n)
		proto.Set(c, &m.Text, "")
		return
	}
	if !c.Reading && m.Action != 0 {
		c.Fail(proto.ErrMalformed, "TextChat action %d", m.Action)
	}
	proto.Set(c, &m.Action, 0)
	c.Text(&m.Text, int(n))
}

// A KeepAlive is one byte, from either peer.
type KeepAlive struct{}

func (m *KeepAlive) layout(c *proto.Coder) { is(c, ClientKeepAlive) }

// A PalmSetScaleFactor is PalmVNC's SetScale.
type PalmSetScaleFactor struct {
	Scale uint8 // the divisor; 1: as it is
}

func (m *PalmSetScaleFactor) layout(c *proto.Coder) {
	is(c, ClientPalmSetScaleFactor)
	c.U8(&m.Scale)
	c.Pad(2)
}

// A RequestSession asks which sessions there are.
type RequestSession struct{}

func (m *RequestSession) layout(c *proto.Coder) { is(c, ClientRequestSession) }

// A SetSession chooses a session.
type SetSession struct {
	Number uint8 // of the session
}

func (m *SetSession) layout(c *proto.Coder) {
	is(c, ClientSetSession)
	c.U8(&m.Number)
}

// A NotifyPluginStreaming says that the stream goes through a cipher of a
// plug-in from here on.
type NotifyPluginStreaming struct {
	Flags uint16 // not defined
}

func (m *NotifyPluginStreaming) layout(c *proto.Coder) {
	is(c, ClientNotifyPluginStreaming)
	c.Pad(1)
	c.U16(&m.Flags)
}

// A ResizeFrameBuffer is the server's answer to SetScale.
type ResizeFrameBuffer struct {
	Width, Height uint16 // pixels of the framebuffer from now on
}

func (m *ResizeFrameBuffer) layout(c *proto.Coder) {
	is(c, ServerResizeFrameBuffer)
	c.Pad(1)
	c.U16(&m.Width)
	c.U16(&m.Height)
}

// A PalmResizeFrameBuffer is the server's answer to PalmSetScaleFactor.
type PalmResizeFrameBuffer struct {
	DesktopWidth, DesktopHeight uint16 // pixels of the screen
	BufferWidth, BufferHeight   uint16 // pixels of the framebuffer from now on
}

func (m *PalmResizeFrameBuffer) layout(c *proto.Coder) {
	is(c, ServerPalmResizeFrameBuffer)
	c.Pad(1)
	c.U16(&m.DesktopWidth)
	c.U16(&m.DesktopHeight)
	c.U16(&m.BufferWidth)
	c.U16(&m.BufferHeight)
	c.Pad(2)
}

// A ServerStateMessage tells of a change on the server.
type ServerStateMessage struct {
	State, Value uint32 // which state, and its new value; UltraVNC numbers them
}

func (m *ServerStateMessage) layout(c *proto.Coder) {
	is(c, ServerState)
	c.Pad(3)
	c.U32(&m.State)
	c.U32(&m.Value)
}

// A CarConnectivity is MirrorLink's, from either peer.
type CarConnectivity struct {
	Extension uint8  // as MirrorLink numbers them
	Payload   []byte // at most 65535
}

func (m *CarConnectivity) layout(c *proto.Coder) {
	is(c, ClientCarConnectivity) // the server's has the same number
	c.U8(&m.Extension)
	c.Bytes(&m.Payload, c.Len16(len(m.Payload)))
}

// A ReplitAudio is a request about sound of replit/rfbproxy's.
type ReplitAudio struct {
	Type uint8  // which request; Data depends on it
	Data []byte // at most 65535
}

func (m *ReplitAudio) layout(c *proto.Coder) {
	is(c, ClientReplitAudio)
	c.U8(&m.Type)
	c.Bytes(&m.Data, c.Len16(len(m.Data)))
}

// A MonitorInfo says how many monitors UltraVNC's server has. It shares its
// number with [Tight2].
type MonitorInfo struct {
	Monitors uint8 // how many there are
}

func (m *MonitorInfo) layout(c *proto.Coder) {
	is(c, ServerTight2)
	c.U8(&m.Monitors)
	c.Pad(2)
}
