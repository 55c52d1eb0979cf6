package xconn

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/peer"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

func TestDisplayNumber(t *testing.T) {
	for name, want := range map[string]int{":0": 0, ":1": 1, ":17.0": 17, "unix:3": 3, "unix:3.1": 3} {
		n, _, err := parseDisplay(name)
		require.NoError(t, err, name)
		assert.Equal(t, want, n, name)
	}
	for _, name := range []string{"", "1", ":", ":x", ":-1", ":1.", "host:1", "tcp/host:1", "/tmp/x:0", ":70000"} {
		_, _, err := parseDisplay(name)
		assert.Error(t, err, name)
	}
}

// entry is one entry of an .Xauthority file.
func entry(family uint16, address, number, protocol, data string) []byte {
	b := binary.BigEndian.AppendUint16(nil, family)
	for _, s := range []string{address, number, protocol, data} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return b
}

func TestCookies(t *testing.T) {
	const secret = "0123456789abcdef"
	xdm := entry(familyWild, "", "1", "XDM-AUTHORIZATION-1", "xxxxxxxxxxxxxxxx")
	long := entry(familyWild, strings.Repeat("h", 300), "2", cookieID, secret)
	for name, c := range map[string]struct {
		file []byte
		want []string
	}{
		"by host name":             {entry(familyLocal, "vda1", "1", cookieID, secret), []string{secret}},
		"any host":                 {entry(familyWild, "", "1", cookieID, secret), []string{secret}},
		"any display":              {entry(familyLocal, "vda1", "", cookieID, secret), []string{secret}},
		"another display":          {entry(familyLocal, "vda1", "2", cookieID, secret), nil},
		"another protocol before":  {append(xdm, entry(familyLocal, "vda1", "1", cookieID, secret)...), []string{secret}},
		"a long entry before":      {append(long, entry(familyLocal, "vda1", "1", cookieID, secret)...), []string{secret}},
		"the host's former name":   {entry(familyLocal, "old", "1", cookieID, secret), []string{secret}},
		"by internet address":      {entry(0, "\x7f\x00\x00\x01", "1", cookieID, secret), []string{secret}},
		"own name first":           {append(entry(familyLocal, "old", "1", cookieID, "old"), entry(familyLocal, "vda1", "1", cookieID, secret)...), []string{secret, "old"}},
		"the same twice":           {append(entry(familyWild, "", "1", cookieID, secret), entry(familyLocal, "vda1", "1", cookieID, secret)...), []string{secret}},
		"cut off":                  {append(entry(familyWild, "", "1", cookieID, secret), 0, 1, 0), []string{secret}},
		"empty":                    {nil, nil},
		"more than anybody tries":  {manyEntries(), []string{"a", "b", "c", "d", "e", "f", "g", "h"}},
		"an entry without content": {entry(familyWild, "", "1", cookieID, ""), nil},
	} {
		var got []string
		for _, b := range cookiesFor(parseAuthority(c.file), "vda1", 1) {
			got = append(got, string(b))
		}
		assert.Equal(t, c.want, got, name)
	}
}

func manyEntries() []byte {
	var b []byte
	for c := 'a'; c <= 'z'; c++ {
		b = append(b, entry(familyWild, "", "1", cookieID, string(c))...)
	}
	return b
}

func FuzzParseAuthority(f *testing.F) {
	f.Add(entry(familyLocal, "vda1", "1", cookieID, "0123456789abcdef"))
	f.Add(append(entry(familyWild, "", "", "X", ""), 1, 2, 3))
	f.Add([]byte{1, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		for _, a := range parseAuthority(b) {
			again = append(again, entry(a.family, a.address, a.number, a.protocol, string(a.data))...)
		}
		assert.True(t, bytes.HasPrefix(b, again), "what was read is what was there")
		assert.LessOrEqual(t, len(cookiesFor(parseAuthority(b), "vda1", 1)), maxCookies)
	})
}

// packet is a packet of 32 bytes of a server, told by its last byte.
func packet(code, mark byte) []byte {
	b := make([]byte, packetSize)
	b[0], b[packetSize-1] = code, mark
	return b
}

// long is a packet with a body of n four-byte units.
func long(code byte, n uint32, mark byte) []byte {
	b := packet(code, mark)
	binary.LittleEndian.PutUint32(b[4:], n)
	return append(b, bytes.Repeat([]byte{code | sentFlag}, int(4*n))...)
}

// conn is a server that says what r holds.
type conn struct {
	net.Conn
	r io.Reader
}

func (c conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// through is what comes out of a filter for a server that says r and then dies.
func through(t testing.TB, r io.Reader, setup string) []byte {
	f := newFilter(conn{r: r}, []byte(setup))
	var out bytes.Buffer
	chunks := make(chan []byte)
	go func() { // stays in its last Read, as it is meant to
		for {
			b := make([]byte, 50)
			n, err := f.Read(b)
			if err != nil {
				close(chunks)
				return
			}
			chunks <- b[:n]
		}
	}()
	for {
		select {
		case b, ok := <-chunks:
			require.True(t, ok, "Read returned an error, which makes xgb panic")
			out.Write(b)
		case <-f.gone:
			return out.Bytes()
		case <-time.After(testenv.Patience):
			t.Fatal("the filter did not notice the end")
		}
	}
}

func TestFilterDropsWhatOthersMadeUp(t *testing.T) {
	var in, want []byte
	pass := func(b []byte) { in, want = append(in, b...), append(want, b...) }
	drop := func(b []byte) { in = append(in, b...) }
	for code := byte(2); code < 35; code++ {
		pass(packet(code, code))
		if b := packet(code|sentFlag, code); maySend(code) {
			pass(b)
		} else {
			drop(b)
		}
	}
	pass(packet(0, 1))
	pass(long(codeReply, 0, 2))
	pass(long(codeReply, 50, 3)) // its body is full of what would be dropped
	drop(long(codeGenericEvent, 0, 4))
	drop(long(codeGenericEvent, 20, 5))
	drop(long(codeGenericEvent|sentFlag, 20, 5))
	pass(packet(2, 6))
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(in), "bytes": iotest.OneByteReader(bytes.NewReader(in)), "halves": iotest.HalfReader(bytes.NewReader(in)),
	} {
		got := through(t, r, "set-up")
		assert.Equal(t, "set-up"+string(want), string(got), name)
	}
}

// What the session's programs make the X server answer ends nothing, however long it is: its request gets an error.
func TestFilterReadsOverWhatIsTooLong(t *testing.T) {
	const most = maxReply / 4
	huge := long(codeReply, most+1, 0)
	binary.LittleEndian.PutUint16(huge[2:], 0x1234)
	refused := packet(0, 0)
	refused[1], refused[2], refused[3] = tooLong, 0x34, 0x12
	in := join(packet(2, 1), huge, packet(2, 2), long(codeReply, most, 3), long(codeGenericEvent, most+1, 4), packet(2, 5))
	want := join(packet(2, 1), refused, packet(2, 2), long(codeReply, most, 3), packet(2, 5))
	assert.True(t, bytes.Equal(want, through(t, bytes.NewReader(in), "")))

	// One that announces more than it sends is waited for until the server has gone.
	lie := packet(codeReply, 0)
	binary.LittleEndian.PutUint32(lie[4:], 0xffffffff)
	got := through(t, bytes.NewReader(join(lie, make([]byte, 100))), "")
	assert.Equal(t, append([]byte{0, tooLong}, make([]byte, packetSize-2)...), got)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestFilterSwallowsTheSecondSetUp(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	defer here.Close()
	f := newFilter(here, nil)
	n, err := f.Write([]byte("xgb's own set-up"))
	require.NoError(t, err)
	assert.Equal(t, 16, n)
	go f.Write([]byte("request"))
	b := make([]byte, 7)
	_, err = io.ReadFull(there, b)
	require.NoError(t, err)
	assert.Equal(t, "request", string(b))
}

func FuzzFilter(f *testing.F) {
	f.Add(append(packet(2, 1), long(codeReply, 3, 1)...))
	f.Add(append(packet(2|sentFlag, 1), long(codeGenericEvent, 3, 1)...))
	f.Add([]byte{codeReply, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := through(t, bytes.NewReader(b), "")
		assert.Equal(t, whole, through(t, iotest.OneByteReader(bytes.NewReader(b)), ""))
		for i := 0; i+packetSize <= len(whole); {
			code := whole[i]
			if code&sentFlag != 0 {
				assert.True(t, maySend(code&^sentFlag), "code %d at %d", code, i)
			}
			i += packetSize
			if code == codeReply {
				i += 4 * int(binary.LittleEndian.Uint32(whole[i-packetSize+4:]))
			}
		}
	})
}

// answer is a server's answer to the set-up: its head and n units more.
func answer(code, reason byte, n uint16, rest string) string {
	b := []byte{code, reason, 11, 0, 0, 0, 0, 0}
	binary.LittleEndian.PutUint16(b[6:], n)
	return string(b) + rest
}

func TestSetUp(t *testing.T) {
	type server struct {
		io.Reader
		io.Writer
	}
	for name, c := range map[string]struct{ says, fails string }{
		"accepted":           {answer(1, 0, 8, strings.Repeat("s", 32)), ""},
		"refused":            {answer(0, 5, 2, "No!! \x00\x00\x00"), "refuses the connection: \"No!!\""},
		"refused at length":  {answer(0, 255, 64, strings.Repeat("n", 256)), strings.Repeat("n", 255)},
		"refused, a lie":     {answer(0, 200, 1, "why?"), "refuses the connection: \"why?\""},
		"wants more":         {answer(2, 0, 1, "more"), "refuses the connection: \"more\""},
		"another version":    {"\x01\x00\x0c\x00\x00\x00\x08\x00" + strings.Repeat("s", 32), "version 12"},
		"too short":          {answer(1, 0, 7, strings.Repeat("s", 28)), "too short"},
		"hangs up":           {"", "it hung up"},
		"hangs up in middle": {answer(1, 0, 100, "s"), "it hung up"},
	} {
		var sent bytes.Buffer
		got, err := setUp(server{strings.NewReader(c.says), &sent}, []byte("0123456789abcdef"))
		if c.fails == "" {
			require.NoError(t, err, name)
			assert.Equal(t, c.says, string(got), name)
		} else {
			assert.ErrorContains(t, err, c.fails, name)
		}
		assert.Equal(t, "6c000b00000012001000"+"0000"+hex.EncodeToString([]byte(cookieID))+"0000"+hex.EncodeToString([]byte("0123456789abcdef")),
			hex.EncodeToString(sent.Bytes()), name)
	}
}

// own is whom these tests run as, and the X servers that they trust.
func own() *child.Identity {
	id := child.Own()
	return &id
}

func TestDial(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 160, Height: 120, Identity: own()})
	x, err := Dial(d.Display, d.Xauthority, 5*time.Second)
	require.NoError(t, err)
	assert.EqualValues(t, 160, xproto.Setup(x.Conn).Roots[0].WidthInPixels)

	wrong := filepath.Join(t.TempDir(), "wrong")
	require.NoError(t, os.WriteFile(wrong, entry(familyWild, "", "", cookieID, "0123456789abcdef"), 0o600))
	_, err = Dial(d.Display, wrong, 5*time.Second)
	var refused *RefusedError
	assert.ErrorAs(t, err, &refused)
	_, err = Dial(d.Display, "", 5*time.Second)
	assert.ErrorAs(t, err, &refused)

	// The right one is found behind a wrong one.
	right, err := os.ReadFile(d.Xauthority)
	require.NoError(t, err)
	both := filepath.Join(t.TempDir(), "both")
	host, _ := os.Hostname()
	require.NoError(t, os.WriteFile(both, append(entry(familyLocal, host, "", cookieID, "0123456789abcdef"), right...), 0o600))
	answer, err := Probe(d.Display, both, 5*time.Second)
	require.NoError(t, err)
	assert.EqualValues(t, 1, answer[0])

	d.Kill()
	select {
	case <-x.Gone():
	case <-time.After(testenv.Patience):
		t.Fatal("the dead server was not noticed")
	}
	_, err = Probe(d.Display, d.Xauthority, 5*time.Second)
	assert.ErrorContains(t, err, "no X server answers")
}

// Without a cookie the server has the last word, and the error says why there was none.
func TestDialWithoutACookie(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 160, Height: 120, Identity: own()})
	dir := t.TempDir()
	fifo, large, other := filepath.Join(dir, "fifo"), filepath.Join(dir, "large"), filepath.Join(dir, "other")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	require.NoError(t, os.WriteFile(large, make([]byte, maxAuthority+1), 0o600))
	require.NoError(t, os.WriteFile(other, entry(familyWild, "", "64008", cookieID, "0123456789abcdef"), 0o600))
	for file, why := range map[string]string{
		filepath.Join(dir, "none"): "can't be read by the session's user: no such file",
		dir:                        "is no plain file",
		fifo:                       "is no plain file",
		large:                      "is larger than",
		other:                      "has no cookie for display " + d.Display,
	} {
		_, err := Dial(d.Display, file, 5*time.Second)
		var e *CookieError
		if assert.ErrorAs(t, err, &e, file) {
			assert.ErrorContains(t, err, why)
			assert.NotEmpty(t, e.Refused.Reason)
		}
	}
}

func TestDialEndsWithASilentServer(t *testing.T) {
	const path = "/tmp/.X11-unix/X64009" // nobody's display
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	_, err = Dial(":64009", "", 100*time.Millisecond)
	assert.ErrorContains(t, err, "it is silent")
}

func TestTrust(t *testing.T) {
	assert.NoError(t, trust("X1", 0, 1000), "root's")
	assert.NoError(t, trust("X1", 1000, 1000), "its own")
	assert.ErrorContains(t, trust("X1", 1001, 1000), "the X server at X1 is uid 1001's")
	var stranger *StrangerError
	require.ErrorAs(t, trust("X1", 1001, 1000), &stranger)
	assert.EqualValues(t, 1001, stranger.Owner)
	assert.Error(t, trust("X1", 1000, 0), "root's session on a user's server")
}

// The socket's owner is who listens, and the abstract name is as good as the path.
func TestDialWithoutThePath(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 160, Height: 120, Identity: own()})
	path := "/tmp/.X11-unix/X" + strings.TrimPrefix(d.Display, ":")
	require.NoError(t, os.Remove(path))
	_, err := Probe(d.Display, d.Xauthority, 5*time.Second)
	assert.NoError(t, err)

	// What is bound at the path in its place is asked first, if it can be trusted.
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	conn, err := openSocket(path, time.Now().Add(5*time.Second))
	require.NoError(t, err)
	defer conn.Close()
	uid, err := peer.UID(conn.(*net.UnixConn))
	require.NoError(t, err)
	assert.EqualValues(t, os.Getuid(), uid)
	_, err = Probe(d.Display, d.Xauthority, 100*time.Millisecond)
	assert.ErrorContains(t, err, "it is silent")
}
