package bus

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/strangers"
)

// What connections may hold before and after they have shown a key. NATS by itself turns the newcomer away when its house is
// full, whoever fills it.
const (
	strangerTime        = 10 * time.Second // from the connection to the proof of a key, TLS included
	maxStrangers        = 2048
	maxAddressStrangers = 1024     // of one address, from which many hosts may come after a gate's start
	leastGuests         = 256      // with a host's key, however few descriptors there are
	maxGuests           = 64 << 10 // however many
	maxOfKey            = 4        // of one host; while it changes what it does it has two

	writeTime   = 30 * time.Second // for the other end to take what is written
	leaveTime   = time.Second      // for the other end to hear that nothing more comes
	acceptPause = 100 * time.Millisecond
	pieceSize   = 4 << 10 // that is passed on at once
	maxControl  = 4 << 10 // of a line of the protocol, such as the one with the key
	maxInfo     = 64 << 10
)

// A door is where hosts come in: it listens instead of NATS, speaks TLS, and hands on to NATS what is said, with
// the address from which it came. It reads along until NATS has taken a connection's key.
type door struct {
	ns        *server.Server
	tls       *tls.Config // nil: none
	strangers *strangers.Door
	turns     turns // of the strangers
	log       logger
	work      sync.WaitGroup

	most int // guests

	mu        sync.Mutex
	closed    bool
	listeners []net.Listener
	here      map[*visit]struct{}
	guests    map[string][]*visit // by key, oldest first
	count     int                 // of guests
}

func newDoor(ns *server.Server, config *tls.Config, log logger) *door {
	crowd := &strangers.Crowd{Max: maxStrangers, PerDoor: maxStrangers, PerAddress: maxAddressStrangers}
	return &door{ns: ns, tls: config, strangers: crowd.Door(), log: log, most: mostGuests(), here: map[*visit]struct{}{}, guests: map[string][]*visit{}}
}

// mostGuests is for how many hosts there is room: half of the descriptors, of which each takes one.
func mostGuests() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return leastGuests
	}
	return guestsOf(uint64(limit.Cur))
}

func guestsOf(descriptors uint64) int { return int(max(leastGuests, min(maxGuests, descriptors/2))) }

// A visit is one connection.
type visit struct {
	door     *door
	conn     *arrival             // as it came
	stranger *strangers.Stranger  // nil: who comes here is known
	key      chan *jwt.UserClaims // what it says that it is, before NATS hears it
	guest    string               // its key, if it is on the list; guarded by door.mu
}

// serve takes connections until the door is closed. Who comes to a private listener is no stranger.
func (d *door) serve(l net.Listener, private bool) {
	d.mu.Lock()
	d.listeners = append(d.listeners, l)
	d.mu.Unlock()
	d.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err == nil {
				d.enter(conn, private)
				continue
			}
			d.mu.Lock()
			closed := d.closed
			d.mu.Unlock()
			if closed {
				return
			}
			time.Sleep(acceptPause) // there are no descriptors
		}
	})
}

// enter lets a connection in.
func (d *door) enter(conn net.Conn, private bool) {
	v := &visit{door: d, key: make(chan *jwt.UserClaims, 1)}
	v.conn = &arrival{Conn: conn, gone: make(chan struct{}), turn: make(chan struct{}), from: networkOf(conn.RemoteAddr())}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = conn.Close()
		return
	}
	d.here[v] = struct{}{}
	if !private {
		v.stranger = d.strangers.Arrive(v.conn, strangerTime)
	}
	d.work.Go(func() {
		if v.stranger == nil || d.turns.begin(v) {
			v.run()
		}
		d.left(v)
	})
}

func networkOf(a net.Addr) netip.Prefix {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return strangers.Network(tcp.AddrPort().Addr())
	}
	return netip.Prefix{}
}

// left forgets a visit.
func (d *door) left(v *visit) {
	_ = v.conn.Close()
	if v.stranger != nil {
		v.stranger.Leave()
		d.turns.end(v)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.here, v)
	d.forget(v)
}

// shut lets nobody in any more.
func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, l := range d.listeners {
		_ = l.Close()
	}
}

// close ends all visits, and returns when they have ended.
func (d *door) close() {
	d.shut()
	d.mu.Lock()
	for v := range d.here {
		_ = v.conn.Close()
	}
	d.mu.Unlock()
	d.work.Wait()
}

// run is the visit.
func (v *visit) run() {
	inner, err := v.door.ns.InProcessConn()
	if err != nil {
		return
	}
	defer inner.Close()
	conn, said, err := v.introduce(inner)
	if err != nil {
		return
	}
	told := make(chan struct{})
	v.door.work.Go(func() {
		defer close(told)
		defer inner.Close()
		v.down(conn, said)
		v.takeLeave(conn)
	})
	v.up(inner, conn)
	_ = inner.Close()
	<-told
	_, _ = io.Copy(io.Discard, conn)
}

// takeLeave says that nothing more comes. What the visitor says still is read for a moment: who closes a connection with
// something unread takes his own last words back, and NATS's are why the visitor was refused.
func (v *visit) takeLeave(conn net.Conn) {
	_ = v.conn.SetDeadline(time.Now().Add(leaveTime))
	if c, ok := conn.(*tls.Conn); ok {
		_ = c.CloseWrite()
	}
	_ = v.conn.CloseWrite()
}

// introduce tells each who the other is. What NATS says from then on is read from the Reader.
func (v *visit) introduce(inner net.Conn) (net.Conn, io.Reader, error) {
	said := &lineReader{from: inner}
	info, err := said.line(maxInfo)
	if err != nil {
		return nil, nil, err
	}
	if _, err := io.WriteString(inner, origin(v.conn.RemoteAddr(), v.conn.LocalAddr())); err != nil {
		return nil, nil, err
	}
	config := v.door.tls
	if v.stranger == nil {
		config = nil
	}
	if config != nil {
		if info, err = withTLS(info); err != nil {
			return nil, nil, err
		}
	}
	if err := v.write(v.conn, info); err != nil || config == nil {
		return v.conn, said, err
	}
	conn := tls.Server(v.conn, config)
	if err := conn.HandshakeContext(context.Background()); err != nil { // the stranger's time bounds it
		if err != io.EOF {
			v.door.log.Warnf("TLS with %s: %v", v.conn.RemoteAddr(), err)
		}
		return nil, nil, err
	}
	return conn, said, nil
}

// origin is the line by which NATS learns where a connection comes from.
func origin(from, to net.Addr) string {
	f, ok := from.(*net.TCPAddr)
	t, ok2 := to.(*net.TCPAddr)
	if !ok || !ok2 {
		return "PROXY UNKNOWN\r\n"
	}
	a, b := address(f), address(t)
	family := "TCP4"
	if a.Is6() || b.Is6() {
		family = "TCP6"
		a, b = netip.AddrFrom16(a.As16()), netip.AddrFrom16(b.As16())
	}
	return fmt.Sprintf("PROXY %s %s %s %d %d\r\n", family, a, b, f.Port, t.Port)
}

func address(a *net.TCPAddr) netip.Addr { return a.AddrPort().Addr().Unmap().WithZone("") }

// withTLS is NATS's first line, demanding TLS.
func withTLS(line []byte) ([]byte, error) {
	info := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(line, []byte("INFO "))))
	d.UseNumber()
	if err := d.Decode(&info); err != nil {
		return nil, err
	}
	info["tls_required"] = true
	text, err := json.Marshal(info)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "INFO %s\r\n", text), nil
}

// up passes on what the visitor says. His first line has the key; NATS ends the connection if it is anything else, and knows
// by itself whether it is his.
func (v *visit) up(inner, conn net.Conn) {
	from := &lineReader{from: conn}
	first, err := from.line(maxControl)
	if err != nil {
		return
	}
	var said struct {
		JWT string `json:"jwt"` // as NATS reads it
	}
	if op, rest, _ := bytes.Cut(first, []byte(" ")); !bytes.EqualFold(op, []byte("CONNECT")) || json.Unmarshal(rest, &said) != nil {
		return
	}
	if claims, err := jwt.DecodeUserClaims(said.JWT); err == nil {
		v.key <- claims
	} // else NATS says what is wrong
	if _, err := inner.Write(first); err == nil {
		pass(inner, from)
	}
}

// down passes on what NATS says, and notes when it has taken the key.
func (v *visit) down(conn net.Conn, said io.Reader) {
	known := v.stranger == nil
	var yes acceptance
	_ = each(said, func(p []byte) error {
		if !known && yes.in(p) {
			known = true
			if !v.door.admit(v) {
				_ = v.write(conn, []byte("-ERR 'maximum connections exceeded'\r\n")) // as NATS says it, so that the host does
				return io.EOF
			}
		}
		return v.write(conn, p)
	})
}

// write has a bound, which holds for nothing that TLS writes by itself.
func (v *visit) write(conn net.Conn, p []byte) error {
	_ = v.conn.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := conn.Write(p)
	_ = v.conn.SetWriteDeadline(time.Time{})
	return err
}

// pass copies until there is nothing more.
func pass(to io.Writer, from io.Reader) {
	_ = each(from, func(p []byte) error { _, err := to.Write(p); return err })
}

// each gives do what is read, piece by piece.
func each(from io.Reader, do func([]byte) error) error {
	piece := make([]byte, pieceSize)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			if err := do(piece[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// admit makes a stranger a guest, whose key NATS has taken. Of a key that has too many the oldest goes; when the house is full,
// the oldest of the key that has most. A gate's key has a place always: only gates can make one.
func (d *door) admit(v *visit) bool {
	v.stranger.Leave()
	d.turns.end(v)
	var claims *jwt.UserClaims
	select {
	case claims = <-v.key:
	default:
		return false
	}
	if claims.Tags.Contains(fleet.GateTag) {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key := claims.Subject
	v.guest = key
	d.guests[key] = append(d.guests[key], v)
	d.count++
	switch {
	case len(d.guests[key]) > maxOfKey:
	case d.count > d.most:
		d.log.Warnf("the bus is full: it takes %d connections of hosts, half of the descriptors that the gate may have (LimitNOFILE); for more hosts there have to be more, or more gates", d.most)
		for k, list := range d.guests {
			if len(list) > len(d.guests[key]) {
				key = k
			}
		}
	default:
		return true
	}
	loser := d.guests[key][0]
	if len(d.guests[key]) == 1 { // each has one
		loser = v
	}
	d.forget(loser)
	if loser == v {
		return false // it hears why
	}
	_ = loser.conn.Close()
	return true
}

// forget takes a visit off the list of guests. d.mu is held.
func (d *door) forget(v *visit) {
	list := d.guests[v.guest]
	i := slices.Index(list, v)
	if i < 0 {
		return
	}
	d.count--
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(d.guests, v.guest)
	} else {
		d.guests[v.guest] = list
	}
}

// An acceptance looks at the beginnings of NATS's lines for the first that only who is known gets.
type acceptance struct {
	begun []byte // of a line
	rest  bool   // of a line that isn't it
}

func (a *acceptance) in(p []byte) bool {
	for _, c := range p {
		switch {
		case c == '\n':
			a.begun, a.rest = a.begun[:0], false
		case a.rest:
		default:
			a.begun = append(a.begun, c)
			switch string(a.begun) {
			case "+OK", "PONG", "MSG ", "HMSG":
				return true
			}
			a.rest = len(a.begun) == 4
		}
	}
	return false
}

// A lineReader reads the first line by itself, and then what follows.
type lineReader struct {
	from io.Reader
	rest []byte
}

// line is the next line with its end, if it isn't longer.
func (r *lineReader) line(most int) ([]byte, error) {
	piece := make([]byte, pieceSize)
	for {
		if i := bytes.IndexByte(r.rest, '\n'); i >= 0 {
			line := r.rest[:i+1]
			r.rest = r.rest[i+1:]
			return line, nil
		}
		if len(r.rest) > most {
			return nil, io.ErrShortBuffer
		}
		n, err := r.from.Read(piece)
		r.rest = append(r.rest, piece[:n]...)
		if err != nil && n == 0 {
			return nil, err
		}
	}
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) > 0 {
		n := copy(p, r.rest)
		r.rest = r.rest[n:]
		return n, nil
	}
	r.rest = nil
	return r.from.Read(p)
}
