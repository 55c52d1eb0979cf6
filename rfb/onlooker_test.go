package rfb

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func capability(code uint32, name string) []byte { return join(u32(code), []byte(name)) }

// onlooked are handshakes, and what an onlooker must tell of them.
func onlooked(t testing.TB) map[string]struct {
	said []watched
	want string
	err  error
} {
	s, v := FromServer, FromViewer
	v33, v37, v38 := []byte("RFB 003.003\n"), []byte("RFB 003.007\n"), []byte("RFB 003.008\n")
	init, ok := wire(t, desktop), u32(0)
	shown := "shared          true\nsize            640x480\npixel format    32/24 le 255,255,255 at 16,8,0\nname            desk\n"
	versions := func(a, b string) string { return "server version  RFB " + a + "\nviewer version  RFB " + b + "\n" }
	both := versions("003.008", "003.008")
	caps := join(u16(1, 1, 0, 0), capability(130, "TGHTFTS_LSDT"), capability(131, "TGHTFTC_DNRQ"))
	return map[string]struct {
		said []watched
		want string
		err  error
	}{
		"3.3": {[]watched{{s, v38}, {v, v33}, {s, u32(1)}, {v, []byte{1}}, {s, init}},
			versions("003.008", "003.003") + "offered         None\nchosen          None\n" + shown, nil},
		"3.7": {[]watched{{s, v38}, {v, v37}, {s, []byte{2, 1, 2}}, {v, []byte{1}}, {v, []byte{1}}, {s, init}},
			versions("003.008", "003.007") + "offered         None, VNC Authentication\nchosen          None\n" + shown, nil},
		"3.8, password": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 2}}, {v, []byte{2}}, {s, zeros(16)}, {v, zeros(16)}, {s, ok}, {v, []byte{1}}, {s, init}},
			both + "offered         VNC Authentication\nchosen          VNC Authentication\n" + shown, nil},
		"refused":      {[]watched{{s, v38}, {v, v38}, {s, []byte{0}}, {s, join(u32(2), []byte("no"))}}, both + "refused         no\n", nil},
		"refused, 3.3": {[]watched{{s, v38}, {v, v33}, {s, join(u32(0), u32(2), []byte("no"))}}, versions("003.008", "003.003") + "refused         no\n", nil},
		"wrong password": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 2}}, {v, []byte{2}}, {s, zeros(16)}, {v, zeros(16)}, {s, join(u32(1), u32(2), []byte("no"))}},
			both + "offered         VNC Authentication\nchosen          VNC Authentication\nrefused         no\n", nil},
		"too many attempts": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 2}}, {v, []byte{2}}, {s, zeros(16)}, {v, zeros(16)}, {s, join(u32(2), u32(4), []byte("wait"))}},
			both + "offered         VNC Authentication\nchosen          VNC Authentication\nrefused         wait\n", nil},
		"too many attempts, 3.7": {[]watched{{s, v38}, {v, v37}, {s, []byte{1, 2}}, {v, []byte{2}}, {s, zeros(16)}, {v, zeros(16)}, {s, u32(2)}},
			versions("003.008", "003.007") + "offered         VNC Authentication\nchosen          VNC Authentication\nrefused         \n", nil},
		"VeNCrypt Plain": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 19}}, {v, []byte{19}}, {s, []byte{0, 2}}, {v, []byte{0, 2}},
			{s, join([]byte{0, 2}, u32(256), u32(260))}, {v, join(u32(256), u32(1), u32(2), []byte("upw"))}, {s, ok}, {v, []byte{1}}, {s, init}},
			both + "offered         VeNCrypt\nchosen          VeNCrypt\nsub-types       Plain, X509None (encrypts the stream)\nsub-type        Plain\n" + shown, nil},
		"VeNCrypt TLS": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 19}}, {v, []byte{19}}, {s, []byte{0, 2}}, {v, []byte{0, 2}},
			{s, join([]byte{0, 1}, u32(257))}, {v, u32(257)}},
			both + "offered         VeNCrypt\nchosen          VeNCrypt\nsub-types       TLSNone (encrypts the stream)\nsub-type        TLSNone (encrypts the stream)\n", ErrSecurity},
		"Tight, none": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 16}}, {v, []byte{16}}, {s, join(u32(0), u32(0))}, {s, ok}, {v, []byte{1}}, {s, join(init, caps)}},
			both + "offered         Tight\nchosen          Tight\ninside Tight    None\n" + shown + "capabilities    2\n", nil},
		"Tight, password": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 16}}, {v, []byte{16}}, {s, join(u32(1), capability(0, "TGHTNOTUNNEL"))}, {v, u32(0)},
			{s, join(u32(1), capability(2, "STDVVNCAUTH_"))}, {v, u32(2)}, {s, zeros(16)}, {v, zeros(16)}, {s, ok}, {v, []byte{1}}, {s, join(init, caps)}},
			both + "offered         Tight\nchosen          Tight\ninside Tight    VNC Authentication\n" + shown + "capabilities    2\n", nil},
		"UltraVNC goes on": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 17}}, {v, []byte{17}}, {s, u32(0xffffffff)}, {s, []byte{1, 113}}, {v, []byte{113}},
			{s, zeros(24)}, {v, zeros(328)}, {s, ok}, {v, []byte{1}}, {s, init}},
			both + "offered         MSLogonII\nchosen          MSLogonII\n" + shown, nil},
		"Apple": {[]watched{{s, []byte("RFB 003.889\n")}, {v, v38}, {s, []byte{1, 30}}, {v, []byte{30}}, {s, join(u16(2, 4), zeros(8))}, {v, zeros(132)}, {s, ok}, {v, []byte{1}}, {s, init}},
			versions("003.889", "003.008") + "offered         Apple DH\nchosen          Apple DH\n" + shown, nil},
		"Apple's version, libvncserver": {[]watched{{s, v38}, {v, []byte("RFB 003.889\n")}, {s, []byte{1, 1}}, {v, []byte{1}}, {s, init}},
			versions("003.008", "003.889") + "offered         None\nchosen          None\n" + shown, nil},
		"Apple's version, another server": {[]watched{{s, v38}, {v, []byte("RFB 003.889\n")}, {s, []byte{1, 1}}, {v, []byte{1}}, {s, ok}, {v, []byte{1}}, {s, init}},
			versions("003.008", "003.889") + "offered         None\nchosen          None\n" + shown, nil},
		"Apple's version, refused": {[]watched{{s, v38}, {v, []byte("RFB 003.889\n")}, {s, []byte{1, 1}}, {v, []byte{1}}, {s, join(u32(1), u32(2), []byte("no"))}},
			versions("003.008", "003.889") + "offered         None\nchosen          None\nrefused         no\n", nil},
		"xvp": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 22}}, {v, []byte{22, 1, 1, 'u', 't'}}, {s, zeros(16)}, {v, zeros(16)}, {s, ok}, {v, []byte{1}}, {s, init}},
			both + "offered         xvp\nchosen          xvp\n" + shown, nil},
		"RA2": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 5}}, {v, []byte{5}}},
			both + "offered         RA2 (encrypts the stream)\nchosen          RA2 (encrypts the stream)\n", ErrSecurity},
		"RA2ne": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 6}}, {v, []byte{6}}, {s, join(u32(1023), zeros(256))}, {v, join(u32(2048), zeros(512))},
			{s, join(u16(128), zeros(128))}, {v, join(u16(256), zeros(256))}, {s, join(u16(20), zeros(36))}, {v, join(u16(20), zeros(36))},
			{s, join(u16(1), zeros(17))}, {v, join(u16(9), zeros(25))}, {s, ok}, {v, []byte{1}}, {s, init}},
			both + "offered         RA2ne\nchosen          RA2ne\n" + shown, nil},
		"RA2ne, a key without end": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 130}}, {v, []byte{130}}, {s, u32(8193)}},
			both + "offered         RA2ne_256\nchosen          RA2ne_256\n", ErrLimit},
		"SASL": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 20}}, {v, []byte{20}}, {s, join(u32(9), []byte("PLAIN,FOO"))},
			{v, join(u32(5), []byte("PLAIN"), u32(3), []byte("abc"))}, {s, join(u32(0), []byte{0})}, {v, join(u32(1), []byte("x"))}, {s, join(u32(2), []byte{1, 2, 1})},
			{s, ok}, {v, []byte{1}}, {s, init}},
			both + "offered         SASL\nchosen          SASL\n" + shown, nil},
		"SASL that may encrypt": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 20}}, {v, []byte{20}}, {s, join(u32(6), []byte("GSSAPI"))},
			{v, join(u32(6), []byte("GSSAPI"))}},
			both + "offered         SASL\nchosen          SASL\n", ErrSecurity},
		"UltraVNC asks, and is told": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 104}}, {v, []byte{104}}, {s, []byte{2, 0, 0, 0, 'o', 'k'}}, {v, []byte{1, 0, 0, 0}},
			{s, u32(0xffffffff)}, {s, []byte{1, 116}}, {v, []byte{116, 2, 'h', 'i'}}, {s, u32(0xffffffff)}, {s, []byte{1, 112}}, {v, []byte{112}},
			{s, zeros(80)}, {v, zeros(592)}, {s, ok}, {v, []byte{1}}, {s, init}},
			both + "offered         MSLogonI\nchosen          MSLogonI\n" + shown, nil},
		"MSLogonIII": {[]watched{{s, v38}, {v, v38}, {s, []byte{1, 118}}, {v, []byte{118}}, {s, zeros(32)}, {v, zeros(352)}, {s, ok}, {v, []byte{1}}, {s, init}},
			both + "offered         MSLogonIII\nchosen          MSLogonIII\n" + shown, nil},
		"repeater": {[]watched{{s, []byte("RFB 000.000\n")}, {v, []byte("RFB 000.000\n")}}, "", ErrMalformed},
	}
}

func TestOnlooker(t *testing.T) {
	for name, tt := range onlooked(t) {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 3, 1 << 20} {
				var h Handshake
				var err error
				for _, w := range tt.said {
					for p := w.says; len(p) > 0 && err == nil; p = p[min(size, len(p)):] {
						require.False(t, h.Done())
						err = h.Feed(w.from, p[:min(size, len(p))])
					}
				}
				require.ErrorIs(t, err, tt.err)
				assert.Equal(t, tt.err == nil, h.Done())
				assert.Equal(t, tt.want, h.String())
			}
		})
	}
}

// Each type that encrypts the stream, or whose layout isn't public, is refused
// by name.
func TestOnlookerRefusesByName(t *testing.T) {
	for n := range 256 {
		security := SecurityType(n)
		var h Handshake
		require.NoError(t, h.Feed(FromServer, join([]byte("RFB 003.008\n"), []byte{1, byte(n)})))
		err := h.Feed(FromViewer, join([]byte("RFB 003.008\n"), []byte{byte(n)}))
		assert.Equal(t, security, h.Security)
		if security.Encrypts() {
			require.ErrorIs(t, err, ErrSecurity, "%v", security)
			assert.ErrorContains(t, err, security.String()+" (encrypts the stream)")
			continue
		}
		if err != nil {
			require.ErrorIs(t, err, ErrSecurity, "%v", security)
			assert.ErrorContains(t, err, security.String())
		}
	}
	for n := VeNCryptPlain; n <= VeNCryptX509Ident; n++ {
		var h Handshake
		require.NoError(t, h.Feed(FromServer, join([]byte("RFB 003.008\n"), []byte{1, 19, 0, 2, 0, 1}, u32(uint32(n)))))
		err := h.Feed(FromViewer, join([]byte("RFB 003.008\n"), []byte{19, 0, 2}, u32(uint32(n))))
		assert.Equal(t, n.Encrypts(), err != nil, "%v", n)
		if err != nil {
			assert.ErrorContains(t, err, n.String())
		}
	}
}

func TestOnlookerKeepsTheRest(t *testing.T) {
	var h Handshake
	require.NoError(t, h.Feed(FromViewer, join([]byte("RFB 003.008\n"), []byte{1, 1, 3})), "before the server said anything")
	require.NoError(t, h.Feed(FromServer, join([]byte("RFB 003.008\n"), []byte{1, 1}, u32(0), wire(t, desktop), []byte{2})))
	require.True(t, h.Done())
	assert.Equal(t, desktop, h.Init)
	assert.Equal(t, []byte{3}, h.Rest(FromViewer))
	assert.Equal(t, []byte{2}, h.Rest(FromServer))
	assert.EqualValues(t, 14, h.Len(FromViewer))

	assert.Error(t, new(Handshake).Feed(3, nil))
}

// What the limits are on is the handshake, not what comes with it.
func TestOnlookerOfAStreamAtOnce(t *testing.T) {
	const more = 1 << 20
	said := join([]byte("RFB 003.008\n"), []byte{1, 1})
	server := join(said, u32(0), wire(t, desktop))
	for _, order := range [][]Direction{{FromViewer, FromServer}, {FromServer, FromViewer}} {
		var h Handshake
		for _, from := range order {
			p := join([]byte("RFB 003.008\n"), []byte{1, 1})
			if from == FromServer {
				p = server
			}
			require.NoError(t, h.Feed(from, join(p, zeros(more))))
		}
		require.True(t, h.Done())
		assert.Equal(t, desktop, h.Init)
		assert.Len(t, h.Rest(FromViewer), more)
		assert.Len(t, h.Rest(FromServer), more)
		assert.EqualValues(t, len(server), h.Len(FromServer))
	}
}

func TestOnlookerIsLimited(t *testing.T) {
	h := new(Handshake)
	require.NoError(t, h.Feed(FromViewer, zeros(maxEarly)), "nothing can be said of it yet")
	err := h.Feed(FromViewer, zeros(1))
	assert.ErrorIs(t, err, ErrLimit)
	assert.ErrorContains(t, err, "before the handshake is over")

	// SASL goes on for as long as the server says so.
	h = new(Handshake)
	v38 := []byte("RFB 003.008\n")
	require.NoError(t, h.Feed(FromServer, join(v38, []byte{1, 20}, u32(5), []byte("PLAIN"))))
	require.NoError(t, h.Feed(FromViewer, join(v38, []byte{20}, u32(5), []byte("PLAIN"))))
	rounds := 0
	for err = nil; err == nil && rounds < 100; rounds++ {
		if err = h.Feed(FromViewer, join(u32(maxSASL-4), zeros(maxSASL-4))); err == nil {
			err = h.Feed(FromServer, join(u32(0), []byte{0}))
		}
	}
	assert.ErrorIs(t, err, ErrLimit)
	assert.ErrorContains(t, err, "handshake of more than 65536 bytes")
	assert.Equal(t, maxHandshake/maxSASL, rounds)
}

func TestOnlookerNamesWhatOnly33Has(t *testing.T) {
	var h Handshake
	require.NoError(t, h.Feed(FromServer, []byte("RFB 003.006\n")))
	require.NoError(t, h.Feed(FromViewer, []byte("RFB 003.006\n")))
	err := h.Feed(FromServer, u32(0xfffffffa))
	assert.ErrorIs(t, err, ErrSecurity)
	assert.ErrorContains(t, err, "UltraVNC's MSLogon (0xfffffffa), which can't be followed")
}

// A server that has had too many attempts may say why or not. That it doesn't is
// clear when nothing more comes.
func TestOnlookerOfTooManyAttempts(t *testing.T) {
	v38 := []byte("RFB 003.008\n")
	var h Handshake
	assert.ErrorIs(t, h.End(), io.ErrUnexpectedEOF)
	require.NoError(t, h.Feed(FromServer, join(v38, []byte{1, 2})))
	require.NoError(t, h.Feed(FromViewer, join(v38, []byte{2}, zeros(16))))
	assert.ErrorIs(t, h.End(), io.ErrUnexpectedEOF)
	require.NoError(t, h.Feed(FromServer, join(zeros(16), u32(2))))
	assert.True(t, h.Refused)
	assert.False(t, h.Done(), "a reason may follow")
	require.NoError(t, h.End())
	assert.True(t, h.Done())
}

func TestCapturedHandshakes(t *testing.T) {
	for name, tr := range readTraces(t) {
		assert.True(t, tr.shake.Done(), name)
		if strings.HasSuffix(name, "/version-3.889") { // has a test of its own
			continue
		}
		assert.Equal(t, version38, tr.shake.ViewerVersion, name)
		want := SecurityNone
		if strings.HasPrefix(name, "Xtightvnc") {
			want = SecurityVNCAuth
		}
		assert.Equal(t, want, tr.shake.Security, name)
		assert.NotZero(t, tr.shake.Init.Width, name)
	}
}

func FuzzOnlooker(f *testing.F) {
	for _, h := range onlooked(f) {
		var server, viewer []byte
		for _, w := range h.said {
			if w.from == FromServer {
				server = append(server, w.says...)
			} else {
				viewer = append(viewer, w.says...)
			}
		}
		f.Add(server, viewer)
	}
	seedTraces(f, func(tr *captured) {
		f.Add(tr.Stream(FromServer)[:tr.shake.Len(FromServer)], tr.Stream(FromViewer)[:tr.shake.Len(FromViewer)])
	})
	f.Fuzz(func(t *testing.T, server, viewer []byte) {
		if len(server) > 4096 || len(viewer) > 4096 {
			return
		}
		var whole, parts Handshake
		wholeErr := errors.Join(whole.Feed(FromViewer, viewer))
		if wholeErr == nil && !whole.Done() {
			wholeErr = whole.Feed(FromServer, server)
		}
		err := parts.Feed(FromViewer, viewer)
		for i := 0; i < len(server) && err == nil && !parts.Done(); i++ {
			err = parts.Feed(FromServer, server[i:i+1])
		}
		assert.Equal(t, whole.Done(), parts.Done())
		assert.Equal(t, wholeErr == nil, err == nil)
		assert.Equal(t, whole.String(), parts.String())
	})
}

// However large a handshake is and however it is cut, its parts are looked at a
// few times only.
func TestHandshakeReadsALargeOneOnce(t *testing.T) {
	var h Handshake
	feed := func(from Direction, b []byte) (reads int) {
		for i := range b {
			before := h.enough
			require.NoError(t, h.Feed(from, b[i:i+1]))
			if h.enough != before {
				reads++
			}
		}
		return reads
	}
	version := []byte("RFB 003.008\n")
	feed(FromServer, join(version, []byte{1, 16}))
	feed(FromViewer, join(version, []byte{16}))
	const n = 3000
	assert.LessOrEqual(t, feed(FromServer, join(u32(n), zeros(n*capabilityLen))), 10)
	feed(FromViewer, u32(0))
	feed(FromServer, join(u32(0), u32(0), wire(t, desktop), zeros(8)))
	feed(FromViewer, []byte{1})
	assert.True(t, h.Done())
	assert.Len(t, h.Tunnels, n)
}

// The longest texts are read, and a byte more is over the limit.
func TestOnlookerAtItsLimits(t *testing.T) {
	v38 := []byte("RFB 003.008\n")
	name := func(n uint32) []byte {
		init := wire(t, desktop)[:serverInitLen-4]
		return join(u32(0), init, u32(n), zeros(int(n)))
	}
	for what, tt := range map[string]struct {
		most  uint32
		offer byte
		say   func(n uint32) []byte // of the server, after its offer
	}{
		"reason":       {maxReason, 0, func(n uint32) []byte { return join(u32(n), zeros(int(n))) }},
		"desktop name": {maxName, 1, name},
		"question":     {maxReason, 104, func(n uint32) []byte { return join([]byte{byte(n), byte(n >> 8), 0, 0}, zeros(int(n))) }},
	} {
		for _, more := range []uint32{0, 1} {
			var h Handshake
			offer := []byte{0}
			if tt.offer != 0 {
				offer = []byte{1, tt.offer}
			}
			require.NoError(t, h.Feed(FromServer, join(v38, offer)))
			viewer := v38
			if tt.offer != 0 {
				viewer = join(v38, []byte{tt.offer, 1})
			}
			require.NoError(t, h.Feed(FromViewer, viewer), what)
			err := h.Feed(FromServer, tt.say(tt.most+more))
			if more == 0 {
				assert.NoError(t, err, what)
			} else {
				assert.ErrorIs(t, err, ErrLimit, what)
			}
		}
	}
}
