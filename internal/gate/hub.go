package gate

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/hosts"
)

const (
	lookTime  = 20 * time.Second       // for a host to list its sessions
	lookEvery = 3 * time.Second        // between two looks at a host while anybody watches the list
	lazyEvery = 30 * time.Second       // and while nobody does
	freshTime = 300 * time.Millisecond // for which what a host said is good enough
	retryTime = 2 * time.Second        // between two attempts to reach a host
	maxFeed   = 256                    // events that a reader may fall behind
	maxEnds   = 1024                   // ended views whose reasons are remembered, of all hosts
)

// A hub knows the hosts' sessions, and what happens there. One goroutine a host follows its events,
// another looks at its sessions.
type hub struct {
	directory    hosts.Directory // nil: the hosts are those of newHub
	record       func(Happening) // is given every event
	logHost      func(HostState)
	logDirectory func(error)
	listed       func(host string, has []api.Status, asked time.Time) // is told which shadows a host has
	removed      func(hosts.Host)                                     // is told of each host that the directory has removed

	mu       sync.Mutex
	members  []member // by name
	states   map[string]*hostRows
	watchers map[*watcher]struct{}
	feeds    map[*feed]struct{}
	ends     map[string]shadow.Reason // of views, by endKey
	endsOf   map[string][]string      // by host, the first that ended first
	looks    map[string]chan struct{} // a token in it: look at the host now
	looking  map[string]chan struct{} // a token in it: somebody looks
}

// hostRows is a host's state, and its sessions by row.
type hostRows struct {
	state     HostState
	following bool // its events are heard
	rows      map[string]Row
	looked    time.Time // when rows were asked for
	stirred   time.Time // when something happened there last
}

// A watcher is somebody who watches the list: which rows have changed since the last take.
type watcher struct {
	dirty map[string]struct{}
	hosts bool          // a host's state has changed
	wake  chan struct{} // a token in it: there is something
}

func newHub(list []hosts.Host, record func(Happening), logHost func(HostState)) *hub {
	h := &hub{
		record: record, logHost: logHost, states: map[string]*hostRows{}, watchers: map[*watcher]struct{}{},
		feeds: map[*feed]struct{}{}, ends: map[string]shadow.Reason{}, endsOf: map[string][]string{}, looks: map[string]chan struct{}{}, looking: map[string]chan struct{}{},
	}
	for _, host := range list {
		h.add(host)
	}
	return h
}

// run follows the hosts until ctx ends, and returns when everything that it started has ended.
func (h *hub) run(ctx context.Context) {
	var running sync.WaitGroup
	for _, host := range h.list() {
		h.begin(ctx, &running, host)
	}
	if h.directory != nil {
		running.Go(func() { h.heed(ctx, &running) })
	}
	running.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.feeds {
		h.end(f)
	}
}

// follow passes a host's events on.
func (h *hub) follow(ctx context.Context, host hosts.Host) {
	for ctx.Err() == nil {
		err := h.followOnce(ctx, host)
		if ctx.Err() != nil {
			return
		}
		h.setDown(host.Name(), err)
		pause(ctx, retryTime)
	}
}

func (h *hub) followOnce(ctx context.Context, host hosts.Host) error {
	stream, err := host.Follow(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	h.setFollowing(host.Name(), true)
	defer h.setFollowing(host.Name(), false)
	h.look(host.Name())
	for {
		e, err := stream.Next()
		if err != nil {
			return err
		}
		h.publish(Happening{Event: e, Host: host.Name()})
		h.look(host.Name())
	}
}

func (h *hub) setFollowing(name string, is bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if state := h.states[name]; state != nil { // it may have been removed
		state.following, state.stirred = is, time.Now() // it is looked at anew
	}
}

// watch looks at a host's sessions, now and then, unless the host says when to, and whenever look is called.
func (h *hub) watch(ctx context.Context, host hosts.Host, looks <-chan struct{}) {
	var changed <-chan struct{}
	if pushed, ok := host.(hosts.Pushed); ok {
		changed = pushed.Changed()
	}
	for ctx.Err() == nil {
		if _, err := h.fetch(ctx, host); err != nil && ctx.Err() == nil {
			h.setDown(host.Name(), err)
		}
		pause(ctx, freshTime) // who says all the time that something is new has no more looks than that
		var later <-chan time.Time
		if changed == nil {
			t := time.NewTimer(h.lookEvery())
			later = t.C // what isn't stopped is collected all the same
		}
		select {
		case <-later:
		case <-changed:
		case <-looks:
		case <-ctx.Done():
		}
	}
}

// lookEvery is the time between two looks.
func (h *hub) lookEvery() time.Duration {
	if h.watched() {
		return lookEvery
	}
	return lazyEvery
}

// look has a host looked at soon.
func (h *hub) look(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case h.looks[name] <- struct{}{}: // a nil channel takes nothing
	default:
	}
}

// fetch asks a host for its sessions, and notes what has changed. One asks at a time, and who comes
// soon after gets the same: a host looks at every display to answer.
func (h *hub) fetch(ctx context.Context, host hosts.Host) ([]Row, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	looking := h.place(host.Name())
	if looking == nil {
		return nil, errNoHost
	}
	select {
	case looking <- struct{}{}:
		defer func() { <-looking }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if rows, ok := h.fresh(host.Name()); ok {
		return rows, nil
	}
	asked := time.Now()
	sessions, err := host.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	shadows, err := host.Shadows(ctx)
	if err != nil {
		return nil, err
	}
	terms, err := host.Terms(ctx)
	if err != nil {
		return nil, err
	}
	rows := rowsOf(host.Name(), sessions, shadows)
	crowded, ok := host.(hosts.Crowded)
	h.setRows(host.Name(), rows, terms, ok && crowded.LeftOut() > 0, asked)
	if pushed, ok := host.(hosts.Pushed); ok {
		asked = pushed.AsOf()
	}
	h.listed(host.Name(), shadows, asked)
	return rows, nil
}

var errNoHost = errors.New("the host no longer belongs to the gate")

// place is where who looks at a host waits for his turn; nil: there is no such host.
func (h *hub) place(name string) chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.looking[name]
}

// fresh is what was known of a host a moment ago.
func (h *hub) fresh(name string) ([]Row, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	state := h.states[name]
	if state == nil || time.Since(state.looked) > freshTime || state.looked.Before(state.stirred) {
		return nil, false
	}
	return slices.Collect(maps.Values(state.rows)), true
}

// rowsOf joins a host's sessions with its shadows. Where the host keeps its cookies and sockets is
// nobody's concern here.
func rowsOf(host string, sessions []api.Session, shadows []api.Status) []Row {
	had, asking := map[string]*RowShadow{}, map[string]*RowShadow{}
	for _, s := range shadows {
		one := &RowShadow{ID: s.ID, Admin: s.Admin, State: s.State, Since: s.Since, Paused: s.Paused}
		if s.State == shadow.Requested || s.State == shadow.Prompting {
			asking[s.Session] = one
		} else {
			had[s.Session] = one
		}
	}
	rows := make([]Row, 0, len(sessions))
	for _, s := range sessions {
		s.Xauthority, s.Bus = "", ""
		row := Row{Session: s, Host: host, Shadow: had[s.ID], Asking: asking[s.ID]}
		if row.Shadow == nil {
			row.Shadow, row.Asking = row.Asking, nil
		}
		rows = append(rows, row)
	}
	return rows
}

// setRows notes what a host has now. It is up once its events are heard, too: nothing that happens is
// missed from then on.
func (h *hub) setRows(name string, rows []Row, terms api.Terms, crowded bool, asked time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	state := h.states[name]
	if state == nil {
		return
	}
	if state.following && state.state.State != "up" {
		h.setState(state, HostState{ID: name, Name: name, State: "up", Since: time.Now(), Terms: terms})
	}
	if crowded = crowded && state.state.State == "up"; crowded != state.state.Crowded {
		state.state.Crowded = crowded
		h.stateChanged()
	}
	now := make(map[string]Row, len(rows))
	var changed []string
	for _, row := range rows {
		key := row.key()
		now[key] = row
		if old, there := state.rows[key]; !there || !reflect.DeepEqual(old, row) {
			changed = append(changed, key)
		}
	}
	for key := range state.rows {
		if _, there := now[key]; !there {
			changed = append(changed, key)
		}
	}
	state.rows, state.looked = now, asked
	h.tell(changed)
}

// setDown notes that a host can't be reached. Its sessions aren't known any more.
func (h *hub) setDown(name string, err error) {
	if err == nil {
		err = errors.New("it ended its stream of events")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	state := h.states[name]
	if state == nil {
		return
	}
	if state.state.State != "down" || state.state.Detail != err.Error() {
		since := time.Now()
		if state.state.State == "down" {
			since = state.state.Since
		}
		h.setState(state, HostState{ID: name, Name: name, State: "down", Detail: err.Error(), Since: since})
	}
	keys := slices.Collect(maps.Keys(state.rows))
	state.rows, state.looked = map[string]Row{}, time.Time{}
	h.tell(keys)
}

// setState changes a host's state; h.mu is held.
func (h *hub) setState(of *hostRows, to HostState) {
	of.state = to
	h.logHost(to)
	h.stateChanged()
}

// stateChanged tells everybody that hosts have changed; h.mu is held.
func (h *hub) stateChanged() {
	for w := range h.watchers {
		w.hosts = true
		w.poke()
	}
}

// tell marks rows as changed for everybody; h.mu is held.
func (h *hub) tell(keys []string) {
	if len(keys) == 0 {
		return
	}
	for w := range h.watchers {
		for _, key := range keys {
			w.dirty[key] = struct{}{}
		}
		w.poke()
	}
}

func (w *watcher) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// join adds somebody who watches the list from now on; leave ends that.
func (h *hub) join() (w *watcher, leave func()) {
	w = &watcher{dirty: map[string]struct{}{}, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	first := len(h.watchers) == 0
	h.watchers[w] = struct{}{}
	h.mu.Unlock()
	if first {
		for _, host := range h.list() {
			if _, pushed := host.(hosts.Pushed); !pushed {
				h.look(host.Name())
			}
		}
	}
	return w, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, w)
	}
}

func (h *hub) watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.watchers) > 0
}

// take is what has changed for w: rows as they are now, keys of rows that are gone, and whether a
// host's state has.
func (h *hub) take(w *watcher) (changed []Row, gone []string, hostsChanged bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key := range w.dirty {
		if row, there := h.row(key); there {
			changed = append(changed, row)
		} else {
			gone = append(gone, key)
		}
	}
	clear(w.dirty)
	hostsChanged, w.hosts = w.hosts, false
	slices.SortFunc(changed, byKey)
	slices.Sort(gone)
	return changed, gone, hostsChanged
}

// row is a row by its key; h.mu is held.
func (h *hub) row(key string) (Row, bool) {
	host, _, _ := strings.Cut(key, "/")
	state := h.states[host]
	if state == nil {
		return Row{}, false
	}
	row, there := state.rows[key]
	return row, there
}

// hostStates is every host's state.
func (h *hub) hostStates() []HostState {
	h.mu.Lock()
	defer h.mu.Unlock()
	states := make([]HostState, 0, len(h.states))
	for _, m := range h.members {
		states = append(states, h.states[m.Name()].state)
	}
	return states
}

// rowsOn is every row of some hosts.
func (h *hub) rowsOn(list []hosts.Host) []Row {
	rows := []Row{}
	h.mu.Lock()
	for _, host := range list {
		if state := h.states[host.Name()]; state != nil {
			for _, row := range state.rows {
				rows = append(rows, row)
			}
		}
	}
	h.mu.Unlock()
	slices.SortFunc(rows, byKey)
	return rows
}

func byKey(a, b Row) int {
	return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Session.ID, b.Session.ID))
}

// publish gives an event to everybody who follows. Who has fallen behind is told how many of which host's
// were left out.
func (h *hub) publish(e Happening) {
	h.record(e)
	h.mu.Lock()
	defer h.mu.Unlock()
	if state := h.states[e.Host]; state != nil {
		state.stirred = time.Now()
	}
	if e.Type == shadow.EventEnded {
		h.noteEnd(e.Host, e.ID, e.Reason)
	}
	for f := range h.feeds {
		f.put(e)
	}
}

// noteEnd remembers why a view has ended. Beyond maxEnds the first of the host that has most is forgotten: no host has the others'
// share. h.mu is held.
func (h *hub) noteEnd(host, id string, reason shadow.Reason) {
	key := endKey(host, id)
	if _, known := h.ends[key]; !known {
		h.endsOf[host] = append(h.endsOf[host], key)
	}
	h.ends[key] = reason
	if len(h.ends) <= maxEnds {
		return
	}
	most := host
	for other, keys := range h.endsOf {
		if len(keys) > len(h.endsOf[most]) {
			most = other
		}
	}
	delete(h.ends, h.endsOf[most][0])
	if h.endsOf[most] = h.endsOf[most][1:]; len(h.endsOf[most]) == 0 {
		delete(h.endsOf, most)
	}
}

// endKey keeps hosts apart, one of which may use another's ids.
func endKey(host, id string) string { return host + "/" + id }

// endOf is why a view has ended, if that is known.
func (h *hub) endOf(host, id string) (shadow.Reason, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	reason, ok := h.ends[endKey(host, id)]
	return reason, ok
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
