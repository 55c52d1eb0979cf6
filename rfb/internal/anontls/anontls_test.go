package anontls

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const waitFor = 5 * time.Minute

// sockets are two ends of a connection.
func sockets(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	for i, c := range []*net.Conn{&a, &b} {
		f := os.NewFile(uintptr(fds[i]), "socket")
		*c, err = net.FileConn(f)
		require.NoError(t, err)
		f.Close()
		t.Cleanup(func() { (*c).Close() })
		require.NoError(t, (*c).SetDeadline(time.Now().Add(waitFor)))
	}
	return a, b
}

// background runs f; the channel has its error.
func background(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// pair is a client and a server after their handshake.
func pair(t testing.TB, s *server) *Conn {
	t.Helper()
	near, far := sockets(t)
	done := background(func() error { return s.accept(far) })
	c, err := Client(near)
	require.NoError(t, err)
	require.NoError(t, <-done)
	t.Cleanup(func() { c.Close() })
	return c
}

// RFC 7919's groups are made by its formula; its numbers give safe primes.
func TestGroups(t *testing.T) {
	for _, n := range named {
		p := n.prime()
		require.Equal(t, n.bits, p.BitLen())
		ends := strings.Repeat("f", 16)
		assert.True(t, strings.HasPrefix(p.Text(16), ends+"adf85458a2bb4a9aafdc5620"), "%x", p)
		assert.True(t, strings.HasSuffix(p.Text(16), ends), "%x", p)
		if n.bits > 4096 && testing.Short() {
			continue
		}
		assert.True(t, p.ProbablyPrime(1), n.bits)
		assert.True(t, new(big.Int).Rsh(p, 1).ProbablyPrime(1), n.bits)
	}
}

// The vector for P_SHA256 that was published on the TLS working group's list.
func TestPRF(t *testing.T) {
	b := func(s string) []byte {
		p, err := hex.DecodeString(s)
		require.NoError(t, err)
		return p
	}
	got := suites[1].prf(b("9bbe436ba940f017b17652849a71db35"), "test label", b("a0ba9f936cda311827a6f796ffd5198c"), 100)
	assert.Equal(t, "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66",
		hex.EncodeToString(got))
}

// Both suites, with and without the extended master secret, in groups that are known and one that isn't, and
// handshakes in pieces: what is sent arrives, in both directions.
func TestHandshake(t *testing.T) {
	modp2048 := modp(t)
	for name, s := range map[string]*server{
		"AES-256":                    {},
		"AES-128":                    {suite: 0xa6},
		"no extensions":              {old: true},
		"no extensions, AES-128":     {old: true, suite: 0xa6},
		"ffdhe3072":                  {group: named[1]},
		"ffdhe8192":                  {group: named[4]},
		"a group of its own":         {prime: modp2048},
		"another generator":          {generator: big.NewInt(5)},
		"a byte at a time":           {piece: 1},
		"some bytes at a time":       {piece: 100},
		"a session to be resumed":    {session: make([]byte, maxSessionID)},
		"warnings":                   {before: map[byte][]byte{serverKeyExchange: {21, 3, 3, 0, 2, 1, 90}}},
		"the first record's version": {before: map[byte][]byte{serverHello: {21, 3, 1, 0, 2, 1, 112}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := pair(t, s)
			for _, n := range []int{1, 100, maxPlain, maxPlain + 1, 5*maxPlain + 7} {
				want := bytes.Repeat([]byte{byte(n), 1, 2}, n)[:n]
				done := background(func() error { _, err := c.Write(want); return err })
				var got []byte
				for len(got) < n {
					p, err := s.data()
					require.NoError(t, err)
					got = append(got, p...)
				}
				require.NoError(t, <-done)
				require.True(t, bytes.Equal(want, got))
				done = background(func() error {
					for p := want; len(p) > 0; p = p[min(len(p), maxPlain):] {
						if err := s.send(typeData, p[:min(len(p), maxPlain)]); err != nil {
							return err
						}
					}
					return nil
				})
				got = make([]byte, n)
				_, err := io.ReadFull(c, got)
				require.NoError(t, err)
				require.NoError(t, <-done)
				require.True(t, bytes.Equal(want, got))
			}
			require.NoError(t, c.Close())
			_, err := s.data()
			require.ErrorIs(t, err, errOver)
			assert.Equal(t, []alert{alertCloseNotify}, s.heard)
		})
	}
}

// modp is RFC 3526's group of 2,048 bits, which OpenSSL takes by itself: 2^2048 - 2^1984 - 1 + 2^64 (⌊2^1918 π⌋ + 124476).
func modp(t *testing.T) *big.Int {
	p, ok := new(big.Int).SetString("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF", 16)
	require.True(t, ok)
	return p
}

// What a server may not do ends the handshake, and it is told why.
func TestHostileHandshakes(t *testing.T) {
	p := named[0].prime()
	less := func(n int64) *big.Int { return new(big.Int).Sub(p, big.NewInt(n)) }
	bits := func(n uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(one, n), one) }
	long := append([]byte{22, 3, 3, 0x40, 1}, make([]byte, 1<<14+1)...)
	for name, tt := range map[string]struct {
		server
		err   error
		alert alert
		text  string
	}{
		"TLS 1.1":                          {server{version: 0x0302}, ErrUnfit, alertProtocolVersion, "0x0302"},
		"TLS 1.3":                          {server{version: 0x0304}, ErrUnfit, alertProtocolVersion, "0x0304"},
		"another suite":                    {server{suite: 0x0018}, ErrUnfit, alertIllegalParameter, "0x0018"},
		"the signalling suite":             {server{suite: signalNoRenegotiation}, ErrUnfit, alertIllegalParameter, "0x00ff"},
		"compression":                      {server{compression: 1}, ErrUnfit, alertIllegalParameter, "compression"},
		"a long session":                   {server{session: make([]byte, maxSessionID+1)}, ErrProtocol, alertDecodeError, ""},
		"an extension unasked":             {server{extensions: []byte{0, 35, 0, 0}}, ErrProtocol, alertUnsupportedExtension, "35"},
		"an extension twice":               {server{extensions: []byte{0, extExtendedMaster, 0, 0}}, ErrProtocol, alertDecodeError, ""},
		"an extension cut":                 {server{extensions: []byte{0, extExtendedMaster, 0}}, ErrProtocol, alertDecodeError, ""},
		"a group of 1,024 bits":            {server{prime: bits(1024)}, ErrUnfit, alertInsufficientSecurity, "1024 bits"},
		"a group of 2,047 bits":            {server{prime: bits(2047)}, ErrUnfit, alertInsufficientSecurity, "2047 bits"},
		"a group of 8,193 bits":            {server{prime: bits(8193)}, ErrProtocol, alertIllegalParameter, "8193 bits"},
		"a group of 4,097 bits of its own": {server{prime: bits(4097)}, ErrUnfit, alertIllegalParameter, "is not a known one"},
		"an even group":                    {server{prime: less(1)}, ErrUnfit, alertIllegalParameter, "no prime"},
		"a composite group":                {server{prime: less(2)}, ErrUnfit, alertIllegalParameter, "no prime"},
		"generator 1":                      {server{generator: one}, ErrProtocol, alertIllegalParameter, "out of its group"},
		"generator p-1":                    {server{generator: less(1)}, ErrProtocol, alertIllegalParameter, "out of its group"},
		"public 0":                         {server{public: new(big.Int)}, ErrProtocol, alertIllegalParameter, "out of its group"},
		"public 1":                         {server{public: one}, ErrProtocol, alertIllegalParameter, "out of its group"},
		"public p-1":                       {server{public: less(1)}, ErrProtocol, alertIllegalParameter, "out of its group"},
		"public p":                         {server{public: p}, ErrProtocol, alertIllegalParameter, "out of its group"},
		"public p+1":                       {server{public: less(-1)}, ErrProtocol, alertIllegalParameter, "out of its group"},
		"a signature":                      {server{tail: make([]byte, 8)}, ErrProtocol, alertDecodeError, "ServerKeyExchange"},
		"a long message":                   {server{tail: make([]byte, maxMessage)}, ErrProtocol, alertDecodeError, "handshake message of"},
		"no ServerHello":                   {server{skip: serverHello}, ErrProtocol, alertUnexpectedMessage, ""},
		"no ServerKeyExchange":             {server{skip: serverKeyExchange}, ErrProtocol, alertUnexpectedMessage, ""},
		"ServerKeyExchange twice":          {server{twice: serverKeyExchange}, ErrProtocol, alertUnexpectedMessage, ""},
		"a request for certificates":       {server{before: map[byte][]byte{serverHelloDone: {22, 3, 3, 0, 4, 13, 0, 0, 0}}}, ErrProtocol, alertUnexpectedMessage, "type 13"},
		"a message before the cipher": {server{before: map[byte][]byte{serverHelloDone: {22, 3, 3, 0, 8, serverHelloDone, 0, 0, 0, finished, 0, 0, 0}}},
			ErrProtocol, alertUnexpectedMessage, "before it changes"},
		"another Finished":       {server{finished: make([]byte, finishLen)}, ErrProtocol, alertDecryptError, "Finished"},
		"a short Finished":       {server{finished: make([]byte, 1)}, ErrProtocol, alertDecryptError, "Finished"},
		"Finished in clear text": {server{before: map[byte][]byte{finished: append([]byte{22, 3, 3, 0, 16, finished, 0, 0, 12}, make([]byte, 12)...)}}, ErrProtocol, alertDecodeError, "record of 16 bytes"},
		"a changed record":       {server{spoil: true}, ErrProtocol, alertBadRecordMAC, "changed"},
		"data instead":           {server{before: map[byte][]byte{serverKeyExchange: {23, 3, 3, 0, 1, 0}}}, ErrProtocol, alertUnexpectedMessage, "type 23"},
		"the cipher changed early": {server{before: map[byte][]byte{serverKeyExchange: {20, 3, 3, 0, 1, 1}}},
			ErrProtocol, alertUnexpectedMessage, "type 20"},
		"a record of no type":     {server{before: map[byte][]byte{serverHello: []byte("HTTP/1.1 400")}}, ErrProtocol, alertUnexpectedMessage, "type 72"},
		"a record of no version":  {server{before: map[byte][]byte{serverHello: {22, 2, 0, 0, 1, 0}}}, ErrProtocol, alertProtocolVersion, "0x0200"},
		"a record of TLS 1.0":     {server{before: map[byte][]byte{serverKeyExchange: {22, 3, 1, 0, 1, 0}}}, ErrProtocol, alertProtocolVersion, "0x0301"},
		"an empty record":         {server{before: map[byte][]byte{serverHello: {22, 3, 3, 0, 0}}}, ErrProtocol, alertDecodeError, "empty"},
		"a long record":           {server{before: map[byte][]byte{serverHello: long}}, ErrProtocol, alertRecordOverflow, "16385 bytes"},
		"an alert":                {server{before: map[byte][]byte{serverHello: {21, 3, 3, 0, 2, 2, 40}}}, ErrRefused, 0, "handshake failure"},
		"an alert without a name": {server{before: map[byte][]byte{serverHello: {21, 3, 3, 0, 2, 2, 250}}}, ErrRefused, 0, "alert 250"},
		"a long alert":            {server{before: map[byte][]byte{serverHello: {21, 3, 3, 0, 4, 1, 0, 1, 0}}}, ErrProtocol, alertDecodeError, "alert of 4 bytes"},
		"an end":                  {server{before: map[byte][]byte{serverHello: {21, 3, 3, 0, 2, 1, 0}}}, ErrRefused, 0, "ended"},
		"one warning after the other": {server{before: map[byte][]byte{serverHello: bytes.Repeat([]byte{21, 3, 3, 0, 2, 1, 112}, maxIdle+1)}},
			ErrProtocol, alertUnexpectedMessage, "warnings"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := sockets(t)
			s := &tt.server
			done := background(func() error {
				err := s.accept(far)
				if err == nil {
					_, err = s.data()
				}
				return err
			})
			c, err := Client(near)
			require.ErrorIs(t, err, tt.err)
			assert.ErrorContains(t, err, tt.text)
			assert.Nil(t, c)
			near.Close() // which Client doesn't
			err = <-done
			if tt.err == ErrRefused {
				return
			}
			if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) { // it was still writing
				_, err = s.record(typeData)
			}
			require.ErrorIs(t, err, errOver)
			assert.Equal(t, []alert{tt.alert}, s.heard)
		})
	}
}

// A group whose generator has a small order gives its secret away.
func TestSmallOrder(t *testing.T) {
	// A prime p with 3 | p-1: a value of order 3 is inside the group's bounds.
	p := new(big.Int).Lsh(one, minBits-1)
	for p.Add(p, one); ; p.Add(p, one) {
		if new(big.Int).Mod(p, big.NewInt(3)).Cmp(one) == 0 && p.ProbablyPrime(0) {
			break
		}
	}
	g := new(big.Int).Exp(two, new(big.Int).Div(new(big.Int).Sub(p, one), big.NewInt(3)), p)
	q := &group{prime: p, generator: g, public: g, last: new(big.Int).Sub(p, one)}
	require.NoError(t, q.check())
	// An exponent that is divisible by 3: zeros, to which 2 is added, won't do; 1 will.
	exponent := make([]byte, (p.BitLen()-1)/8)
	exponent[len(exponent)-1] = 1
	_, _, err := q.agree(bytes.NewReader(exponent))
	require.ErrorIs(t, err, ErrUnfit)
}

// A server that says nothing costs as much time as the connection's owner gives it, also in the middle of a message.
func TestSilence(t *testing.T) {
	for _, said := range []string{"", "\x16\x03\x03", "\x16\x03\x03\x00\x30", "\x16\x03\x03\x00\x06\x02\x00\x00\x50\x03\x03"} {
		near, far := sockets(t)
		_, err := far.Write([]byte(said))
		require.NoError(t, err)
		require.NoError(t, near.SetDeadline(time.Now().Add(50*time.Millisecond)))
		_, err = Client(near)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "%q", said)
		_, err = far.Write([]byte("more"))
		require.NoError(t, err, "it isn't closed")
	}
	for _, said := range []string{"", "\x16\x03\x03"} {
		near, far := sockets(t)
		_, err := far.Write([]byte(said))
		require.NoError(t, err)
		far.Close()
		_, err = Client(near)
		require.Error(t, err)
		assert.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET), "%v", err)
	}
}

// A deadline that passes in the middle of a record loses nothing.
func TestDeadlineInARecord(t *testing.T) {
	s := new(server)
	c := pair(t, s)
	record, err := s.out.seal(nil, version12, typeData, []byte("hello"))
	require.NoError(t, err)
	for _, cut := range []int{3, 10, len(record) - 1} {
		_, err = s.conn.Write(record[:cut])
		require.NoError(t, err)
		record = record[cut:]
		require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		_, err = c.Read(make([]byte, 100))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		if cut == 10 {
			break
		}
		record = record[:]
	}
	_, err = s.conn.Write(record)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(waitFor)))
	b := make([]byte, 2)
	for _, want := range []string{"he", "ll", "o"} {
		n, err := c.Read(b)
		require.NoError(t, err)
		assert.Equal(t, want, string(b[:n]))
	}
	n, err := c.Read(nil)
	require.NoError(t, err)
	assert.Zero(t, n)
}

// What a server does wrong after the handshake ends reading and writing, and it is told why.
func TestHostileStreams(t *testing.T) {
	sealed := func(kind contentType, p ...byte) func(*server) []byte {
		return func(s *server) []byte {
			b, err := s.out.seal(nil, version12, kind, p)
			if err != nil {
				panic(err)
			}
			return b
		}
	}
	raw := func(b ...byte) func(*server) []byte { return func(*server) []byte { return b } }
	many := func(f func(*server) []byte) func(*server) []byte {
		return func(s *server) (b []byte) {
			for range maxIdle + 1 {
				b = append(b, f(s)...)
			}
			return b
		}
	}
	for name, tt := range map[string]struct {
		says  func(*server) []byte
		err   error
		alert alert
	}{
		"another handshake":    {sealed(typeHandshake, 0, 0, 0, 0), ErrProtocol, alertNoRenegotiation},
		"another cipher":       {sealed(typeChangeCipherSpec, 1), ErrProtocol, alertUnexpectedMessage},
		"clear text":           {raw(23, 3, 3, 0, 5, 1, 2, 3, 4, 5), ErrProtocol, alertDecodeError},
		"clear text, longer":   {raw(append([]byte{23, 3, 3, 0, 50}, make([]byte, 50)...)...), ErrProtocol, alertBadRecordMAC},
		"an end in clear text": {raw(21, 3, 3, 0, 2, 1, 0), ErrProtocol, alertDecodeError},
		"a long record":        {raw(23, 3, 3, 0x40, 0x19), ErrProtocol, alertRecordOverflow},
		"another version":      {raw(23, 3, 1, 0, 1, 0), ErrProtocol, alertProtocolVersion},
		"a record twice": {func(s *server) []byte {
			b := sealed(typeData)(s)
			return append(b, b...)
		}, ErrProtocol, alertBadRecordMAC},
		"a record as another type": {func(s *server) []byte {
			b := sealed(typeHandshake, 1, 2)(s)
			b[0] = byte(typeData)
			return b
		}, ErrProtocol, alertBadRecordMAC},
		"nothing, for ever":  {many(sealed(typeData)), ErrProtocol, alertUnexpectedMessage},
		"warnings, for ever": {many(sealed(typeAlert, 1, 90)), ErrProtocol, alertUnexpectedMessage},
		"a long alert":       {sealed(typeAlert, 1, 0, 0), ErrProtocol, alertDecodeError},
		"an alert":           {sealed(typeAlert, 2, 80), ErrRefused, 0},
		"its end":            {sealed(typeAlert, 1, 0), io.EOF, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := new(server)
			c := pair(t, s)
			_, err := s.conn.Write(tt.says(s))
			require.NoError(t, err)
			for range 2 {
				_, err = c.Read(make([]byte, 10))
				require.ErrorIs(t, err, tt.err)
			}
			if tt.err != ErrProtocol {
				return
			}
			_, err = c.Write([]byte("more"))
			require.ErrorIs(t, err, ErrProtocol)
			_, err = s.data()
			require.ErrorIs(t, err, errOver)
			assert.Equal(t, []alert{tt.alert}, s.heard)
			c.Close()
			_, err = s.data()
			require.ErrorIs(t, err, io.EOF, "it is told once")
		})
	}
}

// A stream that ends without a word was cut, wherever.
func TestCutStream(t *testing.T) {
	for _, cut := range []int{0, 3, 20} {
		s := new(server)
		c := pair(t, s)
		record, err := s.out.seal(nil, version12, typeData, []byte("hello"))
		require.NoError(t, err)
		_, err = s.conn.Write(record[:cut])
		require.NoError(t, err)
		s.conn.Close()
		for range 2 {
			_, err = c.Read(make([]byte, 10))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "after %d bytes", cut)
		}
	}
}

// Close waits for no Write that the server holds up.
func TestCloseWaitsForNoWrite(t *testing.T) {
	s := new(server)
	c := pair(t, s)
	require.NoError(t, c.SetDeadline(time.Time{}))
	writing := background(func() error {
		for {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	})
	require.Eventually(t, func() bool { // it is in the middle of one
		if c.writing.TryLock() {
			c.writing.Unlock()
			return false
		}
		return true
	}, waitFor, time.Millisecond)
	reading := background(func() error { _, err := c.Read(make([]byte, 1)); return err })
	closing := background(c.Close)
	for _, done := range []<-chan error{closing, writing, reading} {
		select {
		case <-done:
		case <-time.After(waitFor):
			t.Fatal("it waits")
		}
	}
}
