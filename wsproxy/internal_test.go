package wsproxy

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

func TestCheckOrigin(t *testing.T) {
	for _, tc := range []struct {
		origin   string
		patterns []string
		ok       bool
	}{
		{"", nil, true},
		{"http://vda1.corp:6001", nil, true},
		{"https://VDA1.corp:6001", nil, true}, // the scheme doesn't count, as in the library
		{"http://vda1.corp", nil, false},
		{"http://vda1.corp:6002", nil, false},
		{"http://vda1.corp:6001.evil.example", nil, false},
		{"http://evil.example/vda1.corp:6001", nil, false},
		{"http://vda1.corp:6001@evil.example", nil, false},
		{"null", nil, false},
		{"null", []string{"*"}, false},
		{"null", []string{"x", "null"}, true},
		{"https://null", []string{"null"}, true}, // a host of that name
		{"file://", []string{"*"}, false},
		{"://", []string{"*"}, false},
		{"https://console.corp", []string{"console.corp"}, true},
		{"https://Console.Corp", []string{"console.CORP"}, true},
		{"https://console.corp:8443", []string{"console.corp"}, false},
		{"https://console.corp:8443", []string{"console.corp:*"}, true},
		{"https://a.b.corp", []string{"x", "*.corp"}, true},
		{"https://corp", []string{"*.corp"}, false},
		{"https://console.corp", []string{"https://console.corp"}, true},
		{"http://console.corp", []string{"https://console.corp"}, false},
		{"http://[::1]:8080", []string{"[::1]:8080"}, true},
		{"https://console.corp", []string{"["}, false},
	} {
		r := httptest.NewRequest("GET", "http://vda1.corp:6001/websockify", nil)
		if tc.origin != "" {
			r.Header.Set("Origin", tc.origin)
		}
		err := checkOrigin(r, tc.patterns)
		assert.Equal(t, tc.ok, err == nil, "origin %q with %q: %v", tc.origin, tc.patterns, err)
	}
}

// A browser leaves out the port of the scheme in an origin, and proxies name it
// in Host; the scheme that counts is the browser's.
func TestOwnOriginBehindProxies(t *testing.T) {
	const proxy, stranger, unix = "192.0.2.1:1", "198.51.100.1:1", "@"
	for _, tc := range []struct {
		peer, host string
		headers    string // of the proxy
		tls        bool
		origin     string
		ok         bool
	}{
		{proxy, "name:443", "", false, "https://name", true},
		{proxy, "name:80", "", false, "http://name", true},
		{proxy, "name:443", "", false, "https://name:443", true},
		{proxy, "name", "", false, "https://name", true},
		{proxy, "name", "", false, "https://name:443", true},
		{proxy, "name:443", "", false, "http://name", false},
		{proxy, "name:444", "", false, "https://name", false},
		{proxy, "127.0.0.1:6080", "X-Forwarded-Host: name", false, "https://name", true},
		{proxy, "127.0.0.1:6080", "X-Forwarded-Host: name:8443", false, "https://name:8443", true},
		{proxy, "127.0.0.1:6080", "X-Forwarded-Host: name, inner", false, "https://name", true},
		{proxy, "127.0.0.1:6080", "X-Forwarded-Host: name, evil", false, "https://evil", false},
		{proxy, "127.0.0.1:6080", "X-Forwarded-Host: name\nX-Forwarded-Proto: https", false, "https://name", true},
		{proxy, "127.0.0.1:6080", "X-Forwarded-Host: name\nX-Forwarded-Proto: wss", false, "http://name", false},
		{proxy, "name", "X-Forwarded-Proto: https", false, "http://name", false},
		{proxy, "name", "X-Forwarded-Proto: http", true, "http://name", true},
		{proxy, "name", "X-Forwarded-Proto: nonsense", false, "http://name", true},
		{unix, "127.0.0.1:6080", "X-Forwarded-Host: name", false, "https://name", true},
		{stranger, "127.0.0.1:6080", "X-Forwarded-Host: name", false, "https://name", false},
		{stranger, "name", "X-Forwarded-Proto: https", false, "http://name", true},
		{stranger, "name", "", true, "https://name", true},
		{stranger, "name", "", true, "http://name", false},
	} {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/"}, Host: tc.host, RemoteAddr: tc.peer, Header: http.Header{"Origin": {tc.origin}}}
		for line := range strings.Lines(tc.headers) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			r.Header.Set(name, value)
		}
		if tc.tls {
			r.TLS = new(tls.ConnectionState)
		}
		p := Proxies{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Unix: true}
		p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) {
			assert.Equal(t, tc.ok, checkOrigin(got, nil) == nil, "%+v", tc)
		})).ServeHTTP(nil, r)
		assert.Equal(t, tc.host, r.Host, "the request is the caller's")
	}
}

func FuzzAppendHeader(f *testing.F) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 40} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int) {
		if n < 0 {
			t.Skip("no length")
		}
		b := appendHeader([]byte("x"), finBinary, n)
		require.Equal(t, []byte{'x', finBinary}, b[:2])
		// RFC 6455 §5.2: the shortest of three forms.
		switch b = b[2:]; {
		case n <= 125:
			assert.Equal(t, []byte{byte(n)}, b)
		case n <= 65535:
			assert.Equal(t, byte(126), b[0])
			assert.Equal(t, uint16(n), binary.BigEndian.Uint16(b[1:]))
			assert.Len(t, b, 3)
		default:
			assert.Equal(t, byte(127), b[0])
			assert.Equal(t, uint64(n), binary.BigEndian.Uint64(b[1:]))
			assert.Len(t, b, maxHeader-1)
		}
	})
}

func FuzzCloseFrame(f *testing.F) {
	f.Add(1000, "")
	f.Add(4001, strings.Repeat("ä", 62))
	f.Add(1002, strings.Repeat("x", 122)+"\U0001f600")
	f.Add(1002, "\xff\xfe")
	f.Add(1005, "nothing is sent")
	f.Fuzz(func(t *testing.T, code int, reason string) {
		b := closeFrame(code, reason)
		require.LessOrEqual(t, len(b), 2+125)
		require.Equal(t, byte(finClose), b[0])
		require.Len(t, b[2:], int(b[1]))
		if code == StatusNoStatus {
			assert.Empty(t, b[2:])
			return
		}
		assert.Equal(t, uint16(code), binary.BigEndian.Uint16(b[2:]))
		got := string(b[4:])
		assert.True(t, utf8.ValidString(got))
		if utf8.ValidString(reason) {
			words := strings.TrimSuffix(got, ellipsis)
			assert.True(t, got == reason || strings.HasPrefix(reason, words) && len(reason) > maxReason)
		}
	})
}

// A reason is whole, or ends with a whole word, character and number.
func TestReasonsAreCutBetweenWords(t *testing.T) {
	words := strings.Repeat("word ", 22) // 110 bytes
	for in, want := range map[string]string{
		"short":                                       "short",
		strings.Repeat("x", 123):                      strings.Repeat("x", 123),
		words + "at 123456789":                        words + "at 123456789",
		words + "at 1234567890, and on":               words + "at…",
		words + "at 12345 678901234":                  words + "at 12345…",
		strings.Repeat("x", 110) + "123456789012345":  strings.Repeat("x", 110) + "…",
		strings.Repeat("x", 110) + "1234567890 12345": strings.Repeat("x", 110) + "1234567890…",
		strings.Repeat("ä", 70):                       strings.Repeat("ä", 60) + "…",
	} {
		got := cut(in)
		assert.Equal(t, want, got)
		assert.LessOrEqual(t, len(got), maxReason)
	}
}

// What the library writes must neither block nor reach the wire, except the newest pongs.
func TestWireTakesTheLibrarysFrames(t *testing.T) {
	near, far := net.Pipe() // unbuffered: a write that got through would block
	defer near.Close()
	defer far.Close()
	w := newWire(near, nil, time.Second)
	w.intake.to = &conn{in: newInbox()}
	w.intake.to.tasks.Store(controlling) // nobody comes for them
	for i := range 2 * maxPongs {
		for _, frame := range []string{"\x88\x00", "\x8a\x01" + string(rune('A'+i)), "\x89\x00"} {
			n, err := w.Write([]byte(frame))
			require.NoError(t, err)
			require.Equal(t, len(frame), n)
		}
	}
	for i := range maxPongs {
		assert.Equal(t, "\x8a\x01"+string(rune('A'+maxPongs+i)), string(w.nextPong()))
	}
	assert.Nil(t, w.nextPong())

	require.NoError(t, w.Close())
	_, err := w.Read(make([]byte, 1))
	assert.Error(t, err, "Close ends reading")
	go func() { _, _ = far.Read(make([]byte, 1)) }()
	_, err = near.Write([]byte("x"))
	assert.NoError(t, err, "but closes nothing")
}

func TestInboxWrapsRound(t *testing.T) {
	in := newInbox()
	var sent, got []byte
	p := make([]byte, 5000)
	for i := range 100 {
		room := in.room()
		n := copy(room, bytes.Repeat([]byte{byte(i)}, 1+i*73%7000))
		sent = append(sent, room[:n]...)
		in.add(n)
		for in.n > inboxSize-7000 {
			m, err := in.read(p)
			require.NoError(t, err)
			got = append(got, p[:m]...)
		}
	}
	in.finish(io.EOF)
	for {
		m, err := in.read(p)
		got = append(got, p[:m]...)
		if err != nil {
			assert.Equal(t, io.EOF, err)
			break
		}
	}
	assert.True(t, bytes.Equal(sent, got))
}

func TestInboxStopsTheWriter(t *testing.T) {
	in := newInbox()
	for in.n < inboxSize {
		in.add(len(in.room()))
	}
	room := make(chan int)
	go func() { room <- len(in.room()) }()
	require.Eventually(t, func() bool { blocked, _ := in.blocked(); return blocked }, 5*time.Minute, time.Millisecond)
	_, err := in.read(make([]byte, 10))
	require.NoError(t, err)
	assert.Equal(t, 10, <-room)
	in.add(10)

	go func() { room <- len(in.room()) }()
	in.drop(errors.New("over"))
	assert.Equal(t, inboxSize, <-room, "a dropped inbox has room for anything")
	_, err = in.read(make([]byte, 10))
	assert.EqualError(t, err, "over")
}

// A piece that a reader has is nobody else's, not even after a drop: neither
// the writer's nor, through the pool, another session's.
func TestInboxKeepsOffALentPiece(t *testing.T) {
	for _, name := range []string{"the writer has none", "the writer has one, too"} {
		t.Run(name, func(t *testing.T) {
			in := newInbox()
			in.add(copy(in.room(), bytes.Repeat([]byte{'A'}, 1000)))
			piece, err := in.next()
			require.NoError(t, err)
			var room []byte
			if name != "the writer has none" {
				room = in.room()
			}
			in.drop(errors.New("over"))
			in.add(copy(room, bytes.Repeat([]byte{'B'}, 10)))
			for range 3 {
				late := in.room()
				in.add(copy(late, bytes.Repeat([]byte{'B'}, len(late))))
				other := getMemory(inboxSize)
				copy(other, bytes.Repeat([]byte{'C'}, len(other)))
				defer putMemory(other)
			}
			assert.Equal(t, strings.Repeat("A", 1000), string(piece))
			in.room()
			in.took(len(piece))
			assert.NotNil(t, in.buf, "the writer still has a piece of it")
			in.add(0)
			assert.Nil(t, in.buf)
			assert.Zero(t, in.n)
			_, err = in.next()
			assert.EqualError(t, err, "over")
		})
	}
}

// put puts b into an inbox, as far as it has room at once.
func put(in *inbox, b []byte) (n int) {
	n = copy(in.room(), b)
	in.add(n)
	return n
}

// Whoever takes what comes where it is read gets all of it, in order, whatever is left to a reader at times.
func TestInboxIsConsumed(t *testing.T) {
	in, rng := newInbox(), rand.New(rand.NewPCG(1, 2))
	var got []byte
	over := make(chan error, 1)
	go func() {
		p := make([]byte, 3000)
		for {
			in.consume(func(b []byte) int {
				n := len(b)
				if n > 0 && len(got)%7 == 0 { // sometimes it has to wait
					n = len(got) % (n + 1)
				}
				got = append(got, b[:n]...)
				return n
			})
			n, err := in.read(p)
			got = append(got, p[:n]...)
			if err != nil {
				over <- err
				return
			}
		}
	}()
	var sent []byte
	for range 3000 {
		b := make([]byte, 1+rng.IntN(2000))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		sent = append(sent, b[:put(in, b)]...)
	}
	in.finish(io.EOF)
	assert.Equal(t, io.EOF, <-over)
	assert.True(t, bytes.Equal(sent, got))
	assert.Nil(t, in.buf, "and no memory is held")
}

// What is taken is taken where it is read, and wakes nobody.
func TestInboxWakesNobody(t *testing.T) {
	in := newInbox()
	var got []byte
	begun := make(chan struct{})
	over := make(chan struct{})
	put(in, []byte("a"))
	go func() {
		defer close(over)
		in.consume(func(b []byte) int {
			if got == nil {
				close(begun)
			}
			got = append(got, b...)
			return len(b)
		})
	}()
	<-begun
	require.Eventually(t, func() bool { in.mu.Lock(); defer in.mu.Unlock(); return !in.taking }, 5*time.Minute, time.Millisecond)
	put(in, []byte("b"))
	assert.Equal(t, "ab", string(got), "it is there when the writer goes on")
	blocked, _ := in.blocked()
	assert.False(t, blocked)

	// A deadline ends it, and what comes afterwards is a reader's.
	in.setDeadline(time.Unix(1, 0))
	<-over
	put(in, []byte("c"))
	assert.Equal(t, "ab", string(got))
	_, err := in.read(make([]byte, 1))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	in.consume(func([]byte) int { panic("there is nothing to be had") })
	in.setDeadline(time.Time{})
	p := make([]byte, 5)
	n, err := in.read(p)
	require.NoError(t, err)
	assert.Equal(t, "c", string(p[:n]))
}

// An end doesn't wait for what is being taken, and who consumes does; meanwhile the viewer isn't to blame for its silence.
func TestInboxEndsWhileItIsConsumed(t *testing.T) {
	for name, end := range map[string]func(*inbox){
		"left":    func(in *inbox) { in.finish(io.EOF) },
		"dropped": func(in *inbox) { in.drop(io.EOF) },
	} {
		t.Run(name, func(t *testing.T) {
			in := newInbox()
			taking, taken, over, written := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
			go func() {
				defer close(over)
				in.consume(func(b []byte) int { close(taking); <-taken; return len(b) })
			}()
			require.Eventually(t, func() bool { in.mu.Lock(); defer in.mu.Unlock(); return in.taker != nil }, 5*time.Minute, time.Millisecond)
			go func() { defer close(written); put(in, []byte("abc")) }()
			<-taking
			blocked, _ := in.blocked()
			assert.True(t, blocked)
			end(in)
			select {
			case <-over:
				assert.Fail(t, "a call of take goes on")
			case <-written:
				assert.Fail(t, "the writer has gone on")
			default:
			}
			close(taken)
			<-over
			<-written
			_, err := in.read(make([]byte, 1))
			assert.Equal(t, io.EOF, err)
			assert.Nil(t, in.buf)
		})
	}
}

func TestProxyHeader(t *testing.T) {
	four, six := netip.MustParseAddrPort("192.0.2.1:4711"), netip.MustParseAddrPort("[2001:db8::1]:80")
	for _, tc := range []struct {
		src, dst netip.AddrPort
		one, two string
	}{
		{four, four, "PROXY TCP4 192.0.2.1 192.0.2.1 4711 4711\r\n", "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x01\x12\x67\x12\x67"},
		{six, six, "PROXY TCP6 2001:db8::1 2001:db8::1 80 80\r\n", "\x21\x21\x00\x24" + strings.Repeat(" \x01\r\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", 2) + "\x00\x50\x00\x50"},
		{four, six, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 4711 80\r\n", "\x21\x21\x00\x24\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01 \x01\r\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x12\x67\x00\x50"},
		{netip.AddrPort{}, four, "PROXY UNKNOWN\r\n", "\x20\x00\x00\x00"},
	} {
		one, err := proxyHeader(1, tc.src, tc.dst)
		require.NoError(t, err)
		assert.Equal(t, tc.one, string(one))
		two, err := proxyHeader(2, tc.src, tc.dst)
		require.NoError(t, err)
		assert.Equal(t, "\r\n\r\n\x00\r\nQUIT\n"+tc.two, string(two))
	}
}

func FuzzUnmask(f *testing.F) {
	f.Add([]byte("hello, world"), uint32(0x78563412), 5)
	f.Add(bytes.Repeat([]byte("0123456789"), 200), uint32(0xdeadbeef), 1023)
	f.Fuzz(func(t *testing.T, masked []byte, key uint32, cut int) {
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], key)
		want := make([]byte, len(masked))
		for i := range masked {
			want[i] = masked[i] ^ b[i%4]
		}
		cut = min(max(cut, 0), len(masked))
		got := make([]byte, len(masked))
		next := unmask(got, masked[:cut], key)
		unmask(got[cut:], masked[cut:], next)
		assert.True(t, bytes.Equal(want, got))
	})
}

// An address is forgotten with its last session: or each that ever came would
// be remembered.
func TestPlacesAreForgotten(t *testing.T) {
	h := &Handler{MaxSessionsPerAddress: 2}
	var all []*session
	for i := range 100 {
		s := &session{h: h, place: placeOf(fmt.Sprintf("192.0.2.%d:1", i/2))}
		require.Nil(t, h.add(s))
		all = append(all, s)
	}
	assert.Len(t, h.places, 50)
	for _, s := range all {
		h.remove(s)
	}
	assert.Empty(t, h.places)
	assert.Empty(t, h.sessions)
}

// What crypto/tls has written by itself, an alert or the answer to a key update,
// goes before the records of the next frame, however long that is.
func TestLeftOverRecordsGoFirst(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	a := &accepted{Conn: near}
	a.capture()
	a.expect(10)
	_, err := a.Write([]byte("alert"))
	require.NoError(t, err)
	long := bytes.Repeat([]byte("x"), copyFrame)
	a.expect(len(long))
	_, err = a.Write(long)
	require.NoError(t, err)
	records := a.take()
	assert.Equal(t, "alertx", string(records[:6]))
	assert.Len(t, records, 5+len(long))
	putMemory(records)
	assert.Nil(t, a.take())

	_, err = a.Write([]byte("alert")) // of a connection that is closing
	require.NoError(t, err)
	freed := make(chan struct{})
	go func() { defer close(freed); a.free() }()
	got := make([]byte, 5)
	require.NoError(t, far.SetReadDeadline(time.Now().Add(testenv.Patience)))
	_, err = io.ReadFull(far, got)
	require.NoError(t, err)
	assert.Equal(t, "alert", string(got))
	<-freed
}
