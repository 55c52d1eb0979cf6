// Package trace reads, writes and takes apart captured RFB sessions: what both
// peers of package [vda.internal/shadow/rfb] sent, byte by byte, and when.
//
// A [Reader] reads a capture, or a recording of rfbproxy's and TightVNC's (FBS),
// chunk by chunk; a [Writer] and an [FBSWriter] write one. Files may be of any
// length: memory is that of one chunk. A [Decoder] makes [Event]s of chunks, the
// handshake, messages and rectangles, however they are cut; a [Trimmer] leaves
// out the messages that a capture ends within. Memory of these is that of the
// largest message.
//
// A program that prints the keys that were pressed in a captured session:
//
//	package main
//
//	import (
//		"fmt"
//		"log"
//		"os"
//
//		"vda.internal/shadow/rfb"
//		"vda.internal/shadow/rfb/trace"
//	)
//
//	func main() {
//		r, err := trace.NewReader(os.Stdin)
//		if err != nil {
//			log.Fatal(err)
//		}
//		for event, err := range trace.Events(r.Chunks()) {
//			if err != nil {
//				log.Fatal(err)
//			}
//			if key, ok := event.Message.(*rfb.KeyEvent); ok && key.Down {
//				fmt.Printf("%v: key %#x\n", event.At, key.Keysym)
//			}
//		}
//	}
//
// The layout of a capture: the line "RFB trace 001.000", lines "server: …",
// "viewer: …" and "note: …", an empty line, and for each chunk U8 direction (1
// viewer, 2 server), U32 milliseconds, U32 length, and the bytes. A file may be
// packed with gzip. Keys and passwords are in it: keep it as one keeps those.
//
// The command rfbtrace does all of this from a shell.
package trace
