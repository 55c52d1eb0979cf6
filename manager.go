package shadow

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/strangers"
	"vda.internal/shadow/portpool"
)

// DefaultConnectTimeout is how long a granted port waits for its viewer, unless somebody says otherwise.
const DefaultConnectTimeout = 30 * time.Second

// Config is what a [Manager] needs from its host. New copies it.
type Config struct {
	Sessions Resolver         // who can be shadowed; required
	Prompter consent.Prompter // asks the user; required
	Source   Source           // gives the picture; required

	// Banner tells the user who is viewing, from the viewer's connection on, and lets
	// the user stop it (stopped_by_user). A view whose banner can't be shown, or goes, ends
	// (prompt_failed, or display_unreachable); after prompt_failed another is started that says
	// so, for the user to hear of it, unless the first has taken the words.
	// Nil: the user sees nothing of it, and each view is logged as such.
	Banner consent.Banner
	// Ports hands out the viewers' ports; nil means 6001–6099 on all addresses.
	Ports *portpool.Pool
	// Certificates is asked when ShadowingUseSSL is on; nil means
	// /etc/xdl/shadowingssl.
	Certificates Certificates
	// Settings is called at every request, and every second while anybody is
	// asked or watches; nil means the documented defaults (shadowing on, SSL
	// off). An error refuses the request; five in a row end what is going on.
	Settings func(context.Context) (Settings, error)

	// Purpose says whether an administrator must give a reason, and which: purpose_missing. It is
	// looked at before anybody is asked. The zero value makes it optional.
	Purpose policy.Purpose

	// Rules say who may view whom, and how; nil: whoever asks may, if the user says Yes. What a rule
	// allows without the user's answer is logged at every use.
	Rules policy.Rules
	// Announcer tells users of a viewing about which a rule says that they are not asked. Required
	// if there is such a rule.
	Announcer consent.Announcer
	// GroupNames finds the names of groups, for rules that look at those of sessions' users.
	// Required if there is such a rule. An error refuses the request.
	GroupNames func(ctx context.Context, gids []uint32) ([]string, error)

	// Accounts finds an account of this host by a name, and returns the account's own name and its
	// user's full name, which may be empty; an error: there is none, or it can't be found. With it users
	// are shown who asks: a person's account that calls (see [WithCaller]), or the account of the
	// name that a service states. It has two seconds. Nil: names are only what callers state, and
	// users are told so.
	Accounts func(ctx context.Context, name string) (account, full string, err error)

	// Language is the locale, as in Session, in which every user is asked; empty: the
	// session's own.
	Language string

	Host           string        // this host's FQDN, for URLs; empty: the system's
	PromptTimeout  time.Duration // how long the user has; 0 means consent.DefaultTimeout, 20 s
	ConnectTimeout time.Duration // from Yes to the viewer's connection; 0 means DefaultConnectTimeout
	Pause          bool          // the banner has a button that hides the screen from the viewer for a while
	Reconnect      time.Duration // how long a viewer that was cut off may return without a new question; 0: not at all
	OriginPatterns []string      // web origins of viewers besides the request's own host; see wsproxy.Handler
	TokenOptional  bool          // admit the first viewer on the port even if it brings no token

	// Page answers what isn't a WebSocket handshake on a granted port, before its viewer is
	// there: a page that shows the view to whoever opens [Grant.Page]. Nil: there is none.
	Page http.Handler

	// Logger is for what an operator wants to know; the zero value is silent. The
	// audit doesn't depend on it, nor on its level.
	Logger zerolog.Logger

	// Audit is given every event of every shadow: in order, one at a time, and each
	// again and again until Audit returns nil, so that none is lost. A request
	// whose first event isn't taken within 5 s is refused (audit_failed) before
	// anything else happens. Later events wait in memory, 4,096 of them. Nobody but
	// the audit waits for it. [JSONLines] is one. Nil: nothing is recorded.
	Audit func(Event) error
}

// Certificates gives the certificate that viewers see. *tlsstore.Store is one.
type Certificates interface {
	// TLSConfig reads the certificate and key anew and checks them for host.
	// Its error is told to the administrator.
	TLSConfig(host string) (*tls.Config, error)
}

// ErrNotFound is returned for the id of a shadow that isn't (or no longer) there.
var ErrNotFound = pkg.New("no such shadow")

// A Manager runs shadows. Each has one life:
//
//	            ┌── refused: disabled, no_session, prompt_busy, tls_config, source_failed, …
//	            │              ┌── refused: denied, timeout, closed, display_unreachable, no_port, …
//	            │              │               ┌── ended: viewer_absent, superseded, stopped_by_admin, …
//	            │              │               │            ┌── ended: viewer_left, superseded, session_ended, …
//	            │              │               │            │
//	───▶ requested ───▶ prompting ──Yes──▶ granted ───▶ viewing ───▶ ended
//	        checks       20 s, the user    port open,    one viewer,
//	                     is asked          ≤ 30 s        port shut
//
// With Config.Reconnect a viewer that was cut off is away for that time, its port listening again for
// the same token from the same address; then it is viewing again, or the shadow ends (viewer_left).
//
// A session has at most one shadow that is granted, viewing or away, and at most one
// that is prompting. When the second is granted the first ends (superseded)
// before the second's port accepts anybody; when it is refused the first is
// left alone.
//
// An end waits for nobody: the viewer is closed, the port and the place are
// free, and whoever waits is answered, whatever a prompter, source, resolver,
// banner or log does. Whatever a shadow started (port, source, goroutines) has
// ended when its end is announced, but for the banner's last words to the user,
// and for what hasn't ended a second after it was told to, which is logged.
//
// From prompting on three things end a shadow in whatever state it is: its
// session's end (session_ended), if Config.Sessions is a [SessionWaiter]; a
// picture that may be another session's, if Config.Source is a [Fitter]; and
// shadowing being switched off (disabled): while anybody is asked or watches,
// the settings are read again every second.
//
// A Yes counts only if the session, looked up once more, is still the same user's
// on the same display, and can be shadowed: locked and session_ended, above all,
// are found then whatever the prompter has seen.
//
// A Manager is safe for concurrent use.
type Manager struct {
	cfg    Config
	base   context.Context // ends with Shutdown
	stop   context.CancelCauseFunc
	events broadcaster
	crowd  *strangers.Crowd // on all ports
	pauses pauser
	asks   strangers.Quota // for nothing, of each administrator

	tooMany strangers.Rate // of those beyond it, for the log

	journal journal // of Config.Logger
	left    leftovers
	hanging hanging

	banners sync.WaitGroup  // what showBanner has started
	showing context.Context // of the banners; outlives base, so that they can say why viewing has ended
	hide    context.CancelCauseFunc

	wg    sync.WaitGroup // requests and lives
	mu    sync.Mutex     // guards what follows, and the state of every life
	down  bool
	lives map[string]*life   // by id, from requested until ended
	seats map[string]*seat   // by display; a seat with nobody in it is removed
	shown map[string]*banner // by display, the newest until it is down

	patrolling bool // patrol runs

	interval    time.Duration // settingsInterval, but in tests
	retry       time.Duration // sessionRetry, but in tests
	revisiting  time.Duration // revisitInterval, but in tests
	fitting     time.Duration // fitInterval, but in tests
	answer      time.Duration // sourceTime, but in tests
	monitorTime time.Duration // monitorPatience, but in tests
	reading     time.Duration // settingsTime, but in tests
	words       time.Duration // farewellTime, but in tests
	tidy        time.Duration // tidyTime, but in tests
}

// A seat is a display's admission: who is being asked about, and who watches.
// It is the display's and not the session's: whatever ids lead to one screen,
// it has one viewer.
type seat struct {
	asking   *life // requested or prompting; nil: nobody
	watching *life // granted or viewing; nil: nobody
}

// New returns a Manager that serves requests until Shutdown. What makes no sense in
// cfg, as far as that can be seen, is an error; see [Validator].
func New(cfg Config) (*Manager, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	m := &Manager{
		asks:  strangers.Quota{Size: maxAsks, Every: asksEvery},
		crowd: newCrowd(), answer: sourceTime, monitorTime: monitorPatience, interval: settingsInterval, retry: sessionRetry, revisiting: revisitInterval, fitting: fitInterval,
		reading: settingsTime, words: farewellTime, tidy: tidyTime,
		lives: map[string]*life{}, seats: map[string]*seat{}, shown: map[string]*banner{},
	}
	m.base, m.stop = context.WithCancelCause(context.Background())
	m.showing, m.hide = context.WithCancelCause(context.Background())
	m.pauses.off = isPolicy(cfg.Prompter)
	cfg.complete(m)
	m.cfg = cfg
	m.events.audit = newAuditor(cfg.Audit, m.journal.logger(cfg.Logger))
	m.journal.onLost = func(n int) {
		cfg.Logger.Error().Int("lines", n).Msg("lines were left out of this log, which took none for too long")
	}
	return m, nil
}

// Shadow asks the user of a session whether the administrator may watch, and
// opens a port for one viewer if the answer is Yes. It returns soon after the
// user has answered or Config.PromptTimeout has passed; if ctx ends first the
// question is taken back. The error is a *[End].
func (m *Manager) Shadow(ctx context.Context, req Request) (*Grant, error) {
	req.Purpose = consent.CleanPurpose(req.Purpose)
	l := &life{m: m, id: newID(), req: req, caller: callerOf(ctx), state: Requested, since: time.Now(), done: make(chan struct{})}
	l.ctx, l.end = context.WithCancelCause(m.base)
	if why := l.allowed(); why != nil {
		l.end(why)
		return nil, why
	}
	if !m.begin(l) {
		l.request()
		l.refused(Event{Type: EventRefused, Reason: Shutdown})
		return nil, &End{Reason: Shutdown}
	}
	defer m.wg.Done()
	unhook := context.AfterFunc(ctx, func() {
		l.end(&End{Reason: StoppedByAdmin, Detail: "the administrator gave up waiting"})
	})
	grant, why := l.answered()
	if unhook() && why == nil {
		return grant, nil
	}
	if why == nil { // ctx ended while the port was being opened: nobody has the URL
		<-l.done
		return nil, l.ended()
	}
	m.forget(l)
	if why.Reason == AuditFailed {
		l.uncount()
	}
	l.end(why)
	l.leave("the wait for the session's end", done(l.guards.Wait))
	l.refused(Event{Type: EventRefused, Reason: why.Reason, Detail: why.Detail})
	close(l.done)
	return nil, why
}

// begin registers l, unless the manager is shutting down.
func (m *Manager) begin(l *life) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return false
	}
	m.wg.Add(1)
	m.lives[l.id] = l
	return true
}

// admit takes the session's place at the prompt for l, or reports that
// somebody else has it. It is the one place where admission is decided.
func (m *Manager) admit(l *life, s *Session) *End {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.state == Ended { // it was given up
		return l.refuse(StoppedByAdmin, nil)
	}
	place := m.seats[s.Screen()]
	if place == nil {
		place = &seat{}
		m.seats[s.Screen()] = place
	}
	if place.asking != nil {
		return &End{Reason: PromptBusy, Detail: "another question is open"}
	}
	place.asking = l
	l.session = s
	if !m.patrolling {
		m.patrolling = true
		m.wg.Add(1)
		go m.patrol()
	}
	return nil
}

// watcher is who watches l's session now, or nil.
func (m *Manager) watcher(l *life) *life {
	m.mu.Lock()
	defer m.mu.Unlock()
	if place := m.seats[l.session.Screen()]; place != nil {
		return place.watching
	}
	return nil
}

// seatWatcher moves l from asking to watching. The place must be free.
func (m *Manager) seatWatcher(l *life) *End {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return &End{Reason: Shutdown}
	}
	if why := l.ended(); why != nil {
		return why
	}
	place := m.seats[l.session.Screen()]
	if place.watching != nil {
		return &End{Reason: PromptFailed, Detail: "the session is still being watched"}
	}
	place.asking, place.watching = nil, l
	l.state, l.since = Granted, time.Now()
	return nil
}

// forget removes every trace of l.
func (m *Manager) forget(l *life) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.lives, l.id)
	l.state = Ended
	if l.session == nil {
		return
	}
	m.vacate(l)
}

// vacate frees the places that l has; the caller holds m.mu. While l's prompter
// is still at it, the question may still be on the screen, and nobody else can
// be asked.
func (m *Manager) vacate(l *life) {
	place := m.seats[l.session.Screen()]
	if place == nil {
		return
	}
	if place.asking == l && !l.prompterBusy() {
		place.asking = nil
	}
	if place.watching == l {
		place.watching = nil
	}
	if *place == (seat{}) {
		delete(m.seats, l.session.Screen())
	}
}

// List is what is going on, oldest state first.
func (m *Manager) List() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Status, 0, len(m.lives))
	for _, l := range m.lives {
		list = append(list, l.status())
	}
	slices.SortFunc(list, func(a, b Status) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// Get is the shadow with that id, if it has not ended.
func (m *Manager) Get(id string) (Status, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.lives[id]
	if !ok {
		return Status{}, false
	}
	return l.status(), true
}

// Stop ends a shadow in whatever state it is, for that reason, one of [Reasons]:
// [StoppedByAdmin], [StoppedByUser], … It returns when everything that belonged
// to the shadow has ended, or ctx has: the shadow is told to end in any case.
// The error is ErrNotFound, ctx's cause, or that the reason isn't one; then
// nothing is ended.
func (m *Manager) Stop(ctx context.Context, id string, reason Reason) error {
	if _, known := sentences[reason]; !known {
		return pkg.Errorf("%q is no reason to end a shadow for", reason)
	}
	m.mu.Lock()
	l, ok := m.lives[id]
	m.mu.Unlock()
	if !ok {
		return ErrNotFound
	}
	l.end(&End{Reason: reason, by: callerOf(ctx), byName: callerNameOf(ctx)})
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return pkg.Errorf("stop: %w", context.Cause(ctx))
	}
}

// Sessions lists the host's sessions; [Session.Refusal] says which can't be shadowed.
func (m *Manager) Sessions(ctx context.Context) ([]*Session, error) {
	list, err := m.cfg.Sessions.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	return m.findMonitors(ctx, list), nil
}

// Subscribe returns the events from now on. The channel is closed when ctx
// ends, when the Manager is shut down, or when the subscriber has fallen 256
// events behind.
func (m *Manager) Subscribe(ctx context.Context) <-chan Event { return m.events.subscribe(ctx) }

// Audit tells how Config.Audit is doing.
func (m *Manager) Audit() AuditState {
	a := m.events.audit
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status()
}

// A Crowd tells of connections to granted ports that have not shown a token.
type Crowd struct {
	Now     int    // that are there
	Crowded uint64 // that had to go for others, in all
	Late    uint64 // whose time was up, in all
}

// Crowd tells of the strangers on all granted ports.
func (m *Manager) Crowd() Crowd {
	t := m.crowd.Turned()
	return Crowd{Now: m.crowd.Here(), Crowded: t.Crowded, Late: t.Late}
}

// PortsInUse is how many ports are granted to viewers now.
func (m *Manager) PortsInUse() int { return m.cfg.Ports.InUse() }

// Shutdown refuses new requests, takes back open questions, closes viewers
// with 1001, and returns when everything has ended or ctx has. Subscribers see
// the last events, then their channels close. Banners tell their users that
// viewing has ended, which may take five seconds more. What doesn't end is given
// up after a few seconds, and named in the error, which else wraps ctx's cause.
func (m *Manager) Shutdown(ctx context.Context) error {
	m.mu.Lock()
	m.down = true
	m.mu.Unlock()
	why := &End{Reason: Shutdown}
	m.stop(why)
	var left []string
	joined := done(func() { left = m.join(ctx, why) })
	select {
	case <-joined:
	case <-ctx.Done():
		m.hide(why)
		return pkg.Errorf("shutdown: %w", context.Cause(ctx))
	}
	if left != nil {
		return pkg.Errorf("shutdown: still not ended: %s", strings.Join(left, ", "))
	}
	return nil
}

// join waits until everything has ended or was given up, and says what was.
func (m *Manager) join(ctx context.Context, why *End) (left []string) {
	m.wg.Wait()
	m.events.close()
	late, cancel := context.WithTimeout(ctx, auditTime)
	defer cancel()
	audited := done(func() { m.events.audit.close(late) })
	shown := done(m.banners.Wait)
	if !within(shown, m.words) {
		m.hide(why)
		if !within(shown, leftTime) {
			left = append(left, "a banner")
		}
	}
	left = append(left, m.left.wait(leftTime)...)
	<-audited
	if !m.journal.flush(leftTime) {
		left = append(left, "the log's writer")
	}
	return left
}

// newID names a shadow: 40 random bits, easy to type.
func newID() string { return strings.ToLower(rand.Text()[:8]) }
