package fleet

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pair is a new key, and its public part.
func pair(t *testing.T, create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
	t.Helper()
	key, err := create()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	return key, public
}

// vouch is a JWT with a tag.
func vouch(t *testing.T, by nkeys.KeyPair, name, public, tag string, until time.Time) string {
	t.Helper()
	c := jwt.NewUserClaims(public)
	c.Name = name
	c.Tags.Add(tag)
	if !until.IsZero() {
		c.Expires = until.Unix()
	}
	token, err := c.Encode(by)
	require.NoError(t, err)
	return token
}

func headerOf(s *Sent) func(string) string { return http.Header(s.Header).Get }

// An order is let in once, while it is fresh, for the host and the run that it is for, and only if a gate of
// this fleet has signed it.
func TestGuardLetsInWhatIsSignedFreshAndNew(t *testing.T) {
	root, fleet := pair(t, nkeys.CreateAccount)
	stranger, _ := pair(t, nkeys.CreateAccount)
	key, public := pair(t, nkeys.CreateUser)
	now := time.Now()
	signer := &Signer{Name: "gate1", Key: key, JWT: vouch(t, root, "gate1", public, GateTag, time.Time{})}
	guard := func() *Guard {
		return &Guard{ID: "vda1", Boot: "b1", Fleet: []string{fleet}, Now: func() time.Time { return now }}
	}
	send := func(s *Signer, o Order) *Sent {
		sent, err := s.Sign(o)
		require.NoError(t, err)
		return sent
	}
	good := Order{Kind: Shadow, Host: "vda1", Boot: "b1", At: now, Body: json.RawMessage(`{"session":"1"}`)}

	g := guard()
	sent := send(signer, good)
	o, gate, err := g.Admit(sent.Subject, headerOf(sent), sent.Data)
	require.NoError(t, err)
	assert.Equal(t, "gate1", gate)
	assert.JSONEq(t, `{"session":"1"}`, string(o.Body))
	_, _, err = g.Admit(sent.Subject, headerOf(sent), sent.Data)
	require.ErrorIs(t, err, ErrReplayed)

	with := func(change func(*Order)) Order {
		o := good
		change(&o)
		return o
	}
	for name, c := range map[string]struct {
		signer *Signer
		order  Order
		want   string
	}{
		"old":               {signer, with(func(o *Order) { o.At = now.Add(-31 * time.Second) }), "old by this host's clock"},
		"early":             {signer, with(func(o *Order) { o.At = now.Add(31 * time.Second) }), "old by this host's clock"},
		"an earlier run":    {signer, with(func(o *Order) { o.Boot = "b0" }), "an earlier run of shadowd"},
		"another host":      {signer, with(func(o *Order) { o.Host = "vda2" }), "not for"},
		"a stranger's gate": {&Signer{"x", key, vouch(t, stranger, "x", public, GateTag, time.Time{})}, good, "isn't the fleet's key"},
		"a host as a gate":  {&Signer{"x", key, vouch(t, root, "x", public, HostTag, time.Time{})}, good, "isn't for a shadow-gate"},
		"an expired JWT":    {&Signer{"x", key, vouch(t, root, "x", public, GateTag, now.Add(-time.Minute))}, good, "has expired"},
		"a JWT of another":  {&Signer{"x", root, signer.JWT}, good, "signature is wrong"},
		"no JWT":            {&Signer{"x", key, ""}, good, "can't be read"},
		"a JWT that isn't":  {&Signer{"x", key, "a.b.c"}, good, "can't be read"},
	} {
		sent := send(c.signer, c.order)
		_, _, err := guard().Admit(sent.Subject, headerOf(sent), sent.Data)
		require.ErrorContains(t, err, c.want, name)
	}

	// As something else, changed, or without its signature.
	sent = send(signer, good)
	_, _, err = guard().Admit(Subject("vda1", Stop), headerOf(sent), sent.Data)
	require.ErrorContains(t, err, "signature is wrong")
	_, _, err = guard().Admit(sent.Subject, headerOf(sent), append([]byte(" "), sent.Data...))
	require.ErrorContains(t, err, "signature is wrong")
	_, _, err = guard().Admit(sent.Subject, func(name string) string {
		if name == SignatureHeader {
			return ""
		}
		return headerOf(sent)(name)
	}, sent.Data)
	require.Error(t, err)
	_, _, err = guard().Admit(sent.Subject, headerOf(sent), make([]byte, MaxMessage+1))
	require.ErrorContains(t, err, "bytes")
}

// What a guard remembers is bounded, and forgets what wouldn't be fresh any more.
func TestGuardForgets(t *testing.T) {
	now := time.Now()
	g := &Guard{Now: func() time.Time { return now }}
	for i := range maxSeen {
		require.NoError(t, g.fresh(Order{ID: string(rune(i)) + "x", At: now}))
	}
	require.ErrorContains(t, g.fresh(Order{ID: "more", At: now}), "too many orders")
	stop := Order{ID: "stop", Kind: Stop, At: now}
	require.NoError(t, g.fresh(stop), "a flood of others keeps an end out")
	require.ErrorIs(t, g.fresh(stop), ErrReplayed)
	now = now.Add(orderAge + time.Second)
	require.NoError(t, g.fresh(Order{ID: "more", At: now}))
	require.Len(t, g.seen, 1)
}

// Only the gate that has asked can read an answer, only the host can have written it, and it belongs to one
// order.
func TestAnswers(t *testing.T) {
	root, _ := pair(t, nkeys.CreateAccount)
	key, public := pair(t, nkeys.CreateUser)
	host, hostPublic := pair(t, nkeys.CreateUser)
	signer := &Signer{Name: "gate1", Key: key, JWT: vouch(t, root, "gate1", public, GateTag, time.Time{})}
	one, err := signer.Sign(Order{Kind: Shadow, Host: "vda1"})
	require.NoError(t, err)
	other, err := signer.Sign(Order{Kind: Shadow, Host: "vda1"})
	require.NoError(t, err)
	header, data, err := Seal(host, one.Order, Answer{Waiting: true})
	require.NoError(t, err)
	assert.NotContains(t, string(data), "waiting")
	a, err := one.Open(hostPublic, http.Header(header).Get, data)
	require.NoError(t, err)
	assert.True(t, a.Waiting)
	_, err = other.Open(hostPublic, http.Header(header).Get, data)
	require.ErrorContains(t, err, "isn't the host's")
	_, err = one.Open(public, http.Header(header).Get, data)
	require.ErrorContains(t, err, "isn't the host's")

	p := &Presence{ID: "vda1", Boot: "b"}
	value, err := SignPresence(host, p)
	require.NoError(t, err)
	got, err := OpenPresence("vda1", hostPublic, value)
	require.NoError(t, err)
	assert.Equal(t, "b", got.Boot)
	_, err = OpenPresence("vda2", hostPublic, value)
	require.Error(t, err)
	_, err = OpenPresence("vda1", public, value)
	require.Error(t, err)

	signature, err := SignEvent(host, "vda1", "e1", []byte("{}"))
	require.NoError(t, err)
	require.NoError(t, VerifyEvent(hostPublic, signature, "vda1", "e1", []byte("{}")))
	require.Error(t, VerifyEvent(hostPublic, signature, "vda1", "e2", []byte("{}")))
	require.Error(t, VerifyEvent(hostPublic, signature, "vda2", "e1", []byte("{}")))
}

func TestIDs(t *testing.T) {
	for _, good := range []string{"vda1", "vda-17", "a"} {
		require.NoError(t, CheckID(good))
	}
	for _, bad := range []string{"", "*", ">", "a.b", "-a", "a-", "a b", "ä", "a/b", "VDA-17", string(make([]byte, 64))} {
		require.Error(t, CheckID(bad), bad)
	}
	require.Equal(t, "vda1", AuditHost(AuditSubject("vda1")))
	require.Empty(t, AuditHost("shadow.v1.audit.a.b"))
	require.Empty(t, AuditHost("else"))
}

// What a host says in words goes into logs and to every page: it is short.
func TestPresenceHasFewWords(t *testing.T) {
	key, public := pair(t, nkeys.CreateUser)
	long := strings.Repeat("ä", 1<<16)
	data, err := SignPresence(key, &Presence{ID: "vda1", Failed: long, Version: long, Address: long})
	require.NoError(t, err)
	p, err := OpenPresence("vda1", public, data)
	require.NoError(t, err)
	for _, text := range []string{p.Failed, p.Version, p.Address} {
		assert.Less(t, len(text), 310)
		assert.True(t, strings.HasPrefix(text, "ää") && strings.HasSuffix(text, "ä…"), text)
	}
}
