package vendors

import (
	"encoding/hex"
	"io"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
)

// typed are messages as those who defined them write them.
var typed = []struct {
	message Message
	from    rfb.Direction
	bytes   string
}{
	{&FixColourMapEntries{1, []rfb.Color{{Red: 1, Green: 2, Blue: 3}}}, rfb.FromViewer, "01 00 0001 0001 000100020003"},
	{&FileTransfer{1, 2, 3, []byte{4}}, rfb.FromViewer, "07 01 0002 00000003 00000001 04"},
	{&SetScale{2}, rfb.FromViewer, "08 02 0000"},
	{&SetServerInput{1}, rfb.FromViewer, "09 01 0000"},
	{&SetSW{1, 0x10, 0x20}, rfb.FromViewer, "0a 01 0010 0020"},
	{&TextChat{Text: "hi"}, rfb.FromViewer, "0b 000000 00000002 6869"},
	{&TextChat{Action: TextChatOpen}, rfb.FromViewer, "0b 000000 ffffffff"},
	{&KeepAlive{}, rfb.FromViewer, "0d"},
	{&PalmSetScaleFactor{2}, rfb.FromViewer, "0f 02 0000"},
	{&RequestSession{}, rfb.FromViewer, "14"},
	{&SetSession{3}, rfb.FromViewer, "15 03"},
	{&NotifyPluginStreaming{1}, rfb.FromViewer, "50 00 0001"},
	{&CarConnectivity{1, []byte{2}}, rfb.FromViewer, "80 01 0001 02"},
	{&TightFileListRequest{1, "/a"}, rfb.FromViewer, "82 01 0002 2f61"},
	{&TightFileRequest{false, 1, 2, "/a"}, rfb.FromViewer, "83 01 0002 00000002 2f61"},
	{&TightFileRequest{true, 1, 2, "/a"}, rfb.FromViewer, "84 01 0002 00000002 2f61"},
	{&TightFileData{From: rfb.FromViewer, Level: 1, RealSize: 2, Data: []byte{3}}, rfb.FromViewer, "85 01 0002 0001 03"},
	{&TightFileData{From: rfb.FromViewer, ModTime: 5}, rfb.FromViewer, "85 00 0000 0000 00000005"},
	{&TightFileNote{ClientTightDownloadCancel, "no"}, rfb.FromViewer, "86 00 0002 6e6f"},
	{&TightFileNote{ClientTightUploadFailed, "no"}, rfb.FromViewer, "87 00 0002 6e6f"},
	{&TightFileNote{ClientTightCreateDirectory, "d"}, rfb.FromViewer, "88 00 0001 64"},
	{&ReplitAudio{1, []byte{2}}, rfb.FromViewer, "f5 01 0001 02"},
	{&Tight2{Code: Tight2CompressionRequest}, rfb.FromViewer, "fc000100"},
	{&Tight2{Code: Tight2ListRequest, Level: 9, Path: "/a"}, rfb.FromViewer, "fc000102 09 00000002 2f61"},
	{&Tight2{Code: Tight2MD5Request, Path: "/a", Offset: 1, Size: 2}, rfb.FromViewer, "fc000104 00000002 2f61 0000000000000001 0000000000000002"},
	{&Tight2{Code: Tight2UploadRequest, Path: "/a", Flags: 1, Offset: 2}, rfb.FromViewer, "fc000106 00000002 2f61 01 0000000000000002"},
	{&Tight2{Code: Tight2UploadData, RealSize: 3, Data: []byte{1, 2}}, rfb.FromViewer, "fc000108 00 00000002 00000003 0102"},
	{&Tight2{Code: Tight2UploadEnd, Flags: 0x0102, Time: 3}, rfb.FromViewer, "fc00010a 0102 0000000000000003"},
	{&Tight2{Code: Tight2DownloadRequest, Path: "/a", Offset: 1}, rfb.FromViewer, "fc00010c 00000002 2f61 0000000000000001"},
	{&Tight2{Code: Tight2DownloadMore, Level: 1, RealSize: 2}, rfb.FromViewer, "fc00010e 01 00000002"},
	{&Tight2{Code: Tight2MakeRequest, Path: "/a"}, rfb.FromViewer, "fc000111 00000002 2f61"},
	{&Tight2{Code: Tight2RemoveRequest, Path: "/a"}, rfb.FromViewer, "fc000113 00000002 2f61"},
	{&Tight2{Code: Tight2RenameRequest, Path: "/a", To: "b"}, rfb.FromViewer, "fc000115 00000002 2f61 00000001 62"},
	{&Tight2{Code: Tight2SizeRequest, Path: "/a"}, rfb.FromViewer, "fc000117 00000002 2f61"},
	{&VideoRectangleSelection{rfb.Rect{X: 1, Y: 2, Width: 3, Height: 4}}, rfb.FromViewer, "97 00 0001 0002 0003 0004"},
	{&KasmRequest{ClientKasmRequestStats}, rfb.FromViewer, "b2 000000"},
	{&KasmRequest{ClientKasmNetworkStats}, rfb.FromViewer, "be 000000"},
	{&KasmRequest{ClientKasmSystemStats}, rfb.FromViewer, "bf 000000"},
	{&KasmFrameStats{1, 2}, rfb.FromViewer, "b3 000000 00000001 00000002"},
	{&KasmClipboard{[]KasmClip{{MIME: "a/b", Data: []byte{1}}, {}}}, rfb.FromViewer, "b4 02 03 612f62 00000001 01 00 00000000"},
	{&KasmUpgradeToUDP{[]byte{1}}, rfb.FromViewer, "b5 0001 01"},
	{&KasmSubscribeUnixRelay{"ab"}, rfb.FromViewer, "b6 02 6162"},
	{&KasmUnixRelay{"a", []byte{1, 2}}, rfb.FromViewer, "b7 01 61 00000002 0102"},
	{&KasmVideoEncoders{[]int32{1, -1}}, rfb.FromViewer, "b8 02 00000001 ffffffff"},
	{&KasmKeepAlive{}, rfb.FromViewer, "b9"},
	{&KasmDirectMouse{1, -1, 2, 0, -256}, rfb.FromViewer, "bc 01 ffff 0002 0000 ff00"},
	{&KasmLatency{7}, rfb.FromViewer, "bd 000000 00000007"},
	{&KasmSetMaxVideoResolution{1920, 1080}, rfb.FromViewer, "fc 0780 0438"},
	{&GIIVersion{From: rfb.FromViewer, BigEndian: true, Max: 1}, rfb.FromViewer, "fd 81 0002 0001"},
	{&GIIVersion{From: rfb.FromViewer, Max: 1}, rfb.FromViewer, "fd 01 0200 0100"},
	{&GIICreate{BigEndian: true, Name: "pen", Vendor: 1, Product: 2, Events: 1 << 13, Registers: 3, Buttons: 4,
		Valuators: []GIIValuator{{5, "pressure", "p", -1, 0, 1, 14, 2, 3, 4, -5}}}, rfb.FromViewer,
		"fd 82 00ac 70656e" + strings.Repeat("00", 29) + "00000001 00000002 00002000 00000003 00000001 00000004" +
			"00000005 7072657373757265" + strings.Repeat("00", 67) + "7000000000 ffffffff 00000000 00000001 0000000e 00000002 00000003 00000004 fffffffb"},
	{&GIIDestroy{Device: 7}, rfb.FromViewer, "fd 03 0400 07000000"},
	{&GIIInject{BigEndian: true, Events: []GIIEvent{{5, 1, []uint32{0, 97, 98, 38}}, {10, 1, []uint32{2}}, {13, 1, []uint32{0, 1, 500}}}}, rfb.FromViewer,
		"fd 80 0038 18 05 0000 00000001 00000000 00000061 00000062 00000026 0c 0a 0000 00000001 00000002 14 0d 0000 00000001 00000000 00000001 000001f4"},
	{&GIIInject{}, rfb.FromViewer, "fd 00 0000"},
	{&GII{true, 9, []byte{0, 1}}, rfb.FromViewer, "fd 89 0002 0001"},
	{&GII{false, 9, []byte{0, 1}}, rfb.FromViewer, "fd 09 0200 0001"},
	{&ResizeFrameBuffer{1, 2}, rfb.FromServer, "04 00 0001 0002"},
	{&PalmResizeFrameBuffer{1, 2, 3, 4}, rfb.FromServer, "0f 00 0001 0002 0003 0004 0000"},
	{&TightFileList{1, 9, []TightFile{{1, 2}}, []byte{3}}, rfb.FromServer, "82 01 0001 0009 0001 00000001 00000002 03"},
	{&TightFileData{From: rfb.FromServer, Level: 1, RealSize: 2, Data: []byte{3}}, rfb.FromServer, "83 01 0002 0001 03"},
	{&TightFileNote{rfb.ClientMessageType(ServerTightUploadCancel), "no"}, rfb.FromServer, "84 00 0002 6e6f"},
	{&TightFileNote{rfb.ClientMessageType(ServerTightDownloadFailed), "no"}, rfb.FromServer, "85 00 0002 6e6f"},
	{&ServerStateMessage{1, 2}, rfb.FromServer, "ad 000000 00000001 00000002"},
	{&KasmStats{ClientKasmRequestStats, "{}"}, rfb.FromServer, "b2 000000 00000002 7b7d"},
	{&KasmStats{ClientKasmNetworkStats, "{}"}, rfb.FromServer, "be 000000 00000002 7b7d"},
	{&KasmStats{ClientKasmSystemStats, "{}"}, rfb.FromServer, "bf 000000 00000002 7b7d"},
	{&KasmRequestFrameStats{}, rfb.FromServer, "b3"},
	{&KasmServerClipboard{[]KasmClip{{7, "a/b", []byte{1}}}}, rfb.FromServer, "b4 01 00000007 03 612f62 00000001 01"},
	{&KasmUpgradeToUDP{[]byte{1}}, rfb.FromServer, "b5 0001 01"},
	{&KasmUnixRelaySubscribed{true, "ok"}, rfb.FromServer, "b6 01 02 6f6b"},
	{&KasmUnixRelay{"a", []byte{1, 2}}, rfb.FromServer, "b7 01 61 00000002 0102"},
	{&KasmServerVideoEncoders{[]KasmVideoEncoder{{1, 2, 3, []int32{4}}}}, rfb.FromServer, "b8 01 00000001 00000002 00000003 01 00000004"},
	{&KasmServerDisconnect{true, "bye"}, rfb.FromServer, "ba 01 000000 00000003 627965"},
	{&KasmForceGameMode{}, rfb.FromServer, "bb"},
	{&KasmLatency{7}, rfb.FromServer, "bd 000000 00000007"},
	{&Tight2{Code: Tight2Compression, Flags: 1}, rfb.FromServer, "fc000101 01"},
	{&Tight2{Code: Tight2List, Level: 1, RealSize: 3, Data: []byte{1, 2}}, rfb.FromServer, "fc000103 01 00000002 00000003 0102"},
	{&Tight2{Code: Tight2MD5, Sum: [16]byte{1, 2}}, rfb.FromServer, "fc000105 0102" + strings.Repeat("00", 14)},
	{&Tight2{Code: Tight2Upload}, rfb.FromServer, "fc000107"},
	{&Tight2{Code: Tight2UploadMore}, rfb.FromServer, "fc000109"},
	{&Tight2{Code: Tight2UploadDone}, rfb.FromServer, "fc00010b"},
	{&Tight2{Code: Tight2Download}, rfb.FromServer, "fc00010d"},
	{&Tight2{Code: Tight2DownloadData, RealSize: 2, Data: []byte{1, 2}}, rfb.FromServer, "fc00010f 00 00000002 00000002 0102"},
	{&Tight2{Code: Tight2DownloadEnd, Flags: 2, Time: 3}, rfb.FromServer, "fc000110 02 0000000000000003"},
	{&Tight2{Code: Tight2Made}, rfb.FromServer, "fc000112"},
	{&Tight2{Code: Tight2Removed}, rfb.FromServer, "fc000114"},
	{&Tight2{Code: Tight2Renamed}, rfb.FromServer, "fc000116"},
	{&Tight2{Code: Tight2Size, Size: 1 << 40}, rfb.FromServer, "fc000118 0000010000000000"},
	{&Tight2{Code: Tight2Failed, Path: "no"}, rfb.FromServer, "fc000119 00000002 6e6f"},
	{&MonitorInfo{2}, rfb.FromServer, "fc 02 0000"},
	{&GIIVersion{rfb.FromServer, false, 1, 1}, rfb.FromServer, "fd 01 0400 0100 0100"},
	{&GIIVersion{rfb.FromServer, true, 2, 1}, rfb.FromServer, "fd 81 0004 0002 0001"},
	{&GIICreated{true, 7}, rfb.FromServer, "fd 82 0004 00000007"},
	{&GII{true, 0, []byte{1}}, rfb.FromServer, "fd 80 0001 01"},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

func wire(t testing.TB, m Message) []byte {
	t.Helper()
	b, err := AppendMessage(nil, m)
	require.NoError(t, err, "%T", m)
	return b
}

// parser is what reads a peer's messages.
func parser(from rfb.Direction) func([]byte) (Message, int, error) {
	if from == rfb.FromViewer {
		return ParseClientMessage
	}
	return ParseServerMessage
}

func TestTypedMessages(t *testing.T) {
	seen := make(map[reflect.Type]bool)
	for _, tt := range typed {
		seen[reflect.TypeOf(tt.message)] = true
		want := unhex(t, tt.bytes)
		assert.Equal(t, want, wire(t, tt.message), "%T", tt.message)
		assert.True(t, Has(tt.from, want[0]), "%T", tt.message)

		parse := parser(tt.from)
		got, n, err := parse(append(want[:len(want):len(want)], 99))
		require.NoError(t, err, "%T", tt.message)
		assert.Equal(t, len(want), n, "%T", tt.message)
		assert.Equal(t, tt.message, got)
		for n := range want {
			_, _, err := parse(want[:n])
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "%T, first %d bytes", tt.message, n)
		}
		again := reflect.New(reflect.TypeOf(tt.message).Elem()).Interface().(Message)
		require.NoError(t, ReadMessage(want, again))
		assert.Equal(t, tt.message, again)
		assert.ErrorIs(t, ReadMessage(append(want, 1, 1), again), rfb.ErrMalformed)
	}
	for _, messages := range []*[256]func() Message{&clientMessages, &serverMessages} {
		for _, empty := range messages {
			if empty != nil {
				assert.True(t, seen[reflect.TypeOf(empty())], "%T is not tested", empty())
			}
		}
	}
}

func TestTypedMessagesRefuse(t *testing.T) {
	for _, in := range []string{
		"04", "0c", "fc 00011a", "fd 81 0003 000100", "fd 83 0005 0000000100", "fd 80 0001 00", "fd 80 0008 08 05 0000 00000001",
		"fd 80 000d 0c 0a 0000 00000001 00000002 ff", "fd 80 0010 10 0c 0000 00000001 00000000 00000001",
		"fd 82 0038" + strings.Repeat("00", 48) + "00000001 00000000", // a valuator that isn't there
	} {
		_, _, err := ParseClientMessage(unhex(t, in))
		assert.Error(t, err, in)
		assert.NotErrorIs(t, err, io.ErrUnexpectedEOF, in)
	}
	for _, m := range []Message{
		&TightFileData{}, &TightFileNote{}, &GII{Type: 0x80}, &GIIVersion{}, &GIICreate{Name: strings.Repeat("x", 32)}, &GIICreate{Name: "\x00"},
		&GIIInject{Events: []GIIEvent{{Type: 5}}}, &Tight2{}, &KasmRequest{}, &Tight2{Code: Tight2Compression, Flags: 256},
		&TextChat{Action: 5},
	} {
		b, err := AppendMessage([]byte("before"), m)
		assert.Error(t, err, "%T", m)
		assert.Equal(t, "before", string(b), "%T", m)
	}
}

// A documented is a line of docs/rfb.md about a message.
type documented struct {
	from   rfb.Direction
	number byte
	name   string
	layout string // of its length
}

func documentation(t *testing.T) (lines []documented) {
	text, err := os.ReadFile("../../docs/rfb.md")
	require.NoError(t, err)
	_, messages, _ := strings.Cut(string(text), "\n## Messages of a viewer\n")
	messages, _, _ = strings.Cut(messages, "\n## Encodings\n")
	viewer, server, ok := strings.Cut(messages, "\n## Messages of a server\n")
	require.True(t, ok)
	row := regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| ([^|]+) \|`)
	for from, table := range map[rfb.Direction]string{rfb.FromViewer: viewer, rfb.FromServer: server} {
		for _, m := range row.FindAllStringSubmatch(table, -1) {
			n, err := strconv.ParseUint(m[1], 10, 8)
			require.NoError(t, err)
			lines = append(lines, documented{from, byte(n), m[2], m[3]})
		}
	}
	return lines
}

// A message whose length the documentation has is in package rfb or in this one, with the
// same name; those of one length have that.
func TestDocumentedMessages(t *testing.T) {
	lines := documentation(t)
	require.Greater(t, len(lines), 80)
	for _, d := range lines {
		var err error
		var name string
		if d.from == rfb.FromViewer {
			_, _, err = rfb.ParseClientMessage([]byte{d.number})
			name = rfb.ClientMessageType(d.number).String()
		} else {
			_, _, err = rfb.ParseServerMessage([]byte{d.number})
			name = rfb.ServerMessageType(d.number).String()
		}
		assert.Equal(t, d.name, name)
		public := !strings.Contains(d.layout, "unpublished")
		ours, theirs := Has(d.from, d.number), !strings.Contains(errText(err), "no known layout")
		assert.Equal(t, public, ours || theirs, d.name)
		assert.False(t, ours && theirs, "%s twice", d.name)
		length, err := strconv.Atoi(d.layout)
		for _, tt := range typed {
			if b := unhex(t, tt.bytes); err == nil && tt.from == d.from && b[0] == d.number {
				assert.Len(t, b, length, "%T", tt.message)
			}
		}
	}
}

// Messages that grow with a list or a text are as long as docs/rfb.md says.
func TestLengthsOfMessages(t *testing.T) {
	formula := regexp.MustCompile(`^(\d+) \+ (?:(\d+)·)?n`)
	layouts := map[rfb.Direction]map[byte]string{rfb.FromViewer: {}, rfb.FromServer: {}}
	for _, d := range documentation(t) {
		layouts[d.from][d.number] = d.layout
	}
	for _, n := range []int{0, 1, 2, 7} {
		for _, tt := range []struct {
			from    rfb.Direction
			message Message
		}{
			{rfb.FromViewer, &FileTransfer{Data: make([]byte, n)}},
			{rfb.FromViewer, &CarConnectivity{1, make([]byte, n)}},
			{rfb.FromViewer, &KasmVideoEncoders{make([]int32, n)}},
			{rfb.FromServer, &KasmStats{ClientKasmRequestStats, strings.Repeat("x", n)}},
			{rfb.FromServer, &KasmUpgradeToUDP{make([]byte, n)}},
		} {
			b := wire(t, tt.message)
			terms := formula.FindStringSubmatch(layouts[tt.from][b[0]])
			require.NotNil(t, terms, "%T", tt.message)
			head, err := strconv.Atoi(terms[1])
			require.NoError(t, err)
			each, err := strconv.Atoi("0" + terms[2])
			require.NoError(t, err)
			assert.Len(t, b, head+max(1, each)*n, "%T of %d", tt.message, n)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
