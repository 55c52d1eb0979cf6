package doctor

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"vda.internal/shadow/rfb"
)

// firstPicture asks for the whole screen and reads the beginning of the
// answer: an update with at least one rectangle of pixels (RFC 6143 sections
// 7.5.3 and 7.6.1).
func firstPicture(server *rfb.ServerConn) error {
	ask, err := rfb.FramebufferUpdateRequest{Rect: rfb.Rect{Width: server.Init.Width, Height: server.Init.Height}}.AppendBinary(nil)
	if err != nil {
		return err
	}
	if _, err := server.Write(ask); err != nil {
		return fmt.Errorf("doctor: asking for the picture: %w", err)
	}
	head := make([]byte, 4+12) // FramebufferUpdate, and its first rectangle's header
	if _, err := io.ReadFull(server, head); err != nil {
		return fmt.Errorf("doctor: no picture came: %w", err)
	}
	rects, width, height := binary.BigEndian.Uint16(head[2:]), binary.BigEndian.Uint16(head[8:]), binary.BigEndian.Uint16(head[10:])
	if head[0] != 0 || rects == 0 || width == 0 || height == 0 {
		return fmt.Errorf("doctor: what came isn't a picture (% x)", head)
	}
	pixels := make([]byte, int(width)*int(server.Init.Format.BitsPerPixel)/8) // the first line
	if _, err := io.ReadFull(server, pixels); err != nil {
		return fmt.Errorf("doctor: the picture broke off: %w", err)
	}
	return nil
}

// A wsConn is the client's end of a WebSocket, as a stream (RFC 6455). It is
// as much of one as a single viewer of our own server needs.
type wsConn struct {
	net.Conn
	r    *bufio.Reader
	left uint64 // bytes of the current frame that are to be read
}

// dialWebSocket connects to address, by TLS if config isn't nil, and asks for
// the resource of url. The connection ends with ctx.
func dialWebSocket(ctx context.Context, address string, config *tls.Config, url string) (*wsConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("doctor: the viewer's port: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if config != nil {
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("doctor: the TLS handshake: %w", err)
		}
		conn = secure
	}
	c := &wsConn{Conn: conn, r: bufio.NewReader(conn)}
	if err := c.handshake(ctx, url); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// handshake is RFC 6455 section 4.1.
func (c *wsConn) handshake(ctx context.Context, url string) error {
	key := make([]byte, 16)
	rand.Read(key)
	text := base64.StdEncoding.EncodeToString(key)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http"+url[len("ws"):], nil)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": text,
	} {
		req.Header.Set(name, value)
	}
	if err := req.Write(c.Conn); err != nil {
		return fmt.Errorf("doctor: the WebSocket handshake: %w", err)
	}
	resp, err := http.ReadResponse(c.r, req)
	if err != nil {
		return fmt.Errorf("doctor: the WebSocket handshake: %w", err)
	}
	accept := sha1.Sum([]byte(text + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(accept[:]) {
		return fmt.Errorf("doctor: the viewer's port answers %s instead of a WebSocket", resp.Status)
	}
	return nil
}

// Opcodes of RFC 6455 section 5.2.
const (
	opContinuation = 0
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// Read reads the bytes of data frames. A close frame is an error that says why.
func (c *wsConn) Read(p []byte) (int, error) {
	for c.left == 0 {
		if err := c.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := c.r.Read(p[:min(uint64(len(p)), c.left)])
	c.left -= uint64(n)
	return n, err
}

// nextFrame reads frames up to one with data.
func (c *wsConn) nextFrame() error {
	head := make([]byte, 2, 10)
	if _, err := io.ReadFull(c.r, head); err != nil {
		return err
	}
	length := uint64(head[1])
	if length > 127 {
		return errors.New("doctor: a server's frame is masked")
	}
	if more := map[uint64]int{126: 2, 127: 8}[length]; more > 0 {
		size := make([]byte, 8)
		if _, err := io.ReadFull(c.r, size[8-more:]); err != nil {
			return err
		}
		length = binary.BigEndian.Uint64(size)
	}
	op := head[0] & 15
	if op == opContinuation || op == opBinary {
		c.left = length
		return nil
	}
	payload := make([]byte, min(length, 125)) // all that a control frame may have
	if _, err := io.ReadFull(c.r, payload); err != nil {
		return err
	}
	switch {
	case op == opClose && len(payload) >= 2:
		return fmt.Errorf("doctor: the viewer was sent away: %d %s", binary.BigEndian.Uint16(payload), payload[2:])
	case op == opPing:
		return c.send(opPong, payload)
	case op == opPong:
		return nil
	}
	return fmt.Errorf("doctor: the WebSocket has ended (opcode %d)", op)
}

// Write sends p as one binary frame.
func (c *wsConn) Write(p []byte) (int, error) {
	if err := c.send(opBinary, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// send writes a frame of less than 64 KiB, masked as a client's must be.
func (c *wsConn) send(op byte, p []byte) error {
	frame := []byte{0x80 | op, 0x80 | 126}
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(p)))
	if len(p) < 126 {
		frame = []byte{0x80 | op, 0x80 | byte(len(p))}
	}
	var mask [4]byte
	rand.Read(mask[:])
	frame = append(frame, mask[:]...)
	for i, b := range p {
		frame = append(frame, b^mask[i%4])
	}
	_, err := c.Conn.Write(frame)
	return err
}

// Close says goodbye, so that the other end needn't wait for it.
func (c *wsConn) Close() error {
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_ = c.send(opClose, []byte{0x03, 0xe8})
	return c.Conn.Close()
}
