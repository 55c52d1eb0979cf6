package wsproxy

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"nhooyr.io/websocket"
)

// messages is what the library does for a session once it is upgraded.
type messages struct {
	ws *websocket.Conn
	br *bufio.Reader // that the library reads from
}

// upgrade performs the handshake. If that fails, the response is written.
func upgrade(w http.ResponseWriter, r *http.Request, subprotocols []string, patience time.Duration) (*wire, *messages, error) {
	if !canHijack(w) {
		http.Error(w, "this server's connections can't be upgraded", http.StatusNotImplemented)
		return nil, nil, errors.New("wsproxy: the ResponseWriter can't be hijacked")
	}
	if subprotocols == nil {
		subprotocols = []string{"binary"}
	}
	c := &capture{ResponseWriter: w, patience: patience}
	ws, err := websocket.Accept(c, r, &websocket.AcceptOptions{
		Subprotocols:       subprotocols,
		InsecureSkipVerify: true, // the origin is checked after the upgrade, see checkOrigin
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, nil, err
	}
	ws.SetReadLimit(-1) // conn counts for itself
	return c.wire, &messages{ws, c.br}, nil
}

// next waits for a message. Its reader gives the payload as it comes.
func (m *messages) next() (binary bool, payload io.Reader, err error) {
	// The library closes the connection for good when a context ends in
	// mid-read. So none ever does: the wire's deadlines end a read.
	typ, payload, err := m.ws.Reader(context.Background())
	return typ == websocket.MessageBinary, payload, err
}

// ready waits until something can be read and returns how much that is, at
// least 1. The library fills the whole buffer that it is given if the frame is
// long enough, so a read of more waits for bytes that may be long in coming.
func (m *messages) ready() int {
	_, _ = m.br.Peek(1) // the error comes again with the read
	return max(1, m.br.Buffered())
}

// closeOf is the viewer's close frame, if that is what err is about.
func (m *messages) closeOf(err error) (code int, reason string, ok bool) {
	var e websocket.CloseError
	if !errors.As(err, &e) {
		return 0, "", false
	}
	return int(e.Code), e.Reason, true
}

// subprotocol is the one that was chosen.
func (m *messages) subprotocol() string { return m.ws.Subprotocol() }

// release ends the library's goroutine, and its read if there is one.
func (m *messages) release() { _ = m.ws.CloseNow() }

// A capture is a ResponseWriter that puts a wire between the library and the
// connection when that is hijacked.
type capture struct {
	http.ResponseWriter
	patience time.Duration
	wire     *wire
	br       *bufio.Reader
}

// Hijack implements http.Hijacker. The library gets buffers of this package's
// making: the writer holds any control frame, so that each is one Write.
func (c *capture) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(c.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	c.wire = newWire(nc, bytes.Clone(early), c.patience)
	c.br = bufio.NewReaderSize(c.wire, 16<<10)
	return c.wire, bufio.NewReadWriter(c.br, bufio.NewWriterSize(c.wire, 256)), nil
}

// canHijack asks before the library writes the 101.
func canHijack(w http.ResponseWriter) bool {
	for {
		switch v := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return false
		}
	}
}
