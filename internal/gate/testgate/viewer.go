package testgate

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"
)

// A Viewer is a browser's WebSocket to a view.
type Viewer struct {
	WS   *websocket.Conn
	Conn net.Conn // its bytes

	c *Client
}

// Connect connects to a view, as the gate's own page does. The caller closes it.
func (c *Client) Connect(id string) (*Viewer, error) {
	return c.ConnectFrom(id, c.Gate.URL)
}

// ConnectFrom is [Client.Connect] of a page of another origin; empty: of a script.
func (c *Client) ConnectFrom(id, origin string) (*Viewer, error) {
	h := c.Header.Clone()
	if origin != "" {
		h.Set("Origin", origin)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	plain := c.HTTP.Transport.(noting).Clone() // a WebSocket begins in HTTP/1.1
	plain.ForceAttemptHTTP2, plain.TLSNextProto = false, map[string]func(string, *tls.Conn) http.RoundTripper{}
	plain.TLSClientConfig.NextProtos = []string{"http/1.1"}
	c.Gate.t.Cleanup(plain.CloseIdleConnections)
	ws, _, err := websocket.Dial(ctx, strings.Replace(c.Gate.URL, "http", "ws", 1)+"/view/"+id, &websocket.DialOptions{
		HTTPClient: &http.Client{Jar: c.HTTP.Jar, Transport: plain}, HTTPHeader: h, Subprotocols: []string{"binary"},
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(16 << 20)
	return &Viewer{WS: ws, Conn: websocket.NetConn(context.Background(), ws, websocket.MessageBinary), c: c}, nil
}

// View connects to a view and requires that it is let in.
func (c *Client) View(id string) *Viewer {
	c.Gate.t.Helper()
	v, err := c.Connect(id)
	require.NoError(c.Gate.t, err)
	c.Gate.t.Cleanup(func() { _ = v.WS.CloseNow() })
	v.Greet()
	return v
}

// Greet performs RFB's handshake, and requires a picture.
func (v *Viewer) Greet() {
	t := v.c.Gate.t
	t.Helper()
	buf := make([]byte, 64)
	read := func(n int) []byte {
		_, err := io.ReadFull(v.Conn, buf[:n])
		require.NoError(t, err)
		return buf[:n]
	}
	write := func(p ...byte) {
		_, err := v.Conn.Write(p)
		require.NoError(t, err)
	}
	require.Equal(t, "RFB 003.008\n", string(read(12)))
	write([]byte("RFB 003.008\n")...)
	require.Equal(t, []byte{1, 1}, read(2))
	write(1)
	require.Equal(t, []byte{0, 0, 0, 0}, read(4))
	write(1)
	head := read(24)
	name := int(head[23])
	read(name)
	v.Picture()
}

// Picture asks for a picture and requires one.
func (v *Viewer) Picture() {
	t := v.c.Gate.t
	t.Helper()
	_, err := v.Conn.Write([]byte{3, 0, 0, 0, 0, 0, 0, Width, 0, Height})
	require.NoError(t, err)
	head := make([]byte, 16)
	_, err = io.ReadFull(v.Conn, head)
	require.NoError(t, err)
	require.Equal(t, byte(0), head[0], "an update")
	_, err = io.CopyN(io.Discard, v.Conn, Width*Height*4)
	require.NoError(t, err)
}

// End reads until the WebSocket ends, and returns the close code and reason; 0 means that it was cut, -1 that it
// goes on.
func (v *Viewer) End() (code int, reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for {
		_, r, err := v.WS.Reader(ctx)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			var e websocket.CloseError
			if errors.As(err, &e) {
				return int(e.Code), e.Reason
			}
			if ctx.Err() != nil {
				return -1, ""
			}
			return 0, ""
		}
	}
}

// Close closes with a code, as a page does.
func (v *Viewer) Close(code int) {
	v.c.Gate.t.Helper()
	require.NoError(v.c.Gate.t, v.WS.Close(websocket.StatusCode(code), ""))
}

// Cut ends the connection without a word.
func (v *Viewer) Cut() { _ = v.WS.CloseNow() }
