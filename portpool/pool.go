package portpool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"vda.internal/shadow/internal/named"
)

// The default range of a Pool.
const (
	DefaultFirst = 6001
	DefaultLast  = 6099
)

// A Pool hands out listeners on the ports First to Last. The zero Pool is
// ready to use. It is safe for concurrent use; its fields must not be changed
// after the first Listen. A Pool must not be copied.
type Pool struct {
	// Host is the IP address to listen on. Empty or "::" means all addresses,
	// IPv4 and IPv6 (IPv4 alone where the host has no IPv6); "0.0.0.0" means
	// all IPv4 addresses; anything else is that one address. Host names are
	// refused.
	Host string

	// First and Last are the bounds of the range, both included. Zero means
	// DefaultFirst and DefaultLast.
	First, Last int

	mu    sync.Mutex
	taken map[int]*Listener // by port; who has the slot
	last  int               // port handed out last; 0: none yet
}

// Listen binds a port of the range that neither this pool nor another program
// has, and listens on it. The caller closes the listener.
//
// Ports are handed out in turn, not lowest first, so that the port of a shadow
// that has just ended isn't the next one's: an old URL then finds nobody
// listening rather than somebody else's viewer port.
//
// When no port is left the error is an [*ExhaustedError]. A range or address
// that makes no sense, a port that this process may not bind, and an ended
// context are other errors.
func (p *Pool) Listen(ctx context.Context) (*Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.listen(ctx)
}

// Replace is Listen for a client that takes over from the owner of old. It returns a listener on
// another port while there is one; when the range is exhausted, the new listener inherits old's
// slot: old's port stays bound throughout, so that nobody else can get it in between.
//
// If the slot is inherited, old is dead: its Accept returns [net.ErrClosed] and its Close does
// nothing. Connections that it has accepted live on; connections that nobody has accepted are
// reset, since they belong to the old owner's URL. A client that uses the old URL later, or is
// still in TCP's handshake, reaches the new listener; the token distinguishes them. It makes no
// difference whether old still listens or is held. Otherwise old is untouched, so the caller closes
// it in either case. A nil or closed old makes Replace the same as Listen.
func (p *Pool) Replace(ctx context.Context, old *Listener) (*Listener, error) {
	if old != nil && old.pool != p {
		return nil, pkg.New("the listener to replace is from another pool")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l, err := p.listen(ctx)
	if old == nil || !errors.Is(err, ErrExhausted) {
		return l, err
	}
	l, err = old.inherit()
	if err != nil {
		// Closed meanwhile, or the port was lost: the slot is free.
		p.forget(old)
		return p.listen(ctx)
	}
	p.take(l)
	return l, nil
}

// InUse returns the number of slots in use.
func (p *Pool) InUse() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.taken)
}

// listen is Listen with p.mu held.
func (p *Pool) listen(ctx context.Context) (*Listener, error) {
	return p.search(ctx, func(s scope, port int) (*Listener, error) {
		tcp, err := s.listen(ctx, port)
		if err != nil {
			return nil, err
		}
		return &Listener{pool: p, port: port, addr: tcp.Addr(), tcp: tcp}, nil
	})
}

// search tries one port after the other and gives the first that open can have its slot.
// p.mu is held.
func (p *Pool) search(ctx context.Context, open func(s scope, port int) (*Listener, error)) (*Listener, error) {
	if err := ctx.Err(); err != nil {
		return nil, pkg.Errorf("%w", err)
	}
	r, err := p.scope()
	if err != nil {
		return nil, err
	}
	size := r.last - r.first + 1
	start := r.first
	if p.last != 0 {
		start = p.last + 1
	}
	exhausted := &ExhaustedError{First: r.first, Last: r.last}
	for i := range size {
		port := r.first + (start-r.first+i)%size
		if p.taken[port] != nil {
			exhausted.InUse++
			continue
		}
		l, err := open(r, port)
		if errors.Is(err, syscall.EADDRINUSE) {
			exhausted.Held++
			continue
		}
		if err != nil {
			return nil, pkg.Errorf("%w", err)
		}
		p.take(l)
		return l, nil
	}
	return nil, exhausted
}

// take gives the slot of its port to l. p.mu is held.
func (p *Pool) take(l *Listener) {
	if p.taken == nil {
		p.taken = make(map[int]*Listener)
	}
	p.taken[l.port] = l
	p.last = l.port
}

// release frees l's slot, unless it is somebody else's by now.
func (p *Pool) release(l *Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(l)
}

// forget is release with p.mu held.
func (p *Pool) forget(l *Listener) {
	if p.taken[l.port] == l {
		delete(p.taken, l.port)
	}
}

// Validate returns an error if a field is invalid. Only Listen finds out whether Host is an address
// of this host.
func (p *Pool) Validate() error {
	_, err := p.scope()
	return err
}

// A scope is what a Pool's fields mean.
type scope struct {
	network     string // "tcp" (IPv4 and IPv6, or what the literal host says) or "tcp4"
	host        string // "" for all addresses
	first, last int
}

func (p *Pool) scope() (scope, error) {
	s := scope{network: "tcp", first: p.First, last: p.Last}
	if s.first == 0 {
		s.first = DefaultFirst
	}
	if s.last == 0 {
		s.last = DefaultLast
	}
	for _, port := range []int{s.first, s.last} {
		if port < 1 || port > 65535 {
			return s, pkg.Errorf("%d is not a port number; use 1 to 65535", port)
		}
	}
	if s.first > s.last {
		return s, pkg.Errorf("the range %d-%d is empty: its first port is above its last", s.first, s.last)
	}
	if p.Host == "" {
		return s, nil
	}
	addr, err := netip.ParseAddr(p.Host)
	if err != nil {
		return s, pkg.Errorf("%q is not an IP address to listen on; use \"0.0.0.0\", \"::\" or an address of this host", p.Host)
	}
	switch addr = addr.Unmap(); addr {
	case netip.IPv6Unspecified(): // as ""
	case netip.IPv4Unspecified():
		s.network = "tcp4" // "tcp" would take IPv6 as well
	default:
		s.host = addr.String()
	}
	return s, nil
}

// listen binds port and listens on it.
func (s scope) listen(ctx context.Context, port int) (*net.TCPListener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // what shutdown(2) leaves of a multipath listener is not documented
	ln, err := lc.Listen(ctx, s.network, net.JoinHostPort(s.host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return ln.(*net.TCPListener), nil
}

// pkg is the name of this package's errors.
const pkg = named.Package("portpool")

// ErrExhausted matches every [*ExhaustedError] with errors.Is.
var ErrExhausted = pkg.New("no port left")

// An ExhaustedError reports that every port of the range is in use, and by whom.
type ExhaustedError struct {
	First, Last int // the range, both included
	InUse       int // ports taken from this pool
	Held        int // ports that other programs hold
}

// Error implements error.
func (e *ExhaustedError) Error() string {
	return string(pkg) + ": " + e.Text()
}

// Text is the error without this package's name.
func (e *ExhaustedError) Text() string {
	return fmt.Sprintf("%s in %d-%d: %d in use, %d held by other programs", named.Text(ErrExhausted), e.First, e.Last, e.InUse, e.Held)
}

// Is reports whether target is [ErrExhausted].
func (e *ExhaustedError) Is(target error) bool { return target == ErrExhausted }
