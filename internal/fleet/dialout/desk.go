// Package dialout carries views of hosts that nobody can dial, behind NAT for example: the host dials the
// gate instead, once for each view, and nothing listens on it.
//
//	t, err := desk.Expect(isTheHost)                                      // the gate; t.Secret goes to the host by the bus
//	c, err := dialout.Dial(ctx, "https://gate1", t.Secret, proof, config) // the host, which has signed the ticket
//	err = ports.Deliver(7, c)                                             // what was granted there as port 7 has a connection
//	c, err := t.Accept(ctx)                                               // the gate has the other end
//
// The bus may read a ticket, so the ticket alone is worth nothing: the connection has to show the host's
// signature of it, too.
//
// The connection is TLS, verified by the authorities that the host pinned when it enrolled, and an HTTP/1.1
// upgrade in it. After that it is as if the gate had dialled the granted port.
package dialout

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// Path is where a gate takes hosts' connections.
	Path = "/fleet/view"

	protocol     = "shadow-view-1"
	ticketHeader = "Shadow-Ticket"
	proofHeader  = "Shadow-Signature"
	maxTickets   = 4096             // that are open at a gate
	writeTime    = 10 * time.Second // for the host to take the answer
)

// ErrBusy is that a gate waits for too many hosts.
var ErrBusy = errors.New("too many views are waited for")

// A Desk is where a gate takes hosts' connections. The zero Desk is ready.
type Desk struct {
	// Admitted is told of a request that had a good ticket, before its connection is taken over. Nil:
	// nobody is.
	Admitted func(*http.Request)

	mu      sync.Mutex
	tickets map[[sha256.Size]byte]*Ticket
}

// A Ticket is for one connection. Whoever got it closes it.
type Ticket struct {
	Secret string // for the host

	desk *Desk
	from func(ticket, proof string) error
	hash [sha256.Size]byte
	come chan net.Conn
	over chan struct{}
	once sync.Once
}

// Expect opens a ticket for a connection whose proof from accepts; an error of from's refuses it, and the
// ticket stays good.
func (d *Desk) Expect(from func(ticket, proof string) error) (*Ticket, error) {
	t := &Ticket{Secret: rand.Text(), desk: d, from: from, come: make(chan net.Conn), over: make(chan struct{})}
	t.hash = sha256.Sum256([]byte(t.Secret))
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.tickets) >= maxTickets {
		return nil, ErrBusy
	}
	if d.tickets == nil {
		d.tickets = map[[sha256.Size]byte]*Ticket{}
	}
	d.tickets[t.hash] = t
	return t, nil
}

// Accept waits for the host's connection, which the caller closes.
func (t *Ticket) Accept(ctx context.Context) (net.Conn, error) {
	select {
	case c := <-t.come:
		return c, nil
	case <-t.over:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close makes the ticket void. A connection that Accept has returned stays.
func (t *Ticket) Close() {
	t.once.Do(func() {
		t.desk.take(t.hash)
		close(t.over)
	})
}

// redeem is the ticket of a secret, whose bearer has the right proof. It is good no more. Nil: there is none.
func (d *Desk) redeem(secret, proof string) *Ticket {
	hash := sha256.Sum256([]byte(secret))
	d.mu.Lock()
	t := d.tickets[hash]
	d.mu.Unlock()
	if t == nil || t.from(secret, proof) != nil {
		return nil
	}
	return d.take(hash)
}

// take is the ticket of a secret, which is good no more.
func (d *Desk) take(hash [sha256.Size]byte) *Ticket {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tickets[hash]
	delete(d.tickets, hash)
	return t
}

// ServeHTTP implements http.Handler. A ticket is good once for the host, whatever comes of it.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.ProtoMajor != 1 || !strings.EqualFold(r.Header.Get("Upgrade"), protocol) {
		http.Error(w, "this is for hosts of the fleet", http.StatusUpgradeRequired)
		return
	}
	t := d.redeem(r.Header.Get(ticketHeader), r.Header.Get(proofHeader))
	if t == nil {
		http.Error(w, "the ticket is invalid or expired, or its signature isn't the host's", http.StatusForbidden)
		return
	}
	if d.Admitted != nil {
		d.Admitted(r)
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this connection can't be taken over", http.StatusInternalServerError)
		return
	}
	if rw.Reader.Buffered() > 0 { // a host waits for the gate to speak first
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Now().Add(writeTime))
	_, err = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n")
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = c.Close()
		return
	}
	select {
	case t.come <- c:
	case <-t.over:
		_ = c.Close()
	}
}
