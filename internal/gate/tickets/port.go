package tickets

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/strangers"
	"vda.internal/shadow/portpool"
	"vda.internal/shadow/rfb"
)

const (
	strangerTime = 15 * time.Second // from the connection to the end of the handshake

	blockSize = 32 << 10         // bytes that are carried at a time
	takeTime  = 30 * time.Second // for either side to take a block; a host gives up on a viewer sooner
)

// letters are a password's: those that aren't mistaken for others.
const letters = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"

// newPassword has 46 bits in the 8 characters that VNC authentication takes. However many wrong ones come, the
// ticket stays good: they may be a stranger's who shares the front end's address, as behind a NAT. Whoever tries
// 10,000 a second for all of five minutes finds it in one case of 30 million.
func newPassword() string {
	var p []byte
	for b := make([]byte, 1); len(p) < 8; {
		_, _ = rand.Read(b) // never fails
		if i := int(b[0] & 63); i < len(letters) {
			p = append(p, letters[i])
		}
	}
	return string(p)
}

// A port is open for one view, until somebody has it or its time is over.
type port struct {
	office   *Office
	view     View
	ln       *portpool.Listener
	number   int
	password string
	until    time.Time
	void     context.CancelFunc // ends the ticket, and no view that came of it
	door     *strangers.Door

	taken atomic.Bool // somebody has shown the password
}

// run takes connections while the ticket is good, and returns when the view that came of it has ended.
// The port is free for another ticket as soon as this one has been used.
func (p *port) run(valid context.Context) {
	defer p.void()
	var visits sync.WaitGroup
	defer visits.Wait()
	stop := context.AfterFunc(valid, func() { _ = p.ln.Close() })
	defer stop()
	for {
		c, err := p.ln.Accept()
		if err != nil {
			break // it is closed
		}
		visits.Go(func() { p.visit(valid, c) })
	}
	p.office.forget(p)
	_ = p.ln.Close() // whatever Accept's error was
}

// visit is one connection.
func (p *port) visit(valid context.Context, c net.Conn) {
	defer c.Close()
	if from := addressOf(c); !slices.ContainsFunc(p.office.From, func(n netip.Prefix) bool { return n.Contains(from) }) {
		p.complain(c, zerolog.WarnLevel).Int("port", p.number).Msg("gateways.from doesn't name who has connected to a view's port")
		return
	}
	stranger := p.door.Arrive(c, strangerTime)
	ctx, cancel := context.WithCancel(p.office.ctx) // not of the ticket, which ends when it has been used
	defer cancel()
	late := context.AfterFunc(valid, func() {
		if !p.taken.Load() {
			cancel()
		}
	})
	defer late()
	var view *rfb.ServerConn
	mine := false
	server := rfb.Server{Password: p.password, Open: func(handshake context.Context) (rfb.ServerInit, error) {
		if mine = p.taken.CompareAndSwap(false, true); !mine {
			return rfb.ServerInit{}, errors.New("the ticket has been used")
		}
		stranger.Leave()
		p.void()
		var err error
		if view, err = p.connect(ctx, cancel, handshake); err != nil {
			return rfb.ServerInit{}, err
		}
		return view.Init, nil
	}}
	_, err := server.Accept(ctx, c)
	stranger.Leave()
	if view != nil {
		defer view.Close()
	}
	if err != nil {
		p.complain(c, zerolog.InfoLevel).Err(err).Str("id", p.view.ID).Bool("used", mine).Msg("refused a connection to a view's port")
		return
	}
	carry(ctx, c, view)
}

// complain begins a line about who has connected; nil, which writes none: there are too many of his.
func (p *port) complain(c net.Conn, level zerolog.Level) *zerolog.Event {
	left, ok := p.office.noise.Pass(strangers.Network(addressOf(c)))
	if !ok {
		return nil
	}
	e := p.office.Logger.WithLevel(level).Stringer("from", c.RemoteAddr())
	if left > 0 {
		e = e.Int("left_out", left)
	}
	return e
}

// connect dials the view and performs the handshake there, within that of the front end.
func (p *port) connect(ctx context.Context, cut func(), handshake context.Context) (*rfb.ServerConn, error) {
	conn, err := p.view.Dial(ctx, cut)
	if err != nil {
		return nil, err
	}
	var client rfb.Client
	view, err := client.Connect(handshake, conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return view, nil
}

// carry copies both ways until one side has ended or takes nothing any more, or ctx has ended.
func carry(ctx context.Context, a, b net.Conn) {
	cut := func() { _, _ = a.Close(), b.Close() }
	stop := context.AfterFunc(ctx, cut)
	defer stop()
	up := make(chan struct{})
	go func() {
		defer close(up)
		pass(b, a)
		cut()
	}()
	pass(a, b)
	cut()
	<-up
}

// pass copies from one side to the other, which has takeTime for each block: a side that doesn't read
// would otherwise keep it from seeing that the one it reads from has ended.
func pass(to, from net.Conn) {
	block := make([]byte, blockSize)
	for {
		n, err := from.Read(block)
		if n > 0 {
			_ = to.SetWriteDeadline(time.Now().Add(takeTime))
			if _, e := to.Write(block[:n]); e != nil {
				return
			}
			_ = to.SetWriteDeadline(time.Time{}) // a WebSocket's expires between two writes as well
		}
		if err != nil {
			return
		}
	}
}

// addressOf is where a connection comes from.
func addressOf(c net.Conn) netip.Addr {
	a, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}
