package rfb

import (
	"fmt"
	"math"
	"math/bits"
)

// A CutText is the clipboard, or a message about it: ClientCutText (RFC 6143
// §7.5.6), ServerCutText (§7.6.4), and what the community's "Extended
// Clipboard Pseudo-Encoding" makes of both.
type CutText struct {
	From Direction // FromViewer: ClientCutText, FromServer: ServerCutText; anything else is an error
	Text []byte    // ISO 8859-1, lines end in \n; not used if Extended isn't nil

	// Extended, if not nil, makes it a message of the extended clipboard,
	// whose length is written as a negative number. A server to which
	// [EncodingExtendedClipboard] was not mentioned may read the same bytes as
	// a text of more than two gigabytes.
	Extended *Clipboard
}

func (m *CutText) layout(c *coder) {
	var kind uint8
	switch m.From {
	case FromViewer:
		kind = byte(ClientCutText)
	case FromServer:
		kind = byte(ServerCutText)
	}
	switch c.U8(&kind); kind {
	case byte(ClientCutText):
		set(c, &m.From, FromViewer)
	case byte(ServerCutText):
		set(c, &m.From, FromServer)
	default:
		c.Fail(ErrMalformed, "%d is no CutText", kind)
	}
	c.Pad(3)
	n := int64(len(m.Text))
	if m.Extended != nil {
		n = -int64(m.Extended.size())
	}
	if n > math.MaxInt32 || n < -math.MaxInt32 {
		c.Fail(ErrLimit, "clipboard of %d bytes", n)
	}
	length := uint32(n)
	c.U32(&length)
	switch n = int64(int32(length)); {
	case c.Err != nil:
	case n < -math.MaxInt32 || n < 0 && n > -4:
		c.Fail(ErrMalformed, "extended clipboard of %d bytes", -n)
	case n >= 0:
		set(c, &m.Extended, nil)
		c.Bytes(&m.Text, int(n))
	default:
		if c.Reading {
			m.Text, m.Extended = nil, new(Clipboard)
		}
		m.Extended.layout(c, int(-n))
	}
}

// A Clipboard is a message of the extended clipboard.
type Clipboard struct {
	Flags ClipboardFlags // formats, and one action
	Sizes []uint32       // with ClipboardCaps: the largest size of each format in Flags that is sent unasked
	Data  []byte         // with other flags: what follows them; for ClipboardProvide a zlib stream
}

// ClipboardFlags say what a [Clipboard] does, and with which formats.
type ClipboardFlags uint32

// The formats, and after them the actions.
const (
	ClipboardText    ClipboardFlags = 1 << 0 // UTF-8, lines end in \r\n
	ClipboardRTF     ClipboardFlags = 1 << 1
	ClipboardHTML    ClipboardFlags = 1 << 2
	ClipboardDIB     ClipboardFlags = 1 << 3 // a bitmap of Microsoft's
	ClipboardFiles   ClipboardFlags = 1 << 4 // reserved
	ClipboardCaps    ClipboardFlags = 1 << 24
	ClipboardRequest ClipboardFlags = 1 << 25 // send what you have
	ClipboardPeek    ClipboardFlags = 1 << 26 // say what you have
	ClipboardNotify  ClipboardFlags = 1 << 27
	ClipboardProvide ClipboardFlags = 1 << 28

	clipboardFormats ClipboardFlags = 0xffff
)

var clipboardNames = []struct {
	flag ClipboardFlags
	name string
}{
	{ClipboardCaps, "caps"}, {ClipboardRequest, "request"}, {ClipboardPeek, "peek"}, {ClipboardNotify, "notify"},
	{ClipboardProvide, "provide"}, {ClipboardText, "text"}, {ClipboardRTF, "rtf"}, {ClipboardHTML, "html"},
	{ClipboardDIB, "dib"}, {ClipboardFiles, "files"},
}

// String names the flags: "notify,text".
func (f ClipboardFlags) String() string {
	s := ""
	for _, n := range clipboardNames {
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

// size is the length of all that follows the message's length.
func (m *Clipboard) size() int { return 4 + 4*len(m.Sizes) + len(m.Data) }

func (m *Clipboard) layout(c *coder, size int) {
	c.U32((*uint32)(&m.Flags))
	formats := 0
	if m.Flags&ClipboardCaps != 0 {
		formats = bits.OnesCount32(uint32(m.Flags & clipboardFormats))
	}
	if size < 4+4*formats || !c.Reading && len(m.Sizes) != formats {
		c.Fail(ErrMalformed, "extended clipboard with %d formats in %d bytes", formats, size)
	}
	list(c, &m.Sizes, formats, 4, func(v *uint32) { c.U32(v) })
	c.Bytes(&m.Data, size-4-4*formats)
}
