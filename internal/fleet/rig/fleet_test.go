package rig_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// A rig is gates behind one name, three servers that are the bus, and three hosts with a desktop each. The servers are in
// the gates, or some of the organisation's own.
type rig struct {
	t      *testing.T
	own    bool // the servers are the organisation's
	dir    string
	ends   map[string]*end
	runs   map[string]*process
	clocks map[string]clock
	desks  map[string]*testhost.Desktop
	alice  *testgate.Client            // as a browser that knows the gates by one name
	people int                         // who there have been so far
	apart  map[string]*testgate.Client // alice, where she has signed in at one gate besides: its clock is another
	tab    *tab                        // of her browser
	seen   []string                    // what a fault has shown
	dialed string                      // the host whose views are carried to the gates
	colour int                         // how often a desktop has got another
}

func (r *rig) folder(name string) string { return filepath.Join(r.dir, name) }

// small machines have a small disk: of a bus, and of a host's spool.
const smallBus, smallSpool = 64 << 10, 256 // KiB

func (r *rig) gates() []string {
	if r.own {
		return []string{"gate1", "gate2"}
	}
	return []string{"gate1", "gate2", "gate3"}
}

// buses are the machines where the bus's servers are.
func (r *rig) buses() []string {
	if r.own {
		return []string{"bus1", "bus2", "bus3"}
	}
	return r.gates()
}

func (r *rig) hosts() []string { return []string{"host1", "host2", "host3"} }

// newRig starts everything.
func newRig(t *testing.T, own bool) *rig {
	t.Helper()
	r := &rig{
		t: t, own: own, runs: map[string]*process{}, clocks: map[string]clock{}, desks: map[string]*testhost.Desktop{},
		apart: map[string]*testgate.Client{}, dialed: "host2",
	}
	names := r.gates()
	if own {
		names = append(names, r.buses()...)
	}
	names = append(names, r.hosts()...)
	r.ends = network(t, names...)
	r.dir = private(t)                         // in the network's own /run
	require.NoError(t, os.Chmod(r.dir, 0o755)) // the desktops' users look for their cookies there
	addresses := []string{front}
	for _, name := range names {
		addresses = append(addresses, r.ends[name].address)
		require.NoError(t, os.MkdirAll(r.folder(name), 0o755))
		r.clocks[name] = newClock(t, r.folder(name+".clock"))
	}
	ca := certificate(t, r.folder("tls"), addresses...)
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	require.NoError(t, os.WriteFile(r.folder("cookie.keys"), []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600))
	small(t, r.folder(r.buses()[2]), smallBus)
	for _, name := range r.gates() {
		r.configureGate(name, ca)
	}
	must(t, "", testgate.Password+"\n", "shadowgate", "--config", r.folder("gate1.toml"), "passwd", browsing)
	r.makeKeys()
	if own {
		for _, name := range r.buses() {
			r.configureServer(name)
			r.start(name)
		}
	}
	for _, name := range r.gates() {
		r.start(name)
	}
	for _, name := range r.gates() {
		r.ready(t, name)
	}
	r.startFront()
	r.another(t)
	for _, name := range r.hosts() {
		r.desks[name] = testhost.Require(t, testhost.Options{WindowManager: true})
		r.enrol(name)
		r.start(name)
	}
	r.tab = r.browse(t)
	return r
}

// store is where a machine's server keeps what it has.
func (r *rig) store(name string) string {
	if name == r.buses()[2] {
		return filepath.Join(r.folder(name), "small", "bus")
	}
	return filepath.Join(r.folder(name), "bus")
}

func (r *rig) configureGate(name, ca string) {
	address := r.ends[name].address
	var urls, routes []string
	for _, other := range r.buses() {
		urls = append(urls, fmt.Sprintf("%q", "tls://"+r.ends[other].address+":4222"))
		if other != name {
			routes = append(routes, fmt.Sprintf("%q", r.ends[other].address+":6222"))
		}
	}
	where := fmt.Sprintf("servers = [%s]\ndir = %q", strings.Join(urls, ", "), filepath.Join(r.folder(name), "bus"))
	if !r.own {
		where = fmt.Sprintf("listen = \"%s:4222\"\nurls = [%s]\ncluster = \"%[1]s:6222\"\nroutes = [%[3]s]\ndir = %[4]q", address, strings.Join(urls, ", "), strings.Join(routes, ", "), r.store(name))
	}
	require.NoError(r.t, os.WriteFile(r.folder(name+".toml"), fmt.Appendf(nil, `[web]
listen = "%s:443"
origin = "https://%s"
proxies = [%[2]q]
[tls]
on = true
dir = %[3]q
[session]
keys = %[4]q
[accounts]
file = %[5]q
[tokens]
file = ""
[state]
dir = %[6]q
[bus]
ca = %[7]q
name = %[8]q
views = "https://%[1]s"
replicas = 3
audit_mib = 16
%[9]s
[[access]]
names = ["*"]
may = ["list", "shadow", "stop", "audit"]
`, address, front, r.folder("tls"), r.folder("cookie.keys"), r.folder("accounts"), r.folder(name), ca, name, where), 0o600))
}

// makeKeys makes the fleet's keys at the first gate, and gives them to the others.
func (r *rig) makeKeys() {
	first := filepath.Join(r.folder("gate1"), "bus")
	require.NoError(r.t, os.WriteFile(r.folder("accounts.conf"), []byte(must(r.t, "", "", "shadowgate", "--config", r.folder("gate1.toml"), "bus-config")), 0o600))
	found, err := filepath.Glob(filepath.Join(first, "*.nk"))
	require.NoError(r.t, err)
	require.Len(r.t, found, 3)
	for _, name := range r.gates()[1:] {
		to := filepath.Join(r.folder(name), "bus")
		if !r.own {
			to = r.store(name)
		}
		require.NoError(r.t, os.MkdirAll(to, 0o700))
		for _, file := range found {
			data, err := os.ReadFile(file)
			require.NoError(r.t, err)
			require.NoError(r.t, os.WriteFile(filepath.Join(to, filepath.Base(file)), data, 0o600))
		}
	}
}

// configureServer writes what dist/nats/nats-server.conf becomes at one of three servers.
func (r *rig) configureServer(name string) {
	example, err := os.ReadFile("../../../dist/nats/nats-server.conf")
	require.NoError(r.t, err)
	config, cluster, found := strings.Cut(string(example), "# cluster {")
	require.True(r.t, found)
	var routes []string
	for _, other := range r.buses() {
		if other != name {
			routes = append(routes, fmt.Sprintf("%q", "nats-route://"+r.ends[other].address+":6222"))
		}
	}
	cluster = "cluster {" + strings.ReplaceAll(cluster, "\n#", "\n")
	from, to := strings.Index(cluster, "routes: ["), strings.LastIndex(cluster, "]")
	require.Positive(r.t, from)
	cluster = cluster[:from] + "routes: [" + strings.Join(routes, ", ") + cluster[to:]
	config = strings.NewReplacer(
		"nats1", name, "0.0.0.0", r.ends[name].address, "/etc/nats/cert.pem", r.folder("tls/shadowingcert.pem"), "/etc/nats/key.pem", r.folder("tls/shadowingkey.pem"),
		"/etc/nats/ca.pem", r.folder("tls/shadowingcert.pem"), "/var/lib/nats", r.store(name), "shadow.conf", "accounts.conf",
	).Replace(config + cluster)
	require.NoError(r.t, os.WriteFile(r.folder(name+".conf"), []byte(config), 0o600))
}

// start starts what a machine runs.
func (r *rig) start(name string) {
	program, config := "shadowd", r.folder(name+".toml")
	switch {
	case strings.HasPrefix(name, "gate"):
		program = "shadowgate"
	case strings.HasPrefix(name, "bus"):
		program, config = "nats-server", r.folder(name+".conf")
	}
	r.runs[name] = startWith(r.t, name, []string{r.clocks[name].env()}, filepath.Join(programs, program), "--config", config)
}

// startFront starts the load balancer that all gates are behind: the first that is ready has the connections.
func (r *rig) startFront() {
	path := testenv.Program(r.t, "haproxy", "haproxy")
	var pem []byte
	for _, file := range []string{"shadowingcert.pem", "shadowingkey.pem"} {
		data, err := os.ReadFile(r.folder(filepath.Join("tls", file)))
		require.NoError(r.t, err)
		pem = append(pem, data...)
	}
	require.NoError(r.t, os.WriteFile(r.folder("front.pem"), pem, 0o600))
	var servers strings.Builder
	for i, name := range r.gates() {
		fmt.Fprintf(&servers, "  server %s %s:443 %s\n", name, r.ends[name].address, map[bool]string{false: "backup"}[i == 0])
	}
	require.NoError(r.t, os.WriteFile(r.folder("haproxy.cfg"), fmt.Appendf(nil, `defaults
  mode http
  timeout connect 5s
  timeout check 10s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  option forwardfor
frontend front
  bind %s:443 ssl crt %s alpn http/1.1
  default_backend gates
backend gates
  option httpchk GET /readyz
  default-server check inter 1s fall 3 rise 1 ssl verify none on-marked-down shutdown-sessions
%s`, front, r.folder("front.pem"), &servers), 0o600))
	startWith(r.t, "", nil, path, "-db", "-f", r.folder("haproxy.cfg"))
}

// at is alice at one gate, whoever else the load balancer would choose.
func (r *rig) at(gate string) *testgate.Client {
	c := testgate.At(r.t, "https://"+front).Client().Through(net.JoinHostPort(r.ends[gate].address, "443"))
	if who := cmp.Or(r.apart[gate], r.alice); who != nil {
		c.HTTP.Jar = who.HTTP.Jar
	}
	return c
}

func signIn(c *testgate.Client, name string) {
	c.Do(http.MethodPost, "/api/v1/signin", map[string]string{"name": name, "password": testgate.Password}, http.StatusNoContent)
}

// browsing is who has the browser.
const browsing = "berta"

// another has somebody else be alice, whose questions haven't come to nothing yet: of those a person has a share.
func (r *rig) another(t *testing.T) {
	t.Helper()
	r.people++
	must(t, "", testgate.Password+"\n", "shadowgate", "--config", r.folder("gate1.toml"), "passwd", r.name())
	r.alice = nil
	r.alice = r.at("gate1")
	signIn(r.alice, r.name())
}

func (r *rig) name() string { return fmt.Sprint("alice", r.people) }

// signInApart has her sign in at a gate whose cookies are no good elsewhere.
func (r *rig) signInApart(t *testing.T, gate string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	r.apart[gate] = &testgate.Client{HTTP: &http.Client{Jar: jar}}
	signIn(r.at(gate), r.name())
}

// ready waits until a gate answers.
func (r *rig) ready(t *testing.T, name string) {
	t.Helper()
	ready(t, r.runs[name], r.at(name))
}

// enrol takes a host in, from its own address.
func (r *rig) enrol(name string) {
	dir := r.folder(name)
	spool := filepath.Join(dir, "spool")
	if name == "host3" {
		spool = filepath.Join(small(r.t, dir, smallSpool), "spool")
	}
	r.configureHost(name, fmt.Sprintf("spool = %q\nspool_mib = 1\n", spool))
	var line []string
	require.Eventually(r.t, func() bool { // the buses have to find each other first
		out, err := command(r.t, "gate1", "", "shadowgate", "--config", r.folder("gate1.toml"), "invite", "--hosts", name)
		line = strings.Fields(out)
		return err == nil && len(line) == 4
	}, patience, time.Second, "no invitation: %v", line)
	must(r.t, name, line[3]+"\n", "shadowctl", "enroll", line[2], "--config", r.folder(name+".toml"), "--credentials", filepath.Join(dir, "credentials"), "--id", name)
	data, err := os.ReadFile(r.folder(name + ".toml"))
	require.NoError(r.t, err)
	_, fleet, found := strings.Cut(string(data), "[fleet]\n")
	require.True(r.t, found)
	require.NoError(r.t, os.WriteFile(r.folder(name+".fleet"), []byte(fleet), 0o600))
}

// configureHost writes a host's configuration, whose [fleet] is that.
func (r *rig) configureHost(name, fleet string) {
	desk := r.desks[name]
	dir := r.folder(name)
	if name == r.dialed && !strings.Contains(fleet, "views") {
		fleet = "views = \"dial-out\"\n" + fleet
	}
	require.NoError(r.t, os.WriteFile(r.folder(name+".toml"), fmt.Appendf(nil, `[log]
audit = %q
[control]
socket = %q
[viewer]
host = %q
connect_timeout = "2m"
reconnect = "2m"
[consent]
prompter = "allow"
banner = false
[source]
pointer = false
[sessions]
resolver = "static"
[[sessions.static]]
id = "s1"
user = "nobody"
display = %q
xauthority = %q
[fleet]
%s`, filepath.Join(dir, "audit.log"), filepath.Join(dir, "control.sock"), r.ends[name].address, desk.Display, desk.Xauthority, fleet), 0o600))
}

// bus is a gate's connection to the bus, by which a test asks which server leads.
func (r *rig) bus(t *testing.T) *bus.Conn {
	t.Helper()
	keys, err := bus.OpenKeys(filepath.Join(r.folder("gate1"), "bus"), false)
	require.NoError(t, err)
	var servers []string
	for _, name := range r.buses() {
		servers = append(servers, "tls://"+r.ends[name].address+":4222")
	}
	conn, err := keys.Connect(t.Context(), "rig", bus.Target{Servers: servers, TLS: insecure()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

// leads is the server that leads the stream of audits.
func (r *rig) leads(t *testing.T, c *bus.Conn) (name string) {
	t.Helper()
	r.until(t, "a server leads", func(ctx context.Context) bool {
		stream, err := c.JS.Stream(ctx, fleet.AuditStream)
		if err != nil || stream.CachedInfo().Cluster == nil {
			return false
		}
		name = stream.CachedInfo().Cluster.Leader
		return name != ""
	})
	return name
}

// whole waits until all servers have what they are to have.
func (r *rig) whole(t *testing.T, c *bus.Conn) {
	t.Helper()
	r.until(t, "all servers have everything", func(ctx context.Context) bool {
		for _, name := range []string{fleet.AuditStream, "KV_" + fleet.HostBucket, "KV_" + fleet.FleetBucket} {
			stream, err := c.JS.Stream(ctx, name)
			if err != nil || stream.CachedInfo().Cluster == nil || stream.CachedInfo().Cluster.Leader == "" || len(stream.CachedInfo().Cluster.Replicas) != 2 {
				return false
			}
			for _, peer := range stream.CachedInfo().Cluster.Replicas {
				if peer.Offline || !peer.Current {
					return false
				}
			}
		}
		return true
	})
}

// until waits for what ok says, and how long it has taken.
func (r *rig) until(t *testing.T, what string, ok func(context.Context) bool) time.Duration {
	t.Helper()
	began := time.Now()
	for time.Since(began) < patience {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		done := ok(ctx)
		cancel()
		if done {
			return time.Since(began).Round(100 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
	}
	require.Fail(t, "waited in vain: "+what)
	return 0
}

// saw notes what a fault has shown, for the table.
func (r *rig) saw(format string, args ...any) { r.seen = append(r.seen, fmt.Sprintf(format, args...)) }
