package shadow

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
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
	"vda.internal/shadow/rfb"
)

// A life is one shadow from its request to its end. Until it is granted the
// goroutine of Manager.Shadow owns it, then its own goroutine, run.
type life struct {
	m      *Manager
	id     string
	req    Request
	caller *Caller // who made the request; nil: nobody has said
	before string  // what the audit has no lines of; empty: nothing

	ctx  context.Context // its cause is the *End
	end  context.CancelCauseFunc
	done chan struct{} // closed when everything has ended

	// Guarded by m.mu.
	state   State
	since   time.Time
	session *Session // set by admit
	viewer  string   // address

	// Set while it is opened, before run.
	host     string
	reserved Port // bound, and not listening, until port is; nil: none
	port     Port
	tls      *tls.Config // nil: ws
	upstream *rfb.ServerConn
	source   *sourceConn // what upstream wraps
	token    [sha256.Size]byte

	identity   consent.Identity // who asks; guarded by m.mu until the question
	identified bool             // identity was looked for; guarded by m.mu until the question
	rule       *policy.Verdict  // that decided; nil before. Written under m.mu
	basis      consent.Basis    // what allows the viewing; empty before. Written under m.mu
	shown      bool             // the question was on the screen

	asked        chan struct{}              // closed when the prompter has returned or has had its grace; nil before it is called
	recorded     atomic.Bool                // the audit has, or will have, the request
	claimed      atomic.Bool                // the token was used
	again        atomic.Bool                // it was used before: only its bearer returns
	home         atomic.Pointer[netip.Addr] // from where alone it may be used again; nil: from anywhere
	bare         atomic.Bool                // the viewer brought no token, and so can't return
	departed     departed
	cutSource    context.CancelCauseFunc // ends the relay, for watchSource
	stopWatching func()
	pauser       *rfb.Pauser // nil: there are no pauses
	paused       bool        // nothing of the screen passes; guarded by m.mu
	rejected     rejections
	door         *strangers.Door // of the port. Set by serve
	noise        zerolog.Logger  // for what strangers cause
	noises       strangers.Noise // limits it
	returns      strangers.Rate  // of a viewer that was cut off
	resumes      strangers.Rate  // after a pause
	notes        strangers.Rate  // of the source's, for the log
	changes      strangers.Rate  // and for the audit
	presence     presence
	banner       *banner        // tells the user of the viewer; nil: there is none. Set by authorize
	guards       sync.WaitGroup // what guard has started; ends with ctx
}

// status describes l; the caller holds m.mu.
func (l *life) status() Status {
	s := Status{ID: l.id, Session: l.req.Session, Admin: l.req.Admin, Client: l.req.Client, Purpose: l.req.Purpose, Owner: l.req.Owner, Paused: l.paused, State: l.state, Viewer: l.viewer, Since: l.since}
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
			e.EndedBy = why.named()
		}
	}
	l.m.mu.Lock()
	if l.session != nil {
		e.User = l.session.User
	}
	if l.rule != nil {
		e.Rule, e.Consent = l.rule.Name(), string(l.basis)
	}
	e.Identity = l.identity.String()
	if l.port != nil {
		e.Port = l.port.Port()
	}
	l.m.mu.Unlock()
	return e
}

// answered is ask for as long as l goes on. Whatever doesn't return by then is left
// behind: it comes to nothing when it does.
func (l *life) answered() (*Grant, *End) {
	var g *Grant
	why := &End{Reason: PromptFailed, Detail: "a part of the configuration ended its goroutine"}
	answer := done(func() { g, why = l.ask() })
	select {
	case <-answer:
	case <-l.ctx.Done():
		if !within(answer, 5*l.m.tidy) { // the prompter and the source have theirs
			l.abandon("the request", answer)
			return nil, l.refuse(StoppedByAdmin, nil)
		}
	}
	return g, why
}

// ask takes l from its request to its grant. Nothing happens before the request is recorded.
func (l *life) ask() (*Grant, *End) {
	defer l.unreserve()
	if err := awaitAudit(l.ctx, l.request()); err != nil {
		return nil, l.refuse(AuditFailed, err)
	}
	settings, why := l.settings()
	if why != nil {
		return nil, why
	}
	if err := l.m.cfg.Purpose.Check(l.req.Purpose); err != nil {
		return nil, l.refuse(PurposeMissing, err)
	}
	session, why := l.find()
	if why != nil {
		return nil, why
	}
	if why := l.decide(session); why != nil {
		return nil, why
	}
	if why := l.unfit(session); why != nil {
		return nil, why
	}
	if why := l.m.admit(l, session); why != nil {
		return nil, why
	}
	if why := l.m.pauses.check(l); why != nil {
		return nil, why
	}
	l.guard()
	known := l.identify()
	why = l.prepare(settings)
	known()
	if why != nil {
		return nil, why
	}
	if why := l.m.pauses.check(l); why != nil { // by whatever other name
		return nil, why
	}
	if why := l.consented(); why != nil {
		return nil, why
	}
	return l.open()
}

// settings reads the two values; shadowing that is switched off, or can't be
// seen to be on, is a refusal.
func (l *life) settings() (Settings, *End) {
	s, err := l.m.readSettings(l.ctx)
	if err != nil {
		return s, l.refuse(Disabled, fmt.Errorf("the settings can't be read: %w", err))
	}
	if !s.EnableSessionShadowing {
		return s, &End{Reason: Disabled, Detail: "EnableSessionShadowing is 0"}
	}
	return s, nil
}

// find finds the session for the first time. From then on its user is known by number; see findAgain.
func (l *life) find() (*Session, *End) {
	session, why := l.lookUp()
	if why == nil && l.req.User != nil && session.User != *l.req.User {
		return nil, &End{Reason: NoSession, Detail: "it is another user's by now"}
	}
	return session, why
}

// lookUp finds the session, whatever it is like.
func (l *life) lookUp() (*Session, *End) {
	session, err := l.m.cfg.Sessions.Session(l.ctx, l.req.Session)
	if why, ok := errors.AsType[*End](err); ok {
		return nil, why
	}
	if err != nil {
		return nil, l.refuse(PromptFailed, err)
	}
	asked := *session // which is the resolver's
	asked.Monitor = l.req.Monitor
	return &asked, nil
}

// findAgain looks the session up once more after a Yes: it may have been locked or have
// ended while its user was asked, and its id may be another session's by now. This is the
// only look that counts for a prompter that sees no lock by itself.
func (l *life) findAgain() *End {
	now, why := l.lookUp()
	if why != nil && why.Reason == NoSession {
		return &End{Reason: SessionEnded, Detail: "it ended while its user was asked", Err: why}
	}
	if why != nil {
		return why
	}
	if now.UID != l.session.UID || now.Screen() != l.session.Screen() {
		return &End{Reason: SessionEnded, Detail: "its id is another session's by now"}
	}
	return l.unfit(now)
}

// prepare checks what would make the user's Yes worthless.
func (l *life) prepare(settings Settings) *End {
	var err error
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
	if why := l.reserve(); why != nil {
		return why
	}
	err = l.m.cfg.Source.Check(l.ctx, l.session)
	if why, ok := errors.AsType[*End](err); ok && l.ended() == nil {
		return why
	}
	if err != nil {
		return l.refuse(SourceFailed, err)
	}
	l.nameMonitor()
	return nil
}

// prompt puts the question. Only a Yes in time returns nil.
func (l *life) prompt() *End {
	if why := l.ended(); why != nil {
		return why
	}
	l.setState(Prompting, "")
	l.emit(Event{Type: EventPrompted, Until: time.Now().Add(l.m.cfg.PromptTimeout)})
	decision, err := l.answer()
	if why := l.ended(); why != nil {
		return why
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
		basis := consent.ByAnswer
		if l.m.pauses.off { // which the user is told, and the record says
			basis = consent.ByRuleOnly
		}
		l.allow(basis)
		l.m.pauses.yes(l)
		if _, why := l.settings(); why != nil { // may have been switched off meanwhile
			return why
		}
		return l.findAgain()
	case consent.TimedOut:
		if l.rule.Answer == policy.Ask && l.rule.Unanswered && l.shown {
			return l.without(consent.BySilence)
		}
		if l.rule.Answer == policy.Notify { // nobody was asked
			return &End{Reason: TimedOut, Detail: fmt.Sprintf("the notice was not in view for %v", consent.NoticeTime)}
		}
		return &End{Reason: TimedOut}
	case consent.Closed:
		return &End{Reason: Closed}
	case consent.Locked:
		if l.rule.Locked {
			return l.without(consent.ByLock)
		}
		return &End{Reason: Locked}
	}
	return &End{Reason: Denied}
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
	q.Replaces, q.ReplacesUnverified = l.replaces()
	q.SilenceAllows = l.rule.Answer == policy.Ask && l.rule.Unanswered
	q.LockAllows = l.rule.Locked
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
		if a.err == nil && (a.decision == consent.Denied || a.decision == consent.Closed) {
			l.m.pauses.no(l) // it is one after the question was taken back, too
		}
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

// replaces returns the administrator whose view a Yes would end, and whether that name is unverified;
// empty if no viewer is connected or the viewer is the requester.
func (l *life) replaces() (name string, unverified bool) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	place := l.m.seats[l.session.Screen()]
	if place == nil || place.watching == nil || place.watching.state != Viewing && place.watching.state != Away || place.watching.asker() == l.asker() {
		return "", false
	}
	if known := place.watching.identity.String(); known != "" {
		return known, false
	}
	return place.watching.req.Admin, true
}

// question is what a prompter or a banner needs to know of l.
func (l *life) question() consent.Request {
	purpose, hidden := l.req.Purpose, false
	if l.m.cfg.Purpose.Mode == policy.Hidden {
		purpose, hidden = "", purpose != ""
	}
	return consent.Request{
		Admin: l.shownAs(), Identity: l.identity, Purpose: purpose, PurposeHidden: hidden, Basis: l.basis, Host: l.host,
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
