package fleethosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/strangers"
)

// A Host is a host of the fleet. It is there while its presence is.
type Host struct {
	d       *Directory
	id      string
	changed chan struct{}

	mu       sync.Mutex
	enrolled fleet.Enrolled
	presence *fleet.Presence // nil: it isn't there
	heard    time.Time       // when it said that, or something before; zero: it never did
	dials    bool            // its ports can't be dialled, as it said last
	address  string          // where it is, as it said last
	ahead    time.Duration   // how far its clock is ahead of ours
	off      bool            // that is more than clockOff, and was logged
	why      string          // why it isn't there
	up       chan struct{}   // closed while it is there
	streams  map[*stream]struct{}
	newer    map[string]news // what is known of shadows besides the presence, by id

	crowded strangers.Rate // of lines in the log that say so
}

// clockOff is by how much a host's clock may differ from the gate's without a word in the log.
const clockOff = time.Minute

// news is what the gate knows of a shadow before the host's presence says it.
type news struct {
	status *api.Status // nil: it has ended
	at     time.Time
}

var (
	_ hosts.Host    = (*Host)(nil)
	_ hosts.Pushed  = (*Host)(nil)
	_ hosts.Crowded = (*Host)(nil)
)

func newHost(d *Directory, e fleet.Enrolled) *Host {
	return &Host{
		d: d, id: e.ID, enrolled: e, changed: make(chan struct{}, 1), why: "it hasn't been heard of yet",
		up: make(chan struct{}), streams: map[*stream]struct{}{}, newer: map[string]news{},
	}
}

// Name implements [hosts.Host]: the id.
func (h *Host) Name() string { return h.id }

// Changed implements [hosts.Pushed].
func (h *Host) Changed() <-chan struct{} { return h.changed }

// AsOf implements [hosts.Pushed].
func (h *Host) AsOf() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.heard.Add(-travelTime)
}

// travelTime is how long a presence may be on its way. An answer that comes by another way may be quicker.
const travelTime = 3 * time.Second

func (h *Host) poke() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// enrol takes a new record, and says which key the host had before.
func (h *Host) enrol(e fleet.Enrolled) (before string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, h.enrolled = h.enrolled.Key, e
	return before
}

func (h *Host) key() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.enrolled.Key
}

// present takes a presence, which is that old. An older one than the last is of no use.
func (h *Host) present(p *fleet.Presence, age time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := h.presence; last != nil && (last.Boot == p.Boot && p.Time.Before(last.Time) || p.Since.Before(last.Since)) {
		return
	}
	if h.presence == nil {
		close(h.up)
	}
	if p.LeftOut > 0 && (h.presence == nil || h.presence.LeftOut == 0) {
		if lines, ok := h.crowded.Take(time.Now()); ok { // it may say so as often as it likes
			h.d.Logger.Warn().Str("host", h.id).Int("sessions", p.LeftOut).Int("left_out", lines).Msg("a host has more sessions than it can report; the others aren't listed here")
		}
	}
	h.dials, h.address = p.DialsOut, p.Address
	h.presence, h.heard, h.ahead = p, time.Now().Add(-age), time.Until(p.Time.Add(age))
	if off := h.ahead.Abs() > clockOff; off != h.off {
		h.off = off
		line := h.d.Logger.Info()
		if off {
			line = h.d.Logger.Warn()
		}
		line.Str("host", h.id).Dur("ahead", h.ahead).Bool("off", off).Msg("the clocks of a host and of this gate: while they differ, times in that host's audit are its own")
	}
	for id, n := range h.newer {
		if n.at.Before(h.heard.Add(-travelTime)) {
			delete(h.newer, id)
		}
	}
	h.poke()
}

// leave notes that it isn't there any more.
func (h *Host) leave(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.presence == nil {
		return
	}
	h.presence, h.why, h.up = nil, why, make(chan struct{})
	for s := range h.streams {
		s.end(h.unreachable())
	}
	clear(h.streams)
	h.poke()
}

// expire is leave for a host that has been silent.
func (h *Host) expire() {
	h.mu.Lock()
	silent := h.presence != nil && time.Since(h.heard) > silentTime
	h.mu.Unlock()
	if silent {
		h.leave(fmt.Sprintf("it has said nothing for %v", silentTime))
	}
}

// unreachable is why it can't be asked; h.mu is held.
func (h *Host) unreachable() error {
	return fmt.Errorf("%w: host %s: %s", api.ErrUnreachable, h.id, h.why)
}

// now is what it has said last.
func (h *Host) now() (*fleet.Presence, time.Duration, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.presence == nil {
		return nil, 0, h.unreachable()
	}
	return h.presence, h.ahead, nil
}

// Sessions implements [hosts.Host].
func (h *Host) Sessions(context.Context) ([]api.Session, error) {
	p, _, err := h.now()
	if err != nil {
		return nil, err
	}
	if p.Failed != "" {
		return nil, errors.New(p.Failed)
	}
	return slices.Clone(p.Sessions), nil
}

// LeftOut implements [hosts.Crowded].
func (h *Host) LeftOut() int {
	p, _, err := h.now()
	if err != nil {
		return 0
	}
	return p.LeftOut
}

// Shadows implements [hosts.Host].
func (h *Host) Shadows(context.Context) ([]api.Status, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.presence == nil {
		return nil, h.unreachable()
	}
	list := []api.Status{}
	said := map[string]bool{}
	for _, s := range h.presence.Shadows {
		n, there := h.newer[s.ID]
		if said[s.ID] = true; !there || n.status != nil {
			list = append(list, s)
		}
	}
	for id, n := range h.newer {
		if n.status != nil && !said[id] {
			list = append(list, *n.status)
		}
	}
	return list, nil
}

// learn notes what is known of a shadow before the host's presence says it. Nil: it has ended.
func (h *Host) learn(id string, status *api.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old, there := h.newer[id]; there && old.status == nil || len(h.newer) >= maxNews {
		return // it isn't going to begin again
	}
	h.newer[id] = news{status, time.Now()}
}

const maxNews = 1024

// Rules implements [hosts.Host].
func (h *Host) Rules(context.Context) ([]api.Rule, error) {
	p, _, err := h.now()
	if err != nil {
		return nil, err
	}
	return slices.Clone(p.Rules), nil
}

// TestRules implements [hosts.Host].
func (h *Host) TestRules(ctx context.Context, r api.Request) (*api.Verdict, error) {
	answer, err := h.call(ctx, fleet.Judge, h.askBody(r))
	if err != nil {
		return nil, err
	}
	if answer.Verdict == nil {
		return nil, errors.New("the host's answer has no verdict")
	}
	return answer.Verdict, nil
}

// Terms implements [hosts.Host].
func (h *Host) Terms(context.Context) (api.Terms, error) {
	p, _, err := h.now()
	if err != nil {
		return api.Terms{}, err
	}
	return p.Terms, nil
}

// Stop implements [hosts.Host].
func (h *Host) Stop(ctx context.Context, id string) error {
	_, err := h.call(ctx, fleet.Stop, fleet.StopBody{Shadow: id})
	return err
}

const maxStream = 256 // events that a reader may fall behind

// A stream is a host's events.
type stream struct {
	host   *Host
	ctx    context.Context // of Follow
	events chan shadow.Event
	over   chan struct{}
	once   sync.Once
	err    error // once over is closed
}

// Follow implements [hosts.Host]. It waits until the host is there.
func (h *Host) Follow(ctx context.Context) (hosts.Stream, error) {
	s := &stream{host: h, ctx: ctx, events: make(chan shadow.Event, maxStream), over: make(chan struct{})}
	for {
		h.mu.Lock()
		if h.presence != nil {
			h.streams[s] = struct{}{}
			h.mu.Unlock()
			return s, nil
		}
		up := h.up
		h.mu.Unlock()
		select {
		case <-up:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// happened gives an event to who follows. Who has fallen behind is cut off.
func (h *Host) happened(e shadow.Event) {
	if e.Type == shadow.EventEnded {
		h.learn(e.ID, nil)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		select {
		case s.events <- e:
		default:
			delete(h.streams, s)
			s.end(fmt.Errorf("%w: host %s: events were read too slowly", api.ErrUnreachable, h.id))
		}
	}
}

func (s *stream) end(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.over)
	})
}

// Next implements [hosts.Stream].
func (s *stream) Next() (shadow.Event, error) {
	select {
	case e := <-s.events:
		return e, nil
	default:
	}
	select {
	case e := <-s.events:
		return e, nil
	case <-s.over:
		return shadow.Event{}, s.err
	case <-s.ctx.Done():
		return shadow.Event{}, context.Cause(s.ctx)
	}
}

// Close implements [hosts.Stream].
func (s *stream) Close() error {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	delete(s.host.streams, s)
	return nil
}

// firstTime is how long a host that was never heard of may take to say how it is reached: this gate has only begun.
const firstTime = 10 * time.Second

// Dial implements [hosts.Host].
func (h *Host) Dial(ctx context.Context, t hosts.Target) (net.Conn, error) {
	h.mu.Lock()
	up, heard := h.up, !h.heard.IsZero()
	h.mu.Unlock()
	if !heard {
		wait := time.NewTimer(firstTime)
		defer wait.Stop()
		select {
		case <-up:
		case <-wait.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	h.mu.Lock()
	e, dials, address, err := h.enrolled, h.dials, h.address, error(nil)
	if h.heard.IsZero() {
		err = h.unreachable()
	}
	h.mu.Unlock()
	switch {
	case err != nil: // it may be one that is to dial
		return nil, err
	case dials:
		return h.expect(ctx, t)
	}
	at, err := h.where(ctx, e, address, t)
	if err != nil {
		return nil, err
	}
	c, err := hosts.DialAddress(ctx, at, t, h.d.CAFile)
	if err != nil {
		return nil, fmt.Errorf("%s, port %d: %w", h.id, t.Port, err)
	}
	return c, nil
}

// moved reports whether a host has gone from its address, going by where its name leads. What a name says of
// the gate's own machine or link says nothing of the host, and who enrolled from this machine is there.
func moved(own netip.Addr, found []netip.Addr) bool {
	elsewhere := slices.ContainsFunc(found, func(a netip.Addr) bool { return a.IsGlobalUnicast() })
	return elsewhere && !own.IsLoopback() && !slices.Contains(found, own)
}

const lookUpTime = 3 * time.Second

// lookUp is the addresses of a name; none: it has none.
func lookUp(ctx context.Context, name string) []netip.Addr {
	if name == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", strings.TrimSuffix(name, ".")+".")
	if err != nil {
		return nil
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found)
}
