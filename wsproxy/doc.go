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
// # How it works
//
// The WebSocket library (nhooyr.io/websocket, RFC 6455) performs the handshake
// on a connection that Handler captured while it was hijacked; one file,
// upgrade.go, imports it. From then on each thing that is done with that
// connection has its place:
//
//   - intake reads. Data frames are parsed where they were read to, all of one
//     read at once, and their payload is unmasked into the stream's buffer.
//     Everything else, which is control frames and whatever is malformed, it
//     hands to the library, which reads from it as from the connection and
//     never sees data. Why: the library takes 4 to 13 µs for a message, and the
//     parser 0.04. What the library does see is judged by the library alone, but
//     for two rules about the order of data frames, which intake knows.
//   - inbox holds what the viewer sent until it is taken, and has a goroutine to
//     write it to the target only while there is something.
//   - wire writes, one frame at a time under one mutex: header and payload in
//     one writev, or in one write of their TLS records. The library's own Write
//     costs two writes and two goroutine switches. Its pongs pass through here,
//     so that frames never mix, and its close frames are held back, so that
//     there is one. A frame that was begun is finished before another, even if
//     a deadline expires in its middle.
//   - download carries a target's bytes to the viewer. It waits for a socket
//     without a buffer, copies while little comes at a time, and lets the kernel
//     move bulk to a plain viewer through a pipe (Linux); the header goes ahead
//     with MSG_MORE. With a Relay in between, the relay's writes are the frames.
//   - pace decides how large a frame may be: what the viewer takes in a few tens
//     of milliseconds.
//   - control does what is due between data frames (pongs, pings, what follows a
//     time-out, the goodbye), one task after the other, in a goroutine that exists
//     only while there is one.
//
// The package does not know RFB. [Handler.Relay] is where a protocol comes in.
package wsproxy
