package rfb

// The file transfer of TightVNC 1.3: messages that exist only after the
// security type [SecurityTight]. The layouts are those of libvncserver's
// rfbtightproto.h.

// A TightFileListRequest asks what is in a directory.
type TightFileListRequest struct {
	Flags     uint8  // bit 4: only directories; the rest is the level of compression
	Directory string // at most 65535 bytes, as the paths below
}

// AppendBinary implements [Message].
func (m TightFileListRequest) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *TightFileListRequest) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *TightFileListRequest) layout(c *coder) {
	c.client(ClientTightFileList)
	c.u8(&m.Flags)
	c.text(&m.Directory, c.len16(len(m.Directory)))
}

// A TightFileRequest asks for a file, or to be allowed to send one.
type TightFileRequest struct {
	Upload   bool   // false: ClientTightDownloadRequest; true: ClientTightUploadRequest
	Level    uint8  // of compression; 0: none
	Position uint32 // where to begin
	Path     string // absolute, with slashes
}

// AppendBinary implements [Message].
func (m TightFileRequest) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *TightFileRequest) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *TightFileRequest) layout(c *coder) {
	kind := ClientTightDownloadRequest
	if m.Upload {
		kind = ClientTightUploadRequest
	}
	c.u8((*uint8)(&kind))
	m.Upload = kind == ClientTightUploadRequest
	if !m.Upload && kind != ClientTightDownloadRequest {
		c.fail(ErrMalformed, "%v is no file request", kind)
	}
	c.u8(&m.Level)
	n := c.len16(len(m.Path))
	c.u32(&m.Position)
	c.text(&m.Path, n)
}

// A TightFileData is a part of a file: ClientTightUploadData, or
// ServerTightDownloadData with the number before it.
type TightFileData struct {
	From     Direction // FromViewer: upload, FromServer: download; anything else is an error
	Level    uint8     // of compression; 0: Data isn't compressed
	RealSize uint16    // before compression
	Data     []byte    // at most 65535
	ModTime  uint32    // in the last message of a file, whose RealSize and Data are empty; seconds since 1970
}

// AppendBinary implements [Message].
func (m TightFileData) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *TightFileData) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *TightFileData) layout(c *coder) {
	var kind uint8
	switch m.From {
	case FromViewer:
		kind = byte(ClientTightUploadData)
	case FromServer:
		kind = byte(ServerTightDownloadData)
	}
	switch c.u8(&kind); kind {
	case byte(ClientTightUploadData):
		m.From = FromViewer
	case byte(ServerTightDownloadData):
		m.From = FromServer
	default:
		c.fail(ErrMalformed, "%d is no file data", kind)
	}
	c.u8(&m.Level)
	c.u16(&m.RealSize)
	n := c.len16(len(m.Data))
	if m.RealSize == 0 && n == 0 {
		c.u32(&m.ModTime)
		return
	}
	c.bytes(&m.Data, n)
}

// A TightFileNote is a text about a file, one of five messages with the same
// layout.
type TightFileNote struct {
	// Type is ClientTightDownloadCancel, ClientTightUploadFailed or
	// ClientTightCreateDirectory, or the number of ServerTightUploadCancel or
	// ServerTightDownloadFailed.
	Type ClientMessageType
	Text string // a reason, or a path
}

// AppendBinary implements [Message].
func (m TightFileNote) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *TightFileNote) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *TightFileNote) layout(c *coder) {
	c.u8((*uint8)(&m.Type))
	switch m.Type {
	case ClientTightDownloadCancel, ClientTightUploadFailed, ClientTightCreateDirectory,
		ClientMessageType(ServerTightUploadCancel), ClientMessageType(ServerTightDownloadFailed):
	default:
		c.fail(ErrMalformed, "%v is no note about a file", m.Type)
	}
	c.pad(1)
	c.text(&m.Text, c.len16(len(m.Text)))
}

// A TightFileList is what is in a directory.
type TightFileList struct {
	Flags    uint8       // those of the request
	DataSize uint16      // of Names before compression
	Files    []TightFile // at most 65535
	Names    []byte      // of the files, perhaps compressed
}

// A TightFile is a file in a [TightFileList].
type TightFile struct {
	Size, ModTime uint32 // bytes; seconds since 1970
}

// AppendBinary implements [Message].
func (m TightFileList) AppendBinary(b []byte) ([]byte, error) { return appendMessage(b, &m) }

// UnmarshalBinary implements [Message].
func (m *TightFileList) UnmarshalBinary(b []byte) error { return readMessage(b, m) }

func (m *TightFileList) layout(c *coder) {
	c.server(ServerTightFileList)
	c.u8(&m.Flags)
	n := c.len16(len(m.Files))
	c.u16(&m.DataSize)
	names := c.len16(len(m.Names))
	list(c, &m.Files, n, 8, func(f *TightFile) {
		c.u32(&f.Size)
		c.u32(&f.ModTime)
	})
	c.bytes(&m.Names, names)
}
