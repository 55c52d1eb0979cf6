package rfb

import "fmt"

// An EnableContinuousUpdates asks the server to send updates without being
// asked for each, or no longer to: the community's message of this name.
type EnableContinuousUpdates struct {
	Enable bool // false: updates are sent for requests again
	Rect   Rect // the part of the framebuffer that counts
}

func (m *EnableContinuousUpdates) layout(c *coder) {
	c.client(ClientEnableContinuousUpdates)
	c.Flag(&m.Enable)
	c.rectangle(&m.Rect)
}

// An EndOfContinuousUpdates says that updates are sent for requests again. The
// first one says no more than that the server knows EnableContinuousUpdates.
type EndOfContinuousUpdates struct{}

func (m *EndOfContinuousUpdates) layout(c *coder) { c.server(ServerEndOfContinuousUpdates) }

// A Fence asks the other peer to answer at a place in the stream, or is that
// answer: the community's ClientFence and ServerFence, which are the same.
type Fence struct {
	Flags   FenceFlags // what is asked for, or was done
	Payload []byte     // at most 64 bytes, which the answer repeats
}

func (m *Fence) layout(c *coder) {
	c.client(ClientFence) // the server's has the same number
	c.Pad(3)
	flags := uint32(m.Flags)
	c.U32(&flags)
	set(c, &m.Flags, FenceFlags(flags))
	n := c.Len8(len(m.Payload))
	if n > maxFence {
		c.Fail(ErrLimit, "fence of %d bytes, at most %d", n, maxFence)
	}
	c.Bytes(&m.Payload, n)
}

// FenceFlags say what a [Fence] orders. Bits without a name must be cleared in
// an answer.
type FenceFlags uint32

// The flags.
const (
	FenceBlockBefore FenceFlags = 1 << 0  // answer when what came before has taken effect
	FenceBlockAfter  FenceFlags = 1 << 1  // do nothing that comes after before answering
	FenceSyncNext    FenceFlags = 1 << 2  // the next message takes effect exactly at the answer
	FenceRequest     FenceFlags = 1 << 31 // it wants an answer; unset: it is one
)

// fenceKnown are the flags that an answer may repeat.
const fenceKnown = FenceBlockBefore | FenceBlockAfter | FenceSyncNext

// String names the flags: "Request,BlockBefore".
func (f FenceFlags) String() string {
	s := ""
	for _, n := range []struct {
		flag FenceFlags
		name string
	}{
		{FenceRequest, "Request"}, {FenceBlockBefore, "BlockBefore"}, {FenceBlockAfter, "BlockAfter"}, {FenceSyncNext, "SyncNext"},
	} {
		if f&n.flag != 0 {
			s += "," + n.name
			f &^= n.flag
		}
	}
	if f != 0 || s == "" {
		s += fmt.Sprintf(",%#x", uint32(f))
	}
	return s[1:]
}

// A SetDesktopSize asks for another framebuffer and other screens in it: the
// community's message of this name.
type SetDesktopSize struct {
	Width, Height uint16   // pixels of the framebuffer
	Screens       []Screen // at most 255
}

func (m *SetDesktopSize) layout(c *coder) {
	c.client(ClientSetDesktopSize)
	c.Pad(1)
	c.U16(&m.Width)
	c.U16(&m.Height)
	n := c.Len8(len(m.Screens))
	c.Pad(1)
	list(c, &m.Screens, n, screenLen, func(s *Screen) { s.layout(c) })
}

// A Screen is a part of the framebuffer that is on one monitor.
type Screen struct {
	ID    uint32 // any number, kept by both peers
	Rect  Rect   // its place in the framebuffer
	Flags uint32 // none is defined
}

const screenLen = 16

func (s *Screen) layout(c *coder) {
	c.U32(&s.ID)
	c.rectangle(&s.Rect)
	c.U32(&s.Flags)
}

// An XVP is a request about the machine behind the desktop, or the answer: the
// community's "xvp Client Message" and "xvp Server Message".
type XVP struct {
	Version uint8 // 1
	Code    uint8 // server: 0 failed, 1 supported; viewer: 2 shut down, 3 reboot, 4 reset
}

func (m *XVP) layout(c *coder) {
	c.client(ClientXVP) // the server's has the same number
	c.Pad(1)
	c.U8(&m.Version)
	c.U8(&m.Code)
}
