package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// OIDC is the sign-in at an OpenID provider: the authorization code flow with PKCE. The provider is
// asked for its endpoints when somebody first signs in, and only then is it needed.
type OIDC struct {
	Issuer       string
	ClientID     string
	Secret       string // empty: a public client
	Origin       string // of the gate, such as "https://gate.corp.example"
	Scopes       []string
	NameClaim    string
	GroupsClaim  string       // empty: none
	ProviderExit bool         // signing out signs out at the provider, too
	Client       *http.Client // speaks to the provider; it must have a timeout

	mu       sync.Mutex
	provider *oidc.Provider // nil: it hasn't answered yet
	asking   chan struct{}  // closed when the question under way has ended; nil: there is none
	failed   error          // of the last question
	failedAt time.Time
}

// The errors of a sign-in at a provider, besides those of the system.
var (
	ErrProvider = errors.New("the provider can't be reached, or isn't one")
	ErrState    = errors.New("the answer doesn't belong to a sign-in that this browser has begun")
	ErrRefused  = errors.New("the provider refused")
	ErrClaims   = errors.New("the provider doesn't say who it is in a way that can be used")
)

const (
	purposePending = "oidc pending 1"
	purposeHint    = "oidc hint 1"
	pendingTime    = 10 * time.Minute // to sign in at the provider
	providerTime   = 20 * time.Second // for the provider to answer
	lookTime       = 3 * time.Second  // for it to show that it is there, before a browser is sent to it
	failedTime     = 2 * time.Second  // until a provider that didn't answer is asked again
	maxAnswer      = 1 << 20          // bytes of an answer of the provider's
)

// A pending is a sign-in that has begun, in a cookie.
type pending struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Next     string    `json:"p"`
	Until    time.Time `json:"u"`
}

func (d *Desk) pendingCookie() string { return d.CookieName() + "-oidc" }
func (d *Desk) hintCookie() string    { return d.CookieName() + "-hint" }

// Begin sends the browser to the provider, and afterwards to next, a path of the gate. With again the provider is to ask who it is
// though it knows. The error may be a *[TooManyError].
func (o *OIDC) Begin(d *Desk, w http.ResponseWriter, r *http.Request, next string, again bool) error {
	if err := d.limits.visit(addressOf(r.RemoteAddr).String(), d.Now()); err != nil {
		return err
	}
	ctx, cancel := o.context(r.Context())
	defer cancel()
	config, _, err := o.config(ctx)
	if err != nil {
		return err
	}
	if !o.responds(ctx) { // it did once
		return fmt.Errorf("%w: it doesn't answer now", ErrProvider)
	}
	p := pending{State: unguessable(), Nonce: unguessable(), Verifier: oauth2.GenerateVerifier(), Next: next, Until: d.Now().Add(pendingTime)}
	plain, err := json.Marshal(p)
	if err != nil {
		return err
	}
	d.setCookie(w, d.pendingCookie(), d.Sealer.Seal(purposePending, plain), pendingTime)
	with := []oauth2.AuthCodeOption{oidc.Nonce(p.Nonce), oauth2.S256ChallengeOption(p.Verifier)}
	if again {
		with = append(with, oauth2.SetAuthURLParam("prompt", "login"))
	}
	http.Redirect(w, r, config.AuthCodeURL(p.State, with...), http.StatusSeeOther)
	return nil
}

// Finish makes a session of the provider's answer, and returns where the browser wanted to go. The error
// may be a *[TooManyError]; then the same answer may be shown again.
func (o *OIDC) Finish(d *Desk, w http.ResponseWriter, r *http.Request) (s *Session, next string, err error) {
	if err := d.limits.visit(addressOf(r.RemoteAddr).String(), d.Now()); err != nil {
		return nil, "", err
	}
	p, err := d.pending(r)
	d.dropCookie(w, d.pendingCookie()) // an answer is good once
	if err != nil {
		return nil, "", err
	}
	q := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(p.State)) != 1 {
		return nil, "", ErrState
	}
	if iss := q.Get("iss"); iss != o.Issuer && (iss != "" || o.told().States) { // RFC 9207
		return nil, "", ErrState
	}
	if refused := q.Get("error"); refused != "" {
		return nil, "", fmt.Errorf("%w: %.80q", ErrRefused, refused)
	}
	ctx, cancel := o.context(r.Context())
	defer cancel()
	who, raw, err := o.redeem(ctx, q.Get("code"), p)
	if err != nil {
		return nil, "", err
	}
	if o.ProviderExit {
		if hint := d.Sealer.Seal(purposeHint, []byte(raw)); len(hint) <= maxCookie {
			d.setCookie(w, d.hintCookie(), hint, 0)
		}
	}
	return d.begin(r, *who, ByOIDC), p.Next, nil
}

// pending is the sign-in that r's browser has begun.
func (d *Desk) pending(r *http.Request) (*pending, error) {
	cookies := r.CookiesNamed(d.pendingCookie())
	if len(cookies) != 1 {
		return nil, ErrState
	}
	plain, err := d.Sealer.Open(purposePending, cookies[0].Value)
	if err != nil {
		return nil, ErrState
	}
	p := new(pending)
	if json.Unmarshal(plain, p) != nil || p.State == "" || !d.Now().Before(p.Until) {
		return nil, ErrState
	}
	return p, nil
}

// redeem exchanges the code, and checks whose it is.
func (o *OIDC) redeem(ctx context.Context, code string, p *pending) (who *Stated, raw string, err error) {
	config, provider, err := o.config(ctx)
	if err != nil {
		return nil, "", err
	}
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(p.Verifier))
	if err != nil {
		if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
			return nil, "", fmt.Errorf("%w: %.80q", ErrRefused, e.ErrorCode) // not its body, which may hold a token
		}
		return nil, "", ErrProvider
	}
	raw, _ = token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: o.ClientID}).Verify(ctx, raw)
	if isClock(err) {
		return nil, "", fmt.Errorf("%w: the ID token that the provider has just made: %w", ErrClock, err)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%w: the ID token: %w", ErrRefused, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(p.Nonce)) != 1 {
		return nil, "", ErrState
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if err := o.complete(ctx, provider, token, id.Subject, claims); err != nil {
		return nil, "", err
	}
	who, err = o.stated(claims)
	return who, raw, err
}

// isClock reports whether an ID token isn't good because of the time: it has expired, or isn't valid yet.
func isClock(err error) bool {
	_, expired := errors.AsType[*oidc.TokenExpiredError](err)
	return expired || err != nil && strings.Contains(err.Error(), "before the nbf")
}

// complete asks the provider for what isn't in the ID token.
func (o *OIDC) complete(ctx context.Context, provider *oidc.Provider, token *oauth2.Token, subject string, claims map[string]any) error {
	_, named := claims[o.NameClaim]
	_, grouped := claims[o.GroupsClaim]
	if named && (grouped || o.GroupsClaim == "") || provider.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return fmt.Errorf("%w: cannot get its user info", ErrProvider)
	}
	more := map[string]any{}
	if err := info.Claims(&more); err != nil || info.Subject != subject {
		return fmt.Errorf("%w: its user info is another's", ErrClaims)
	}
	for name, value := range more {
		if _, there := claims[name]; !there {
			claims[name] = value
		}
	}
	return nil
}

// stated is who the claims say it is.
func (o *OIDC) stated(claims map[string]any) (*Stated, error) {
	name, _ := claims[o.NameClaim].(string)
	if name == "" {
		return nil, fmt.Errorf("%w: there is no claim %q", ErrClaims, o.NameClaim)
	}
	if verified, there := claims["email_verified"].(bool); o.NameClaim == "email" && !(there && verified) {
		return nil, fmt.Errorf("%w: the mail address isn't verified", ErrClaims)
	}
	who := &Stated{Name: name}
	if full, _ := claims["name"].(string); checkField("the full name", full) == nil {
		who.FullName = full
	}
	if o.GroupsClaim != "" {
		switch groups := claims[o.GroupsClaim].(type) {
		case nil:
		case string:
			who.Groups = []string{groups}
		case []any:
			for _, g := range groups {
				group, ok := g.(string)
				if !ok {
					return nil, fmt.Errorf("%w: claim %q has something other than names", ErrClaims, o.GroupsClaim)
				}
				who.Groups = append(who.Groups, group)
			}
		default:
			return nil, fmt.Errorf("%w: claim %q isn't a list of names", ErrClaims, o.GroupsClaim)
		}
	}
	if err := who.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	return who, nil
}

// context bounds what the provider may take.
func (o *OIDC) context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, providerTime)
	return o.bounded(ctx), cancel
}

// bounded is ctx with a client that reads answers up to a size.
func (o *OIDC) bounded(ctx context.Context) context.Context {
	client := *o.Client
	client.Transport = answers{client.Transport}
	return oidc.ClientContext(ctx, &client)
}

// answers bounds what is read of a provider's answers. The page that comes with an error would end in
// the log, so it isn't read; what the token endpoint says has its own form.
type answers struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	next := a.RoundTripper
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	most := int64(maxAnswer)
	if r.Method == http.MethodGet && resp.StatusCode >= http.StatusBadRequest {
		most = 0
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, most), resp.Body}
	return resp, nil
}

// config asks the provider for its endpoints, once it has answered never again.
func (o *OIDC) config(ctx context.Context) (*oauth2.Config, *oidc.Provider, error) {
	provider, err := o.discovered(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &oauth2.Config{ClientID: o.ClientID, ClientSecret: o.Secret, Endpoint: provider.Endpoint(), RedirectURL: o.Origin + "/signin/oidc/callback", Scopes: o.Scopes}, provider, nil
}

// discovered is the provider. Whoever comes while it is being asked waits for that answer, and a failure
// counts for a moment.
func (o *OIDC) discovered(ctx context.Context) (*oidc.Provider, error) {
	for {
		o.mu.Lock()
		provider, err, asking := o.provider, o.failed, o.asking
		switch {
		case provider != nil:
			o.mu.Unlock()
			return provider, nil
		case asking != nil:
			o.mu.Unlock()
			select {
			case <-asking:
				continue
			case <-ctx.Done():
				return nil, fmt.Errorf("%w: it has not answered yet", ErrProvider)
			}
		case err != nil && time.Since(o.failedAt) < failedTime:
			o.mu.Unlock()
			return nil, err
		}
		o.asking = make(chan struct{})
		o.mu.Unlock()
		o.discover(ctx)
	}
}

// discover asks the provider, whether or not the browser stays, and notes the answer.
func (o *OIDC) discover(ctx context.Context) {
	ctx, cancel := o.context(context.WithoutCancel(ctx))
	defer cancel()
	provider, err := oidc.NewProvider(ctx, o.Issuer)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.provider, o.failed, o.failedAt = provider, nil, time.Now()
	if err != nil {
		o.provider, o.failed = nil, fmt.Errorf("%w: %.300s", ErrProvider, err.Error())
	}
	close(o.asking)
	o.asking = nil
}

// A told is what a provider says of itself, besides what go-oidc reads.
type told struct {
	End    string `json:"end_session_endpoint"`
	States bool   `json:"authorization_response_iss_parameter_supported"` // its answers say whose they are
}

// told is what the provider has said; nothing if it wasn't asked yet.
func (o *OIDC) told() (t told) {
	o.mu.Lock()
	provider := o.provider
	o.mu.Unlock()
	if provider == nil || provider.Claims(&t) != nil {
		return told{}
	}
	return t
}

// exit is where the browser goes to sign out at the provider, or otherwise where that can't be done. A provider that doesn't answer
// is said so there.
func (o *OIDC) exit(d *Desk, w http.ResponseWriter, r *http.Request, otherwise string) string {
	hint := ""
	if cookies := r.CookiesNamed(d.hintCookie()); len(cookies) == 1 {
		if plain, err := d.Sealer.Open(purposeHint, cookies[0].Value); err == nil {
			hint = string(plain)
		}
		d.dropCookie(w, d.hintCookie())
	}
	end := o.told().End
	if !o.ProviderExit || end == "" {
		return otherwise
	}
	u, err := url.Parse(end)
	if err != nil || u.Scheme != "https" && !strings.HasPrefix(o.Issuer, "http://") {
		return otherwise
	}
	q := u.Query()
	q.Set("client_id", o.ClientID)
	q.Set("post_logout_redirect_uri", o.Origin+"/signin")
	if hint != "" {
		q.Set("id_token_hint", hint)
	}
	u.RawQuery = q.Encode()
	if !o.responds(r.Context()) {
		return otherwise + "?error=exit"
	}
	return u.String()
}

// responds reports whether the provider answers now.
func (o *OIDC) responds(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(o.Issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return false
	}
	resp, err := o.Client.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true
}

func unguessable() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
