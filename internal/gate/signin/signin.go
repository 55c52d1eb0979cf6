package signin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"vda.internal/shadow/internal/strangers"
)

// ErrSignedOut is that nobody is signed in, or not any more.
var ErrSignedOut = errors.New("nobody is signed in")

// ErrToken is that nobody is signed in by the token that was shown.
var ErrToken = fmt.Errorf("%w: there is no such token", ErrSignedOut)

// ErrClock is that nobody can be told to be signed in because a clock is wrong: this gate's, the one of a gate that
// shares its keys, or the provider's.
var ErrClock = fmt.Errorf("%w: a clock is wrong", ErrSignedOut)

// ErrWrong is that name and password don't belong together. It doesn't say which is wrong.
var ErrWrong = errors.New("the name or the password is wrong")

// seenEvery is how old a cookie's last use may be before the cookie is written anew.
const seenEvery = time.Minute

// hashing is how many passwords are checked at a time: each takes 19 MiB.
const hashing = 2

// maxWaiting is how many attempts may wait for that, besides those being checked.
const maxWaiting = 64

// A Config says how people sign in. Without a way nobody does.
type Config struct {
	Accounts *Accounts // nil: no passwords
	Header   *Header   // nil: no proxy is believed
	OIDC     *OIDC     // nil: no provider
	Tokens   *Tokens   // nil: no scripts

	Sealer      *Sealer       // required
	Idle        time.Duration // how long a cookie is good without being used
	Longest     time.Duration // how long it is good at all
	BindAddress bool          // it is good from one address only
	Secure      bool          // browsers come by https

	Ended *Ended           // who has signed out; nil: a new one, in memory
	Board Board            // where gates that share Sealer's keys tell each other; nil: nowhere
	Now   func() time.Time // nil: time.Now
}

// A Desk is where people sign in. It is safe for concurrent use.
type Desk struct {
	Config
	limits  Limits
	hashing chan struct{}
	waiting chan struct{}
	nobody  hashed // takes as long as anybody's

	places places
	posts  posts
	told   strangers.Quota // of places, by person
	outs   strangers.Quota // of endings, by person
}

// How many places of one person are told, and how often one more.
const (
	maxTold   = 60
	toldEvery = time.Minute

	// How many sessions of one person are told as ended, and how often one more: a board keeps each until the session would have
	// been over.
	maxOuts   = 100
	outsEvery = 10 * time.Minute
)

// New returns a Desk.
func New(c Config) *Desk {
	if c.Ended == nil {
		c.Ended = new(Ended)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	d := &Desk{Config: c, hashing: make(chan struct{}, hashing), waiting: make(chan struct{}, hashing+maxWaiting)}
	d.told.Size, d.told.Every = maxTold, toldEvery
	d.outs.Size, d.outs.Every = maxOuts, outsEvery
	if c.Board != nil {
		c.Board.OnPosted(d.heard)
	}
	if c.Accounts != nil {
		d.nobody = hashPassword("no account has this password")
	}
	return d
}

// Methods are the ways to sign in that there are.
func (d *Desk) Methods() []string {
	list := []string{}
	if d.Header != nil {
		list = append(list, ByHeader)
	}
	if d.OIDC != nil {
		list = append(list, ByOIDC)
	}
	if d.Accounts != nil {
		list = append(list, ByPassword)
	}
	return list
}

// CookieName is the session's cookie. With its prefix browsers take it over https only, from this
// host, and for no other.
func (d *Desk) CookieName() string {
	if d.Secure {
		return "__Host-shadowgate"
	}
	return "shadowgate"
}

type peerKey struct{}

// WithPeer notes who has connected, before anything that stands in the request is believed about
// that. [Header] needs it.
func WithPeer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, addressOf(r.RemoteAddr))))
	})
}

func peerOf(r *http.Request) netip.Addr {
	a, _ := r.Context().Value(peerKey{}).(netip.Addr)
	return a
}

func addressOf(remote string) netip.Addr {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	a, _ := netip.ParseAddr(host)
	return a.Unmap().WithZone("")
}

// Identify is who sends r. A request with a token is that token's or nobody's. The error is
// [ErrSignedOut], or that it can't be known now.
func (d *Desk) Identify(r *http.Request) (*Session, error) {
	// A proxy may pass on what it was shown itself, Basic or Negotiate, which is no concern of ours.
	for _, a := range r.Header.Values("Authorization") {
		if scheme, token, _ := strings.Cut(a, " "); strings.EqualFold(scheme, "Bearer") {
			s, err := d.byToken(strings.TrimSpace(token))
			if errors.Is(err, ErrSignedOut) {
				err = ErrToken
			}
			return s, err
		}
	}
	stated := d.Header.of(r)
	s, err := d.byCookie(r)
	if err == nil {
		if s.Method != ByHeader {
			return s, nil
		}
		if stated != nil && stated.Name == s.Name {
			s.FullName, s.Groups = stated.FullName, stated.Groups
			return s, nil
		}
	}
	if stated == nil && err == nil { // the proxy doesn't state any more who it is
		err = ErrSignedOut
	}
	if stated == nil {
		return nil, err
	}
	s = d.begin(r, *stated, ByHeader)
	s.begun = true
	return s, nil
}

func (d *Desk) byToken(token string) (*Session, error) {
	if d.Tokens == nil {
		return nil, ErrSignedOut
	}
	return d.Tokens.identify(token, d.Now())
}

// byCookie is whom the cookie names, if it is still good. Of several cookies of that name, which
// somebody may have planted from a neighbouring host, none is.
func (d *Desk) byCookie(r *http.Request) (*Session, error) {
	cookies := r.CookiesNamed(d.CookieName())
	if len(cookies) != 1 {
		return nil, ErrSignedOut
	}
	s, err := openSession(d.Sealer, cookies[0].Value)
	if err != nil {
		return nil, ErrSignedOut
	}
	now := d.Now()
	if s.Seen.After(now.Add(seenEvery)) {
		return nil, fmt.Errorf("%w: the cookie was used last at %s, which is still to come", ErrClock, s.Seen.UTC().Format(time.RFC3339))
	}
	if now.Sub(s.Seen) > d.Idle || s.Address != "" && s.Address != addressOf(r.RemoteAddr).String() {
		return nil, ErrSignedOut
	}
	if d.BindAddress && s.Address == "" {
		return nil, ErrSignedOut
	}
	return s, d.Still(s)
}

// Still reports whether a session goes on, as far as that doesn't depend on a request: the error is
// [ErrSignedOut] if it doesn't, or that it can't be known. A session by password takes its
// groups and full name from the account.
func (d *Desk) Still(s *Session) error {
	now := d.Now()
	over := !now.Before(s.Expires) || d.Ended.Has(s.ID)
	if s.Method != ByToken {
		over = over || now.Sub(s.Since) > d.Longest || d.Ended.Covers(s.Owner(), s.Expires) || d.Ended.Cuts(s.Owner(), s.ID, s.Since)
	}
	if over {
		return ErrSignedOut
	}
	switch s.Method {
	case ByPassword:
		if d.Accounts == nil {
			return ErrSignedOut
		}
		a, ok, err := d.Accounts.lookUp(s.Name)
		if err != nil {
			return err
		}
		if !ok || a.mark() != s.Mark {
			return ErrSignedOut
		}
		s.FullName, s.Groups = a.FullName, a.Groups
		return nil
	case ByHeader:
		if d.Header != nil {
			return nil
		}
	case ByOIDC:
		if d.OIDC != nil {
			return nil
		}
	case ByToken:
		if d.Tokens == nil {
			return ErrSignedOut
		}
		return d.Tokens.still(s)
	}
	return ErrSignedOut
}

// begin is a new session, whatever the request's cookie says.
func (d *Desk) begin(r *http.Request, who Stated, method string) *Session {
	now := d.Now().UTC().Truncate(time.Second)
	s := &Session{ID: newID(), Name: who.Name, FullName: who.FullName, Groups: who.Groups, Method: method, Expires: now.Add(d.Longest), Mark: who.mark}
	s.Since = d.Ended.after(s.Owner(), now)
	if d.BindAddress {
		s.Address = addressOf(r.RemoteAddr).String()
	}
	return s
}

// Full is the *[TooManyError] that an attempt from r's address would get whatever it says, or nil. It is
// known before the name and the password are read.
func (d *Desk) Full(r *http.Request) error {
	return d.limits.full(addressOf(r.RemoteAddr).String(), d.Now())
}

// Password signs somebody in. The error is [ErrWrong], a *[TooManyError], or that it can't be
// known now.
func (d *Desk) Password(r *http.Request, name, password string) (*Session, error) {
	if d.Accounts == nil {
		return nil, ErrWrong
	}
	from, now := addressOf(r.RemoteAddr).String(), d.Now()
	if len(name) > maxName || len(password) > MaxPassword {
		name = name[:min(len(name), maxName)] // it is nobody's
		password = ""
	}
	select {
	case d.waiting <- struct{}{}:
		defer func() { <-d.waiting }()
	default:
		return nil, &TooManyError{After: time.Second}
	}
	if err := d.limits.take(name, from, now); err != nil {
		return nil, err
	}
	select {
	case d.hashing <- struct{}{}:
		defer func() { <-d.hashing }()
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	a, ok, err := d.Accounts.lookUp(name)
	if err != nil {
		return nil, err
	}
	if !ok {
		a.hash = d.nobody
	}
	if !a.hash.matches(password) || !ok {
		return nil, ErrWrong
	}
	d.limits.giveBack(name, from, now)
	return d.begin(r, Stated{Name: a.Name, FullName: a.FullName, Groups: a.Groups, mark: a.mark()}, ByPassword), nil
}

// ProofTime is how old a sign-in may be for its owner not to be asked again who it is, before others are ended.
const ProofTime = 10 * time.Minute

// Proof is how s's owner has to show again who it is: [ByPassword], with the password; [ByOIDC], by signing in anew; empty: there
// is no need. What a proxy states it has checked for this very request.
func (d *Desk) Proof(s *Session) string {
	if s.Method == ByHeader || s.Method == ByToken || d.Now().Sub(s.Since) < ProofTime {
		return ""
	}
	return s.Method
}

// Prove checks what [Desk.Proof] asks for. The error is that of [Desk.Password].
func (d *Desk) Prove(r *http.Request, s *Session, password string) error {
	switch {
	case d.Proof(s) == "":
		return nil
	case s.Method != ByPassword || password == "":
		return ErrWrong
	}
	_, err := d.Password(r, s.Name, password)
	return err
}

// Keep writes the session's cookie, if it is new or was written a while ago. It has to be called
// before the answer's header is written. The error is that the session doesn't fit a cookie.
func (d *Desk) Keep(w http.ResponseWriter, s *Session) error {
	now := d.Now()
	if s.Method == ByToken || now.Sub(s.Seen) < min(seenEvery, d.Idle/4) {
		return nil
	}
	s.Seen = now.UTC().Truncate(time.Second)
	value, err := s.seal(d.Sealer)
	if err != nil {
		return err
	}
	d.setCookie(w, d.CookieName(), value, 0)
	return nil
}

// setCookie sets a cookie for all of the gate; for as long as the browser runs if age is 0.
func (d *Desk) setCookie(w http.ResponseWriter, name, value string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: int(age.Seconds()), Secure: d.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// Replace ends the session that r's cookie is of, if it is a good one, which it reports: r's browser has signed in anew, as by. The
// error is that of [Desk.SignOut].
func (d *Desk) Replace(r *http.Request, by *Session) (bool, error) {
	s, err := d.byCookie(r)
	if err != nil {
		return false, nil
	}
	return true, d.end(s.ID, s.Owner(), s.Expires, by.ID)
}

// SignOut ends a session for good, wherever copies of its cookie are, and returns where the browser
// should go. The error is that it couldn't be written down, so that it counts only until the
// gate is restarted, or at this gate only.
func (d *Desk) SignOut(w http.ResponseWriter, r *http.Request, s *Session) (next string, err error) {
	next = "/signin"
	if s.Method == ByToken {
		return next, nil // it is its owner's to remove
	}
	if !s.begun {
		err = d.end(s.ID, s.Owner(), s.Expires, "")
	}
	d.dropCookie(w, d.CookieName())
	switch {
	case s.Method == ByHeader && d.Header != nil && d.Header.SignedOut != "":
		next = d.Header.SignedOut
	case s.Method == ByOIDC && d.OIDC != nil:
		next = d.OIDC.exit(d, w, r, next)
	}
	return next, err
}

func (d *Desk) dropCookie(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{Name: name, Path: "/", MaxAge: -1, Secure: d.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}
