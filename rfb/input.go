package rfb

// A KeyEvent presses or releases a key (RFC 6143 §7.5.4).
type KeyEvent struct {
	Down   bool   // false: released
	Keysym uint32 // as X11 numbers them
}

// AppendBinary implements [Message].
func (m KeyEvent) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *KeyEvent) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *KeyEvent) layout(c *coder) {
	c.client(ClientKeyEvent)
	c.flag(&m.Down)
	c.pad(2)
	c.u32(&m.Keysym)
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

// AppendBinary implements [Message].
func (m PointerEvent) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *PointerEvent) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *PointerEvent) layout(c *coder) {
	c.client(ClientPointerEvent)
	c.u8(&m.Buttons)
	c.u16(&m.X)
	c.u16(&m.Y)
	if c.read {
		m.Extended = len(c.b) > 0
	}
	if !m.Extended {
		return
	}
	if m.Buttons&extendedButtons == 0 {
		c.fail(ErrMalformed, "PointerEvent with a seventh byte that it doesn't announce")
	}
	c.u8(&m.More)
}

// A QEMUKeyEvent is a KeyEvent with the key's position on the keyboard: the
// community's "QEMU Extended Key Event Message".
type QEMUKeyEvent struct {
	Down    bool   // false: released
	Keysym  uint32 // zero: unknown
	Keycode uint32 // XT make code, 0xe0 as the top bit of a byte
}

// AppendBinary implements [Message].
func (m QEMUKeyEvent) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *QEMUKeyEvent) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *QEMUKeyEvent) layout(c *coder) {
	c.client(ClientQEMU)
	c.constant(0, "QEMU key event")
	down := uint16(boolByte(m.Down))
	c.u16(&down)
	m.Down = down != 0
	c.u32(&m.Keysym)
	c.u32(&m.Keycode)
}

// A QEMUAudioControl switches sound on and off, or says how it is to be
// written: the community's "QEMU Audio Client Message".
type QEMUAudioControl struct {
	Operation uint16 // 0: on, 1: off, 2: the fields below, which exist only then
	Format    uint8  // of a sample: 0 U8, 1 S8, 2 U16, 3 S16, 4 U32, 5 S32
	Channels  uint8  // 1 or 2
	Frequency uint32 // samples a second
}

// AppendBinary implements [Message].
func (m QEMUAudioControl) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *QEMUAudioControl) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *QEMUAudioControl) layout(c *coder) {
	c.client(ClientQEMU)
	c.constant(1, "QEMU audio message")
	c.u16(&m.Operation)
	switch {
	case m.Operation == qemuAudioFormat:
		c.u8(&m.Format)
		c.u8(&m.Channels)
		c.u32(&m.Frequency)
	case m.Operation > qemuAudioFormat:
		c.fail(ErrMalformed, "QEMU audio operation %d", m.Operation)
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

// AppendBinary implements [Message].
func (m QEMUAudio) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *QEMUAudio) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *QEMUAudio) layout(c *coder) {
	c.server(ServerQEMU)
	c.constant(1, "QEMU audio message")
	c.u16(&m.Operation)
	switch {
	case m.Operation == qemuAudioData:
		c.bytes(&m.Data, c.len32(len(m.Data)))
	case m.Operation > qemuAudioData:
		c.fail(ErrMalformed, "QEMU audio operation %d", m.Operation)
	}
}
