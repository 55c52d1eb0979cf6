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
	leastPiece  = 16                         // lines of a piece of which more take too long
	firstPiece  = 512                        // of the first
	lastPiece   = 1 << 15                    // at most
	pieceRoom   = firstPiece * fleet.MaxLine // bytes of a piece that are read: the first fits, whatever the lines are
	fetchLines  = 256                        // that the bus is asked for at once
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
	ours.Before, ours.Progress = own, nil // that is a few files
	next, stop := iter.Pull(func(yield func(activity.Record) bool) { failed = a.own.Each(ctx, ours, yield) })
	defer stop()
	r, more := next()
	wanted := true
	q.Before = bus
	if progress := q.Progress; progress != nil {
		q.Progress = func(cursor string) bool {
			bus = cursor
			wanted = progress(bus + "/" + own)
			return wanted
		}
	}
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
		return fmt.Errorf("the hosts' audits: %w", err)
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
	for size := uint64(firstPiece); end > state.FirstSeq; {
		begin := max(state.FirstSeq, end-min(end, size))
		p, err := a.piece(ctx, stream, subject, q, begin, end)
		if err != nil && ctx.Err() == nil && isTooMuch(err) && size > leastPiece {
			size /= 2
			continue
		}
		if err != nil {
			return err
		}
		for _, l := range slices.Backward(p.lines) {
			if told.add(l.id) && !f(l.record) {
				return nil
			}
		}
		if p.last {
			return nil
		}
		if end = begin; end > state.FirstSeq && q.Progress != nil && !q.Progress(strconv.FormatUint(end, 10)) {
			return nil
		}
		if p.bytes < pieceRoom/4 {
			size = min(2*size, lastPiece)
		}
	}
	return nil
}

// isTooMuch reports whether a piece was too much to read at once, so that a smaller one may do.
func isTooMuch(err error) bool {
	return errors.Is(err, errLarge) || errors.Is(err, context.DeadlineExceeded)
}

// errLarge says that a piece is more than is read at once.
var errLarge = errors.New("too much at once")

// A part is what is wanted of a piece of the audits.
type part struct {
	lines []keptLine
	bytes int  // of all that were read for them
	last  bool // the piece has lines of before what is wanted: what is older still happened earlier, too
}

// A kept line is a record, and what tells it from others.
type keptLine struct {
	record activity.Record
	id     string // of the host, and its own
}

// piece reads the lines of a subject from begin to end, which isn't among them, and keeps those that are wanted, or
// fails with errLarge: who has a host's key can make them as long, and as many, as the bus takes them, wanted or not.
func (a *Activity) piece(ctx context.Context, stream jetstream.Stream, subject string, q activity.Query, begin, end uint64) (p part, err error) {
	ctx, cancel := context.WithTimeout(ctx, pieceTime)
	defer cancel()
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: begin,
		FilterSubject: subject, InactiveThreshold: consumerAge, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return p, fmt.Errorf("the hosts' audits: %w", err)
	}
	info := consumer.CachedInfo()
	defer func() { _ = stream.DeleteConsumer(context.WithoutCancel(ctx), info.Name) }()
	for left := min(info.NumPending, end-begin); left > 0; {
		batch, err := consumer.Fetch(int(min(left, fetchLines)), jetstream.FetchMaxWait(fetchTime))
		if err != nil {
			return p, fmt.Errorf("the hosts' audits: %w", err)
		}
		got := uint64(0)
		for msg := range batch.Messages() {
			got++
			if more, err := a.take(&p, msg, q, end); err != nil || !more {
				return p, err
			}
		}
		if err := errors.Join(batch.Error(), context.Cause(ctx)); err != nil {
			return p, fmt.Errorf("the hosts' audits: %w", err)
		}
		if got == 0 {
			return p, errors.New("the bus has stopped telling the hosts' audits")
		}
		left -= min(left, got)
	}
	return p, nil
}

// take adds a line to p if it is wanted, and reports whether more may come before end.
func (a *Activity) take(p *part, msg jetstream.Msg, q activity.Query, end uint64) (more bool, err error) {
	meta, err := msg.Metadata()
	if err != nil {
		return false, fmt.Errorf("the hosts' audits: %w", err)
	}
	if meta.Sequence.Stream >= end {
		return false, nil
	}
	more = meta.NumPending > 0
	if p.bytes += len(msg.Data()); p.bytes > pieceRoom {
		return false, errLarge
	}
	if !q.Since.IsZero() && meta.Timestamp.Before(q.Since) {
		p.last = true
		return more, nil
	}
	l, ok := a.line(msg, meta)
	if !ok || !q.Wants(l.record) {
		return more, nil
	}
	p.lines = append(p.lines, l)
	return more, nil
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
	return keptLine{record, id + "/" + msg.Headers().Get(jetstream.MsgIDHeader)}, true
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
