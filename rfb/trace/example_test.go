package trace_test

import (
	"fmt"
	"log"
	"os"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/trace"
)

// What the peers of a captured session agreed on, and what the server showed first.
func ExampleDecoder_Feed() {
	f, err := os.Open("../../testdata/traces/Xtightvnc-1.3.10/tight-32.trace.gz")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	r, err := trace.NewReader(f)
	if err != nil {
		log.Fatal(err)
	}
	var d trace.Decoder
	for chunk, err := range r.Chunks() {
		if err != nil {
			log.Fatal(err)
		}
		for event, err := range d.Feed(chunk) {
			if err != nil {
				log.Fatal(err)
			}
			if rect := event.Rectangle; rect != nil {
				fmt.Println(rect.Encoding, rect.Rect)
				return
			}
			if h := event.Handshake; h != nil {
				fmt.Println(h.ServerVersion, h.Offered, h.Security)
				fmt.Println(h.Init.Width, h.Init.Height, h.Init.Format)
			}
		}
	}
	// Output:
	// RFB 003.008 [VNC Authentication Tight] VNC Authentication
	// 160 120 32/24 le 255,255,255 at 16,8,0
	// Cursor 9x16+4+8
}

// The stream of a server alone, after a handshake that somebody else has done.
func ExampleNewDecoder() {
	format := rfb.PixelFormat{BitsPerPixel: 8, Depth: 8, TrueColor: true, RedMax: 7, GreenMax: 7, BlueMax: 3, GreenShift: 3, BlueShift: 6}
	d := trace.NewDecoder(format)
	for _, piece := range []string{"\x00\x00\x00\x01\x00\x01", "\x00\x02\x00\x01\x00\x02\x00\x00\x00\x00\xff", "\xff\x02"} {
		for event, err := range d.Feed(trace.Chunk{From: rfb.FromServer, Data: []byte(piece)}) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(event)
		}
	}
	// Output:
	// 0.000 S>V        0      4  FramebufferUpdate Rectangles=1
	//    0.000 S>V        4     14    Raw 1x2+1+2 Pixels=2_bytes
	//    0.000 S>V       18      1  Bell
}

// A capture is copied without the messages that it ends within.
func ExampleTrimmer() {
	r, err := trace.NewReader(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	w, err := trace.NewWriter(os.Stdout, r.Header)
	if err != nil {
		log.Fatal(err)
	}
	var t trace.Trimmer
	for chunk, err := range t.Trim(r.Chunks()) {
		if err != nil {
			log.Fatal(err)
		}
		if err := w.Write(chunk); err != nil {
			log.Fatal(err)
		}
	}
	log.Printf("%d bytes left out", t.Cut)
}
