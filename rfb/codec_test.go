package rfb

import (
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// typed are messages as the specifications write them.
var typed = []struct {
	message Message
	from    Direction
	bytes   string
}{
	{&FixColourMapEntries{1, []Color{{1, 2, 3}}}, FromViewer, "01 00 0001 0001 000100020003"},
	{&KeyEvent{true, 0xff0d}, FromViewer, "04 01 0000 0000ff0d"},
	{&PointerEvent{Buttons: 3, X: 77, Y: 88}, FromViewer, "05 03 004d 0058"},
	{&PointerEvent{Buttons: 0x81, X: 1, Y: 2}, FromViewer, "05 81 0001 0002"},
	{&CutText{From: FromViewer, Text: []byte("abc")}, FromViewer, "06 000000 00000003 616263"},
	{&CutText{From: FromViewer, Extended: &Clipboard{Flags: ClipboardCaps | ClipboardText, Sizes: []uint32{9}}}, FromViewer, "06 000000 fffffff8 01000001 00000009"},
	{&CutText{From: FromViewer, Extended: &Clipboard{Flags: ClipboardProvide | ClipboardText, Data: []byte{1, 2}}}, FromViewer, "06 000000 fffffffa 10000001 0102"},
	{&FileTransfer{1, 2, 3, []byte{4}}, FromViewer, "07 01 0002 00000003 00000001 04"},
	{&SetScale{2}, FromViewer, "08 02 0000"},
	{&SetServerInput{1}, FromViewer, "09 01 0000"},
	{&SetSW{1, 0x10, 0x20}, FromViewer, "0a 01 0010 0020"},
	{&TextChat{Text: "hi"}, FromViewer, "0b 000000 00000002 6869"},
	{&TextChat{Action: TextChatOpen}, FromViewer, "0b 000000 ffffffff"},
	{&KeepAlive{}, FromViewer, "0d"},
	{&PalmSetScaleFactor{2}, FromViewer, "0f 02 0000"},
	{&RequestSession{}, FromViewer, "14"},
	{&SetSession{3}, FromViewer, "15 03"},
	{&NotifyPluginStreaming{1}, FromViewer, "50 00 0001"},
	{&CarConnectivity{1, []byte{2}}, FromViewer, "80 01 0001 02"},
	{&TightFileListRequest{1, "/a"}, FromViewer, "82 01 0002 2f61"},
	{&TightFileRequest{false, 1, 2, "/a"}, FromViewer, "83 01 0002 00000002 2f61"},
	{&TightFileRequest{true, 1, 2, "/a"}, FromViewer, "84 01 0002 00000002 2f61"},
	{&TightFileData{From: FromViewer, Level: 1, RealSize: 2, Data: []byte{3}}, FromViewer, "85 01 0002 0001 03"},
	{&TightFileData{From: FromViewer, ModTime: 5}, FromViewer, "85 00 0000 0000 00000005"},
	{&TightFileNote{ClientTightDownloadCancel, "no"}, FromViewer, "86 00 0002 6e6f"},
	{&TightFileNote{ClientTightUploadFailed, "no"}, FromViewer, "87 00 0002 6e6f"},
	{&TightFileNote{ClientTightCreateDirectory, "d"}, FromViewer, "88 00 0001 64"},
	{&EnableContinuousUpdates{true, Rect{1, 2, 3, 4}}, FromViewer, "96 01 0001 0002 0003 0004"},
	{&ReplitAudio{1, []byte{2}}, FromViewer, "f5 01 0001 02"},
	{&Fence{FenceRequest | FenceSyncNext, []byte{7}}, FromViewer, "f8 000000 80000004 01 07"},
	{&XVP{1, 3}, FromViewer, "fa 00 01 03"},
	{&SetDesktopSize{800, 600, []Screen{{1, Rect{0, 0, 800, 600}, 2}}}, FromViewer, "fb 00 0320 0258 01 00 00000001 0000 0000 0320 0258 00000002"},
	{&Tight2{Code: Tight2CompressionRequest}, FromViewer, "fc000100"},
	{&Tight2{Code: Tight2ListRequest, Level: 9, Path: "/a"}, FromViewer, "fc000102 09 00000002 2f61"},
	{&Tight2{Code: Tight2MD5Request, Path: "/a", Offset: 1, Size: 2}, FromViewer, "fc000104 00000002 2f61 0000000000000001 0000000000000002"},
	{&Tight2{Code: Tight2UploadRequest, Path: "/a", Flags: 1, Offset: 2}, FromViewer, "fc000106 00000002 2f61 01 0000000000000002"},
	{&Tight2{Code: Tight2UploadData, RealSize: 3, Data: []byte{1, 2}}, FromViewer, "fc000108 00 00000002 00000003 0102"},
	{&Tight2{Code: Tight2UploadEnd, Flags: 0x0102, Time: 3}, FromViewer, "fc00010a 0102 0000000000000003"},
	{&Tight2{Code: Tight2DownloadRequest, Path: "/a", Offset: 1}, FromViewer, "fc00010c 00000002 2f61 0000000000000001"},
	{&Tight2{Code: Tight2DownloadMore, Level: 1, RealSize: 2}, FromViewer, "fc00010e 01 00000002"},
	{&Tight2{Code: Tight2MakeRequest, Path: "/a"}, FromViewer, "fc000111 00000002 2f61"},
	{&Tight2{Code: Tight2RemoveRequest, Path: "/a"}, FromViewer, "fc000113 00000002 2f61"},
	{&Tight2{Code: Tight2RenameRequest, Path: "/a", To: "b"}, FromViewer, "fc000115 00000002 2f61 00000001 62"},
	{&Tight2{Code: Tight2SizeRequest, Path: "/a"}, FromViewer, "fc000117 00000002 2f61"},
	{&VideoRectangleSelection{Rect{1, 2, 3, 4}}, FromViewer, "97 00 0001 0002 0003 0004"},
	{&KasmRequest{ClientKasmRequestStats}, FromViewer, "b2 000000"},
	{&KasmRequest{ClientKasmNetworkStats}, FromViewer, "be 000000"},
	{&KasmRequest{ClientKasmSystemStats}, FromViewer, "bf 000000"},
	{&KasmFrameStats{1, 2}, FromViewer, "b3 000000 00000001 00000002"},
	{&KasmClipboard{[]KasmClip{{MIME: "a/b", Data: []byte{1}}, {}}}, FromViewer, "b4 02 03 612f62 00000001 01 00 00000000"},
	{&KasmUpgradeToUDP{[]byte{1}}, FromViewer, "b5 0001 01"},
	{&KasmSubscribeUnixRelay{"ab"}, FromViewer, "b6 02 6162"},
	{&KasmUnixRelay{"a", []byte{1, 2}}, FromViewer, "b7 01 61 00000002 0102"},
	{&KasmVideoEncoders{[]int32{1, -1}}, FromViewer, "b8 02 00000001 ffffffff"},
	{&KasmKeepAlive{}, FromViewer, "b9"},
	{&KasmDirectMouse{1, -1, 2, 0, -256}, FromViewer, "bc 01 ffff 0002 0000 ff00"},
	{&KasmLatency{7}, FromViewer, "bd 000000 00000007"},
	{&KasmSetMaxVideoResolution{1920, 1080}, FromViewer, "fc 0780 0438"},
	{&GIIVersion{From: FromViewer, BigEndian: true, Max: 1}, FromViewer, "fd 81 0002 0001"},
	{&GIIVersion{From: FromViewer, Max: 1}, FromViewer, "fd 01 0200 0100"},
	{&GIICreate{BigEndian: true, Name: "pen", Vendor: 1, Product: 2, Events: 1 << 13, Registers: 3, Buttons: 4,
		Valuators: []GIIValuator{{5, "pressure", "p", -1, 0, 1, 14, 2, 3, 4, -5}}}, FromViewer,
		"fd 82 00ac 70656e" + strings.Repeat("00", 29) + "00000001 00000002 00002000 00000003 00000001 00000004" +
			"00000005 7072657373757265" + strings.Repeat("00", 67) + "7000000000 ffffffff 00000000 00000001 0000000e 00000002 00000003 00000004 fffffffb"},
	{&GIIDestroy{Device: 7}, FromViewer, "fd 03 0400 07000000"},
	{&GIIInject{BigEndian: true, Events: []GIIEvent{{5, 1, []uint32{0, 97, 98, 38}}, {10, 1, []uint32{2}}, {13, 1, []uint32{0, 1, 500}}}}, FromViewer,
		"fd 80 0038 18 05 0000 00000001 00000000 00000061 00000062 00000026 0c 0a 0000 00000001 00000002 14 0d 0000 00000001 00000000 00000001 000001f4"},
	{&GIIInject{}, FromViewer, "fd 00 0000"},
	{&GII{true, 9, []byte{0, 1}}, FromViewer, "fd 89 0002 0001"},
	{&GII{false, 9, []byte{0, 1}}, FromViewer, "fd 09 0200 0001"},
	{&QEMUKeyEvent{true, 0xff0d, 0x1c}, FromViewer, "ff 00 0001 0000ff0d 0000001c"},
	{&QEMUAudioControl{Operation: 1}, FromViewer, "ff 01 0001"},
	{&QEMUAudioControl{2, 3, 2, 44100}, FromViewer, "ff 01 0002 03 02 0000ac44"},

	{&FramebufferUpdate{65535}, FromServer, "00 00 ffff"},
	{&SetColorMapEntries{1, []Color{{1, 2, 3}, {4, 5, 6}}}, FromServer, "01 00 0001 0002 000100020003 000400050006"},
	{&Bell{}, FromServer, "02"},
	{&CutText{From: FromServer, Text: []byte("secret")}, FromServer, "03 000000 00000006 736563726574"},
	{&ResizeFrameBuffer{1, 2}, FromServer, "04 00 0001 0002"},
	{&PalmResizeFrameBuffer{1, 2, 3, 4}, FromServer, "0f 00 0001 0002 0003 0004 0000"},
	{&TightFileList{1, 9, []TightFile{{1, 2}}, []byte{3}}, FromServer, "82 01 0001 0009 0001 00000001 00000002 03"},
	{&TightFileData{From: FromServer, Level: 1, RealSize: 2, Data: []byte{3}}, FromServer, "83 01 0002 0001 03"},
	{&TightFileNote{ClientMessageType(ServerTightUploadCancel), "no"}, FromServer, "84 00 0002 6e6f"},
	{&TightFileNote{ClientMessageType(ServerTightDownloadFailed), "no"}, FromServer, "85 00 0002 6e6f"},
	{&EndOfContinuousUpdates{}, FromServer, "96"},
	{&ServerStateMessage{1, 2}, FromServer, "ad 000000 00000001 00000002"},
	{&KasmStats{ClientKasmRequestStats, "{}"}, FromServer, "b2 000000 00000002 7b7d"},
	{&KasmStats{ClientKasmNetworkStats, "{}"}, FromServer, "be 000000 00000002 7b7d"},
	{&KasmStats{ClientKasmSystemStats, "{}"}, FromServer, "bf 000000 00000002 7b7d"},
	{&KasmRequestFrameStats{}, FromServer, "b3"},
	{&KasmServerClipboard{[]KasmClip{{7, "a/b", []byte{1}}}}, FromServer, "b4 01 00000007 03 612f62 00000001 01"},
	{&KasmUpgradeToUDP{[]byte{1}}, FromServer, "b5 0001 01"},
	{&KasmUnixRelaySubscribed{true, "ok"}, FromServer, "b6 01 02 6f6b"},
	{&KasmUnixRelay{"a", []byte{1, 2}}, FromServer, "b7 01 61 00000002 0102"},
	{&KasmServerVideoEncoders{[]KasmVideoEncoder{{1, 2, 3, []int32{4}}}}, FromServer, "b8 01 00000001 00000002 00000003 01 00000004"},
	{&KasmServerDisconnect{true, "bye"}, FromServer, "ba 01 000000 00000003 627965"},
	{&KasmForceGameMode{}, FromServer, "bb"},
	{&KasmLatency{7}, FromServer, "bd 000000 00000007"},
	{&Tight2{Code: Tight2Compression, Flags: 1}, FromServer, "fc000101 01"},
	{&Tight2{Code: Tight2List, Level: 1, RealSize: 3, Data: []byte{1, 2}}, FromServer, "fc000103 01 00000002 00000003 0102"},
	{&Tight2{Code: Tight2MD5, Sum: [16]byte{1, 2}}, FromServer, "fc000105 0102" + strings.Repeat("00", 14)},
	{&Tight2{Code: Tight2Upload}, FromServer, "fc000107"},
	{&Tight2{Code: Tight2UploadMore}, FromServer, "fc000109"},
	{&Tight2{Code: Tight2UploadDone}, FromServer, "fc00010b"},
	{&Tight2{Code: Tight2Download}, FromServer, "fc00010d"},
	{&Tight2{Code: Tight2DownloadData, RealSize: 2, Data: []byte{1, 2}}, FromServer, "fc00010f 00 00000002 00000002 0102"},
	{&Tight2{Code: Tight2DownloadEnd, Flags: 2, Time: 3}, FromServer, "fc000110 02 0000000000000003"},
	{&Tight2{Code: Tight2Made}, FromServer, "fc000112"},
	{&Tight2{Code: Tight2Removed}, FromServer, "fc000114"},
	{&Tight2{Code: Tight2Renamed}, FromServer, "fc000116"},
	{&Tight2{Code: Tight2Size, Size: 1 << 40}, FromServer, "fc000118 0000010000000000"},
	{&Tight2{Code: Tight2Failed, Path: "no"}, FromServer, "fc000119 00000002 6e6f"},
	{&MonitorInfo{2}, FromServer, "fc 02 0000"},
	{&GIIVersion{FromServer, false, 1, 1}, FromServer, "fd 01 0400 0100 0100"},
	{&GIIVersion{FromServer, true, 2, 1}, FromServer, "fd 81 0004 0002 0001"},
	{&GIICreated{true, 7}, FromServer, "fd 82 0004 00000007"},
	{&GII{true, 0, []byte{1}}, FromServer, "fd 80 0001 01"},
	{&QEMUAudio{Operation: 1}, FromServer, "ff 01 0001"},
	{&QEMUAudio{2, []byte{1, 2}}, FromServer, "ff 01 0002 00000002 0102"},
}

func TestTypedMessages(t *testing.T) {
	seen := make(map[reflect.Type]bool)
	for _, tt := range typed {
		seen[reflect.TypeOf(tt.message)] = true
		want := unhex(t, tt.bytes)
		assert.Equal(t, want, wire(t, tt.message), "%T", tt.message)

		parse := ParseClientMessage
		if tt.from == FromServer {
			parse = ParseServerMessage
		}
		got, n, err := parse(append(want[:len(want):len(want)], 99))
		require.NoError(t, err, "%T", tt.message)
		assert.Equal(t, len(want), n, "%T", tt.message)
		assert.Equal(t, tt.message, got)
		for n := range want {
			_, _, err := parse(want[:n])
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "%T, first %d bytes", tt.message, n)
		}
		again := reflect.New(reflect.TypeOf(tt.message).Elem()).Interface().(Message)
		require.NoError(t, again.UnmarshalBinary(want))
		assert.Equal(t, tt.message, again)
		assert.ErrorIs(t, again.UnmarshalBinary(append(want, 1, 1)), ErrMalformed)
	}
	for _, messages := range []*[256]message{&clientMessages, &serverMessages} {
		for _, m := range messages {
			if m.new != nil {
				switch v := m.new().(type) {
				case *SetPixelFormat, *SetEncodings, *FramebufferUpdateRequest: // in messages_test.go
				default:
					assert.True(t, seen[reflect.TypeOf(v)], "%T is not tested", v)
				}
			}
		}
	}
}

// Messages whose numbers others use too are never read by guess, but can be
// written and read by who knows what they are.
func TestMessagesThatShareANumber(t *testing.T) {
	for _, tt := range []struct {
		message, empty Message
		bytes          string
	}{
		{&KasmPointerEvent{1, 2, 3, -1, 4}, new(KasmPointerEvent), "05 0001 0002 0003 ffff 0004"},
		{&SetMonitor{2}, new(SetMonitor), "fe 02 0000"},
	} {
		want := unhex(t, tt.bytes)
		assert.Equal(t, want, wire(t, tt.message))
		require.NoError(t, tt.empty.UnmarshalBinary(want))
		assert.Equal(t, tt.message, tt.empty)
		m, n, err := ParseClientMessage(want)
		if err == nil {
			assert.NotEqual(t, tt.message, m)
			assert.NotEqual(t, len(want), n)
		}
	}
}

func TestPointerEventWithFurtherButtons(t *testing.T) {
	m := PointerEvent{Buttons: 0x80, X: 1, Y: 2, Extended: true, More: 1}
	want := unhex(t, "05 80 0001 0002 01")
	assert.Equal(t, want, wire(t, m))
	var again PointerEvent
	require.NoError(t, again.UnmarshalBinary(want))
	assert.Equal(t, m, again)
	assert.Error(t, again.UnmarshalBinary(unhex(t, "05 01 0001 0002 01")), "it doesn't announce the byte")
}

func TestTypedMessagesRefuse(t *testing.T) {
	for _, in := range []string{
		"06 000000 fffffffd 010000", "06 000000 80000000", "0c", "7f", "f9", "fe", "ff 02 0000", "ff 01 0003",
		"fc 00011a", "fd 81 0003 000100", "fd 83 0005 0000000100", "fd 80 0001 00", "fd 80 0008 08 05 0000 00000001",
		"fd 80 000d 0c 0a 0000 00000001 00000002 ff", "fd 80 0010 10 0c 0000 00000001 00000000 00000001",
		"fd 82 0038" + strings.Repeat("00", 48) + "00000001 00000000", // a valuator that isn't there
	} {
		_, _, err := ParseClientMessage(unhex(t, in))
		assert.Error(t, err, in)
		assert.NotErrorIs(t, err, io.ErrUnexpectedEOF, in)
	}
	for _, m := range []Message{
		&CutText{}, &CutText{From: FromViewer, Extended: &Clipboard{Flags: ClipboardCaps | ClipboardText}},
		&Fence{Payload: make([]byte, 65)}, &TightFileData{}, &TightFileNote{}, &GII{Type: 0x80}, &GIIVersion{}, &GIICreate{Name: strings.Repeat("x", 32)}, &GIICreate{Name: "\x00"},
		&GIIInject{Events: []GIIEvent{{Type: 5}}}, &Tight2{}, &KasmRequest{}, &Tight2{Code: Tight2Compression, Flags: 256},
		&SetColorMapEntries{Colors: make([]Color, 1<<16)}, &SetDesktopSize{Screens: make([]Screen, 256)}, &TextChat{Action: 5},
	} {
		b, err := m.AppendBinary([]byte("before"))
		assert.Error(t, err, "%T", m)
		assert.Equal(t, "before", string(b), "%T", m)
	}
}

// more rectangles: those that ViewOnly doesn't ask for.
var moreRectangles = []struct {
	name string
	rect []byte
}{
	{"ZlibHex", rectOf(Rect{0, 0, 40, 16}, EncodingZlibHex, []byte{2}, zeros(4), []byte{0x20, 0, 3}, zeros(3), []byte{0x48, 0, 2}, zeros(2))},
	{"Ultra", rectOf(Rect{1, 2, 3, 4}, EncodingUltra, u32(5), zeros(5))},
	{"Ultra2", rectOf(Rect{1, 2, 3, 4}, EncodingUltra2, u32(5), zeros(5))},
	{"ZYWRLE", rectOf(Rect{1, 2, 3, 4}, EncodingZYWRLE, u32(5), zeros(5))},
	{"TRLE raw", rectOf(Rect{0, 0, 17, 2}, EncodingTRLE, []byte{0}, zeros(16*2*3), []byte{0}, zeros(2*3))},
	{"TRLE solid", rectOf(Rect{0, 0, 16, 16}, EncodingTRLE, []byte{1}, zeros(3))},
	{"TRLE packed", rectOf(Rect{0, 0, 80, 3}, EncodingTRLE, []byte{2}, zeros(6+2*3), []byte{3}, zeros(9+4*3), []byte{16}, zeros(48+8*3),
		[]byte{127}, zeros(8*3), []byte{1}, zeros(3))},
	{"TRLE runs", rectOf(Rect{0, 0, 32, 16}, EncodingTRLE, []byte{128}, zeros(3), []byte{254}, zeros(3), []byte{0},
		[]byte{130}, zeros(6), []byte{0x80, 254, 1})},
	{"TRLE long run", rectOf(Rect{0, 0, 16, 16}, EncodingTRLE, []byte{128}, zeros(3), []byte{255, 0})},
	{"TRLE palette reused for runs", rectOf(Rect{0, 0, 17, 1}, EncodingTRLE, []byte{130}, zeros(6), []byte{0x81, 15}, []byte{129, 1})},
	{"JPEG", rectOf(Rect{0, 0, 8, 8}, EncodingJPEG, unhexString("ffd8 ffe0 0004 0102 ffda 0002 01ff0002ffd003 ffd9"))},
	{"JPEG, progressive", rectOf(Rect{0, 0, 8, 8}, EncodingJPEG, unhexString("ffd8 ffda 0002 0102 ffc4 0003 00 ffda 0002 03ffff d9"))},
	{"H.264", rectOf(Rect{0, 0, 8, 8}, EncodingH264, u32(3), u32(1), zeros(3))},
	{"TightPNG", rectOf(Rect{0, 0, 8, 8}, EncodingTightPNG, []byte{0xa0, 3}, zeros(3))},
	{"TightPNG fill", rectOf(Rect{0, 0, 8, 8}, EncodingTightPNG, []byte{0x80}, zeros(3))},
	{"Tight without zlib", rectOf(Rect{0, 0, 8, 8}, EncodingTight, []byte{0xa0}, zeros(8*8*3))},
	{"Tight without zlib, two colours", rectOf(Rect{0, 0, 8, 30}, EncodingTight, []byte{0xe0, 1, 1}, zeros(6), zeros(30))},
	{"UltraZip", rectOf(Rect{3, 0, 8, 0}, EncodingUltraZip, u32(3), zeros(3))},
	{"UltraCacheZip", rectOf(Rect{3, 0, 8, 0}, EncodingUltraCacheZip, u32(3), zeros(3))},
	{"UltraSolMonoZip", rectOf(Rect{3, 0, 8, 0}, EncodingUltraSolMonoZip, u32(3), zeros(3))},
	{"UltraQueueZstd", rectOf(Rect{3, 0, 8, 0}, EncodingUltraQueueZstd, u32(3), zeros(3))},
	{"XZ", rectOf(Rect{0, 1, 0, 5}, EncodingXZ, zeros(5))},
	{"XZ, long", rectOf(Rect{0, 1, 1, 2}, EncodingXZ, zeros(65538))},
	{"XZYW", rectOf(Rect{0, 1, 0, 5}, EncodingXZYW, zeros(5))},
	{"Zstd", rectOf(Rect{1, 2, 3, 4}, EncodingZstd, u32(5), zeros(5))},
	{"TightZstd", rectOf(Rect{0, 0, 4, 1}, EncodingTightZstd, []byte{0x50, 0, 12}, zeros(12))},
	{"ZstdHex", rectOf(Rect{0, 0, 40, 16}, EncodingZstdHex, []byte{2}, zeros(4), []byte{0x20, 0, 3}, zeros(3), []byte{0x48, 0, 2}, zeros(2))},
	{"ZstdRLE", rectOf(Rect{1, 2, 3, 4}, EncodingZstdRLE, u32(5), zeros(5))},
	{"ZstdYWRLE", rectOf(Rect{1, 2, 3, 4}, EncodingZstdYWRLE, u32(5), zeros(5))},
	{"UltraCache", rectOf(Rect{}, EncodingUltraCache, zeros(2))},
	{"DesktopName, not clean", rectOf(Rect{}, EncodingDesktopName, u32(5), []byte("vda-\xff"))}, // found by FuzzRectangles
	{"QEMUPointer", rectOf(Rect{1, 0, 0, 0}, EncodingQEMUPointer)},
	{"QEMUKey", rectOf(Rect{}, EncodingQEMUKey)},
	{"QEMUAudio", rectOf(Rect{}, EncodingQEMUAudio)},
	{"ExtendedMouse", rectOf(Rect{}, EncodingExtendedMouse)},
	{"ExtendedDesktopSize", rectOf(Rect{0, 0, 640, 480}, EncodingExtendedDesktopSize, []byte{1, 0, 0, 0}, zeros(16))},
	{"ExtendedDesktopSize, refused", rectOf(Rect{1, 1, 0, 0}, EncodingExtendedDesktopSize, []byte{0, 0, 0, 0})},
	{"CursorWithAlpha", rectOf(Rect{0, 0, 2, 2}, EncodingCursorWithAlpha, u32(0), zeros(16))},
	{"CursorWithAlpha, Tight", rectOf(Rect{0, 0, 2, 2}, EncodingCursorWithAlpha, u32(7), []byte{0x80}, zeros(4))},
	{"VMwareCursor, masks", rectOf(Rect{0, 0, 2, 2}, EncodingVMwareCursor, []byte{0, 0}, zeros(32))},
	{"VMwareCursor, alpha", rectOf(Rect{0, 0, 2, 2}, EncodingVMwareCursor, []byte{1, 0}, zeros(16))},
	{"VMwareCursorState", rectOf(Rect{}, EncodingVMwareCursorState, zeros(2))},
	{"VMwareCursorPos", rectOf(Rect{}, EncodingVMwareCursorPos)},
	{"VMwareKeyRepeat", rectOf(Rect{}, EncodingVMwareKeyRepeat, zeros(10))},
	{"VMwareLEDState", rectOf(Rect{}, EncodingVMwareLEDState, zeros(4))},
	{"VMwareMachineState", rectOf(Rect{}, EncodingVMwareMachineState, zeros(2))},
	{"VMwareDisplayMode", rectOf(Rect{0, 0, 640, 480}, EncodingVMwareDisplayMode, unhexString("20 18 00 01 00ff 00ff 00ff 00 08 10 000000"))},
	{"KeyboardLEDState", rectOf(Rect{1, 0, 0, 0}, EncodingKeyboardLEDState)},
	{"SupportedMessages", rectOf(Rect{0, 0, 64, 0}, EncodingSupportedMessages, zeros(64))},
	{"SupportedEncodings", rectOf(Rect{0, 0, 8, 2}, EncodingSupportedEncodings, zeros(8))},
	{"ServerIdentity", rectOf(Rect{0, 0, 4, 0}, EncodingServerIdentity, []byte("desk"))},
	{"ReplitAudio", rectOf(Rect{}, EncodingReplitAudio, u16(1, 2, 3, 4))},
}

// Each kind of rectangle is read by its type and by the walker, which must
// agree on where it ends, and is written as it was.
func TestTypedRectangles(t *testing.T) {
	seen := make(map[Encoding]bool)
	for _, tt := range append(rectangles[:len(rectangles):len(rectangles)], moreRectangles...) {
		t.Run(tt.name, func(t *testing.T) {
			r, n, err := ParseRectangle(append(tt.rect[:len(tt.rect):len(tt.rect)], 99), pinned)
			require.NoError(t, err)
			seen[r.Encoding] = true
			assert.Equal(t, len(tt.rect), n)
			again, err := r.AppendFormat([]byte("before"), pinned)
			require.NoError(t, err)
			assert.Equal(t, append([]byte("before"), tt.rect...), again)
			for n := 0; n < len(tt.rect); n += 1 + len(tt.rect)/50 {
				_, _, err := ParseRectangle(tt.rect[:n], pinned)
				assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "first %d bytes", n)
			}

			in := join(update(tt.rect, tt.rect), []byte{2})
			for cut, parts := range cuts(len(in)) {
				if len(in) > 1<<16 && cut == "bytes" {
					continue
				}
				w := newInspector(newAgreed(640, 480), pinned)
				rest := append([]byte(nil), in...)
				for _, n := range parts {
					p, err := w.walk(rest[:n])
					require.NoError(t, err, cut)
					assert.Len(t, p, n)
					rest = rest[n:]
				}
				assert.True(t, w.between(), cut)
			}
		})
	}
	for _, e := range encodings {
		if e.number != EncodingLastRect { // TestWalkerEndsAnUpdateAtLastRect
			assert.Equal(t, e.new != nil, seen[e.number], "%s", e.name)
		}
	}
}

func TestTypedRectanglesRefuse(t *testing.T) {
	r := Rect{0, 0, 16, 16}
	for name, in := range map[string][]byte{
		"unknown encoding":           rectOf(r, 4711),
		"no layout":                  rectOf(r, EncodingJRLE),
		"XZ for nothing":             rectOf(Rect{0, 0, 0, 1}, EncodingXZ, zeros(1)),
		"XZ for more than there are": rectOf(Rect{0, 2, 0, 1}, EncodingXZ, zeros(1)),
		"XZ, too long":               rectOf(Rect{0, 1, 256, 1}, EncodingXZ),
		"TRLE kind":                  rectOf(r, EncodingTRLE, []byte{17}),
		"TRLE without palette":       rectOf(r, EncodingTRLE, []byte{127}),
		"TRLE runs, no palette":      rectOf(r, EncodingTRLE, []byte{129}),
		"TRLE run too long":          rectOf(r, EncodingTRLE, []byte{128}, zeros(3), []byte{255, 1}),
		"TRLE index":                 rectOf(r, EncodingTRLE, []byte{130}, zeros(6), []byte{2}),
		"JPEG, no marker":            rectOf(r, EncodingJPEG, []byte{1, 2}),
		"JPEG, short segment":        rectOf(r, EncodingJPEG, unhexString("ffd8 ffe0 0001")),
		"H.264, too long":            rectOf(r, EncodingH264, u32(maxH264+1), u32(0)),
		"cursor in a cursor":         rectOf(r, EncodingCursorWithAlpha, u32(uint32(0xfffffec6))),
		"copied cursor":              rectOf(r, EncodingCursorWithAlpha, u32(1)),
		"VMware cursor":              rectOf(r, EncodingVMwareCursor, []byte{2, 0}),
		"encodings, not by four":     rectOf(Rect{0, 0, 5, 1}, EncodingSupportedEncodings, zeros(5)),
		"TightPNG basic":             rectOf(r, EncodingTightPNG, []byte{0}),
		"ZlibHex mask":               rectOf(r, EncodingZlibHex, []byte{0x80}),
		"display mode of 24 bits":    rectOf(Rect{0, 0, 8, 8}, EncodingVMwareDisplayMode, unhexString("18 18 00 01 00ff 00ff 00ff 00 08 10 000000")),
		"no display":                 rectOf(Rect{}, EncodingVMwareDisplayMode, zeros(16)),
		"extended size of nothing":   rectOf(Rect{}, EncodingExtendedDesktopSize, zeros(4)),
	} {
		w := newInspector(newAgreed(640, 480), pinned)
		_, err := w.walk(update(in))
		assert.Error(t, err, name)
	}
}

// Appending a message must not write to it: many goroutines may share one. The
// race detector sees it.
func TestAppendingLeavesMessagesAlone(t *testing.T) {
	list := SetEncodings{[]Encoding{1, 2, 3}}
	clip := CutText{From: FromViewer, Extended: &Clipboard{Flags: ClipboardCaps | ClipboardText, Sizes: []uint32{9}}}
	var rects []Rectangle
	for _, tt := range append(rectangles[:len(rectangles):len(rectangles)], moreRectangles...) {
		r, _, err := ParseRectangle(tt.rect, pinned)
		require.NoError(t, err)
		rects = append(rects, r)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for _, m := range []Message{&list, &clip} {
				_, err := m.AppendBinary(nil)
				assert.NoError(t, err)
			}
			for _, tt := range typed {
				_, err := tt.message.AppendBinary(nil)
				assert.NoError(t, err)
			}
			for _, r := range rects {
				_, err := r.AppendFormat(nil, pinned)
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
}
