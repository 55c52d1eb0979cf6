package vendors

import (
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/internal/proto"
)

// The messages of TightVNC 2, which exist only after the security type
// [rfb.SecurityTight]. The layouts are those of TightVNC 2's FTMessage.h and of its
// viewer in Java.

// A Tight2Code is the first four bytes of a [Tight2].
type Tight2Code uint32

// The codes: who sends a message, and which fields it has besides its code.
const (
	Tight2CompressionRequest Tight2Code = 0xfc000100 // viewer: nothing
	Tight2Compression        Tight2Code = 0xfc000101 // server: Flags, 1 if data may be compressed
	Tight2ListRequest        Tight2Code = 0xfc000102 // viewer: Level, Path
	Tight2List               Tight2Code = 0xfc000103 // server: Level, RealSize, Data
	Tight2MD5Request         Tight2Code = 0xfc000104 // viewer: Path, Offset, Size
	Tight2MD5                Tight2Code = 0xfc000105 // server: Sum
	Tight2UploadRequest      Tight2Code = 0xfc000106 // viewer: Path, Flags (1: overwrite), Offset
	Tight2Upload             Tight2Code = 0xfc000107 // server: nothing
	Tight2UploadData         Tight2Code = 0xfc000108 // viewer: Level, RealSize, Data
	Tight2UploadMore         Tight2Code = 0xfc000109 // server: nothing
	Tight2UploadEnd          Tight2Code = 0xfc00010a // viewer: Flags in two bytes, Time
	Tight2UploadDone         Tight2Code = 0xfc00010b // server: nothing
	Tight2DownloadRequest    Tight2Code = 0xfc00010c // viewer: Path, Offset
	Tight2Download           Tight2Code = 0xfc00010d // server: nothing
	Tight2DownloadMore       Tight2Code = 0xfc00010e // viewer: Level, RealSize
	Tight2DownloadData       Tight2Code = 0xfc00010f // server: Level, RealSize, Data
	Tight2DownloadEnd        Tight2Code = 0xfc000110 // server: Flags, Time
	Tight2MakeRequest        Tight2Code = 0xfc000111 // viewer: Path, of a directory
	Tight2Made               Tight2Code = 0xfc000112 // server: nothing
	Tight2RemoveRequest      Tight2Code = 0xfc000113 // viewer: Path
	Tight2Removed            Tight2Code = 0xfc000114 // server: nothing
	Tight2RenameRequest      Tight2Code = 0xfc000115 // viewer: Path, To
	Tight2Renamed            Tight2Code = 0xfc000116 // server: nothing
	Tight2SizeRequest        Tight2Code = 0xfc000117 // viewer: Path, of a directory
	Tight2Size               Tight2Code = 0xfc000118 // server: Size
	Tight2Failed             Tight2Code = 0xfc000119 // server: Path, which is the reason
)

// A Tight2 is a message of TightVNC 2's file transfer, from either peer. Which
// fields it has its code says; the others aren't sent.
type Tight2 struct {
	Code     Tight2Code // which message this is
	Level    uint8      // of compression; 0: Data isn't compressed
	Path     string     // absolute, with slashes
	To       string     // the new path
	Flags    uint16     // of a file: 1 a directory, 2 a program
	Offset   uint64     // bytes
	Size     uint64     // bytes
	Time     uint64     // of the last change; milliseconds since 1970
	Sum      [16]byte   // MD5 of a file
	RealSize uint32     // of Data before compression
	Data     []byte     // compressed if Level is not 0
}

// A tight2Field is a field of a [Tight2] on the wire.
type tight2Field func(*proto.Coder, *Tight2)

func tight2Level(c *proto.Coder, m *Tight2)  { c.U8(&m.Level) }
func tight2Path(c *proto.Coder, m *Tight2)   { c.Text(&m.Path, c.Len32(len(m.Path))) }
func tight2To(c *proto.Coder, m *Tight2)     { c.Text(&m.To, c.Len32(len(m.To))) }
func tight2Offset(c *proto.Coder, m *Tight2) { c.U64(&m.Offset) }
func tight2Size(c *proto.Coder, m *Tight2)   { c.U64(&m.Size) }
func tight2Time(c *proto.Coder, m *Tight2)   { c.U64(&m.Time) }
func tight2Sum(c *proto.Coder, m *Tight2)    { c.Array(m.Sum[:]) }
func tight2Real(c *proto.Coder, m *Tight2)   { c.U32(&m.RealSize) }
func tight2Wide(c *proto.Coder, m *Tight2)   { c.U16(&m.Flags) }
func tight2Flags(c *proto.Coder, m *Tight2)  { proto.Set(c, &m.Flags, uint16(c.Len8(int(m.Flags)))) }

// tight2Data is a block of data: its length, its length before compression, and
// itself.
func tight2Data(c *proto.Coder, m *Tight2) {
	n := c.Len32(len(m.Data))
	c.U32(&m.RealSize)
	c.Bytes(&m.Data, n)
}

// tight2Fields are the fields of each code.
var tight2Fields = map[Tight2Code][]tight2Field{
	Tight2CompressionRequest: {},
	Tight2Compression:        {tight2Flags},
	Tight2ListRequest:        {tight2Level, tight2Path},
	Tight2List:               {tight2Level, tight2Data},
	Tight2MD5Request:         {tight2Path, tight2Offset, tight2Size},
	Tight2MD5:                {tight2Sum},
	Tight2UploadRequest:      {tight2Path, tight2Flags, tight2Offset},
	Tight2Upload:             {},
	Tight2UploadData:         {tight2Level, tight2Data},
	Tight2UploadMore:         {},
	Tight2UploadEnd:          {tight2Wide, tight2Time},
	Tight2UploadDone:         {},
	Tight2DownloadRequest:    {tight2Path, tight2Offset},
	Tight2Download:           {},
	Tight2DownloadMore:       {tight2Level, tight2Real},
	Tight2DownloadData:       {tight2Level, tight2Data},
	Tight2DownloadEnd:        {tight2Flags, tight2Time},
	Tight2MakeRequest:        {tight2Path},
	Tight2Made:               {},
	Tight2RemoveRequest:      {tight2Path},
	Tight2Removed:            {},
	Tight2RenameRequest:      {tight2Path, tight2To},
	Tight2Renamed:            {},
	Tight2SizeRequest:        {tight2Path},
	Tight2Size:               {tight2Size},
	Tight2Failed:             {tight2Path},
}

// tight2Prefix reports whether b may begin a [Tight2]: no other message with
// its number has these bytes in practice. It is true of too few bytes.
func tight2Prefix(b []byte) bool {
	return (len(b) < 2 || b[1] == 0) && (len(b) < 3 || b[2] == 1)
}

func (m *Tight2) layout(c *proto.Coder) {
	c.U32((*uint32)(&m.Code))
	if c.Err != nil {
		return
	}
	fields, ok := tight2Fields[m.Code]
	if !ok {
		c.Fail(proto.ErrMalformed, "message %#x of TightVNC 2", uint32(m.Code))
		return
	}
	if c.Reading {
		*m = Tight2{Code: m.Code}
	}
	for _, field := range fields {
		field(c, m)
	}
}

// A VideoRectangleSelection tells TightVNC's server which part of the
// framebuffer is a video.
type VideoRectangleSelection struct {
	Rect rfb.Rect // pixels of the framebuffer
}

func (m *VideoRectangleSelection) layout(c *proto.Coder) {
	is(c, ClientVideoRectangleSelection)
	c.Pad(1)
	for _, v := range []*uint16{&m.Rect.X, &m.Rect.Y, &m.Rect.Width, &m.Rect.Height} {
		c.U16(v)
	}
}
