// Package wsproxy joins a browser's WebSocket to a byte-stream target, as
// websockify does: what noVNC needs in front of an RFB server.
//
// A [Handler] is an [http.Handler]. A complete program that shows the VNC
// server of this host to pages that it served itself:
//
//	package main
//
//	import (
//		"context"
//		"log"
//		"net"
//		"net/http"
//
//		"vda.internal/shadow/wsproxy"
//	)
//
//	func main() {
//		http.Handle("/websockify", &wsproxy.Handler{
//			Dial: func(ctx context.Context, _ *http.Request) (net.Conn, error) {
//				var d net.Dialer
//				return d.DialContext(ctx, "tcp", "127.0.0.1:5900")
//			},
//		})
//		http.Handle("/", http.FileServer(http.Dir("noVNC")))
//		log.Fatal(http.ListenAndServe("127.0.0.1:6080", nil))
//	}
//
// # What the browser sees
//
// Every request that is a proper WebSocket handshake is upgraded, for a page
// can read a close code but not an HTTP status; whoever must not come in is
// closed with [StatusPolicyViolation] before anything was dialled. The stream
// travels in binary messages of at most 64 KiB; their boundaries mean nothing.
// Fragments and empty messages are fine, a text message ends the session with
// [StatusUnsupportedData]. The subprotocol "binary" is chosen if it is offered,
// none otherwise; extensions are never negotiated. Everything else that a
// session can end with is listed at the Status constants. A session ends for
// one reason, the first that was found: the close frame, the [Record] and the
// log line tell the same.
//
// # What it costs
//
// Nothing is queued beyond fixed buffers, in either direction: a viewer that
// doesn't read stops the target, and a target that doesn't read stops the
// viewer. A session holds 32 KiB for bytes from the viewer and one frame for
// bytes to it, however much is sent.
//
// # How it works
//
// The WebSocket library (nhooyr.io/websocket, RFC 6455) performs the handshake
// and reads: frames, fragments, masks and control frames. It does so on a
// connection that Handler captured while it was hijacked. Frames to the viewer
// are written to that connection here, header and payload in one write, since
// the library's own Write costs two writes and two goroutine switches a frame.
// The library's pongs pass through the same place, so that frames never mix,
// and its close frames are held back, so that there is one close frame.
// One file, upgrade.go, imports the library.
//
// The package does not know RFB. [Handler.Relay] is where a protocol comes in.
package wsproxy
