package rfb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"

	"vda.internal/shadow/rfb"
)

// A viewer watches, whatever its user types; what it tried to send is reported.
func ExampleRelay() {
	ctx := context.Background()
	viewer, near := net.Pipe()
	far, server := net.Pipe()
	go func() { // a server, which would show something
		init := rfb.ServerInit{Width: 640, Height: 480, Format: rfb.PixelFormat{BitsPerPixel: 8, Depth: 8}, Name: "host:1"}
		if _, err := (&rfb.Server{Init: init}).Accept(ctx, server); err == nil {
			_, _ = io.Copy(io.Discard, server)
		}
	}()
	done := make(chan error)
	go func() {
		relay := rfb.Relay{
			Name:   "Alice's session",
			OnDrop: func(m rfb.ClientMessageType) { fmt.Println("dropped:", m) },
		}
		done <- relay.Run(ctx, near, far)
		near.Close()
	}()

	conn, err := rfb.Connect(ctx, viewer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(conn.Init.Name, conn.Init.Width, conn.Init.Height)
	key, err := rfb.AppendMessage(nil, &rfb.KeyEvent{Down: true, Keysym: 'a'})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := viewer.Write(key); err != nil {
		log.Fatal(err)
	}
	viewer.Close()
	fmt.Println("ended:", <-done) // a *rfb.ProtocolError has the WebSocket's close code
	// Output:
	// Alice's session 640 480
	// dropped: KeyEvent
	// ended: <nil>
}

// The server is greeted before there is a viewer, so that there is no waiting
// for it later, and no viewer without a picture.
func ExampleConnect() {
	start := func(ctx context.Context, conn net.Conn) (*rfb.ServerConn, error) {
		server, err := rfb.Connect(ctx, conn)
		if errors.Is(err, rfb.ErrSecurity) {
			return nil, fmt.Errorf("this server wants a password: %w", err)
		}
		return server, err
	}
	_ = start // its result goes to Relay.Run
}

// What noVNC asks for is told apart by name.
func ExampleEncoding() {
	fmt.Println(rfb.EncodingTight, rfb.Encoding(-26), rfb.Encoding(-308), rfb.Encoding(4711))
	// Output: Tight Quality6 ExtendedDesktopSize Encoding(4711)
}
