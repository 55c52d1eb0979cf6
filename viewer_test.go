package shadow_test

//lint:file-ignore SA1019 The library that the project names; its successor is a change of import path.

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"
)

// viewer is a WebSocket client.
type viewer struct {
	t    *testing.T
	ws   *websocket.Conn
	conn net.Conn
}

// dial makes the WebSocket handshake.
func dial(t *testing.T, url string, header http.Header) (*viewer, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return nil, err
	}
	v := &viewer{t: t, ws: ws, conn: websocket.NetConn(t.Context(), ws, websocket.MessageBinary)}
	t.Cleanup(v.hangUp)
	return v, nil
}

// view is dial and the RFB handshake.
func view(t *testing.T, url string) *viewer {
	t.Helper()
	v, err := dial(t, url, nil)
	require.NoError(t, err)
	v.expect([]byte("RFB 003.008\n"))
	v.send([]byte("RFB 003.008\n"))
	v.expect([]byte{1, 1})
	v.send([]byte{1})
	v.expect([]byte{0, 0, 0, 0})
	v.send([]byte{1})
	head := v.read(24)
	v.read(int(binary.BigEndian.Uint32(head[20:])))
	return v
}

func (v *viewer) send(p []byte) {
	v.t.Helper()
	_, err := v.conn.Write(p)
	require.NoError(v.t, err)
}

func (v *viewer) read(n int) []byte {
	v.t.Helper()
	require.NoError(v.t, v.conn.SetReadDeadline(time.Now().Add(patience)))
	p := make([]byte, n)
	_, err := io.ReadFull(v.conn, p)
	require.NoError(v.t, err)
	return p
}

func (v *viewer) expect(p []byte) {
	v.t.Helper()
	require.Equal(v.t, p, v.read(len(p)))
}

// update asks for the picture and gets it.
func (v *viewer) update() {
	v.t.Helper()
	v.send([]byte{3, 0, 0, 0, 0, 0, 0, 2, 0, 1})
	v.expect([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 1, 2, 3, 0, 4, 5, 6, 0})
}

// closed reads until the server closes, and requires that code and reason.
func (v *viewer) closed(code int, reason string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, _, err := v.ws.Read(ctx)
		if err == nil {
			continue
		}
		var ce websocket.CloseError
		if errors.As(err, &ce) {
			assert.Equal(v.t, code, int(ce.Code))
			assert.Equal(v.t, reason, ce.Reason)
			return
		}
		require.NoError(v.t, err, "closed without a code, want %d", code)
	}
}

// turnedAway requires that the server closes without a byte of data.
func (v *viewer) turnedAway(code int, reason string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _, err := v.ws.Read(ctx)
	var ce websocket.CloseError
	require.ErrorAs(v.t, err, &ce)
	assert.Equal(v.t, code, int(ce.Code))
	assert.Equal(v.t, reason, ce.Reason)
}

// text sends a text message, which no viewer does.
func (v *viewer) text(s string) {
	v.t.Helper()
	require.NoError(v.t, v.ws.Write(v.t.Context(), websocket.MessageText, []byte(s)))
}

// hangUp drops the connection.
func (v *viewer) hangUp() { v.ws.CloseNow() }
