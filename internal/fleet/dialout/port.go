package dialout

import (
	"errors"
	"net"
	"sync"
)

// ErrNotListening is that no view takes a connection by that number now.
var ErrNotListening = errors.New("no view takes a connection there")

const maxNumber = 65535 // of a port, as gates know them

// Ports are a host's, on which nobody listens: what was dialled is delivered there. The zero Ports has none.
type Ports struct {
	mu   sync.Mutex
	last int
	all  map[int]*Port
}

// A Port is one view's, until it is closed. It can be used as one of portpool's.
type Port struct {
	ports  *Ports
	number int

	// Guarded by ports.mu.
	open   *listener // nil: it takes nothing
	closed bool
}

// Open returns a port that takes nothing yet.
func (p *Ports) Open() (*Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[int]*Port{}
	}
	for range maxNumber {
		p.last = p.last%maxNumber + 1
		if p.all[p.last] == nil {
			one := &Port{ports: p, number: p.last}
			p.all[p.last] = one
			return one, nil
		}
	}
	return nil, errors.New("all numbers are taken")
}

// Listens reports whether a view takes a connection by that number now.
func (p *Ports) Listens(number int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.all[number]
	return one != nil && one.open != nil
}

// Deliver gives a connection to the view that has the number. It closes the connection if there is none.
func (p *Ports) Deliver(number int, c net.Conn) error {
	p.mu.Lock()
	var to *listener
	if one := p.all[number]; one != nil {
		to = one.open
	}
	p.mu.Unlock()
	if to != nil {
		select {
		case to.come <- c:
			return nil
		case <-to.over:
		}
	}
	_ = c.Close()
	return ErrNotListening
}

// Port is the number.
func (o *Port) Port() int { return o.number }

// Listen has it take connections, if it doesn't already.
func (o *Port) Listen() error {
	o.ports.mu.Lock()
	defer o.ports.mu.Unlock()
	if o.closed {
		return net.ErrClosed
	}
	if o.open == nil {
		o.open = &listener{port: o, come: make(chan net.Conn), over: make(chan struct{})}
	}
	return nil
}

// Hold has it take none, and keeps the number.
func (o *Port) Hold() error {
	o.ports.mu.Lock()
	defer o.ports.mu.Unlock()
	o.hold()
	return nil
}

func (o *Port) hold() {
	if o.open != nil {
		close(o.open.over)
		o.open = nil
	}
}

// Close gives the number up. It doesn't touch connections that were delivered.
func (o *Port) Close() error {
	o.ports.mu.Lock()
	defer o.ports.mu.Unlock()
	o.hold()
	o.closed = true
	if o.ports.all[o.number] == o {
		delete(o.ports.all, o.number)
	}
	return nil
}

// HoldOnClose is the port, as it takes connections now, as a listener whose Close is Hold.
func (o *Port) HoldOnClose() net.Listener {
	o.ports.mu.Lock()
	defer o.ports.mu.Unlock()
	if o.open == nil {
		over := make(chan struct{})
		close(over)
		return &listener{port: o, over: over}
	}
	return o.open
}

// A listener is a port from one Listen to the next Hold.
type listener struct {
	port *Port
	come chan net.Conn
	over chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.come:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.port.ports.mu.Lock()
	defer l.port.ports.mu.Unlock()
	if l.port.open == l {
		l.port.hold()
	}
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return &net.TCPAddr{Port: l.port.number} }
