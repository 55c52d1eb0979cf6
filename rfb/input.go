package rfb

// A KeyEvent presses or releases a key (RFC 6143 §7.5.4).
type KeyEvent struct {
	Down   bool   // false: released
	Keysym uint32 // as X11 numbers them
}

func (m *KeyEvent) layout(c *coder) {
	c.client(ClientKeyEvent)
	c.Flag(&m.Down)
	c.Pad(2)
	c.U32(&m.Keysym)
}

// A PointerEvent moves the pointer and tells which buttons are down (RFC 6143
// §7.5.5). KasmVNC's, of eleven bytes, is another message with this number.
type PointerEvent struct {
	Buttons uint8  // bit 0: the left one; 3 and 4: the wheel
	X, Y    uint16 // pixels of the framebuffer

	// Extended adds a byte, More, with the buttons beyond; bit 7 of Buttons
	// must be set then. Only a server that has confirmed
	// [EncodingExtendedMouse] reads that byte.
	Extended bool
	More     uint8 // buttons 8 and up, from bit 0
}

// extendedButtons is the bit of Buttons that announces More.
const extendedButtons = 0x80

func (m *PointerEvent) layout(c *coder) {
	c.client(ClientPointerEvent)
	c.U8(&m.Buttons)
	c.U16(&m.X)
	c.U16(&m.Y)
	if c.Reading {
		m.Extended = len(c.B) > 0
	}
	if !m.Extended {
		return
	}
	if m.Buttons&extendedButtons == 0 {
		c.Fail(ErrMalformed, "PointerEvent with a seventh byte that it doesn't announce")
	}
	c.U8(&m.More)
}

// A QEMUKeyEvent is a KeyEvent with the key's position on the keyboard: the
// community's "QEMU Extended Key Event Message".
type QEMUKeyEvent struct {
	Down    bool   // false: released
	Keysym  uint32 // zero: unknown
	Keycode uint32 // XT make code, 0xe0 as the top bit of a byte
}

func (m *QEMUKeyEvent) layout(c *coder) {
	c.client(ClientQEMU)
	c.Constant(0, "QEMU key event")
	down := uint16(boolByte(m.Down))
	c.U16(&down)
	set(c, &m.Down, down != 0)
	c.U32(&m.Keysym)
	c.U32(&m.Keycode)
}

// A QEMUAudioControl switches sound on and off, or says how it is to be
// written: the community's "QEMU Audio Client Message".
type QEMUAudioControl struct {
	Operation uint16 // 0: on, 1: off, 2: the fields below, which exist only then
	Format    uint8  // of a sample: 0 U8, 1 S8, 2 U16, 3 S16, 4 U32, 5 S32
	Channels  uint8  // 1 or 2
	Frequency uint32 // samples a second
}

func (m *QEMUAudioControl) layout(c *coder) {
	c.client(ClientQEMU)
	c.Constant(1, "QEMU audio message")
	c.U16(&m.Operation)
	switch {
	case m.Operation == qemuAudioFormat:
		c.U8(&m.Format)
		c.U8(&m.Channels)
		c.U32(&m.Frequency)
	case m.Operation > qemuAudioFormat:
		c.Fail(ErrMalformed, "QEMU audio operation %d", m.Operation)
	}
}

// The operations of QEMU's audio that have more than a number.
const (
	qemuAudioFormat = 2 // of the viewer
	qemuAudioData   = 2 // of the server
)

// A QEMUAudio is sound, or its beginning or end: the community's "QEMU Audio
// Server Message".
type QEMUAudio struct {
	Operation uint16 // 0: it ends, 1: it begins, 2: there is Data
	Data      []byte // samples
}

func (m *QEMUAudio) layout(c *coder) {
	c.server(ServerQEMU)
	c.Constant(1, "QEMU audio message")
	c.U16(&m.Operation)
	switch {
	case m.Operation == qemuAudioData:
		c.Bytes(&m.Data, c.Len32(len(m.Data)))
	case m.Operation > qemuAudioData:
		c.Fail(ErrMalformed, "QEMU audio operation %d", m.Operation)
	}
}
