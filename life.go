package shadow

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/strangers"
	"vda.internal/shadow/portpool"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/wsproxy"
)

// A life is one shadow from its request to its end. Until it is granted the
// goroutine of Manager.Shadow owns it, then its own goroutine, run.
type life struct {
	m      *Manager
	id     string
	req    Request
	caller *Caller // who made the request; nil: nobody has said

	ctx  context.Context // its cause is the *ending
	end  context.CancelCauseFunc
	done chan struct{} // closed when everything has ended

	// Guarded by m.mu.
	state   State
	since   time.Time
	session *Session // set by admit
	viewer  string   // address

	// Set while it is opened, before run.
	host     string
	reserved *portpool.Listener // bound, and not listening, until port is; nil: none
	port     *portpool.Listener
	tls      *tls.Config // nil: ws
	upstream *rfb.ServerConn
	source   *sourceConn // what upstream wraps
	token    [sha256.Size]byte

	rule  *policy.Verdict // that decided; nil before
	basis consent.Basis   // what allows the viewing; empty before
	shown bool            // the question was on the screen

	asked        chan struct{}              // closed when the prompter has returned or has had its grace; nil before it is called
	claimed      atomic.Bool                // the token was used
	home         atomic.Pointer[netip.Addr] // from where alone it may be used again; nil: it wasn't used before
	bare         atomic.Bool                // the viewer brought no token
	departed     departed
	cutSource    context.CancelCauseFunc // ends the relay, for watchSource
	stopWatching func()
	pauser       *rfb.Pauser // nil: there are no pauses
	paused       bool        // nothing of the screen passes; guarded by m.mu
	rejected     rejections
	door         *strangers.Door // of the port. Set by serve
	noise        zerolog.Logger  // for what strangers cause
	returns      noiseLimit      // of a viewer that was cut off
	resumes      noiseLimit      // after a pause
	watch        watch
	banner       *banner        // tells the user of the viewer; nil: there is none. Set by authorize
	guards       sync.WaitGroup // what guard has started; ends with ctx
}

// An ending is why a life's context ended.
type ending struct {
	reason Reason
	detail string
	by     *Caller // who wanted it; nil: nobody, or nobody knows
}

func (e *ending) Error() string { return "shadow: " + string(e.reason) }

// status describes l; the caller holds m.mu.
func (l *life) status() Status {
	s := Status{ID: l.id, Session: l.req.Session, Admin: l.req.Admin, Client: l.req.Client, Purpose: l.req.Purpose, Paused: l.paused, State: l.state, Viewer: l.viewer, Since: l.since}
	if l.session != nil {
		s.User = l.session.User
	}
	if l.state == Granted || l.state == Viewing || l.state == Away {
		s.Port = l.port.Port()
	}
	return s
}

// setState moves l on.
func (l *life) setState(s State, viewer string) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.state != Ended {
		l.state, l.since, l.viewer = s, time.Now(), viewer
	}
}

// emit sends e, completed with what l knows.
func (l *life) emit(e Event) { l.m.events.send(l.complete(e)) }

// complete is e with what l knows.
func (l *life) complete(e Event) Event {
	e.ID, e.Session, e.Admin, e.Client, e.Purpose = l.id, l.req.Session, l.req.Admin, l.req.Client, l.req.Purpose
	e.Caller = l.caller
	if e.Type == EventEnded || e.Type == EventRefused {
		if why := l.ended(); why != nil {
			e.EndedBy = why.by
		}
	}
	l.m.mu.Lock()
	if l.session != nil {
		e.User = l.session.User
	}
	if l.rule != nil {
		e.Rule, e.Consent = l.rule.Name(), string(l.basis)
	}
	if l.port != nil {
		e.Port = l.port.Port()
	}
	l.m.mu.Unlock()
	return e
}

// ended is why l's context ended, or nil.
func (l *life) ended() *ending {
	var e *ending
	if errors.As(context.Cause(l.ctx), &e) {
		return e
	}
	return nil
}

// refuse is the refusal for err, unless l was ended meanwhile: then that is why.
func (l *life) refuse(reason Reason, err error) error {
	if e := l.ended(); e != nil {
		return &Refusal{Reason: e.reason, Detail: e.detail}
	}
	r := &Refusal{Reason: reason, Err: err}
	if err != nil {
		r.Detail = detail(err)
	}
	return r
}

// refusal is why a life that was ended by its context was.
func (l *life) refusal() *Refusal {
	return asRefusal(l.refuse(StoppedByAdmin, nil))
}

// answered is ask for as long as l goes on. Whatever doesn't return by then is left
// behind: it comes to nothing when it does.
func (l *life) answered() (*Grant, error) {
	var g *Grant
	e := error(&Refusal{Reason: PromptFailed, Detail: "a part of the configuration ended its goroutine"})
	answer := done(func() { g, e = l.ask() })
	select {
	case <-answer:
	case <-l.ctx.Done():
		if !within(answer, 5*l.m.tidy) { // the prompter and the source have theirs
			l.abandon("the request", answer)
			return nil, l.refusal()
		}
	}
	return g, e
}

// ask takes l from its request to its grant. Nothing happens before the request is recorded.
func (l *life) ask() (*Grant, error) {
	defer l.unreserve()
	if err := l.m.events.request(l.ctx, l.complete(Event{Type: EventRequested})); err != nil {
		return nil, l.refuse(AuditFailed, err)
	}
	settings, err := l.settings()
	if err != nil {
		return nil, err
	}
	if err := l.m.cfg.Purpose.Check(l.req.Purpose); err != nil {
		return nil, l.refuse(PurposeMissing, err)
	}
	session, err := l.lookUp()
	if err != nil {
		return nil, err
	}
	if err := l.decide(session); err != nil {
		return nil, err
	}
	if r := l.unfit(session); r != nil {
		return nil, r
	}
	if err := l.m.admit(l, session); err != nil {
		return nil, err
	}
	if err := l.m.pauses.check(l); err != nil {
		return nil, err
	}
	l.guard()
	if err := l.prepare(settings); err != nil {
		return nil, err
	}
	if err := l.consented(); err != nil {
		return nil, err
	}
	return l.open()
}

// settings reads the two values; shadowing that is switched off, or can't be
// seen to be on, is a refusal.
func (l *life) settings() (Settings, error) {
	s, err := l.m.readSettings(l.ctx)
	if err != nil {
		return s, l.refuse(Disabled, fmt.Errorf("the settings can't be read: %w", err))
	}
	if !s.EnableSessionShadowing {
		return s, &Refusal{Reason: Disabled, Detail: "EnableSessionShadowing is 0"}
	}
	return s, nil
}

// lookUp finds the session, whatever it is like.
func (l *life) lookUp() (*Session, error) {
	session, err := l.m.cfg.Sessions.Session(l.ctx, l.req.Session)
	var r *Refusal
	switch {
	case errors.As(err, &r):
		return nil, r
	case err != nil:
		return nil, l.refuse(PromptFailed, err)
	}
	asked := *session // which is the resolver's
	asked.Monitor = l.req.Monitor
	return &asked, nil
}

// findAgain looks the session up once more after a Yes: it may have been locked or have
// ended while its user was asked, and its id may be another session's by now. This is the
// only look that counts for a prompter that sees no lock by itself.
func (l *life) findAgain() error {
	now, err := l.lookUp()
	if r, ok := errors.AsType[*Refusal](err); ok && r.Reason == NoSession {
		return &Refusal{Reason: SessionEnded, Detail: "it ended while its user was asked", Err: err}
	}
	if err != nil {
		return err
	}
	if now.UID != l.session.UID || now.Screen() != l.session.Screen() {
		return &Refusal{Reason: SessionEnded, Detail: "its id is another session's by now"}
	}
	if r := l.unfit(now); r != nil {
		return r
	}
	return nil
}

// prepare checks what would make the user's Yes worthless.
func (l *life) prepare(settings Settings) (err error) {
	l.host = l.m.cfg.Host
	if l.host == "" {
		if l.host, err = FQDN(l.ctx); err != nil {
			return l.refuse(PromptFailed, fmt.Errorf("this host's name: %w", err))
		}
	}
	if settings.ShadowingUseSSL {
		if l.tls, err = l.m.cfg.Certificates.TLSConfig(l.host); err != nil {
			return l.refuse(TLSConfig, err)
		}
	}
	if err = l.reserve(); err != nil {
		return err
	}
	err = l.m.cfg.Source.Check(l.ctx, l.session)
	if r, ok := errors.AsType[*Refusal](err); ok && l.ended() == nil {
		return r
	}
	if err != nil {
		return l.refuse(SourceFailed, err)
	}
	return nil
}

// prompt puts the question. Only a Yes in time returns nil.
func (l *life) prompt() error {
	if l.ended() != nil {
		return l.refusal()
	}
	l.setState(Prompting, "")
	l.emit(Event{Type: EventPrompted, Until: time.Now().Add(l.m.cfg.PromptTimeout)})
	decision, err := l.answer()
	if l.ended() != nil {
		return l.refusal()
	}
	switch {
	case errors.Is(err, consent.ErrDisplay):
		return l.refuse(DisplayUnreachable, err)
	case errors.Is(err, consent.ErrBusy):
		return l.refuse(PromptBusy, err)
	case errors.Is(err, consent.ErrGone):
		return l.refuse(SessionEnded, err)
	case err != nil:
		return l.refuse(PromptFailed, err)
	}
	switch decision {
	case consent.Granted:
		if l.rule.Answer == policy.Notify {
			return l.without(consent.ByNotice)
		}
		l.basis = consent.ByAnswer
		l.m.pauses.yes(l)
		if _, err := l.settings(); err != nil { // may have been switched off meanwhile
			return err
		}
		return l.findAgain()
	case consent.TimedOut:
		if l.rule.Answer == policy.Ask && l.rule.Unanswered && l.shown {
			return l.without(consent.BySilence)
		}
		return &Refusal{Reason: TimedOut}
	case consent.Closed:
		return &Refusal{Reason: Closed}
	case consent.Locked:
		if l.rule.Locked {
			return l.without(consent.ByLock)
		}
		return &Refusal{Reason: Locked}
	}
	return &Refusal{Reason: Denied}
}

// errAbandoned is a prompter that didn't return when its time was up.
var errAbandoned = errors.New("the prompter is still busy although its time is up")

// grace is how long a prompter whose time is up keeps its place: its question may
// still be on the screen.
const grace = 10 * time.Second

// answer asks the prompter under the daemon's own timer: what a prompter says
// once the time is up doesn't count, even if it says Yes.
func (l *life) answer() (consent.Decision, error) {
	timeout := l.m.cfg.PromptTimeout
	ctx, cancel := context.WithTimeout(l.ctx, timeout)
	defer cancel()
	q := l.question()
	q.Timeout = timeout
	q.Replaces = l.replaces()
	q.SilenceAllows = l.rule.Answer == policy.Ask && l.rule.Unanswered
	var shown atomic.Bool
	q.Shown = func() { shown.Store(true) }
	type answer struct {
		decision consent.Decision
		err      error
	}
	answers := make(chan answer, 1)
	l.startAsking()
	ended := done(func() {
		a := answer{err: errors.New("the prompter ended its goroutine")}
		defer func() {
			l.doneAsking() // before the answer counts: whoever hears it may ask again at once
			answers <- a
		}()
		a.decision, a.err = l.put(ctx, q)
	})
	var a answer
	select {
	case <-ended:
		a = <-answers
	case <-ctx.Done():
		if within(ended, l.m.tidy) {
			a = <-answers
		} else {
			l.abandon("the prompter", ended)
			time.AfterFunc(grace, l.doneAsking)
			a.err = errAbandoned
		}
	}
	// Silence means something only from somebody who could see the question, and whose prompter works.
	l.shown = shown.Load() && a.err == nil
	if ctx.Err() != nil {
		return l.late(a.decision, a.err), nil
	}
	return a.decision, a.err
}

// late is what a prompter's answer means that came when the time was up: a Yes is none any more, and
// a No is one still, and no silence.
func (l *life) late(d consent.Decision, err error) consent.Decision {
	switch {
	case err != nil:
	case d == consent.Denied, d == consent.Closed:
		return d
	case d == consent.Locked:
		l.shown = false // nobody was there to be silent
	}
	return consent.TimedOut
}

// replaces is the administrator whose view a Yes would end: one who has been granted it but
// isn't there, and the one who asks, are nobody of whom the user must be told.
func (l *life) replaces() string {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	place := l.m.seats[l.session.Screen()]
	if place == nil || place.watching == nil || place.watching.state != Viewing && place.watching.state != Away || place.watching.req.Admin == l.req.Admin {
		return ""
	}
	return place.watching.req.Admin
}

// question is what a prompter or a banner needs to know of l.
func (l *life) question() consent.Request {
	purpose := l.req.Purpose
	if l.m.cfg.Purpose.Mode == policy.Hidden {
		purpose = ""
	}
	return consent.Request{
		Admin: l.req.Admin, Purpose: purpose, Basis: l.basis, Host: l.host,
		Session: l.session.ID, Display: l.session.Display, Xauthority: l.session.Xauthority,
		User: l.session.User, UID: l.session.UID, GID: l.session.GID, Groups: l.session.Groups,
		Locale: cmp.Or(l.m.cfg.Language, l.session.Locale), Bus: l.session.Bus,
	}
}

// startAsking notes that the prompter is busy from now on.
func (l *life) startAsking() {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.asked = make(chan struct{})
}

// doneAsking notes that the prompter has returned, or has had its grace, and
// frees the place at the prompt if l has ended without it.
func (l *life) doneAsking() {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if !l.prompterBusy() {
		return
	}
	close(l.asked)
	if l.state == Ended {
		l.m.vacate(l)
	}
}

// prompterBusy reports whether the prompter has not returned; the caller holds
// m.mu.
func (l *life) prompterBusy() bool {
	if l.asked == nil {
		return false
	}
	select {
	case <-l.asked:
		return false
	default:
		return true
	}
}

// open starts the source, takes a port, ends whoever watches, and lets run
// wait for the viewer. Until the last moment a failure leaves the one who
// watches alone.
func (l *life) open() (*Grant, error) {
	if _, err := l.connect(l.ctx); err != nil {
		return nil, err
	}
	old := l.m.watcher(l)
	if err := l.listen(old); err != nil {
		l.release()
		return nil, err
	}
	if l.ended() != nil {
		l.release()
		return nil, l.refusal()
	}
	if old != nil {
		old.end(&ending{reason: Superseded, detail: "by " + l.req.Admin})
		select {
		case <-old.done:
		case <-l.ctx.Done():
			l.release()
			return nil, l.refusal()
		}
	}
	token := rand.Text()
	l.token = sha256.Sum256([]byte(token))
	if err := l.m.seatWatcher(l); err != nil {
		l.release()
		return nil, err
	}
	grant := l.grant(token)
	granted := Event{Type: EventGranted, Until: grant.Expires, Token: hex.EncodeToString(l.token[:4])}
	if d, ok := l.source.Conn.(Detailer); ok {
		granted.Detail = d.Detail()
	}
	l.emit(granted)
	l.m.wg.Add(1)
	go l.run(grant.Expires)
	return grant, nil
}

// connect opens the source and greets it, so that a source that doesn't work
// is a refusal rather than an empty window. What comes when ctx is over is closed.
func (l *life) connect(ctx context.Context) (*rfb.ServerConn, error) {
	if l.ended() != nil {
		return nil, l.refusal()
	}
	conn, err := l.m.cfg.Source.Open(ctx, l.session)
	if err != nil {
		return nil, l.refuse(SourceFailed, err)
	}
	source := newSourceConn(conn)
	var upstream *rfb.ServerConn
	if greeted, ok := conn.(*rfb.ServerConn); ok {
		wrapped := *greeted
		wrapped.Conn = source
		upstream = &wrapped
	} else {
		upstream, err = rfb.Connect(ctx, source)
	}
	if err == nil && !l.adopt(ctx, source, upstream) {
		err = context.Cause(ctx)
	}
	if err != nil {
		source.Close()
		if why := source.why(); why != nil {
			err = why
		}
		l.leave("the source", source.closed)
		if errors.Is(err, ErrSessionEnded) {
			return nil, l.refuse(SessionEnded, err)
		}
		return nil, l.refuse(SourceFailed, err)
	}
	return upstream, nil
}

// adopt makes source l's, unless ctx is over: then nobody waits for it any more, and l may have
// another one.
func (l *life) adopt(ctx context.Context, source *sourceConn, upstream *rfb.ServerConn) bool {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	l.source, l.upstream = source, upstream
	return true
}

// current is l's source.
func (l *life) current() *sourceConn {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.source
}

// disown leaves l without a source, and returns the one that it had; nil: none.
func (l *life) disown() *sourceConn {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	old := l.source
	l.source, l.upstream = nil, nil
	return old
}

// listen takes a port; when none is left it inherits that of old.
func (l *life) listen(old *life) error {
	var err error
	port := l.takeReserved()
	switch {
	case port != nil:
	case old == nil:
		port, err = l.m.cfg.Ports.Listen(l.ctx)
	default:
		port, err = l.m.cfg.Ports.Replace(l.ctx, old.port)
	}
	if err != nil {
		return l.refuse(NoPort, err)
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.port = port
	return nil
}

// grant is the answer to the administrator.
func (l *life) grant(token string) *Grant {
	scheme := "ws"
	if l.tls != nil {
		scheme = "wss"
	}
	u := url.URL{
		Scheme: scheme, Host: net.JoinHostPort(l.host, strconv.Itoa(l.port.Port())),
		Path: "/websockify", RawQuery: url.Values{"token": {token}}.Encode(),
	}
	page := ""
	if l.m.cfg.Page != nil { // the fragment reaches no log and no Referer
		page = (&url.URL{Scheme: "http" + strings.TrimPrefix(scheme, "ws"), Host: u.Host, Path: "/", Fragment: token}).String()
	}
	return &Grant{
		ID: l.id, Session: l.req.Session, Admin: l.req.Admin, URL: u.String(), Page: page,
		Scheme: scheme, Host: l.host, Port: l.port.Port(), Token: token,
		Expires: time.Now().Add(l.m.cfg.ConnectTimeout),
	}
}

// claim admits the bearer of token, once.
func (l *life) claim(r *http.Request) error {
	token := r.URL.Query().Get("token")
	hash := sha256.Sum256([]byte(token))
	optional := token == "" && l.m.cfg.TokenOptional && (l.home.Load() == nil || l.bare.Load())
	if e := l.ended(); e != nil {
		return &wsproxy.CloseError{Code: closeCode(e.reason, nil), Reason: string(e.reason)}
	}
	switch {
	case token == "" && !optional:
		return errors.New("token missing")
	case !optional && subtle.ConstantTimeCompare(hash[:], l.token[:]) != 1:
		return errors.New("token wrong")
	case l.isElsewhere(r) || !l.claimed.CompareAndSwap(false, true):
		return errors.New("token used")
	}
	l.bare.Store(optional)
	return nil
}

// release ends what open has started.
func (l *life) release() {
	if l.port != nil {
		l.port.Close()
	}
	if source := l.disown(); source != nil {
		source.Close()
		l.leave("the source", source.closed)
	}
}
