// Package rfb speaks the Remote Framebuffer protocol of VNC, on both sides: RFC
// 6143 and the registry kept by the community
// (https://github.com/rfbproto/rfbproto/blob/master/rfbproto.rst).
//
// Its [Relay] stands between a viewer and a server as the opposite of a tunnel.
// It terminates the handshake on both sides, parses what the viewer sends, and
// sends the server messages of its own, which ask for what a viewer needs to see
// and for nothing else. It follows the server's stream to its message boundaries
// and takes out what isn't meant to be seen. What it can't parse ends the session:
// RFB messages carry no length, so that skipping would be guessing.
//
// A program that lets others watch an RFB server on 127.0.0.1:5900:
//
//	package main
//
//	import (
//		"context"
//		"log"
//		"net"
//
//		"vda.internal/shadow/rfb"
//	)
//
//	func main() {
//		ln, err := net.Listen("tcp", "127.0.0.1:5901")
//		if err != nil {
//			log.Fatal(err)
//		}
//		for {
//			viewer, err := ln.Accept()
//			if err != nil {
//				log.Fatal(err)
//			}
//			go watch(viewer)
//		}
//	}
//
//	func watch(viewer net.Conn) {
//		defer viewer.Close()
//		server, err := net.Dial("tcp", "127.0.0.1:5900")
//		if err != nil {
//			log.Print(err)
//			return
//		}
//		var relay rfb.Relay // view-only
//		if err := relay.Run(context.Background(), viewer, server); err != nil {
//			log.Print(err)
//		}
//	}
//
// A program of its own has the parts:
//
//   - [Client] and [Server] perform handshakes, [Handshake] follows one between
//     others;
//   - [ParseClientMessage], [ParseServerMessage] and [ParseRectangle] read the
//     messages of RFC 6143 and its common extensions, and each rectangle whose
//     layout is public, into a type of its own; [AppendMessage] and
//     [Rectangle.AppendFormat] write one;
//   - package rfb/vendors does the same for the messages that vendors have added;
//   - package rfb/encode makes rectangles of pixels;
//   - package rfb/trace captures sessions and takes them apart, however the bytes
//     are cut. The command rfbtrace does this from a shell.
//
// docs/rfb.md lists every version, security type, message and encoding and what
// becomes of it; it is made from the tables that the relay works with.
//
// The package decodes no pixels, listens on nothing and logs nothing. The relay
// keeps no copy of what it carries: memory per session is fixed, whatever
// either peer sends.
package rfb
