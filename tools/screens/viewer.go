package main

import (
	"context"
	"errors"
	"image"
	"io"
	"net"
	"sync/atomic"
	"time"

	"vda.internal/shadow/rfb"
)

// encodings are noVNC's, without what a view-only relay leaves out.
var encodings = []rfb.Encoding{
	rfb.EncodingCopyRect, rfb.EncodingTight, rfb.EncodingZRLE, rfb.EncodingHextile, rfb.EncodingRRE, rfb.EncodingRaw,
	rfb.EncodingQuality0 + 6, rfb.EncodingCompress0 + 2, rfb.EncodingDesktopSize, rfb.EncodingLastRect, rfb.EncodingExtendedDesktopSize, rfb.EncodingCursor,
}

// A viewer asks for the next update when it has read one.
type viewer struct {
	conn    net.Conn
	buf     []byte // read and not parsed
	format  rfb.PixelFormat
	size    rfb.Rect
	bytes   atomic.Int64 // that have come
	updates chan update
	err     error // why updates was closed
}

// An update is one that has pixels.
type update struct {
	at    time.Time // when its last byte was read
	area  int       // pixels
	rects []image.Rectangle
}

func newViewer(ctx context.Context, conn net.Conn) (*viewer, error) {
	server, ok := conn.(*rfb.ServerConn)
	if !ok {
		var err error
		if server, err = rfb.Connect(ctx, conn); err != nil {
			return nil, err
		}
	}
	v := &viewer{conn: server, updates: make(chan update, 1024), size: rfb.Rect{Width: server.Init.Width, Height: server.Init.Height},
		format: rfb.PixelFormat{BitsPerPixel: 32, Depth: 24, TrueColor: true, RedMax: 255, GreenMax: 255, BlueMax: 255, BlueShift: 16, GreenShift: 8}}
	out, err := rfb.AppendMessage(nil, &rfb.SetPixelFormat{Format: v.format})
	if err != nil {
		return nil, err
	}
	if out, err = rfb.AppendMessage(out, &rfb.SetEncodings{Encodings: encodings}); err != nil {
		return nil, err
	}
	if _, err := v.conn.Write(out); err != nil {
		return nil, err
	}
	if err := v.ask(false); err != nil {
		return nil, err
	}
	go v.run()
	return v, nil
}

func (v *viewer) ask(incremental bool) error {
	b, err := rfb.AppendMessage(nil, &rfb.FramebufferUpdateRequest{Incremental: incremental, Rect: v.size})
	if err == nil {
		_, err = v.conn.Write(b)
	}
	return err
}

// run reads until the connection is closed.
func (v *viewer) run() {
	defer close(v.updates)
	for v.err == nil {
		var u update
		if u, v.err = v.read(); v.err != nil {
			return
		}
		if v.err = v.ask(true); u.area > 0 {
			v.updates <- u
		}
	}
}

// next is the next update.
func (v *viewer) next() (update, error) {
	u, ok := <-v.updates
	if !ok {
		return u, v.err
	}
	return u, nil
}

// read reads one FramebufferUpdate, and what comes before it.
func (v *viewer) read() (u update, err error) {
	var m rfb.Message
	for {
		err := v.parse(func(b []byte) (n int, err error) { m, n, err = rfb.ParseServerMessage(b); return n, err })
		if err != nil {
			return u, err
		}
		if head, ok := m.(*rfb.FramebufferUpdate); ok {
			return v.rectangles(int(head.Rectangles))
		}
	}
}

func (v *viewer) rectangles(n int) (u update, err error) {
	for range n {
		var r rfb.Rectangle
		err := v.parse(func(b []byte) (n int, err error) { r, n, err = rfb.ParseRectangle(b, v.format); return n, err })
		if err != nil {
			return u, err
		}
		if r.Encoding == rfb.EncodingLastRect {
			break
		}
		if r.Encoding >= 0 {
			x, y := int(r.Rect.X), int(r.Rect.Y)
			u.rects = append(u.rects, image.Rect(x, y, x+int(r.Rect.Width), y+int(r.Rect.Height)))
			u.area += int(r.Rect.Width) * int(r.Rect.Height)
		}
	}
	u.at = time.Now()
	return u, nil
}

// parse calls f with what has been read, and reads more, until f has all that it needs.
func (v *viewer) parse(f func([]byte) (int, error)) error {
	for {
		n, err := f(v.buf)
		if err == nil {
			v.buf = v.buf[n:]
			return nil
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		p := make([]byte, 256<<10)
		n, err = v.conn.Read(p)
		v.buf = append(v.buf, p[:n]...)
		v.bytes.Add(int64(n))
		if err != nil {
			return err
		}
	}
}
