package wsproxy

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"nhooyr.io/websocket"
)

// messages is what the library does for a session once it is upgraded.
type messages struct{ ws *websocket.Conn }

// upgrade performs the handshake. If that fails, the response is written.
func upgrade(w http.ResponseWriter, r *http.Request, patience time.Duration) (*wire, *messages, error) {
	if !canHijack(w) {
		http.Error(w, "this server's connections can't be upgraded", http.StatusNotImplemented)
		return nil, nil, pkg.New("the ResponseWriter can't be hijacked")
	}
	c := &capture{ResponseWriter: w, patience: patience}
	ws, err := websocket.Accept(c, r, &websocket.AcceptOptions{
		Subprotocols:       []string{"binary"},
		InsecureSkipVerify: true, // the origin is checked after the upgrade, see checkOrigin
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, nil, err
	}
	return c.wire, &messages{ws}, nil
}

// wait reads until the viewer closes, breaks the rules, or is lost, and says
// which. Data never comes up to here, see intake.
func (m *messages) wait() error {
	// The library closes the connection for good when a context ends in
	// mid-read. So none ever does: the wire's deadlines end a read.
	_, _, err := m.ws.Reader(context.Background())
	if err == nil {
		err = errors.New("data frame where none can be")
	}
	return err
}

// closeOf is the viewer's close frame, if that is what err is about.
func (m *messages) closeOf(err error) (code int, reason string, ok bool) {
	var e websocket.CloseError
	if !errors.As(err, &e) {
		return 0, "", false
	}
	return int(e.Code), e.Reason, true
}

// release ends the library's goroutine, and its read if there is one.
func (m *messages) release() { _ = m.ws.CloseNow() }

// controlBuffer holds a control frame: 14 bytes of header, 125 of payload.
const controlBuffer = 256

// A capture is a ResponseWriter that puts a wire between the library and the
// connection when that is hijacked.
type capture struct {
	http.ResponseWriter
	patience time.Duration
	wire     *wire
}

// Hijack implements http.Hijacker. net/http's server would keep the two buffers
// of 4 KiB that it hands over for as long as the handler runs. They are emptied
// for small ones, which hold any control frame, so that each is one Write.
func (c *capture) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(c.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	c.wire = newWire(nc, bytes.Clone(early), c.patience)
	*rw.Reader = *bufio.NewReaderSize(c.wire, controlBuffer)
	*rw.Writer = *bufio.NewWriterSize(c.wire, controlBuffer)
	return c.wire, rw, nil
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
