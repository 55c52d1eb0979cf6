package doctor

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"

	"nhooyr.io/websocket"

	"vda.internal/shadow/rfb"
)

// firstPicture asks for the whole screen and reads the beginning of the
// answer: an update with at least one rectangle of pixels (RFC 6143 sections
// 7.5.3 and 7.6.1).
func firstPicture(server *rfb.ServerConn) error {
	ask, err := rfb.AppendMessage(nil, &rfb.FramebufferUpdateRequest{Rect: rfb.Rect{Width: server.Init.Width, Height: server.Init.Height}})
	if err != nil {
		return err
	}
	if _, err := server.Write(ask); err != nil {
		return fmt.Errorf("asking for the picture: %w", err)
	}
	head := make([]byte, 4+12) // FramebufferUpdate, and its first rectangle's header
	if _, err := io.ReadFull(server, head); err != nil {
		return fmt.Errorf("no picture came: %w", err)
	}
	rects, width, height := binary.BigEndian.Uint16(head[2:]), binary.BigEndian.Uint16(head[8:]), binary.BigEndian.Uint16(head[10:])
	if head[0] != 0 || rects == 0 || width == 0 || height == 0 {
		return fmt.Errorf("what came isn't a picture (% x)", head)
	}
	pixels := make([]byte, int(width)*int(server.Init.Format.BitsPerPixel)/8) // the first line
	if _, err := io.ReadFull(server, pixels); err != nil {
		return fmt.Errorf("the picture broke off: %w", err)
	}
	return nil
}

// dialWebSocket connects to address, by TLS if config isn't nil, and asks for the resource of
// url. The connection ends with ctx.
func dialWebSocket(ctx context.Context, address string, config *tls.Config, url string) (net.Conn, error) {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address) // the name isn't resolved
		},
		TLSClientConfig: config,
	}
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{"binary"},
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	return websocket.NetConn(ctx, conn, websocket.MessageBinary), nil
}
