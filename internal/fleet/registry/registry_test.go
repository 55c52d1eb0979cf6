package registry_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/fleet/registry"
	"vda.internal/shadow/internal/fleet/testfleet"
)

func invite(t *testing.T, f *testfleet.Fleet, i registry.Invitation) string {
	t.Helper()
	i.For = time.Hour
	code, err := f.Registry.Invite(t.Context(), i)
	require.NoError(t, err)
	return code.String()
}

// A code is for one host, once, and its pattern holds. A host that is there is replaced by whoever has its key,
// or where the invitation says so.
func TestInvitations(t *testing.T) {
	f := testfleet.New(t)
	enter := func(code, id string, before *enrol.Credentials) (*enrol.Credentials, error) {
		return enrol.Enroll(t.Context(), f.Gate.URL, code, enrol.Host{ID: id, Name: id + ".corp.example", Before: before})
	}
	code := invite(t, f, registry.Invitation{Hosts: "vda-*", By: "ops"})
	_, err := enter(code, "web-1", nil)
	require.ErrorContains(t, err, `the code is for hosts "vda-*"`)
	first, err := enter(code, "vda-1", nil)
	require.NoError(t, err)
	_, err = enter(code, "vda-2", nil)
	require.ErrorContains(t, err, "the code isn't known")
	_, err = enter("NONSENSE", "vda-2", nil)
	require.ErrorContains(t, err, "the code isn't known")

	_, err = enter(invite(t, f, registry.Invitation{Hosts: "vda-*"}), "vda-1", nil)
	require.ErrorContains(t, err, "there is a host")
	second, err := enter(invite(t, f, registry.Invitation{Hosts: "vda-*"}), "vda-1", first)
	require.NoError(t, err)
	_, err = enter(invite(t, f, registry.Invitation{Hosts: "vda-*"}), "vda-1", first)
	require.ErrorContains(t, err, "there is a host", "with a key that isn't its any more")
	third, err := enter(invite(t, f, registry.Invitation{Hosts: "vda-*", Replace: true}), "vda-1", nil)
	require.NoError(t, err)

	list, err := f.Registry.Hosts(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, "vda-1.corp.example", list[0].Name)
	assert.Equal(t, "127.0.0.1", list[0].Address)
	require.Len(t, list[0].Revoked, 2)
	for i, c := range []*enrol.Credentials{first, second} {
		assert.Equal(t, public(t, c), list[0].Revoked[i].Key)
	}
	assert.Equal(t, public(t, third), list[0].Key)

	// Names are in lower case, so that no two differ in that only, and the gate's own machine has its name alone.
	_, err = enter(invite(t, f, registry.Invitation{Hosts: "*"}), "VDA-1", nil)
	require.ErrorContains(t, err, "lower-case letters")
	f.Registry.Reserved = "GateHost"
	_, err = enter(invite(t, f, registry.Invitation{Hosts: "*"}), "gatehost", nil)
	require.ErrorContains(t, err, "is what the gate calls its own machine")
	_, err = enter(invite(t, f, registry.Invitation{Hosts: "VDA-*"}), "vda-4", nil)
	require.NoError(t, err)

	for _, bad := range []registry.Invitation{{Hosts: "", For: time.Hour}, {Hosts: "[", For: time.Hour}, {Hosts: "a", For: time.Second}, {Hosts: "a", For: 1000 * time.Hour}} {
		_, err := f.Registry.Invite(t.Context(), bad)
		require.Error(t, err, bad)
	}
	_, err = f.Registry.Revoke(t.Context(), "nobody")
	require.Error(t, err)
}

func public(t *testing.T, c *enrol.Credentials) string {
	t.Helper()
	key, err := nkeys.FromSeed([]byte(c.Seed))
	require.NoError(t, err)
	p, err := key.PublicKey()
	require.NoError(t, err)
	return p
}

// A code whose time is over is worth nothing, also while the bus still has it.
func TestCodeIsGoodForItsTime(t *testing.T) {
	f := testfleet.New(t)
	code, err := f.Registry.Invite(t.Context(), registry.Invitation{Hosts: "vda-*", For: time.Hour})
	require.NoError(t, err)
	kv, err := f.Conn("gate2").JS.KeyValue(t.Context(), fleet.FleetBucket)
	require.NoError(t, err)
	keys, err := kv.Keys(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1)
	_, err = kv.Put(t.Context(), keys[0], fmt.Appendf(nil, `{"hosts":"vda-*","until":%q}`, time.Now().Add(-time.Second).Format(time.RFC3339Nano)))
	require.NoError(t, err)
	_, err = enrol.Enroll(t.Context(), f.Gate.URL, code.String(), enrol.Host{ID: "vda-1"})
	require.ErrorContains(t, err, "the code isn't known")
}

// Of those who come with the same code at the same time, one enters.
func TestCodeIsGoodOnce(t *testing.T) {
	f := testfleet.New(t)
	code := invite(t, f, registry.Invitation{Hosts: "*"})
	var running sync.WaitGroup
	entered := make(chan string, 8)
	for i := range 8 {
		running.Go(func() {
			id := string(rune('a' + i))
			if _, err := enrol.Enroll(t.Context(), f.Gate.URL, code, enrol.Host{ID: id}); err == nil {
				entered <- id
			}
		})
	}
	running.Wait()
	require.Len(t, entered, 1)
}

// The secret of a code goes to the gate that the code pins, and to nobody else.
func TestCodePinsTheGate(t *testing.T) {
	f := testfleet.New(t)
	gate := httptest.NewUnstartedServer(nil)
	gate.StartTLS()
	defer gate.Close()
	f.Registry.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: gate.Certificate().Raw}))
	gate.Config.Handler = f.Registry.Handler(testfleet.Logger(t))
	gate.Config.ErrorLog = nil
	code := invite(t, f, registry.Invitation{Hosts: "vda1"})
	parsed, err := enrol.ParseCode(code)
	require.NoError(t, err)
	require.NotEmpty(t, parsed.Pin)

	_, err = enrol.Enroll(t.Context(), gate.URL, parsed.Secret+"."+enrol.PinOf("another"), enrol.Host{ID: "vda1"})
	require.ErrorContains(t, err, "isn't the gate that made the code")
	_, err = enrol.Enroll(t.Context(), gate.URL, parsed.Secret, enrol.Host{ID: "vda1"})
	var unknown x509.UnknownAuthorityError
	var invalid *tls.CertificateVerificationError
	require.True(t, assert.ErrorAs(t, err, &invalid) || assert.ErrorAs(t, err, &unknown), "without a pin the system's authorities count")
	c, err := enrol.Enroll(t.Context(), gate.URL, code, enrol.Host{ID: "vda1"})
	require.NoError(t, err)
	require.Equal(t, f.Registry.CA, c.CA)
	pool, err := c.Authorities()
	require.NoError(t, err)
	require.NotNil(t, pool)
	_, err = enrol.Enroll(t.Context(), "http://192.0.2.1", code, enrol.Host{ID: "vda1"})
	require.ErrorContains(t, err, "use https")
}

// Whoever keeps the log of a proxy before the gate can tell which program of which version has come.
func TestEnrollSaysWhatItIs(t *testing.T) {
	f := testfleet.New(t)
	agents := make(chan string, 9)
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agents <- r.UserAgent()
		f.Registry.Handler(testfleet.Logger(t)).ServeHTTP(w, r)
	}))
	defer gate.Close()
	_, err := enrol.Enroll(t.Context(), gate.URL, invite(t, f, registry.Invitation{Hosts: "vda1"}), enrol.Host{ID: "vda1"})
	require.NoError(t, err)
	require.Regexp(t, "^shadowctl/.", <-agents)
}

// A stranger who is refused makes a few short lines of the log, however often he comes and whatever he is called.
func TestRefusalsMakeFewLines(t *testing.T) {
	f := testfleet.New(t)
	var log bytes.Buffer
	gate := httptest.NewServer(f.Registry.Handler(zerolog.New(zerolog.SyncWriter(&log))))
	body, err := json.Marshal(enrol.Request{ID: strings.Repeat("x", 15000)})
	require.NoError(t, err)
	begun := time.Now()
	for range 100 {
		resp, err := http.Post(gate.URL+enrol.Path, "application/json", bytes.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
	}
	gate.Close()
	lines := bytes.Count(log.Bytes(), []byte("\n"))
	assert.Positive(t, lines)
	assert.LessOrEqual(t, lines, 11+int(time.Since(begun)/(10*time.Second)))
	assert.Less(t, log.Len(), 1000*lines)
}

// Those who send their requests slowly keep nobody from enrolling.
func TestSlowRequests(t *testing.T) {
	f := testfleet.New(t)
	address := f.Gate.Listener.Addr().String()
	for range 20 {
		c, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer c.Close()
		_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n", enrol.Path, address)
		require.NoError(t, err)
		line, err := bufio.NewReader(c).ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, "100", "the body isn't waited for")
	}
	_, err := enrol.Enroll(t.Context(), f.Gate.URL, invite(t, f, registry.Invitation{Hosts: "vda1"}), enrol.Host{ID: "vda1"})
	require.NoError(t, err)
}
