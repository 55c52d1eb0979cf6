package curtain_test

import (
	"context"
	"net"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/curtain"
)

// A relay whose session can be paused: the viewer sees a plain picture meanwhile.
func Example() {
	open := func(ctx context.Context) (*rfb.ServerConn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:5900")
		if err != nil {
			return nil, err
		}
		return rfb.Connect(ctx, conn)
	}
	pauser := &rfb.Pauser{Draw: curtain.Draw, Open: open}
	relay := rfb.Relay{Pauser: pauser}
	serve := func(ctx context.Context, viewer, server net.Conn) error { return relay.Run(ctx, viewer, server) }
	_ = serve
	pauser.Set(true)  // the user wants to be unseen
	pauser.Set(false) // and goes on
}
