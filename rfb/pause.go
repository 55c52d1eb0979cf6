package rfb

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// A Pauser hides the picture of one session of a [Relay] for as long as its owner wants, and shows the
// viewer another one meanwhile. The server is closed for that time: nothing that happens on its
// screen can reach the viewer. Afterwards there is a fresh one.
//
// The viewer's decoders remember what the old server sent. So nothing that only makes sense together
// with that is used after a pause, no zlib stream among it that goes through many rectangles. Tight's
// rectangles may say that a stream begins anew, but noVNC's inflater (pako, whose inflateReset loses the
// window) fails at the second rectangle of a stream after that. So Tight is used only where each of its
// rectangles begins its stream anew ([ServerConn.FreshStreams]).
type Pauser struct {
	// Draw returns a FramebufferUpdate that shows something in place of a whole framebuffer, in a pixel
	// format and in the encodings listed, or Raw. Required.
	Draw func(width, height uint16, format PixelFormat, list []Encoding) []byte
	// Open returns a fresh server for the same screen, greeted by [Connect]. Required.
	Open func(ctx context.Context) (*ServerConn, error)
	// Mark is put behind the desktop's name during a pause, for viewers that understand DesktopName: most show it in
	// their title, which a screen reader reads. Empty: the name stays.
	Mark string
	// Changed is called when the session is paused, with nothing of the screen passing any more, and
	// when it goes on. It must not block. Nil ignores.
	Changed func(paused bool)

	mu   sync.Mutex
	on   bool
	flip chan struct{} // closed at the next change; nil: nobody waits
	told bool          // what Changed was told last
}

// Set begins a pause, or ends it. It takes effect soon, which Changed says.
func (p *Pauser) Set(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on == on {
		return
	}
	p.on = on
	if p.flip != nil {
		close(p.flip)
		p.flip = nil
	}
}

// state is whether there is to be a pause, and what is closed when that changes.
func (p *Pauser) state() (on bool, flip <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flip == nil {
		p.flip = make(chan struct{})
	}
	return p.on, p.flip
}

func (p *Pauser) wanted() bool {
	on, _ := p.state()
	return on
}

func (p *Pauser) tell(paused bool) {
	p.mu.Lock()
	p.told = paused
	p.mu.Unlock()
	if p.Changed != nil {
		p.Changed(paused)
	}
}

// catchUp says that a pause is over whose viewer was lost while it ended.
func (p *Pauser) catchUp() {
	p.mu.Lock()
	over := p.told && !p.on
	p.mu.Unlock()
	if over {
		p.tell(false)
	}
}

// pauseTime is how long an update that is under way may take to end when a pause begins. Then whoever
// holds it up is cut off. A server whose calls don't return then has closeTimeout.
const pauseTime = 2 * time.Second

var (
	errPaused = pkg.New("paused")
	errHeld   = &ConnError{FromServer, pkg.Errorf("its calls have not returned within %v of a pause: %w", closeTimeout, os.ErrDeadlineExceeded)}
	errResize = pkg.New("the screen's size has changed during a pause, which the viewer doesn't understand")
)

// watchPause ends the session with errPaused once a pause is wanted, between two messages to the
// viewer.
func (s *session) watchPause(p *Pauser) error {
	for {
		on, flip := p.state()
		if on {
			break
		}
		select {
		case <-flip:
		case <-s.over:
			return nil
		}
	}
	late := time.AfterFunc(pauseTime, func() {
		if s.pulse.showing.Load() {
			s.end(&ConnError{FromViewer, pkg.Errorf("an update was not taken in %v when a pause began: %w", pauseTime, os.ErrDeadlineExceeded)})
		} else {
			s.end(&ConnError{FromServer, pkg.Errorf("an update has not ended in %v when a pause began: %w", pauseTime, os.ErrDeadlineExceeded)})
		}
	})
	defer late.Stop()
	s.stage.Lock()
	s.pausing = true
	if s.between {
		s.end(errPaused)
	}
	s.stage.Unlock()
	<-s.over
	return nil
}

// paused shows the viewer something else until the pause is over, and returns the session that goes on
// then.
func (s *session) paused(ctx context.Context, r *Relay) (*session, error) {
	p := r.Pauser
	c := &cover{s: s, p: p}
	width, height := s.agreed.framebuffer()
	c.filter = s.filter.successor(newAgreed(width, height), false)
	c.filter.out = c.filter.out[:0]
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	server, err := p.Open(ctx)
	if err != nil {
		return nil, connError(FromServer, err)
	}
	next := &session{viewer: s.viewer, server: server, over: make(chan struct{}), patience: s.patience, onEnd: s.onEnd, unread: c.unread, between: true, name: s.name}
	next.pulse.due = make(chan struct{}, 1)
	if server.Init.Width != width || server.Init.Height != height {
		if err := next.resize(c.filter.wants); err != nil {
			_ = server.Close()
			return nil, err
		}
	}
	if c.marked {
		if err := showTo(next.viewer, appendName(next.name)); err != nil {
			_ = server.Close()
			return nil, err
		}
	}
	next.agreed = newAgreed(server.Init.Width, server.Init.Height)
	next.filter = c.filter.successor(next.agreed, server.FreshStreams)
	p.tell(false)
	return next, nil
}

// resize tells the viewer the new size of the screen.
func (s *session) resize(wants []byte) error {
	if !lists(wants, EncodingDesktopSize) {
		return &ConnError{FromServer, errResize}
	}
	return showTo(s.viewer, appendResize(Rect{Width: s.server.Init.Width, Height: s.server.Init.Height}))
}

// lists reports whether a list of encodings, as it is on the wire, has e.
func lists(list []byte, e Encoding) bool {
	for ; len(list) >= 4; list = list[4:] {
		if Encoding(be32(list)) == e {
			return true
		}
	}
	return false
}

// appendResize is a FramebufferUpdate that says that the framebuffer has another size.
func appendResize(size Rect) []byte {
	e := EncodingDesktopSize
	return []byte{
		byte(ServerFramebufferUpdate), 0, 0, 1, 0, 0, 0, 0,
		byte(size.Width >> 8), byte(size.Width), byte(size.Height >> 8), byte(size.Height),
		byte(uint32(e) >> 24), byte(uint32(e) >> 16), byte(uint32(e) >> 8), byte(uint32(e)),
	}
}

// appendName is a FramebufferUpdate that says that the desktop has another name.
func appendName(name string) []byte {
	e := EncodingDesktopName
	b := append([]byte{byte(ServerFramebufferUpdate), 0, 0, 1}, make([]byte, 8)...)
	b = binary.BigEndian.AppendUint32(b, uint32(e))
	return append(binary.BigEndian.AppendUint32(b, uint32(len(name))), name...)
}

// A cover is what a viewer sees during a pause. It is the viewer's server meanwhile.
type cover struct {
	s      *session
	p      *Pauser
	filter *clientFilter // of what the viewer says, which goes to nobody
	format PixelFormat   // that was drawn in last
	marked bool          // the viewer was told the name with the mark
	unread []byte        // of the viewer, not filtered
}

// run shows the cover until the pause is over.
func (c *cover) run(ctx context.Context) error {
	viewer := c.s.viewer
	_ = viewer.SetDeadline(time.Time{})
	c.unread = append([]byte(nil), c.s.unread...)
	if err := c.draw(); err != nil {
		return err
	}
	c.p.tell(true)
	over, stop := context.WithCancel(ctx)
	defer stop()
	watched := make(chan struct{})
	go func() { // gets the viewer's Read to return
		defer close(watched)
		for {
			on, flip := c.p.state()
			if !on {
				break
			}
			select {
			case <-flip:
				continue
			case <-over.Done():
			}
			break
		}
		stop()
		_ = viewer.SetReadDeadline(longAgo)
	}()
	defer func() { stop(); <-watched; _ = viewer.SetDeadline(time.Time{}) }()
	buf := make([]byte, viewerBuffer)
	for {
		if err := c.take(); err != nil {
			return err
		}
		at := c.filter.wake(len(c.unread) > 0)
		_ = viewer.SetReadDeadline(at)
		if over.Err() != nil {
			return context.Cause(ctx)
		}
		if len(c.unread) > 0 { // the viewer says too much at once
			select {
			case <-time.After(time.Until(at)):
			case <-over.Done():
			}
			continue
		}
		n, err := viewer.Read(buf)
		c.unread = append(c.unread[:0], buf[:n]...)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return connError(FromViewer, err)
		}
	}
}

// take filters what the viewer has said, and draws anew if that asks for it.
func (c *cover) take() error {
	n, err := c.filter.feed(time.Now(), c.unread)
	if err != nil {
		return err
	}
	c.unread = c.unread[n:]
	out, again := c.filter.out, c.wanted() != c.format
	for len(out) > 0 {
		m, n, err := ParseClientMessage(out)
		if err != nil {
			return err
		}
		if r, ok := m.(*FramebufferUpdateRequest); ok && !r.Incremental {
			again = true
		}
		out = out[n:]
	}
	c.filter.out = c.filter.out[:0]
	if again {
		return c.draw()
	}
	return nil
}

// wanted is the pixel format that the viewer wants.
func (c *cover) wanted() PixelFormat {
	if f := c.filter.re.wanted; f != (PixelFormat{}) {
		return f
	}
	return pinned
}

// draw shows the cover.
func (c *cover) draw() error {
	c.format = c.wanted()
	if c.p.Mark != "" && !c.marked && lists(c.filter.wants, EncodingDesktopName) {
		if err := showTo(c.s.viewer, appendName(c.s.name+c.p.Mark)); err != nil {
			return err
		}
		c.marked = true
	}
	var list []Encoding
	if lists(c.filter.wants, EncodingHextile) {
		list = append(list, EncodingHextile)
	}
	width, height := c.filter.agreed.framebuffer()
	return showTo(c.s.viewer, c.p.Draw(width, height, c.format, list))
}

// showTo writes b to a viewer.
func showTo(viewer net.Conn, b []byte) error {
	err := viewer.SetWriteDeadline(time.Now().Add(viewerTimeout))
	if err == nil {
		_, err = viewer.Write(b)
	}
	if err != nil {
		return connError(FromViewer, err)
	}
	return nil
}

// successor is a filter for another server and the same viewer, as if the viewer had just said what it
// wants, and asked for everything. fresh is the server's [ServerConn.FreshStreams].
func (f *clientFilter) successor(a *agreed, fresh bool) *clientFilter {
	g := newClientFilter(a, f.ownName, f.onDrop, f.offset)
	g.zero, g.resumed, g.fresh = f.zero, true, fresh
	if g.zero.IsZero() {
		g.zero = time.Now()
	}
	var said []byte
	if f.re.wanted != (PixelFormat{}) {
		said, _ = AppendMessage(said, &SetPixelFormat{f.re.wanted})
	}
	if len(f.wants) > 0 {
		n := len(f.wants) / 4
		said = append(append(said, byte(ClientSetEncodings), 0, byte(n>>8), byte(n)), f.wants...)
	}
	width, height := a.framebuffer()
	said, _ = AppendMessage(said, &FramebufferUpdateRequest{Rect: Rect{Width: width, Height: height}})
	_, _ = g.feed(time.Now(), said) // which has all passed f before
	g.offset = f.offset
	g.head, g.have, g.need, g.skip, g.part, g.begun, g.before = f.head, f.have, f.need, f.skip, f.part, f.begun, f.before
	g.messages, g.drops = f.messages, f.drops
	return g
}

// stateless is a list of encodings, as it is on the wire, without those whose rectangles make sense
// only to whoever has seen what came before. tight says that Tight's don't.
func stateless(list []byte, tight bool) []byte {
	var kept []byte
	for ; len(list) >= 4; list = list[4:] {
		switch e := Encoding(be32(list)); {
		case e < 0, e == EncodingTight && tight, e == EncodingRaw, e == EncodingCopyRect, e == EncodingRRE, e == EncodingCoRRE, e == EncodingHextile, e == EncodingTRLE:
			kept = append(kept, list[:4]...)
		}
	}
	return kept
}
