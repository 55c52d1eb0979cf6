package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api/server"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testlogind"
)

// An idle engine is a daemon's that has a viewer on one port.
type idle struct{ port int }

func (idle) Shadow(context.Context, shadow.Request) (*shadow.Grant, error) {
	return nil, &shadow.End{Reason: shadow.Disabled}
}
func (i idle) List() []shadow.Status {
	return []shadow.Status{{ID: "x", State: shadow.Viewing, Port: i.port}}
}
func (idle) Get(string) (shadow.Status, bool)                        { return shadow.Status{}, false }
func (idle) Stop(_ context.Context, _ string, _ shadow.Reason) error { return shadow.ErrNotFound }
func (idle) Sessions(context.Context) ([]*shadow.Session, error)     { return nil, nil }
func (idle) Rules() policy.Rules                                     { return nil }
func (idle) Judge(context.Context, shadow.Request) (policy.Verdict, error) {
	return policy.Verdict{}, nil
}
func (idle) Subscribe(ctx context.Context) <-chan shadow.Event {
	events := make(chan shadow.Event)
	context.AfterFunc(ctx, func() { close(events) })
	return events
}

// startDaemon serves the control API on a socket.
func startDaemon(t *testing.T, socket string, e server.Engine, config ...string) {
	t.Helper()
	serveDaemon(t, socket, e, server.Options{Config: strings.Join(config, "")})
}

func serveDaemon(t *testing.T, socket string, e server.Engine, o server.Options) {
	t.Helper()
	ln, err := server.Listen(socket, "")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(ctx, ln, server.NewHandler(e, o))
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-served)
	})
}

// sessionsOf is a resolver that knows these.
type sessionsOf []*shadow.Session

func (l sessionsOf) Session(_ context.Context, id string) (*shadow.Session, error) {
	for _, s := range l {
		if s.ID == id {
			return s, nil
		}
	}
	return nil, &shadow.End{Reason: shadow.NoSession, Detail: fmt.Sprintf("%q isn't among those of this host", id)}
}

func (l sessionsOf) Sessions(context.Context) ([]*shadow.Session, error) { return l, nil }

// A patient is a host that is well, until a test breaks something.
type patient struct {
	Doctor
	t       *testing.T
	dir     string
	top     string            // lines at the top of the configuration
	tables  map[string]string // lines of its tables
	session *shadow.Session
	first   int // the first of the viewers' ports

	daemonConfig string // fingerprint that the daemon tells
}

// ward is what healthy patients share.
type ward struct{ desktop *testhost.Desktop }

// well is a host on which a shadow works.
func (w ward) well(t *testing.T) *patient {
	t.Helper()
	d := w.desktop
	p := &patient{t: t, dir: t.TempDir()}
	p.session = &shadow.Session{
		ID: "42", User: "user1", UID: d.Identity.UID, GID: d.Identity.GID, Display: d.Display, Xauthority: d.Xauthority, Type: "x11",
	}
	p.first = testenv.Ports(t, 4)
	first := p.first
	p.tables = map[string]string{
		"ports":   fmt.Sprintf("listen = \"127.0.0.1\"\nfirst = %d\nlast = %d\n", first, first+3),
		"viewer":  "host = \"vda1.corp.example\"\n",
		"tls":     fmt.Sprintf("dir = %q\n", p.dir),
		"control": fmt.Sprintf("socket = %q\n", filepath.Join(p.dir, "control.sock")),
	}
	p.Session = "42"
	here := netip.MustParseAddr("192.0.2.10")
	p.host = thisHost()
	p.host.path = filepath.Join(p.dir, "bin")
	p.host.lookup = func(_ context.Context, name string) ([]netip.Addr, error) {
		assert.Equal(t, "vda1.corp.example", name)
		return []netip.Addr{here}, nil
	}
	p.host.own = func() ([]netip.Addr, error) { return []netip.Addr{here}, nil }
	p.host.resolver = sessionsOf{p.session}
	p.host.xvfb = false // the whole is tried out where that is what is tested
	require.NoError(t, os.Chmod(p.dir, 0o755))
	p.tool("nft", prints(`{"nftables": []}`)) // nothing filters
	return p
}

// tool puts a program on the patient's PATH.
func (p *patient) tool(name, script string) {
	p.t.Helper()
	require.NoError(p.t, os.MkdirAll(p.host.path, 0o755))
	require.NoError(p.t, os.WriteFile(filepath.Join(p.host.path, name), []byte("#!/bin/sh\n"+script), 0o755))
}

// prints is a script that prints a text.
func prints(text string) string { return "cat <<'END'\n" + text + "\nEND\n" }

// examine writes the configuration and examines.
func (p *patient) examine() *Report {
	p.t.Helper()
	content := p.top
	for name, lines := range p.tables {
		content += "[" + name + "]\n" + lines
	}
	p.Config = filepath.Join(p.dir, "shadowing.toml")
	require.NoError(p.t, os.WriteFile(p.Config, []byte(content), 0o600))
	return p.Examine(p.t.Context())
}

// pair writes a certificate for the patient and its key.
func (p *patient) pair(left time.Duration, names ...string) {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(p.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(left - 48*time.Hour), NotAfter: time.Now().Add(left),
		KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: names,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(p.t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(p.t, err)
	for name, block := range map[string]*pem.Block{
		"shadowingcert.pem": {Type: "CERTIFICATE", Bytes: cert}, "shadowingkey.pem": {Type: "PRIVATE KEY", Bytes: der},
	} {
		require.NoError(p.t, os.WriteFile(filepath.Join(p.dir, name), pem.EncodeToMemory(block), 0o600))
	}
}

// sealedPair is pair with an encrypted key.
func (p *patient) sealedPair() {
	p.t.Helper()
	p.top = "ShadowingUseSSL = 1\n"
	p.pair(time.Hour, "vda1.corp.example")
	path := filepath.Join(p.dir, "shadowingkey.pem")
	data, err := os.ReadFile(path)
	require.NoError(p.t, err)
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(p.t, err)
	sealed, err := pkcs8.MarshalPrivateKey(key, []byte("secret"), nil)
	require.NoError(p.t, err)
	data = pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sealed})
	require.NoError(p.t, os.WriteFile(path, data, 0o600))
}

// credentials gives the daemon the passphrase, perhaps where it can be seen.
func (p *patient) credentials(visible bool) {
	p.t.Helper()
	dir := filepath.Join(p.dir, "credentials")
	if visible {
		require.NoError(p.t, os.Mkdir(dir, 0o700))
		require.NoError(p.t, os.WriteFile(filepath.Join(dir, "shadowingpassphrase"), []byte("secret"), 0o400))
	}
	p.host.root = p.t.TempDir()
	process := filepath.Join(p.host.root, "proc", strconv.Itoa(os.Getpid())) // the daemon is in the test's
	require.NoError(p.t, os.MkdirAll(process, 0o755))
	require.NoError(p.t, os.WriteFile(filepath.Join(process, "environ"), []byte("LANG=C\x00CREDENTIALS_DIRECTORY="+dir+"\x00"), 0o600))
}

// on gives the session a display of its own.
func (p *patient) on(o testhost.Options) {
	p.t.Helper()
	d := testhost.Require(p.t, o)
	p.session.Display, p.session.Xauthority = d.Display, d.Xauthority
}

// grays gives the session a display whose pixels have no colours.
func (p *patient) grays() {
	p.t.Helper()
	p.on(testhost.Options{Width: 320, Height: 200, Depth: 8, Args: []string{"-cc", "0"}})
}

// without gives the session an X server that lacks an extension.
func (p *patient) without(extension string) {
	p.t.Helper()
	p.on(testhost.Options{Width: 320, Height: 200, Args: []string{"-extension", extension}})
}

// notify has the session's user asked in a notification.
func (p *patient) notify(address string) {
	p.tables["consent"] = "prompter = \"notify\"\n"
	p.session.Bus = address
}

// sleepyBus is a bus that would start a notification service.
func sleepyBus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notifications.service"), []byte("[D-BUS Service]\nName=org.freedesktop.Notifications\nExec=/bin/false\n"), 0o644))
	return bus(t, "<servicedir>"+dir+"</servicedir>")
}

// bus runs a D-Bus bus to which sessions' users get, with further lines of its
// configuration.
func bus(t *testing.T, lines ...string) string {
	t.Helper()
	address := testlogind.StartBus(t, lines...)
	path, _, _ := strings.Cut(strings.TrimPrefix(address, "unix:path="), ",")
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	return address
}

func of(r *Report, state State) (list []Check) {
	for _, c := range r.Checks {
		if c.State == state {
			list = append(list, c)
		}
	}
	return list
}
