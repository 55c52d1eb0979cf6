package signin

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// documents answers with a discovery document wherever one is asked for.
type documents struct{ body []byte }

func (d documents) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(d.body)
	} else {
		w.WriteHeader(http.StatusNotFound)
	}
	return w.Result(), nil
}

// What Keycloak, Entra and Authentik say of themselves leads to the right places.
func TestDiscovery(t *testing.T) {
	for name, c := range map[string]struct{ issuer, authorize, end string }{
		"keycloak":  {"https://login.corp.example/realms/corp", "https://login.corp.example/realms/corp/protocol/openid-connect/auth", "https://login.corp.example/realms/corp/protocol/openid-connect/logout"},
		"entra":     {"https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0", "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/oauth2/v2.0/authorize", "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/oauth2/v2.0/logout"},
		"authentik": {"https://auth.corp.example/application/o/shadowgate/", "https://auth.corp.example/application/o/authorize/", "https://auth.corp.example/application/o/shadowgate/end-session/"},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join("testdata", "discovery", name+".json"))
			require.NoError(t, err)
			o := &OIDC{Issuer: c.issuer, ClientID: "gate", Origin: "https://gate.example", Scopes: []string{"openid"}, NameClaim: "preferred_username", GroupsClaim: "groups",
				ProviderExit: true, Client: &http.Client{Transport: documents{body}}}
			d := New(Config{OIDC: o, Sealer: NewSealer(), Idle: time.Hour, Longest: time.Hour, Secure: true})
			w := httptest.NewRecorder()
			require.NoError(t, o.Begin(d, w, request("192.0.2.1:1"), "/me", false))
			u, err := url.Parse(w.Header().Get("Location"))
			require.NoError(t, err)
			q := u.Query()
			u.RawQuery = ""
			require.Equal(t, c.authorize, u.String())
			require.Equal(t, "https://gate.example/signin/oidc/callback", q.Get("redirect_uri"))
			require.Equal(t, "S256", q.Get("code_challenge_method"))
			for _, field := range []string{"code_challenge", "state", "nonce"} {
				require.GreaterOrEqual(t, len(q.Get(field)), 32, field)
			}
			cookie := w.Result().Cookies()[0]
			require.Equal(t, "__Host-shadowgate-oidc", cookie.Name)
			require.NotContains(t, cookie.Value, q.Get("state"))
			require.True(t, strings.HasPrefix(o.exit(d, httptest.NewRecorder(), request("192.0.2.1:1"), "/signin"), c.end+"?client_id=gate&"))

			other := &OIDC{Issuer: c.issuer + "x", ClientID: "gate", Client: o.Client}
			require.ErrorIs(t, other.Begin(d, httptest.NewRecorder(), request("192.0.2.1:1"), "/", false), ErrProvider, "a document of another issuer")
		})
	}
}

// A liar is a provider that answers as its fields say.
type liar struct {
	*httptest.Server
	key    *rsa.PrivateKey
	claims map[string]any // of the ID token
	signer *rsa.PrivateKey
	alg    jose.SignatureAlgorithm
	info   map[string]any // of the user info endpoint
	asked  url.Values     // of the last token request
}

func newLiar(t *testing.T) *liar {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	l := &liar{key: key, signer: key, alg: jose.RS256}
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": l.URL, "authorization_endpoint": l.URL + "/auth", "token_endpoint": l.URL + "/token", "jwks_uri": l.URL + "/keys",
			"userinfo_endpoint": l.URL + "/info", "id_token_signing_alg_values_supported": []string{"RS256"}, "authorization_response_iss_parameter_supported": true})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("/info", func(w http.ResponseWriter, _ *http.Request) { answer(w, l.info) })
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		l.asked = r.PostForm
		if r.PostForm.Get("code") == "bad" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"secret words"}`))
			return
		}
		answer(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": l.token(t)})
	})
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	return l
}

func (l *liar) token(t *testing.T) string {
	payload, err := json.Marshal(l.claims)
	require.NoError(t, err)
	if l.alg == "none" {
		e := func(b []byte) string { return encodeSegment(b) }
		return e([]byte(`{"alg":"none"}`)) + "." + e(payload) + "."
	}
	key := any(jose.JSONWebKey{Key: l.signer, KeyID: "k"})
	if l.alg == jose.HS256 {
		key = l.key.PublicKey.N.Bytes()
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: l.alg, Key: key}, nil)
	require.NoError(t, err)
	signed, err := signer.Sign(payload)
	require.NoError(t, err)
	text, err := signed.CompactSerialize()
	require.NoError(t, err)
	return text
}

func encodeSegment(b []byte) string {
	return strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(encoding.EncodeToString(b)), "=")
}

// Whatever is wrong with a provider's answer, nobody is signed in by it.
func TestProviderAnswers(t *testing.T) {
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		spoil func(d *Desk, l *liar, q url.Values, r *http.Request)
		err   error // nil: it is good
		who   Stated
	}{
		"good":      {func(*Desk, *liar, url.Values, *http.Request) {}, nil, Stated{Name: "kim", Groups: []string{"a", "b"}}},
		"one group": {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { l.claims["groups"] = "a" }, nil, Stated{Name: "kim", Groups: []string{"a"}}},
		"groups elsewhere": {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) {
			delete(l.claims, "groups")
			l.info["groups"] = []string{"c"}
		}, nil, Stated{Name: "kim", Groups: []string{"c"}}},
		"the token goes before the info": {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) {
			delete(l.claims, "groups")
			l.info["preferred_username"] = "root"
		}, nil, Stated{Name: "kim"}},
		"info of another": {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) {
			delete(l.claims, "groups")
			l.info["sub"] = "other"
		}, ErrClaims, Stated{}},
		"another state":   {func(_ *Desk, _ *liar, q url.Values, _ *http.Request) { q.Set("state", "x") }, ErrState, Stated{}},
		"no state":        {func(_ *Desk, _ *liar, q url.Values, _ *http.Request) { q.Del("state") }, ErrState, Stated{}},
		"another issuer":  {func(_ *Desk, _ *liar, q url.Values, _ *http.Request) { q.Set("iss", "https://evil.example") }, ErrState, Stated{}},
		"no issuer":       {func(_ *Desk, _ *liar, q url.Values, _ *http.Request) { q.Del("iss") }, ErrState, Stated{}},
		"another browser": {func(_ *Desk, _ *liar, _ url.Values, r *http.Request) { r.Header.Del("Cookie") }, ErrState, Stated{}},
		"forged cookie": {func(d *Desk, _ *liar, _ url.Values, r *http.Request) {
			r.Header.Set("Cookie", d.pendingCookie()+"="+NewSealer().Seal(purposePending, []byte("{}")))
		}, ErrState, Stated{}},
		"too late": {func(d *Desk, _ *liar, _ url.Values, _ *http.Request) {
			at := d.Now().Add(pendingTime)
			d.Now = func() time.Time { return at }
		}, ErrState, Stated{}},
		"refused":             {func(_ *Desk, _ *liar, q url.Values, _ *http.Request) { q.Set("error", "access_denied") }, ErrRefused, Stated{}},
		"code used":           {func(_ *Desk, _ *liar, q url.Values, _ *http.Request) { q.Set("code", "bad") }, ErrRefused, Stated{}},
		"another nonce":       {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { l.claims["nonce"] = "x" }, ErrState, Stated{}},
		"no nonce":            {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { delete(l.claims, "nonce") }, ErrState, Stated{}},
		"for another client":  {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { l.claims["aud"] = "other" }, ErrRefused, Stated{}},
		"of another provider": {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { l.claims["iss"] = "https://evil.example" }, ErrRefused, Stated{}},
		"expired": {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) {
			l.claims["exp"] = time.Now().Add(-time.Minute).Unix()
		}, ErrClock, Stated{}},
		"not valid yet": {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) {
			l.claims["nbf"] = time.Now().Add(time.Hour).Unix()
			l.claims["exp"] = time.Now().Add(2 * time.Hour).Unix()
		}, ErrClock, Stated{}},
		"another key":                {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { l.signer = stranger }, ErrRefused, Stated{}},
		"not signed":                 {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { l.alg = "none" }, ErrRefused, Stated{}},
		"signed with what is public": {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { l.alg = jose.HS256 }, ErrRefused, Stated{}},
		"no name":                    {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { delete(l.claims, "preferred_username") }, ErrClaims, Stated{}},
		"name with a break":          {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { l.claims["preferred_username"] = "a\nb" }, ErrClaims, Stated{}},
		"groups of numbers":          {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { l.claims["groups"] = []int{1} }, ErrClaims, Stated{}},
		"groups of a kind":           {func(_ *Desk, l *liar, _ url.Values, _ *http.Request) { l.claims["groups"] = map[string]any{} }, ErrClaims, Stated{}},
		"mail, not verified": {func(d *Desk, l *liar, _ url.Values, _ *http.Request) {
			d.OIDC.NameClaim = "email"
			l.claims["email"] = "root@corp"
		}, ErrClaims, Stated{}},
		"mail": {func(d *Desk, l *liar, _ url.Values, _ *http.Request) {
			d.OIDC.NameClaim = "email"
			l.claims["email"], l.claims["email_verified"] = "kim@corp", true
		}, nil, Stated{Name: "kim@corp", Groups: []string{"a", "b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t)
			o := &OIDC{Issuer: l.URL, ClientID: "gate", Origin: "https://gate.example", Scopes: []string{"openid"}, NameClaim: "preferred_username", GroupsClaim: "groups", Client: l.Client()}
			d := New(Config{OIDC: o, Sealer: NewSealer(), Idle: time.Hour, Longest: time.Hour})
			w := httptest.NewRecorder()
			require.NoError(t, o.Begin(d, w, request("192.0.2.1:1"), "/me", false))
			to, err := url.Parse(w.Header().Get("Location"))
			require.NoError(t, err)
			l.claims = map[string]any{"iss": l.URL, "aud": "gate", "sub": "1", "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(),
				"nonce": to.Query().Get("nonce"), "preferred_username": "kim", "groups": []string{"a", "b"}}
			l.info = map[string]any{"sub": "1"}
			q := url.Values{"state": {to.Query().Get("state")}, "code": {"c"}, "iss": {l.URL}}
			r := request("192.0.2.1:1")
			r.AddCookie(w.Result().Cookies()[0])
			c.spoil(d, l, q, r)
			r.URL.RawQuery = q.Encode()
			s, next, err := o.Finish(d, httptest.NewRecorder(), r)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
				require.Nil(t, s)
				require.NotContains(t, err.Error(), "secret words")
				return
			}
			require.NoError(t, err)
			require.Equal(t, "/me", next)
			require.Equal(t, c.who.Name, s.Name)
			require.Equal(t, c.who.Groups, s.Groups)
			require.NotEmpty(t, l.asked.Get("code_verifier"))
			require.NoError(t, d.Still(s))
		})
	}
}
