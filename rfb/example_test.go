package rfb_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"

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

// What the peers of a captured session agreed on.
func ExampleTrace_Handshake() {
	f, err := os.Open("../testdata/traces/Xtightvnc-1.3.10/tight-32.trace.gz")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	trace, err := rfb.ReadTrace(f)
	if err != nil {
		log.Fatal(err)
	}
	handshake, err := trace.Handshake()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(handshake.ServerVersion, handshake.Offered, handshake.Security)
	fmt.Println(handshake.Init.Width, handshake.Init.Height, handshake.Init.Format)
	// Output:
	// RFB 003.008 [VNC Authentication Tight] VNC Authentication
	// 160 120 32/24 le 255,255,255 at 16,8,0
}

// The keys that a viewer pressed.
func ExampleTrace_Events() {
	var trace rfb.Trace // read with ReadTrace
	for event, err := range trace.Events() {
		if err != nil {
			break // the trace ends here, or can't be read any further
		}
		if key, ok := event.Message.(*rfb.KeyEvent); ok && key.Down {
			fmt.Printf("%v: key %#x\n", event.At, key.Keysym)
		}
	}
}

// What noVNC asks for is told apart by name.
func ExampleEncoding() {
	fmt.Println(rfb.EncodingTight, rfb.Encoding(-26), rfb.Encoding(-308), rfb.Encoding(4711))
	// Output: Tight Quality6 ExtendedDesktopSize Encoding(4711)
}
