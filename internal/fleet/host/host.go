package host

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/dial"
	"vda.internal/shadow/internal/fleet/dialout"
	"vda.internal/shadow/internal/fleet/enrol"
)

// An Engine runs the shadows. *[shadow.Manager] is one.
type Engine interface {
	Shadow(ctx context.Context, r shadow.Request) (*shadow.Grant, error)
	Judge(ctx context.Context, r shadow.Request) (policy.Verdict, error) // as Shadow would, without doing anything
	List() []shadow.Status
	Stop(ctx context.Context, id string, reason shadow.Reason) error // shadow.ErrNotFound: no such shadow
	Sessions(ctx context.Context) ([]*shadow.Session, error)
	Rules() policy.Rules
	Subscribe(ctx context.Context) <-chan shadow.Event // closed when ctx ends, or the subscriber has fallen too far behind
}

// A Spool has the lines of the audit that are to be delivered, in order.
type Spool interface {
	Peek(ctx context.Context) (id string, data []byte, err error) // waits for the first
	Ack(id string) error                                          // it is delivered
}

// A Config says what a host is. Engine and Credentials are required.
type Config struct {
	Engine      Engine
	Credentials *enrol.Credentials
	Servers     []string // NATS URLs; none: the credentials'
	Version     string
	Terms       *api.Terms // nil: nothing is said of them
	Spool       Spool      // nil: the audit isn't delivered

	// Views are the ports of views that gates ask for, if this host is to dial the gates for them. Nil:
	// gates dial ports that the engine opens.
	Views *dialout.Ports

	Logger zerolog.Logger
}

// A Host is a member of a fleet.
type Host struct {
	Config
	key     nkeys.KeyPair
	servers string
	tls     *tls.Config // nil: as the servers' URLs say
	boot    string
	since   time.Time
	guard   *fleet.Guard
	asks    asks
	changed chan struct{} // a token in it: the presence is to be said
	notice  notice
	address func() string // where the host is, as far as its connection shows; empty: it has none
	said    uint64        // the last presence's number in the bucket; for keepPresent, and then farewell

	mu       sync.Mutex
	audit    string // why the audit isn't delivered
	answers  sync.WaitGroup
	answerer chan struct{} // tokens of orders that are being answered
	stopper  chan struct{} // of those that end something
}

// New returns a host.
func New(c Config) (*Host, error) {
	if c.Engine == nil || c.Credentials == nil {
		return nil, errors.New("a host needs an engine and credentials")
	}
	if err := fleet.CheckID(c.Credentials.ID); err != nil {
		return nil, err
	}
	key, err := nkeys.FromSeed([]byte(c.Credentials.Seed))
	if err != nil {
		return nil, fmt.Errorf("the credentials' key: %w; enrol this host again", err)
	}
	pool, err := c.Credentials.Authorities()
	if err != nil {
		return nil, err
	}
	if len(c.Servers) == 0 {
		c.Servers = c.Credentials.Servers
	}
	if len(c.Servers) == 0 {
		return nil, errors.New("no servers: set fleet.servers")
	}
	h := &Host{
		Config: c, key: key, servers: strings.Join(c.Servers, ","), boot: rand.Text(), since: time.Now(),
		address: func() string { return "" },
		changed: make(chan struct{}, 1), answerer: make(chan struct{}, maxOrders), stopper: make(chan struct{}, maxStops),
	}
	if pool != nil {
		h.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	h.guard = &fleet.Guard{ID: c.Credentials.ID, Boot: h.boot, Fleet: c.Credentials.Fleet, Now: time.Now}
	h.notice.Logger, h.notice.Away, h.notice.Back = c.Logger, ", and what happens here is spooled", h.change
	return h, nil
}

// ID is what the host is called in the fleet.
func (h *Host) ID() string { return h.Credentials.ID }

// Run takes part until ctx ends, and returns when everything that it started has ended: questions that
// are open are taken back.
func (h *Host) Run(ctx context.Context) error {
	nc, err := h.connect(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer nc.Close()
	h.address = func() string {
		a, err := netip.ParseAddrPort(nc.LocalAddr())
		if err != nil {
			return ""
		}
		return a.Addr().Unmap().WithZone("").String()
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { h.serve(ctx, nc) })
	running.Go(func() { h.keepPresent(ctx, js) })
	if h.Spool != nil {
		running.Go(func() { h.deliver(ctx, js) })
	}
	running.Wait()
	h.answers.Wait()
	h.farewell(context.WithoutCancel(ctx), js)
	return nil
}

// connect dials out. The first attempt may fail like any other.
func (h *Host) connect(ctx context.Context) (*nats.Conn, error) {
	options := append(dial.Options(h.key, h.Credentials.JWT),
		nats.Name(fleet.Service+" "+h.ID()), nats.CustomInboxPrefix(fleet.HostInbox(h.ID())),
	)
	if h.tls != nil {
		options = append(options, nats.Secure(h.tls))
	}
	nc, err := dial.Connect(ctx, h.servers, &h.notice.Notice, options...)
	if err != nil {
		return nil, err
	}
	return nc, nil
}

// change has the presence said soon.
func (h *Host) change() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// serve is the micro service, until ctx ends. NATS ends a service that can't keep up; it is begun again.
func (h *Host) serve(ctx context.Context, nc *nats.Conn) {
	for ctx.Err() == nil {
		ended := make(chan struct{})
		service, err := h.begin(ctx, nc, func() { close(ended) })
		if err != nil {
			h.notice.Wrong(err)
			close(ended)
		}
		select {
		case <-ended:
		case <-ctx.Done():
		}
		if service != nil {
			_ = service.Stop()
		}
		pause(ctx, time.Second)
	}
}

// begin adds the service, whose end over is told.
func (h *Host) begin(ctx context.Context, nc *nats.Conn, over func()) (micro.Service, error) {
	var once sync.Once
	service, err := micro.AddService(nc, micro.Config{
		Name: fleet.Service, Version: "1.0.0", Description: "session shadowing",
		Metadata:    map[string]string{"host": h.ID(), "version": h.Version},
		DoneHandler: func(micro.Service) { once.Do(over) },
	})
	if err != nil {
		return nil, err
	}
	for _, kind := range fleet.Kinds() {
		handler := micro.HandlerFunc(func(r micro.Request) { h.hear(ctx, r) })
		if err := service.AddEndpoint(string(kind), handler, micro.WithEndpointSubject(fleet.Subject(h.ID(), kind)), micro.WithEndpointQueueGroupDisabled()); err != nil {
			return service, err
		}
	}
	return service, nil
}

// pause waits.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
