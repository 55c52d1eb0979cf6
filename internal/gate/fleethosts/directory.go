package fleethosts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/fleet/dialout"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/strangers"
)

// Options are a [Directory]'s.
type Options struct {
	Fleet  string // public key that vouches for hosts
	CAFile string // authorities that may vouch for hosts' granted ports, in PEM; empty: the system's
	Size   bus.Size

	// Views takes the connections of hosts that dial, at Address, "https://HOST[:PORT]", which must be this
	// gate and no other. Nil: such hosts' views can't be had.
	Views   *dialout.Desk
	Address string

	// Revoked is told which keys have been revoked, at first and whenever that changes. Nil: the servers
	// know by themselves.
	Revoked func([]fleet.Revocation) error

	Logger zerolog.Logger
}

// A Directory knows the hosts of a fleet.
type Directory struct {
	Options
	conn      *bus.Conn
	onStopped func(host, id string) // is told which views were stopped; nil: nobody is
	onPosted  func(notice string)   // is told of sign-ins; nil: nobody is

	mu      sync.Mutex
	whole   bool                          // all hosts that are enrolled were told of
	hosts   map[string]*Host              // by id
	revoked map[string][]fleet.Revocation // keys that hosts had and their records, if there are any, need not have
	doubts  map[string]*strangers.Rate    // of what isn't believed, by the host's id; "": of hosts that aren't known
	next    uint64                        // the first line of the audit that wasn't heard; 0: what comes from now on
	known   recent                        // lines that were heard
}

var _ hosts.Directory = (*Directory)(nil)

// New returns a directory of the bus at conn.
func New(conn *bus.Conn, o Options) *Directory {
	return &Directory{Options: o, conn: conn, hosts: map[string]*Host{}, revoked: map[string][]fleet.Revocation{}, doubts: map[string]*strangers.Rate{}}
}

// State implements [hosts.Directory]: it is up while the bus is.
func (d *Directory) State() (up, complete bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conn.NATS.IsConnected(), d.whole
}

const (
	sweepEvery = time.Second
	// silentTime is how long a host may say nothing before it isn't there: of what has expired the bus doesn't tell.
	silentTime = fleet.PresenceTTL
)

// Run implements [hosts.Directory]. A connection that comes back begins it anew: the bus may have lost what
// it keeps in memory.
func (d *Directory) Run(ctx context.Context, add, remove func(hosts.Host)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	status := d.conn.NATS.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer d.conn.NATS.RemoveStatusListener(status)
	if err := d.conn.Prepare(ctx, d.Size); err != nil {
		return err
	}
	unhear, err := d.conn.Relay(ctx, func(host, reply string) {
		d.doubt(host, errForeign).Str("reply", fmt.Sprintf("%.80q", reply)).Msg("a client with this host's key named another's subject as the reply; nothing is sent there")
	})
	if err != nil {
		return err
	}
	defer unhear()
	told, err := d.watch(ctx, fleet.FleetBucket, fleet.AnyStopped, fleet.AnySignIn)
	if err != nil {
		return err
	}
	defer told.Stop()
	enrolled, err := d.watch(ctx, fleet.FleetBucket, fleet.EnrolledKey(">"))
	if err != nil {
		return err
	}
	defer enrolled.Stop()
	ahead, err := d.serversClock(ctx)
	if err != nil {
		return err
	}
	present, err := d.watch(ctx, fleet.HostBucket, ">")
	if err != nil {
		return err
	}
	defer present.Stop()
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	running.Go(func() {
		if err := d.hear(ctx); err != nil {
			cancel(err)
		}
	})
	return d.follow(ctx, updates{told.Updates(), enrolled.Updates(), present.Updates(), ahead}, status, add, remove)
}

// serversClock is how far the clock by which the bus dates presences is ahead of ours.
func (d *Directory) serversClock(ctx context.Context) (time.Duration, error) {
	stream, err := d.conn.JS.Stream(ctx, "KV_"+fleet.HostBucket)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", fleet.HostBucket, err)
	}
	return time.Until(stream.CachedInfo().TimeStamp), nil
}

// watch begins to watch keys of a bucket.
func (d *Directory) watch(ctx context.Context, bucket string, keys ...string) (jetstream.KeyWatcher, error) {
	kv, err := d.conn.JS.KeyValue(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bucket, err)
	}
	w, err := kv.WatchFiltered(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bucket, err)
	}
	return w, nil
}

var errForeign = errors.New("the reply isn't in the host's own inbox")

var errAgain = errors.New("the connection to the bus has come back")

// updates are what the buckets say. A nil entry ends what they had at first.
type updates struct {
	told, enrolled, present <-chan jetstream.KeyValueEntry

	ahead time.Duration // how far the clock by which presences are dated is ahead of ours
}

// follow takes what the buckets say, until ctx ends or the connection has come back. Who is enrolled is looked at once it
// is known which views were stopped, and who has signed out, and presences once it is known who is enrolled.
func (d *Directory) follow(ctx context.Context, all updates, status <-chan nats.Status, add, remove func(hosts.Host)) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	listed := map[string]bool{} // until the list is complete
	var enrolled, present <-chan jetstream.KeyValueEntry
	live := false // presences are new ones
	for {
		select {
		case e, open := <-all.told:
			if !open {
				return d.over(ctx)
			}
			if e == nil {
				enrolled = all.enrolled
				continue
			}
			d.told(e)
		case e, open := <-enrolled:
			if !open {
				return d.over(ctx)
			}
			if e == nil {
				d.complete(listed, remove)
				listed, present = nil, all.present
				continue
			}
			if listed != nil {
				listed[strings.TrimPrefix(e.Key(), fleet.EnrolledKey(""))] = true
			}
			d.enrolled(e, listed == nil, add, remove)
		case e, open := <-present:
			if !open {
				return d.over(ctx)
			}
			if e == nil {
				live = true
				continue
			}
			age := time.Duration(0) // by no clock: it has just come
			if !live {
				age = min(max(0, time.Since(e.Created())+all.ahead), fleet.PresenceTTL)
			}
			d.present(e, age)
		case <-tick.C:
			d.sweep()
		case s := <-status:
			if s == nats.CONNECTED {
				return errAgain
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (d *Directory) over(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return errors.New("the bus has ended a watch")
}

// enrolled takes who is in the fleet. One that is revoked isn't any more. What the fleet's key doesn't vouch for
// changes nothing: neither whom the gate knows, nor which keys are revoked.
func (d *Directory) enrolled(e jetstream.KeyValueEntry, live bool, add, remove func(hosts.Host)) {
	id := strings.TrimPrefix(e.Key(), fleet.EnrolledKey(""))
	var record *fleet.Enrolled // nil: it was deleted
	if e.Operation() == jetstream.KeyValuePut {
		var err error
		if record, err = fleet.OpenEnrolled(id, d.Fleet, e.Value()); err != nil {
			d.doubt(id, err).Msg("ignored an entry for this host that the fleet's key did not sign; to repair it, enrol the host again (shadowgate invite --replace)")
			return
		}
	}
	d.mu.Lock()
	host := d.hosts[id]
	switch {
	case record == nil:
		delete(d.hosts, id)
	case record.Gone:
		delete(d.hosts, id)
		d.end(id, record.Revoked...)
	case host == nil:
		d.hosts[id] = newHost(d, *record)
	default:
		if before := host.enrol(*record); before != record.Key {
			d.end(id, fleet.Revocation{Key: before, At: time.Now()}) // a record that was mended doesn't have it
		}
	}
	now := d.hosts[id]
	d.mu.Unlock()
	if live { // before anybody hears that it is out
		d.revoke()
	}
	switch {
	case host == nil && now != nil:
		add(now)
	case host != nil && now == nil:
		host.leave("it was revoked")
		remove(host)
	}
}

// doubt begins a line of the log about something of a host that isn't believed; nil, which writes nothing: it
// has had its share of lines.
func (d *Directory) doubt(id string, err error) *zerolog.Event {
	d.mu.Lock()
	of := id
	if d.hosts[id] == nil { // of those that aren't known there are as many as somebody likes
		of = ""
	}
	rate := d.doubts[of]
	if rate == nil {
		rate = new(strangers.Rate)
		d.doubts[of] = rate
	}
	d.mu.Unlock()
	left, ok := rate.Take(time.Now())
	if !ok {
		return nil
	}
	line := d.Logger.Error().Err(err).Str("host", id)
	if left > 0 {
		line = line.Int("left_out", left)
	}
	return line
}

// present takes what a host says of itself, which is that old.
func (d *Directory) present(e jetstream.KeyValueEntry, age time.Duration) {
	d.mu.Lock()
	host := d.hosts[e.Key()]
	d.mu.Unlock()
	if host == nil {
		return
	}
	if e.Operation() != jetstream.KeyValuePut {
		host.leave("it has said goodbye, or nothing for too long")
		return
	}
	p, err := fleet.OpenPresence(e.Key(), host.key(), e.Value())
	if err != nil {
		d.doubt(e.Key(), err).Msg("a presence isn't believed")
		return
	}
	host.present(p, age)
}

// sweep finds hosts that have been silent for too long.
func (d *Directory) sweep() {
	for _, host := range d.all() {
		host.expire()
	}
}

func (d *Directory) all() []*Host {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*Host, 0, len(d.hosts))
	for _, host := range d.hosts {
		list = append(list, host)
	}
	return list
}

// host is the host of that id; nil: there is none.
func (d *Directory) host(id string) *Host {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hosts[id]
}
