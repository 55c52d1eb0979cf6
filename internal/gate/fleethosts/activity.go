package fleethosts

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/gate/activity"
)

// An Activity is what happened on the hosts, as the bus has it, and on hosts that aren't in the fleet. It is
// read backwards, in pieces.
type Activity struct {
	d   *Directory
	own own // of hosts that aren't in the fleet; nil: none
}

// own keeps what happened on hosts that aren't in the fleet.
type own interface {
	Add(host string, e shadow.Event) error
	Each(ctx context.Context, q activity.Query, f func(activity.Record) bool) error
}

// Activity is the hosts' audits. kept, which may be nil, gets the events of hosts that aren't in the fleet.
func (d *Directory) Activity(kept own) *Activity { return &Activity{d, kept} }

// Add keeps an event of a host that isn't in the fleet: the others keep theirs.
func (a *Activity) Add(host string, e shadow.Event) error {
	if a.d.host(host) != nil || a.own == nil {
		return nil
	}
	return a.own.Add(host, e)
}

const (
	firstPiece  = 512     // lines of the first piece
	lastPiece   = 1 << 15 // and at most
	pieceTime   = 20 * time.Second
	fetchTime   = 5 * time.Second
	consumerAge = 30 * time.Second // of a consumer that was left behind
)

// Each calls f with the records that are wanted, the newest first, until f reports false.
func (a *Activity) Each(ctx context.Context, q activity.Query, f func(activity.Record) bool) error {
	if a.own == nil {
		return a.fromBus(ctx, q, f)
	}
	bus, own, both := strings.Cut(q.Before, "/") // what both were read down to; an empty one wasn't
	if q.Before != "" && !both {
		return activity.ErrCursor
	}
	give := func(r activity.Record, place *string) bool {
		*place = r.Cursor
		r.Cursor = bus + "/" + own
		return f(r)
	}
	var failed error
	ours := q
	ours.Before = own
	next, stop := iter.Pull(func(yield func(activity.Record) bool) { failed = a.own.Each(ctx, ours, yield) })
	defer stop()
	r, more := next()
	wanted := true
	q.Before = bus
	err := a.fromBus(ctx, q, func(theirs activity.Record) bool {
		for ; wanted && more && r.Time.After(theirs.Time); r, more = next() {
			wanted = give(r, &own)
		}
		wanted = wanted && give(theirs, &bus)
		return wanted
	})
	if err != nil {
		return err
	}
	for ; wanted && more; r, more = next() {
		wanted = give(r, &own)
	}
	return failed
}

// fromBus is [Activity.Each] for what the bus has. A record's Cursor is its place in the stream. A line that the stream
// has twice is told once: the host, or a gate that was stuck, may bring it again when the stream doesn't know its id any
// more.
func (a *Activity) fromBus(ctx context.Context, q activity.Query, f func(activity.Record) bool) error {
	stream, err := a.d.conn.JS.Stream(ctx, fleet.AuditStream)
	if err != nil {
		return fmt.Errorf("fleethosts: the hosts' audits: %w", err)
	}
	state := stream.CachedInfo().State
	end := state.LastSeq + 1
	if q.Before != "" {
		before, err := strconv.ParseUint(q.Before, 10, 64)
		if err != nil || before == 0 {
			return activity.ErrCursor
		}
		end = min(end, before)
	}
	subject := fleet.AuditFilter
	if fleet.CheckID(q.Host) == nil && !strings.Contains(q.Host, "*") {
		subject = fleet.AuditSubject(q.Host)
	}
	var told recent
	for size := uint64(firstPiece); end > state.FirstSeq; size = min(2*size, lastPiece) {
		begin := max(state.FirstSeq, end-min(end, size))
		lines, err := a.piece(ctx, stream, subject, begin, end)
		if err != nil {
			return err
		}
		for _, l := range slices.Backward(lines) {
			if !q.Since.IsZero() && l.stored.Before(q.Since) {
				return nil // what is older happened earlier, too
			}
			if q.Wants(l.record) && told.add(l.id) && !f(l.record) {
				return nil
			}
		}
		end = begin
	}
	return nil
}

// A kept line is a record, and when the bus got it.
type keptLine struct {
	record activity.Record
	stored time.Time
	id     string // of the host, and its own
}

// piece reads the lines of a subject from begin to end, which isn't among them.
func (a *Activity) piece(ctx context.Context, stream jetstream.Stream, subject string, begin, end uint64) ([]keptLine, error) {
	ctx, cancel := context.WithTimeout(ctx, pieceTime)
	defer cancel()
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: begin,
		FilterSubject: subject, InactiveThreshold: consumerAge, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("fleethosts: the hosts' audits: %w", err)
	}
	info := consumer.CachedInfo()
	defer func() { _ = stream.DeleteConsumer(context.WithoutCancel(ctx), info.Name) }()
	var lines []keptLine
	for left := min(info.NumPending, end-begin); left > 0; {
		batch, err := consumer.Fetch(int(left), jetstream.FetchMaxWait(fetchTime))
		if err != nil {
			return nil, fmt.Errorf("fleethosts: the hosts' audits: %w", err)
		}
		got := uint64(0)
		for msg := range batch.Messages() {
			got++
			meta, err := msg.Metadata()
			if err != nil {
				return nil, fmt.Errorf("fleethosts: the hosts' audits: %w", err)
			}
			if meta.Sequence.Stream >= end {
				return lines, nil
			}
			if l, ok := a.line(msg, meta); ok {
				lines = append(lines, l)
			}
			if meta.NumPending == 0 {
				return lines, nil
			}
		}
		if err := errors.Join(batch.Error(), context.Cause(ctx)); err != nil {
			return nil, fmt.Errorf("fleethosts: the hosts' audits: %w", err)
		}
		if got == 0 {
			return nil, errors.New("fleethosts: the bus has stopped telling the hosts' audits")
		}
		left -= min(left, got)
	}
	return lines, nil
}

// line reads one line. What isn't its host's own isn't shown; a host that was shown out stays in the list
// with what it did.
func (a *Activity) line(msg jetstream.Msg, meta *jetstream.MsgMetadata) (keptLine, bool) {
	id := fleet.AuditHost(msg.Subject())
	e, err := readEvent(a.d.keysOf(id), id, msg)
	if err != nil {
		return keptLine{}, false
	}
	record := activity.Record{Event: e, Host: id, Cursor: strconv.FormatUint(meta.Sequence.Stream, 10)}
	return keptLine{record, meta.Timestamp, id + "/" + msg.Headers().Get(jetstream.MsgIDHeader)}, true
}

// keysOf are the keys that a host has had.
func (d *Directory) keysOf(id string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var keys []string
	if host := d.hosts[id]; host != nil {
		keys = host.keys()
	}
	for _, r := range d.revoked[id] {
		keys = append(keys, r.Key)
	}
	return keys
}
