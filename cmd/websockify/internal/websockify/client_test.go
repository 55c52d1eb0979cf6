package websockify

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A client is a raw connection to a program, which does nothing by itself.
type client struct {
	t testing.TB
	net.Conn
	br      *bufio.Reader
	surplus []byte // of the stream, beyond what stream was asked for
}

func dialRaw(t testing.TB, addr string) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	require.NoError(t, err)
	return newClient(t, c)
}

func newClient(t testing.TB, c net.Conn) *client {
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { c.Close() })
	return &client{t: t, Conn: c, br: bufio.NewReaderSize(c, 128<<10)}
}

func dialTLS(t testing.TB, addr string, config *tls.Config) (*client, error) {
	t.Helper()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: config}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return newClient(t, c), nil
}

// key and the answer to it are RFC 6455 §1.3's.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// request is an upgrade request, with headers besides those it needs.
func request(path string, headers ...string) string {
	return raw("GET "+path+" HTTP/1.1", append([]string{"Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + sampleKey}, headers...)...)
}

func raw(line string, headers ...string) string {
	return strings.Join(append([]string{line}, headers...), "\r\n") + "\r\n\r\n"
}

// A reply is a response's head.
type reply struct {
	line    string
	lines   []string // the header's, as they came
	header  textproto.MIMEHeader
	missing error // instead of all the above
}

// send writes as much as the program takes.
func (c *client) send(s string) { _, _ = io.WriteString(c, s) }

// reply reads a response's head.
func (c *client) reply() reply {
	line, err := c.br.ReadString('\n')
	if err != nil {
		return reply{missing: err, line: line}
	}
	r := reply{line: strings.TrimSpace(line), header: make(textproto.MIMEHeader)}
	if !strings.HasPrefix(line, "HTTP/") {
		return r
	}
	for {
		line, err := c.br.ReadString('\n')
		line = strings.TrimSpace(line)
		if err != nil || line == "" {
			return r
		}
		r.lines = append(r.lines, line)
		name, value, _ := strings.Cut(line, ":")
		r.header.Add(name, strings.TrimSpace(value))
	}
}

// status is the response's in short: its code, or how the connection ended.
func (r reply) status() string {
	switch {
	case r.missing != nil && r.line == "":
		return howEnded(r.missing)
	case !strings.HasPrefix(r.line, "HTTP/"):
		return "no status line"
	}
	return strings.Fields(r.line)[1]
}

// howEnded says how a connection ended.
func howEnded(err error) string {
	switch {
	case err == io.EOF, errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return "closed" // or reset: that depends on what was still unread
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing"
	}
	return err.Error()
}

// upgrade performs a handshake that has to succeed.
func (c *client) upgrade(path string, headers ...string) *client {
	c.t.Helper()
	c.send(request(path, headers...))
	r := c.reply()
	require.Equal(c.t, "101", r.status(), "%s", path)
	require.Equal(c.t, sampleAccept, r.header.Get("Sec-WebSocket-Accept"))
	return c
}

// WebSocket's opcodes, with FIN.
const (
	contFin  = 0x80
	textFin  = 0x81
	binFin   = 0x82
	closeFin = 0x88
	pingFin  = 0x89
	pongFin  = 0x8a

	contMore = 0x00
	binMore  = 0x02
)

// frame is a client's frame, masked with zeros' opposite.
func frame(first byte, payload string) string {
	return string(appendFrame(first, payload, true))
}

func appendFrame(first byte, payload string, masked bool) []byte {
	b := []byte{first}
	bit := byte(0)
	if masked {
		bit = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, bit|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, bit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, bit|127), uint64(n))
	}
	if !masked {
		return append(b, payload...)
	}
	mask := [4]byte{0xa5, 0x5a, 0xff, 0x01}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// closing is a close frame's payload.
func closing(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

// readFrame reads a server's frame.
func (c *client) readFrame() (first byte, payload []byte, err error) {
	var h [2]byte
	if _, err = io.ReadFull(c.br, h[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(h[1] & 0x7f)
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(c.br, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(c.br, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return 0, nil, err
	}
	if h[1]&0x80 != 0 || n > 1<<20 {
		return 0, nil, fmt.Errorf("masked, or of %d bytes", n)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.br, payload)
	return h[0], payload, err
}

// stream reads the next n bytes of the stream. What its last frame has beyond
// them is there for the next call.
func (c *client) stream(n int) string {
	c.t.Helper()
	for len(c.surplus) < n {
		first, p, err := c.readFrame()
		require.NoError(c.t, err, "after %d bytes of %d", len(c.surplus), n)
		require.EqualValues(c.t, binFin, first, "a frame of %d bytes: %.100q", len(p), p)
		c.surplus = append(c.surplus, p...)
	}
	got := string(c.surplus[:n])
	c.surplus = c.surplus[n:]
	return got
}

// end is what a client sends to see its echo: all before it has been echoed then.
const end = "|END"

// rest describes everything that comes until the connection ends: the stream,
// then control frames. It closes when the stream has ended with end. A close
// frame is answered, as a browser does.
func (c *client) rest() string {
	var events []string
	data := c.surplus
	for {
		first, p, err := c.readFrame()
		switch {
		case err != nil:
			if stream := strings.TrimSuffix(string(data), end); stream != "" {
				events = append([]string{fmt.Sprintf("data %q", stream)}, events...)
			}
			return strings.Join(append(events, howEnded(err)), ", ")
		case first == binFin:
			data = append(data, p...)
			if bytes.HasSuffix(data, []byte(end)) {
				c.send(bye)
			}
		case first == closeFin:
			events = append(events, describeClose(p))
			c.send(frame(closeFin, string(p[:min(2, len(p))])))
		case first == pongFin:
			events = append(events, fmt.Sprintf("pong %d", len(p)))
		default:
			events = append(events, fmt.Sprintf("frame %02x %q", first, p))
		}
	}
}

func describeClose(p []byte) string {
	if len(p) < 2 {
		return "close without code"
	}
	code := binary.BigEndian.Uint16(p)
	if len(p) == 2 || code == 1002 || code == 1003 { // whose words are each program's own
		return fmt.Sprintf("close %d", code)
	}
	return fmt.Sprintf("close %d %q", code, p[2:])
}

func netDial(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, patience) }

// Frames' boundaries mean nothing to stream.
func TestStreamOfTheClient(t *testing.T) {
	near, far := net.Pipe()
	go func() { _, _ = far.Write([]byte("\x82\x03abc\x82\x03def")) }()
	c := newClient(t, near)
	require.Equal(t, "a", c.stream(1))
	require.Equal(t, "bcd", c.stream(3))
	require.Equal(t, "ef", c.stream(2))
}
