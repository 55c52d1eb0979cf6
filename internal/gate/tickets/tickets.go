// Package tickets lets front ends that are there already show a view that was granted to somebody at
// the gate: websockify behind a noVNC page, and Guacamole.
//
// They dial a VNC server, which no host of ours is. So the office opens a port for one view, for a
// moment, on an address that the front ends reach. Who connects from one of their addresses and proves by VNC
// authentication that it knows the password gets the view, once; the password goes to the one whose view it is,
// and to nobody else. Where the port is says a ticket: a token in Redis or at the gate's own [API], or
// Guacamole's encrypted JSON.
//
//	o, err := tickets.New(tickets.Config{Address: addr, First: 6201, Last: 6299, From: networks, Redis: r})
//	defer o.Close()
//	ticket, err := o.Issue(ctx, tickets.Websockify, view)
package tickets

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/strangers"
	"vda.internal/shadow/portpool"
)

// A Kind is what a ticket is for.
type Kind string

// The kinds of front ends.
const (
	Websockify Kind = "websockify" // a token for TokenRedis or JSONTokenApi
	Guacamole  Kind = "guacamole"  // data for its extension "Encrypted JSON"
)

// Errors of Issue, to be compared by errors.Is.
var (
	ErrKind   = errors.New("the gate isn't set up for that front end")
	ErrClosed = errors.New("the gate is going down")
)

// Config is where tickets lead, and where they are published. Redis, API and Key may each be missing, but
// not all of them.
type Config struct {
	Address     netip.Addr     // where the views' ports are
	First, Last int            // the ports, both included
	Host        string         // what front ends call Address: an IPv4 address or a name; empty: Address
	From        []netip.Prefix // who may connect; nobody else may
	Valid       time.Duration  // for how long a ticket is good

	Redis *Redis // nil: tokens aren't published there
	API   *API   // nil: likewise
	Key   *Key   // that is shared with Guacamole; nil: there is none

	Logger zerolog.Logger // the zero Logger is silent
}

// A View is what somebody wants a ticket for.
type View struct {
	Key  string // tells it from all others; a later ticket for it makes an earlier one void
	ID   string // of the view, for the log
	Name string // who it is for
	What string // what Guacamole calls it

	// Dial connects to the view, as to a VNC server without a password. It is called once at most, when
	// somebody has shown the ticket's password. The context ends with the connection. cut ends it at once,
	// even while the front end takes nothing; it may be called at any time.
	Dial func(ctx context.Context, cut func()) (net.Conn, error)
}

// A Ticket is for one connection.
type Ticket struct {
	For      Kind      `json:"for"`
	Token    string    `json:"token,omitempty"`    // of a websockify
	Password string    `json:"password,omitempty"` // for VNC authentication, by who has the token
	Data     string    `json:"data,omitempty"`     // of Guacamole
	Expires  time.Time `json:"expires"`            // by when it must have been used
}

// An Office issues tickets. Its methods may be called concurrently.
type Office struct {
	Config
	pool  *portpool.Pool
	crowd *strangers.Crowd
	noise strangers.Noise // of those who aren't let in, in the log

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	ports map[string]*port // by the view's key, while their tickets are good
}

// What may be held on the ports of all views, and on one, by those who haven't shown a password. All of one
// port may come from one address, which is a front end's: nobody can be told from the one who has the password.
const (
	maxStrangers     = 512
	maxPortStrangers = 64
)

// New returns an office. The caller closes it.
func New(c Config) (*Office, error) {
	if c.Host == "" {
		c.Host = c.Address.String()
	}
	switch {
	case !c.Address.IsValid() || len(c.From) == 0 || c.Valid <= 0:
		return nil, errors.New("an address for the views' ports, those who may connect, and a time are needed")
	case c.Redis == nil && c.API == nil && c.Key == nil:
		return nil, errors.New("there is no front end that tickets would be for")
	case strings.Contains(c.Host, ":"):
		return nil, fmt.Errorf("front ends can't use %s, whose colons they would take for the port's: set a host name", c.Host)
	}
	o := &Office{
		Config: c, pool: &portpool.Pool{Host: c.Address.String(), First: c.First, Last: c.Last}, ports: map[string]*port{},
		crowd: &strangers.Crowd{Max: maxStrangers, PerDoor: maxPortStrangers, PerAddress: maxPortStrangers},
	}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o, nil
}

// Close makes all tickets void and ends the views that came of them. It returns when they have ended.
func (o *Office) Close() {
	o.mu.Lock()
	o.cancel()
	o.mu.Unlock()
	o.running.Wait()
}

// Issue opens a port for v, and publishes where it is. The error is ErrKind, ErrClosed, of
// [portpool.ErrExhausted], or Redis's.
func (o *Office) Issue(ctx context.Context, kind Kind, v View) (*Ticket, error) {
	if kind == Websockify && o.Redis == nil && o.API == nil || kind == Guacamole && o.Key == nil || kind != Websockify && kind != Guacamole {
		return nil, fmt.Errorf("%w: %.40q", ErrKind, kind)
	}
	p, err := o.open(ctx, v)
	if err != nil {
		return nil, err
	}
	t := &Ticket{For: kind, Expires: p.until}
	if kind == Guacamole {
		t.Data, err = o.Key.connection(v.Name, v.What, o.Host, p.number, p.password, p.until)
	} else {
		t.Token, t.Password = rand.Text(), p.password
		err = o.publish(ctx, t, p)
	}
	if err != nil {
		p.void()
		return nil, err
	}
	o.Logger.Info().Str("name", v.Name).Str("id", v.ID).Str("for", string(kind)).Int("port", p.number).Time("until", p.until).Msg("a ticket for another front end")
	return t, nil
}

// Void makes the ticket of a view void, if there is one. A connection that came of it goes on.
func (o *Office) Void(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.ports[key]; p != nil {
		p.void()
	}
}

// publish says where a token leads.
func (o *Office) publish(ctx context.Context, t *Ticket, p *port) error {
	if o.API != nil {
		o.API.put(t.Token, target{Host: o.Host, Port: strconv.Itoa(p.number)}, p.until)
	}
	if o.Redis == nil {
		return nil
	}
	return o.Redis.publish(ctx, t.Token, net.JoinHostPort(o.Host, strconv.Itoa(p.number)), time.Until(p.until))
}

// open opens a port for v, and closes one that was open for it.
func (o *Office) open(ctx context.Context, v View) (*port, error) {
	ln, err := o.pool.Listen(ctx)
	if err != nil {
		return nil, err
	}
	p := &port{office: o, view: v, ln: ln, number: ln.Port(), password: newPassword(), until: time.Now().Add(o.Valid), door: o.crowd.Door()}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ctx.Err() != nil {
		_ = ln.Close()
		return nil, ErrClosed
	}
	var valid context.Context
	valid, p.void = context.WithDeadline(o.ctx, p.until)
	if old := o.ports[v.Key]; old != nil {
		old.void()
	}
	o.ports[v.Key] = p
	o.running.Go(func() { p.run(valid) })
	return p, nil
}

// forget is called when p's ticket isn't good any more.
func (o *Office) forget(p *port) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ports[p.view.Key] == p {
		delete(o.ports, p.view.Key)
	}
}
