package rfb

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The response of libvncserver's and of TigerVNC's client to this challenge.
func TestVNCResponse(t *testing.T) {
	var challenge [challengeLen]byte
	for i := range challenge {
		challenge[i] = byte(i)
	}
	same := vncResponse(challenge, "secret78")
	assert.Equal(t, same, vncResponse(challenge, "secret78 and more"), "eight bytes count")
	assert.NotEqual(t, same, vncResponse(challenge, "secret7"))
	// "password" as programs store it, known from many a tutorial.
	var password [challengeLen]byte
	copy(password[:], "password")
	stored := obfuscate(password)
	assert.Equal(t, unhex(t, "dbd83cfd727a1458"), stored[:8])
}

// dialogue plays a server: what it says, what it must hear, in turns; the first
// is said.
func dialogue(t *testing.T, c *Client, turns ...[]byte) (*ServerConn, error) {
	t.Helper()
	conn, server := pipe(t)
	var s *ServerConn
	done := background(func() (err error) { s, err = c.Connect(t.Context(), conn); return err })
	server.gets([]byte("RFB 003.00"))
	for i, turn := range turns {
		if i%2 == 0 {
			server.sends(turn)
		} else {
			server.gets(turn)
		}
	}
	return s, result(t, done)
}

func TestConnectSpeaksWhatTheServerDoes(t *testing.T) {
	var challenge [challengeLen]byte
	response := vncResponse(challenge, "secret")
	init, ok := wire(t, desktop), u32(0)
	secret, login := &Client{Password: "secret"}, &Client{Username: "u", Password: "secret"}
	for _, tt := range []struct {
		name   string
		client *Client
		want   SecurityType
		turns  [][]byte
	}{
		{"3.3", &Client{}, SecurityNone, [][]byte{[]byte("RFB 003.003\n"), []byte("3\n"), u32(1), {1}, init}},
		{"3.5 is 3.3", &Client{}, SecurityNone, [][]byte{[]byte("RFB 003.005\n"), []byte("3\n"), u32(1), {1}, init}},
		{"3.6 is 3.3", &Client{}, SecurityNone, [][]byte{[]byte("RFB 003.006\n"), []byte("3\n"), u32(1), {1}, init}},
		{"3.7", &Client{}, SecurityNone, [][]byte{[]byte("RFB 003.007\n"), []byte("7\n"), {2, 2, 1}, {1, 1}, init}},
		{"3.889 is 3.8", &Client{}, SecurityNone, [][]byte{[]byte("RFB 003.889\n"), []byte("8\n"), {1, 1}, {1}, ok, {1}, init}},
		{"4.0 is 3.8", &Client{}, SecurityNone, [][]byte{[]byte("RFB 004.000\n"), []byte("8\n"), {1, 1}, {1}, ok, {1}, init}},
		{"5.0 is 3.8", &Client{}, SecurityNone, [][]byte{[]byte("RFB 005.000\n"), []byte("8\n"), {1, 1}, {1}, ok, {1}, init}},
		{"3.3, password", secret, SecurityVNCAuth, [][]byte{[]byte("RFB 003.003\n"), []byte("3\n"), join(u32(2), challenge[:]), response[:], ok, {1}, init}},
		{"3.7, password", secret, SecurityVNCAuth, [][]byte{[]byte("RFB 003.007\n"), []byte("7\n"), {1, 2}, {2}, challenge[:], response[:], ok, {1}, init}},
		{"3.8, password", secret, SecurityVNCAuth, [][]byte{[]byte("RFB 003.008\n"), []byte("8\n"), {2, 18, 2}, {2}, challenge[:], response[:], ok, {1}, init}},
		{"None is preferred", secret, SecurityNone, [][]byte{[]byte("RFB 003.008\n"), []byte("8\n"), {3, 18, 2, 1}, {1}, ok, {1}, init}},
		{"VeNCrypt before None", secret, SecurityVeNCrypt, [][]byte{[]byte("RFB 003.008\n"), []byte("8\n"), {3, 1, 2, 19}, {19},
			{0, 2}, {0, 2}, join([]byte{0, 2}, u32(2), u32(1)), u32(1), ok, {1}, init}},
		{"VeNCrypt None", &Client{}, SecurityVeNCrypt, [][]byte{[]byte("RFB 003.008\n"), []byte("8\n"), {1, 19}, {19},
			{0, 2}, {0, 2}, join([]byte{0, 2}, u32(260), u32(1)), u32(1), ok, {1}, init}},
		{"VeNCrypt VNC", secret, SecurityVeNCrypt, [][]byte{[]byte("RFB 003.008\n"), []byte("8\n"), {1, 19}, {19},
			{0, 2}, {0, 2}, join([]byte{0, 2}, u32(263), u32(2)), u32(2), challenge[:], response[:], ok, {1}, init}},
		{"VeNCrypt Plain", login, SecurityVeNCrypt, [][]byte{[]byte("RFB 003.008\n"), []byte("8\n"), {1, 19}, {19},
			{0, 2}, {0, 2}, join([]byte{0, 2}, u32(266), u32(256)), join(u32(256), u32(1), u32(6), []byte("usecret")), ok, {1}, init}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := dialogue(t, tt.client, tt.turns...)
			require.NoError(t, err)
			assert.Equal(t, desktop, s.Init)
			assert.Equal(t, tt.want, s.Security)
			assert.Equal(t, string(tt.turns[0]), string(s.Version.message()))
		})
	}
}

func TestConnectRefusesByName(t *testing.T) {
	v38, v33 := []byte("RFB 003.008\n"), []byte("RFB 003.003\n")
	var challenge [challengeLen]byte
	response := vncResponse(challenge, "secret")
	for _, tt := range []struct {
		name  string
		want  error
		text  string
		turns [][]byte
	}{
		{"encrypting types", ErrSecurity, "RA2 (encrypts the stream), RA2r (encrypts the stream), TLS (encrypts the stream), RA2_256 (encrypts the stream), RealVNC(131)",
			[][]byte{v38, []byte("8\n"), {5, 5, 13, 18, 129, 131}}},
		{"VeNCrypt with TLS", ErrSecurity, "VeNCrypt with TLSSASL (encrypts the stream), X509Plain (encrypts the stream); say which authority",
			[][]byte{v38, []byte("8\n"), {1, 19}, {19}, {0, 2}, {0, 2}, join([]byte{0, 2}, u32(263), u32(262))}},
		{"VeNCrypt 0.1", ErrSecurity, "VeNCrypt 0.1", [][]byte{v38, []byte("8\n"), {1, 19}, {19}, {0, 1}}},
		{"3.3, MS-Logon", ErrSecurity, "offers UltraVNC's MSLogon (0xfffffffa)", [][]byte{v33, []byte("3\n"), u32(0xfffffffa)}},
		{"3.3, unknown", ErrSecurity, "offers SecurityType(256)", [][]byte{v33, []byte("3\n"), u32(256)}},
		{"3.3, refused", ErrRefused, "busy", [][]byte{v33, []byte("3\n"), join(u32(0), u32(4), []byte("busy"))}},
		{"3.3, wrong password", ErrPassword, "wrong password", [][]byte{v33, []byte("3\n"), join(u32(2), challenge[:]), response[:], u32(1)}},
		{"3.8, wrong password", ErrPassword, "wrong password: no!", [][]byte{v38, []byte("8\n"), {1, 2}, {2}, challenge[:], response[:], join(u32(1), u32(3), []byte("no!"))}},
		{"too many, and why", ErrRefused, "refuses clients: wait", [][]byte{v38, []byte("8\n"), {1, 2}, {2}, challenge[:], response[:], join(u32(2), u32(4), []byte("wait"))}},
		{"too many, in too many words", ErrLimit, "reason of 1025 bytes", [][]byte{v38, []byte("8\n"), {1, 2}, {2}, challenge[:], response[:], join(u32(2), u32(maxReason+1))}},
		{"too many, 3.7", ErrRefused, "too many attempts", [][]byte{[]byte("RFB 003.007\n"), []byte("7\n"), {1, 2}, {2}, challenge[:], response[:], u32(2)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := dialogue(t, &Client{Password: "secret"}, tt.turns...)
			require.ErrorIs(t, err, tt.want)
			assert.ErrorContains(t, err, tt.text)
		})
	}
	_, err := dialogue(t, new(Client), v33, []byte("3\n"), u32(2))
	require.ErrorIs(t, err, ErrSecurity)
	assert.ErrorContains(t, err, "VNC Authentication")

	// Whoever wants a certificate takes nothing without, in whatever version and place.
	sure := &Client{Password: "secret", Username: "u", TLS: &tls.Config{ServerName: "vnc.example"}}
	for _, turns := range [][][]byte{
		{v33, []byte("3\n"), u32(1)},
		{v33, []byte("3\n"), u32(2)},
		{[]byte("RFB 003.007\n"), []byte("7\n"), {2, 1, 2}},
		{v38, []byte("8\n"), {3, 1, 2, 18}},
		{v38, []byte("8\n"), {3, 1, 2, 19}, {19}, {0, 2}, {0, 2}, join([]byte{0, 6}, u32(1), u32(2), u32(256), u32(257), u32(258), u32(259))},
	} {
		_, err := dialogue(t, sure, turns...)
		require.ErrorIs(t, err, ErrSecurity)
		assert.ErrorContains(t, err, "certificate is to be verified")
	}
}

// A server that has had too many attempts may leave out why, and close or not.
func TestTooManyAttemptsWithoutAReason(t *testing.T) {
	for _, closes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			conn, server := net.Pipe()
			defer conn.Close()
			defer server.Close()
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() { io.Copy(io.Discard, server) })
			wg.Go(func() {
				server.Write(join([]byte("RFB 003.008\n"), []byte{1, 2}, zeros(challengeLen), u32(2)))
				if closes {
					server.Close()
				}
			})
			begin := time.Now()
			_, err := (&Client{Password: "secret"}).Connect(t.Context(), conn)
			require.ErrorIs(t, err, ErrRefused)
			assert.ErrorContains(t, err, "too many attempts")
			if !closes {
				assert.Equal(t, stepTimeout, time.Since(begin))
			}
			conn.Close()
		})
	}
}

// sockets are two ends of a connection that holds what is written, as net.Pipe
// doesn't.
func sockets(t *testing.T) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	for i, c := range []*net.Conn{&a, &b} {
		f := os.NewFile(uintptr(fds[i]), "socket")
		*c, err = net.FileConn(f)
		require.NoError(t, err)
		f.Close()
		t.Cleanup(func() { (*c).Close() })
	}
	return a, b
}

// A Server and a Client of this package, with and without the password.
func TestServerWantsItsPassword(t *testing.T) {
	for _, tt := range []struct {
		given string
		want  error
	}{{"secret", nil}, {"secreT", ErrSecurity}} {
		a, b := sockets(t)
		random := bytes.Repeat([]byte{7}, challengeLen)
		done := background(func() error {
			_, err := (&Server{Init: desktop, Password: "secret", Rand: bytes.NewReader(random)}).Accept(t.Context(), a)
			return err
		})
		c, err := (&Client{Password: tt.given}).Connect(t.Context(), b)
		require.ErrorIs(t, result(t, done), tt.want)
		if tt.want == nil {
			require.NoError(t, err)
			assert.Equal(t, desktop, c.Init)
			assert.Equal(t, SecurityVNCAuth, c.Security)
		} else {
			require.ErrorIs(t, err, ErrRefused)
			assert.ErrorContains(t, err, "wrong password")
		}
	}
}

func TestServerSpeaksWhatTheViewerDoes(t *testing.T) {
	var challenge [challengeLen]byte
	response := vncResponse(challenge, "secret")
	for version, turns := range map[string][][]byte{
		"RFB 003.003\n": {join(u32(2), challenge[:]), response[:], u32(0)},
		"RFB 003.007\n": {{1, 2}, {2}, challenge[:], response[:], u32(0)},
		"RFB 003.008\n": {{1, 2}, {2}, challenge[:], response[:], u32(0)},
	} {
		conn, viewer := pipe(t)
		var v *ViewerConn
		done := background(func() (err error) {
			v, err = (&Server{Init: desktop, Password: "secret", Rand: bytes.NewReader(challenge[:])}).Accept(t.Context(), conn)
			return err
		})
		viewer.gets([]byte("RFB 003.008\n"))
		viewer.sends([]byte(version))
		for i, turn := range turns {
			if i%2 == 0 {
				viewer.gets(turn)
			} else {
				viewer.sends(turn)
			}
		}
		viewer.sends([]byte{0})
		viewer.gets(wire(t, desktop))
		require.NoError(t, result(t, done))
		assert.False(t, v.Shared)
		assert.Equal(t, version, string(v.Version.message()))
	}
}

func TestServerWithoutRandomness(t *testing.T) {
	conn, viewer := pipe(t)
	done := background(func() error {
		_, err := (&Server{Init: desktop, Password: "secret", Rand: strings.NewReader("short")}).Accept(t.Context(), conn)
		return err
	})
	viewer.gets([]byte("RFB 003.008\n"))
	viewer.sends([]byte("RFB 003.003\n"))
	viewer.gets(u32(2))
	assert.ErrorIs(t, result(t, done), io.ErrUnexpectedEOF)
}

func TestVersionsAreFramed(t *testing.T) {
	for in, want := range map[string]string{
		"003.003": "003.003", "003.004": "003.003", "003.005": "003.003", "003.006": "003.003", "003.000": "003.003",
		"003.007": "003.007", "003.008": "003.008", "003.009": "003.008", "003.018": "003.008", "003.889": "003.008",
		"003.014": "", "003.016": "", "000.000": "", "004.000": "003.008", "004.001": "003.008", "005.000": "003.008",
		"002.000": "", "006.000": "", "004.002": "",
	} {
		v, err := ParseVersion([]byte("RFB " + in + "\n"))
		require.NoError(t, err)
		framing, who, ok := v.Framing()
		assert.Equal(t, want != "", ok, in)
		assert.NotEmpty(t, who)
		if ok {
			assert.Equal(t, "RFB "+want, framing.String(), in)
		}
	}
}

// A watched is a handshake as it goes: who says what.
type watched struct {
	from Direction
	says []byte
}
