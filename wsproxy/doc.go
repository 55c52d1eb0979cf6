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
// A proper WebSocket handshake is upgraded, also of whoever must not come in, for a page
// can read a close code but not an HTTP status: that one is
// closed with [StatusPolicyViolation] before anything was dialled. Without an upgrade
// are answered a Handler without Dial (403), one that is being shut down, and one that is
// closing as many as it may have at a time already (503). The stream
// travels in binary messages of at most 1 MiB, and of no more than 64 KiB to a
// viewer that takes its time; their boundaries mean nothing.
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
// viewer. A session under way holds at most two blocks of 128 KiB for bytes from
// the viewer, and a third while it ends with a write to the target under way.
// For bytes to the viewer, it holds one block, over TLS two. To a viewer that
// takes bulk quickly these are of 592 KiB, or without TLS a pipe of 1 MiB in the
// kernel. They come from a pool when something is there to be put into them and
// go back when it is gone: an idle session holds none. Over TLS, and where a
// connection is no socket, it waits with a kibibyte at hand.
//
// The package does not know RFB. [Handler.Relay] is where a protocol comes in.
package wsproxy
