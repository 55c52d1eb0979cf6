package vendors

import (
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/internal/proto"
)

// The file transfer of TightVNC 1.3: messages that exist only after the
// security type [rfb.SecurityTight]. The layouts are those of libvncserver's
// rfbtightproto.h.

// A TightFileListRequest asks what is in a directory.
type TightFileListRequest struct {
	Flags     uint8  // bit 4: only directories; the rest is the level of compression
	Directory string // at most 65535 bytes, as the paths below
}

func (m *TightFileListRequest) layout(c *proto.Coder) {
	is(c, ClientTightFileList)
	c.U8(&m.Flags)
	c.Text(&m.Directory, c.Len16(len(m.Directory)))
}

// A TightFileRequest asks for a file, or to be allowed to send one.
type TightFileRequest struct {
	Upload   bool   // false: ClientTightDownloadRequest; true: ClientTightUploadRequest
	Level    uint8  // of compression; 0: none
	Position uint32 // where to begin
	Path     string // absolute, with slashes
}

func (m *TightFileRequest) layout(c *proto.Coder) {
	kind := ClientTightDownloadRequest
	if m.Upload {
		kind = ClientTightUploadRequest
	}
	c.U8((*uint8)(&kind))
	proto.Set(c, &m.Upload, kind == ClientTightUploadRequest)
	if kind != ClientTightUploadRequest && kind != ClientTightDownloadRequest {
		c.Fail(proto.ErrMalformed, "%v is no file request", kind)
	}
	c.U8(&m.Level)
	n := c.Len16(len(m.Path))
	c.U32(&m.Position)
	c.Text(&m.Path, n)
}

// A TightFileData is a part of a file: ClientTightUploadData, or
// ServerTightDownloadData with the number before it.
type TightFileData struct {
	From     rfb.Direction // rfb.FromViewer: upload, rfb.FromServer: download; anything else is an error
	Level    uint8         // of compression; 0: Data isn't compressed
	RealSize uint16        // before compression
	Data     []byte        // at most 65535
	ModTime  uint32        // in the last message of a file, whose RealSize and Data are empty; seconds since 1970
}

func (m *TightFileData) layout(c *proto.Coder) {
	var kind uint8
	switch m.From {
	case rfb.FromViewer:
		kind = byte(ClientTightUploadData)
	case rfb.FromServer:
		kind = byte(ServerTightDownloadData)
	}
	switch c.U8(&kind); kind {
	case byte(ClientTightUploadData):
		proto.Set(c, &m.From, rfb.FromViewer)
	case byte(ServerTightDownloadData):
		proto.Set(c, &m.From, rfb.FromServer)
	default:
		c.Fail(proto.ErrMalformed, "%d is no file data", kind)
	}
	c.U8(&m.Level)
	c.U16(&m.RealSize)
	n := c.Len16(len(m.Data))
	if m.RealSize == 0 && n == 0 {
		c.U32(&m.ModTime)
		return
	}
	c.Bytes(&m.Data, n)
}

// A TightFileNote is a text about a file, one of five messages with the same
// layout.
type TightFileNote struct {
	// Type is ClientTightDownloadCancel, ClientTightUploadFailed or
	// ClientTightCreateDirectory, or the number of ServerTightUploadCancel or
	// ServerTightDownloadFailed.
	Type rfb.ClientMessageType
	Text string // a reason, or a path
}

func (m *TightFileNote) layout(c *proto.Coder) {
	c.U8((*uint8)(&m.Type))
	switch m.Type {
	case ClientTightDownloadCancel, ClientTightUploadFailed, ClientTightCreateDirectory,
		rfb.ClientMessageType(ServerTightUploadCancel), rfb.ClientMessageType(ServerTightDownloadFailed):
	default:
		c.Fail(proto.ErrMalformed, "%v is no note about a file", m.Type)
	}
	c.Pad(1)
	c.Text(&m.Text, c.Len16(len(m.Text)))
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

func (m *TightFileList) layout(c *proto.Coder) {
	is(c, ServerTightFileList)
	c.U8(&m.Flags)
	n := c.Len16(len(m.Files))
	c.U16(&m.DataSize)
	names := c.Len16(len(m.Names))
	proto.List(c, &m.Files, n, 8, func(f *TightFile) {
		c.U32(&f.Size)
		c.U32(&f.ModTime)
	})
	c.Bytes(&m.Names, names)
}
