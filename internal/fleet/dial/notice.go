package dial

import (
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// A Notice tells a log how a connection to the bus is doing, each state once.
type Notice struct {
	Logger zerolog.Logger
	Away   string // what happens while the bus can't be reached; empty: nothing is said of that
	Back   func() // called when the bus is there (again); nil: nothing is

	mu   sync.Mutex
	up   bool
	told string // why it is down
	last string // what was wrong last
}

// options have the connection tell n.
func (n *Notice) options() []nats.Option {
	return []nats.Option{
		nats.ConnectHandler(func(*nats.Conn) { n.found() }),
		nats.ReconnectHandler(func(*nats.Conn) { n.found() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { n.lost(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { n.lost(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { n.Wrong(err) }),
	}
}

// watch tells of attempts that have reached a server, and failed by its certificate or by the key: of these NATS
// calls no handler. It ends with the connection.
func (n *Notice) watch(nc *nats.Conn) {
	for range nc.StatusChanged(nats.RECONNECTING, nats.CLOSED) {
		if nc.IsClosed() {
			return
		}
		if err := nc.LastError(); err != nil {
			n.lost(err)
		}
	}
}

func (n *Notice) found() {
	n.mu.Lock()
	if !n.up {
		n.Logger.Info().Msg("the fleet's bus is there")
	}
	n.up, n.told, n.last = true, "", ""
	n.mu.Unlock()
	if n.Back != nil {
		n.Back()
	}
}

func (n *Notice) lost(err error) {
	why := "it ended the connection"
	if err != nil {
		why = explain(err).Error()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.up || n.told != why {
		n.Logger.Warn().Str("error", why).Msg("the fleet's bus can't be reached; it is tried again" + n.Away)
	}
	n.up, n.told = false, why
}

// explain says what is to be done about an error where its own words don't.
func explain(err error) error {
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; the gate's bus.ca has to be of who signed the bus's certificate, and a host knows the authorities that it had at its enrolment: if they have changed, enrol it again", err)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthRevoked):
		return fmt.Errorf("%w: the bus doesn't take this key; a host that was revoked has to enrol again", err)
	}
	return err
}

// Up reports whether the bus is there.
func (n *Notice) Up() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.up
}

// Wrong notes that something else is wrong.
func (n *Notice) Wrong(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil && n.last != err.Error() {
		n.last = err.Error()
		n.Logger.Warn().Err(err).Msg("something is wrong on the fleet's bus")
	}
}
