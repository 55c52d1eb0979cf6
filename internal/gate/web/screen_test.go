package web

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"

	"vda.internal/shadow/wsproxy"
)

// A screen is what a view shows: an RFB server on a WebSocket, with a left half in one colour
// and a right half in another.
type screen struct {
	width, height int
	end           chan error    // what the view ends with
	cut           func() error  // closes the connection below
	gone          chan struct{} // closed when the browser has
	probes        chan struct{} // requests for a single pixel
	names         chan string   // what the desktop is called from now on
}

// connection is the key of a request's net.Conn in its context.
type connection struct{}

// view serves one view's WebSocket.
func (g *gate) view(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		Pages().ServeHTTP(w, r)
		return
	}
	id := r.PathValue("id")
	g.mu.Lock()
	g.named = append(g.named, r.URL.Query().Get("host"))
	shadow := g.shadows[id]
	g.mu.Unlock()
	if reason := map[bool]string{shadow == nil: "ended", shadow != nil && shadow["mine"] != true: "not_yours"}[true]; reason != "" {
		h := wsproxy.Handler{Dial: func(context.Context, *http.Request) (net.Conn, error) {
			return nil, &wsproxy.CloseError{Code: 1008, Reason: reason}
		}}
		h.ServeHTTP(w, r)
		return
	}
	g.show(w, r, func(s *screen) {
		shadow["state"] = "viewing"
		shadow["screen"] = s
	})
}

// show serves a screen, unless hosts are out of reach. begun is called with g.mu held.
func (g *gate) show(w http.ResponseWriter, r *http.Request, begun func(*screen)) {
	s := &screen{
		width: 640, height: 240, end: make(chan error, 1), cut: r.Context().Value(connection{}).(net.Conn).Close,
		gone: make(chan struct{}), probes: make(chan struct{}, 100), names: make(chan string, 1),
	}
	defer close(s.gone)
	away, busy := false, false
	g.set(func() {
		if busy = g.busy > 0; busy {
			g.busy--
		} else if away = g.away; !away {
			begun(s)
		}
	})
	if busy {
		h := wsproxy.Handler{Dial: func(context.Context, *http.Request) (net.Conn, error) {
			return nil, &wsproxy.CloseError{Code: 1008, Reason: "viewed_elsewhere"}
		}}
		h.ServeHTTP(w, r)
		return
	}
	if away {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	near, far := net.Pipe()
	defer far.Close()
	h := wsproxy.Handler{Relay: s, Dial: func(context.Context, *http.Request) (net.Conn, error) {
		g.screens <- s
		return near, nil
	}}
	h.ServeHTTP(w, r)
}

// Run implements wsproxy.Relay.
func (s *screen) Run(_ context.Context, viewer, _ net.Conn) error {
	served := make(chan error, 1)
	go func() { served <- s.serve(viewer) }()
	for {
		select {
		case err := <-served:
			return err
		case err := <-s.end:
			return err
		case name := <-s.names: // the browser has its picture, and asks for nothing else
			if _, err := viewer.Write(named(name)); err != nil {
				return err
			}
		}
	}
}

// MarshalJSON leaves a screen out of what the API says of its shadow.
func (s *screen) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// close ends the view with a code and a reason.
func (s *screen) close(code int, reason string) {
	s.end <- &wsproxy.CloseError{Code: code, Reason: reason}
}

// drop cuts the connection.
func (s *screen) drop() { _ = s.cut() }

// serve speaks RFB (RFC 6143) without security, and answers every request that isn't
// incremental with raw pixels.
func (s *screen) serve(c net.Conn) error {
	name := "bob@vda1"
	format := []byte{32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0}
	hello := binary.BigEndian.AppendUint16(nil, uint16(s.width))
	hello = binary.BigEndian.AppendUint16(hello, uint16(s.height))
	hello = append(hello, format...)
	hello = append(binary.BigEndian.AppendUint32(hello, uint32(len(name))), name...)
	for _, step := range []struct {
		says  []byte
		hears int
	}{{[]byte("RFB 003.008\n"), 12}, {[]byte{1, 1}, 1}, {[]byte{0, 0, 0, 0}, 1}, {hello, 0}} {
		if _, err := c.Write(step.says); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, make([]byte, step.hears)); err != nil {
			return err
		}
	}
	for {
		if err := s.message(c); err != nil {
			return err
		}
	}
}

func (s *screen) message(c net.Conn) error {
	kind := make([]byte, 1)
	if _, err := io.ReadFull(c, kind); err != nil {
		return err
	}
	length := map[byte]int{0: 19, 2: 3, 3: 9, 4: 7, 5: 5, 6: 7}[kind[0]]
	if length == 0 {
		return errors.New("a message that a viewer doesn't send")
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c, body); err != nil {
		return err
	}
	switch kind[0] {
	case 2:
		_, err := io.ReadFull(c, make([]byte, 4*int(binary.BigEndian.Uint16(body[1:]))))
		return err
	case 3:
		if body[0] == 1 {
			return nil // nothing ever changes
		}
		width, height := int(binary.BigEndian.Uint16(body[5:])), int(binary.BigEndian.Uint16(body[7:]))
		if width == 1 && height == 1 {
			s.probes <- struct{}{}
		}
		_, err := c.Write(s.update(width, height))
		return err
	}
	return nil
}

// named is a FramebufferUpdate with a DesktopName.
func named(name string) []byte {
	b := binary.BigEndian.AppendUint32(nil, 1) // rectangle
	b = append(b, make([]byte, 8)...)
	b = binary.BigEndian.AppendUint32(b, 0xfffffecd)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(name))), name...)
}

// update is a FramebufferUpdate of the screen's upper left part.
func (s *screen) update(width, height int) []byte {
	b := []byte{0, 0, 0, 1, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(width))
	b = binary.BigEndian.AppendUint16(b, uint16(height))
	b = append(b, 0, 0, 0, 0)
	for range height {
		for x := range width {
			if x < s.width/2 {
				b = append(b, 0x31, 0x50, 0x6e, 0)
			} else {
				b = append(b, 0x6e, 0x31, 0x50, 0)
			}
		}
	}
	return b
}
