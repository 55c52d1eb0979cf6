package rfb_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"vda.internal/shadow/rfb"
)

// A viewer watches, whatever its user types; what it tried to send is told.
func ExampleRelay() {
	watch := func(ctx context.Context, viewer, server net.Conn) {
		defer viewer.Close()
		relay := rfb.Relay{
			Name:   "Alice's session",
			OnDrop: func(m rfb.ClientMessageType) { log.Printf("dropped a %v", m) },
		}
		err := relay.Run(ctx, viewer, server)
		if broke, ok := errors.AsType[*rfb.ProtocolError](err); ok {
			log.Printf("close code %d: %v", broke.CloseCode(), broke)
		}
	}
	_ = watch // for each connection
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
