package testhost

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// An xclient asks an X server one question after the other, with a deadline. The library
// that the product uses has none, and a tool for each question would start a process as
// often as a test looks.
type xclient struct {
	c      *net.UnixConn
	r      *bufio.Reader
	stop   func() bool
	root   uint32
	red    uint32 // masks of the root's visual
	green  uint32
	blue   uint32
	order  binary.ByteOrder // of images
	pixels map[byte]byte    // bits a pixel of each depth
}

// An xError is the X server's error to a request, by its number.
type xError byte

func (e xError) Error() string { return fmt.Sprintf("testhost: X error %d", byte(e)) }

// connect connects with the desktop's cookie. The caller closes the client, ctx bounds its life.
func (d *Desktop) connect(ctx context.Context) (*xclient, error) {
	number, screen, _ := strings.Cut(strings.TrimPrefix(d.Display, ":"), ".")
	path := "/tmp/.X11-unix/X" + number
	conn, err := new(net.Dialer).DialContext(ctx, "unix", "@"+path) // as libxcb does it
	if err != nil {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", path)
	}
	if err != nil {
		return nil, err
	}
	c := &xclient{c: conn.(*net.UnixConn), r: bufio.NewReaderSize(conn, 1<<16)}
	c.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	which, _ := strconv.Atoi(screen) // 0 if none is named
	if err := c.setUp(d.secret, which); err != nil {
		c.Close()
		return nil, errors.Join(err, ctx.Err())
	}
	return c, nil
}

func (c *xclient) Close() {
	c.stop()
	c.c.Close()
}

// padded is b with zeros up to a multiple of four bytes.
func padded(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// setUp sends the set-up and reads from the answer what is needed of a screen (X11 protocol, 8, "Connection Setup").
func (c *xclient) setUp(secret []byte, which int) error {
	req := []byte{'l', 0, 11, 0, 0, 0, byte(len(cookieName)), 0, byte(len(secret)), 0, 0, 0}
	req = padded(append(padded(append(req, cookieName...)), secret...))
	if _, err := c.c.Write(req); err != nil {
		return fmt.Errorf("the X server takes no set-up: %w", err)
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(c.r, head); err != nil {
		return fmt.Errorf("the X server doesn't answer: %w", err)
	}
	b := make([]byte, 4*int(le.Uint16(head[6:])))
	if _, err := io.ReadFull(c.r, b); err != nil {
		return fmt.Errorf("the X server doesn't answer: %w", err)
	}
	if head[0] != 1 {
		return fmt.Errorf("the X server refuses: %q", b)
	}
	c.order = binary.ByteOrder(le)
	if b[22] == 1 {
		c.order = binary.BigEndian
	}
	formats, screens := int(b[21]), int(b[20])
	if which >= screens {
		return fmt.Errorf("the X server has %d screens", screens)
	}
	b = b[32+(int(le.Uint16(b[16:]))+3)&^3:]
	c.pixels = make(map[byte]byte)
	for range formats {
		c.pixels[b[0]] = b[1]
		b = b[8:]
	}
	for range which + 1 {
		c.root = le.Uint32(b)
		b = c.visual(b[40:], int(b[39]), le.Uint32(b[32:]))
	}
	return nil
}

var le = binary.LittleEndian

// visual finds the masks of the visual id among a screen's depths. It returns what follows them.
func (c *xclient) visual(b []byte, depths int, id uint32) []byte {
	for range depths {
		n := int(le.Uint16(b[2:]))
		b = b[8:]
		for range n {
			if le.Uint32(b) == id {
				c.red, c.green, c.blue = le.Uint32(b[8:]), le.Uint32(b[12:]), le.Uint32(b[16:])
			}
			b = b[24:]
		}
	}
	return b
}

// ask sends a request, which has a reply, and returns that.
func (c *xclient) ask(opcode, data byte, fields ...uint32) ([]byte, error) {
	req := []byte{opcode, data, byte(1 + len(fields)), 0}
	for _, f := range fields {
		req = le.AppendUint32(req, f)
	}
	if _, err := c.c.Write(req); err != nil {
		return nil, fmt.Errorf("asking the X server: %w", err)
	}
	for {
		b := make([]byte, 32)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, fmt.Errorf("the X server's answer: %w", err)
		}
		switch b[0] {
		case 0:
			return nil, xError(b[1])
		case 1:
			b = append(b, make([]byte, 4*int(le.Uint32(b[4:])))...)
			if _, err := io.ReadFull(c.r, b[32:]); err != nil {
				return nil, fmt.Errorf("the X server's answer: %w", err)
			}
			return b, nil
		default: // an event that every client gets
		}
	}
}

// Numbers of requests (X11 protocol, appendix B).
const (
	getWindowAttributes  = 3
	getGeometry          = 14
	queryTree            = 15
	getProperty          = 20
	translateCoordinates = 40
	getImage             = 73
)

// children lists a window's children, those below first.
func (c *xclient) children(w uint32) ([]uint32, error) {
	b, err := c.ask(queryTree, 0, w)
	if err != nil {
		return nil, err
	}
	ids := make([]uint32, le.Uint16(b[16:]))
	for i := range ids {
		ids[i] = le.Uint32(b[32+4*i:])
	}
	return ids, nil
}

// instance is the first part of a window's WM_CLASS.
func (c *xclient) instance(w uint32) (string, error) {
	const wmClass, text = 67, 31 // atoms WM_CLASS and STRING
	b, err := c.ask(getProperty, 0, w, wmClass, text, 0, 256)
	if err != nil {
		return "", err
	}
	name, _, _ := strings.Cut(string(b[32:32+min(int(le.Uint32(b[16:])), len(b)-32)]), "\x00")
	return name, nil
}

// window says where a window is, and whether it can be seen.
func (c *xclient) window(id uint32) (w Window, visible bool, err error) {
	attributes, err := c.ask(getWindowAttributes, 0, id)
	if err != nil {
		return w, false, err
	}
	geometry, err := c.ask(getGeometry, 0, id)
	if err != nil {
		return w, false, err
	}
	place, err := c.ask(translateCoordinates, 0, id, c.root, 0)
	if err != nil {
		return w, false, err
	}
	const viewable = 2
	return Window{
		ID: id, X: int(int16(le.Uint16(place[12:]))), Y: int(int16(le.Uint16(place[14:]))),
		Width: int(le.Uint16(geometry[16:])), Height: int(le.Uint16(geometry[18:])),
	}, attributes[26] == viewable, nil
}
