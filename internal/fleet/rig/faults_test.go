package rig_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
)

// faultsVariable has TestFaults run: it takes minutes.
const faultsVariable = "SHADOW_FLEET"

// A rig is three gates whose buses are one, and three hosts.
type rig struct {
	t     *testing.T
	dir   string
	ends  map[string]*end
	gates map[string]*process
	hosts map[string]*process
	lack  string // why a step wasn't tried; empty: it was
}

func (r *rig) folder(name string) string { return filepath.Join(r.dir, name) }
func (r *rig) url(gate string) string    { return "https://" + r.ends[gate].address }

// A gate dies, a host dies, lines are cut and slow, and a disk is full. What is lost are views, which come back
// through another gate; what was audited is known once; and what can't be done is said.
func TestFaults(t *testing.T) {
	if os.Getenv(faultsVariable) == "" {
		t.Skip("set " + faultsVariable + "=1, as make fleet does: it takes minutes")
	}
	for _, p := range []string{"ip", "nft", "tc"} {
		testenv.Program(t, p, "iproute2 or nftables")
	}
	require.NoError(t, build())
	if !testenv.InNamespaces(t, 20*time.Minute) {
		return
	}
	r := newRig(t)
	at := testgate.At(t, r.url("gate1")).SignIn("alice")
	listed(t, at, "host3", 3)
	for _, step := range []struct {
		what string
		do   func(*testing.T, *testgate.Client)
	}{
		{"a gate is killed", r.gateKilled}, {"a host is killed", r.hostKilled}, {"a host is cut off", r.hostCut},
		{"a gate is cut off", r.gateCut}, {"slow lines", r.slowLines}, {"a full disk", r.fullDisk},
	} {
		began := time.Now()
		outcome := "FAILED"
		t.Run(step.what, func(t *testing.T) {
			r.lack = ""
			step.do(t, at)
			outcome = cmp.Or(r.lack, "held")
		})
		t.Logf("%s: %s in %v", step.what, outcome, time.Since(began).Round(time.Second))
		listed(t, at, "host3", 3)
	}
	for name := range r.hosts {
		r.audited(t, at, name)
	}
}

func newRig(t *testing.T) *rig {
	names := []string{"gate1", "gate2", "gate3", "host1", "host2", "host3"}
	r := &rig{t: t, ends: network(t, names...), gates: map[string]*process{}, hosts: map[string]*process{}}
	r.dir = private(t)
	ca := certificate(t, r.folder("tls"), r.ends["gate1"].address, r.ends["gate2"].address, r.ends["gate3"].address)
	for _, name := range names[:3] {
		r.configureGate(name, ca)
	}
	must(t, "", "", "shadowgate", "--config", r.folder("gate1.toml"), "bus-config")
	must(t, "", testgate.Password+"\n", "shadowgate", "--config", r.folder("gate1.toml"), "passwd", "alice")
	for _, name := range names[1:3] {
		r.copyKeys("bus", name)
	}
	r.startGate("gate1")
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(r.folder("gate1"), "cookie.keys")); return err == nil }, patience, 50*time.Millisecond)
	for _, name := range names[1:3] {
		r.copyKeys("", name)
		r.startGate(name)
	}
	for _, name := range names[:3] {
		ready(t, r.gates[name], testgate.At(t, r.url(name)))
	}
	screen := screens(t, r.dir)
	for _, name := range names[3:] {
		r.enrol(name, screen)
		r.startHost(name)
	}
	return r
}

func (r *rig) configureGate(name, ca string) {
	var urls, routes []string
	for _, other := range []string{"gate1", "gate2", "gate3"} {
		urls = append(urls, fmt.Sprintf("%q", "tls://"+r.ends[other].address+":4222"))
		if other != name {
			routes = append(routes, fmt.Sprintf("%q", r.ends[other].address+":6222"))
		}
	}
	require.NoError(r.t, os.MkdirAll(r.folder(name), 0o700))
	require.NoError(r.t, os.WriteFile(r.folder(name+".toml"), fmt.Appendf(nil, `[web]
listen = "%s:443"
origin = %q
[tls]
on = true
dir = %q
[accounts]
file = %q
[tokens]
file = ""
[state]
dir = %q
[bus]
listen = "%[1]s:4222"
ca = %[6]q
name = %[7]q
urls = [%[8]s]
cluster = "%[1]s:6222"
routes = [%[9]s]
replicas = 3
[[access]]
names = ["alice"]
may = ["list", "shadow", "stop", "audit"]
`, r.ends[name].address, r.url(name), r.folder("tls"), r.folder("accounts"), r.folder(name), ca, name, strings.Join(urls, ", "), strings.Join(routes, ", ")), 0o600))
}

// copyKeys gives a gate the first one's keys in a folder.
func (r *rig) copyKeys(folder, to string) {
	require.NoError(r.t, os.MkdirAll(filepath.Join(r.folder(to), folder), 0o700))
	found, err := filepath.Glob(filepath.Join(r.folder("gate1"), folder, "*k*"))
	require.NoError(r.t, err)
	for _, file := range found {
		if ext := filepath.Ext(file); ext == ".nk" || ext == ".keys" {
			data, err := os.ReadFile(file)
			require.NoError(r.t, err)
			require.NoError(r.t, os.WriteFile(filepath.Join(r.folder(to), folder, filepath.Base(file)), data, 0o600))
		}
	}
}

func (r *rig) startGate(name string) {
	r.gates[name] = start(r.t, name, "shadowgate", "--config", r.folder(name+".toml"))
}

func (r *rig) startHost(name string) {
	r.hosts[name] = start(r.t, name, "shadowd", "--config", r.folder(name+".toml"))
}

func (r *rig) enrol(name, screen string) {
	dir := r.folder(name)
	require.NoError(r.t, os.MkdirAll(dir, 0o700))
	spool := filepath.Join(dir, "spool")
	if name == "host3" {
		spool = filepath.Join(small(r.t, dir, 256), "spool")
	}
	config := r.folder(name + ".toml")
	require.NoError(r.t, os.WriteFile(config, hostConfig(dir, screen, r.ends[name].address, fmt.Sprintf("spool = %q", spool)), 0o600))
	var line []string
	require.Eventually(r.t, func() bool { // the buses have to find each other first
		out, err := command(r.t, "gate1", "", "shadowgate", "--config", r.folder("gate1.toml"), "invite", "--hosts", name)
		line = strings.Fields(out)
		return err == nil && len(line) == 4
	}, patience, time.Second, "no invitation: %v", line)
	must(r.t, name, "", "shadowctl", append(line[1:], "--config", config, "--credentials", filepath.Join(dir, "credentials"), "--id", name)...)
}

// same is who is signed in at a gate, at another one: as a browser that knows both by one name. path is of
// what he looks at.
func (r *rig) same(c *testgate.Client, gate, path string) *testgate.Client {
	r.t.Helper()
	other := testgate.At(r.t, r.url(gate)).Client()
	from, err := url.Parse(c.Gate.URL + path)
	require.NoError(r.t, err)
	to, err := url.Parse(other.Gate.URL + path)
	require.NoError(r.t, err)
	var cookies []*http.Cookie
	for _, one := range c.HTTP.Jar.Cookies(from) {
		cookies = append(cookies, &http.Cookie{Name: one.Name, Value: one.Value, Path: "/", Secure: true})
	}
	other.HTTP.Jar.SetCookies(to, cookies)
	return other
}

// comesBack waits until a view shows a picture again through a gate.
func comesBack(t *testing.T, c *testgate.Client, id string) {
	t.Helper()
	began := time.Now()
	var last error
	for time.Since(began) < patience {
		v, err := c.Connect(id)
		if err == nil {
			_ = v.Conn.SetDeadline(time.Now().Add(20 * time.Second))
			err = picture(v.Conn)
			v.Cut()
		}
		if last = err; err == nil {
			t.Logf("the view is back after %v", time.Since(began).Round(10*time.Millisecond))
			return
		}
		time.Sleep(500 * time.Millisecond) // as a page does
	}
	require.Fail(t, "the view doesn't come back", "%v", last)
}

// picture performs RFB's handshake (RFC 6143, 7.1) and waits for a picture.
func picture(c io.ReadWriter) error {
	buf := make([]byte, 64)
	for _, step := range []struct {
		read int
		say  string
	}{{12, "RFB 003.008\n"}, {2, "\x01"}, {4, "\x01"}, {24, ""}} {
		if _, err := io.ReadFull(c, buf[:step.read]); err != nil {
			return err
		}
		if step.say == "" {
			break
		}
		if _, err := io.WriteString(c, step.say); err != nil {
			return err
		}
	}
	if _, err := io.ReadFull(c, make([]byte, buf[23])); err != nil {
		return err
	}
	if _, err := c.Write([]byte{3, 0, 0, 0, 0, 0, 0, testgate.Width, 0, testgate.Height}); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c, testgate.Width*testgate.Height*4)
	return err
}

// stopped stops a view. Its host may be slower than the gate waits for.
func stopped(t *testing.T, c *testgate.Client, id string) {
	t.Helper()
	resp, err := c.Send(t.Context(), http.MethodDelete, "/api/v1/shadows/"+id, nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Contains(t, []int{http.StatusNoContent, http.StatusBadGateway}, resp.StatusCode)
	require.Eventually(t, func() bool {
		resp, err := c.Send(t.Context(), http.MethodGet, "/api/v1/shadows/"+id, nil)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusNotFound
	}, patience, 100*time.Millisecond)
}

// gateKilled: the view that ran through it comes back through another.
func (r *rig) gateKilled(t *testing.T, at *testgate.Client) {
	two := r.same(at, "gate2", "/")
	listed(t, two, "host1", 3)
	view := asked(t, two, gate.Wish{Host: "host1", Session: "s1", Purpose: "a gate is killed"})
	two.View(view).Picture()
	r.gates["gate2"].end(syscall.SIGKILL)
	comesBack(t, r.same(two, "gate1", "/view/"+view), view)
	stopped(t, at, view)
	r.startGate("gate2")
	ready(t, r.gates["gate2"], two.Gate)
	listed(t, r.same(at, "gate2", "/"), "host3", 3)
}

// hostKilled: it leaves the list, asks for it are refused in words, and it is back when it is started.
func (r *rig) hostKilled(t *testing.T, at *testgate.Client) {
	r.hosts["host1"].end(syscall.SIGKILL)
	refused(t, at, "host1")
	listed(t, at, "host2", 2)
	r.startHost("host1")
	listed(t, at, "host1", 3)
	at.View(asked(t, at, gate.Wish{Host: "host1", Session: "s1", Purpose: "a host was killed"})).Cut()
}

// hostCut: the same, and what happens there meanwhile is known afterwards.
func (r *rig) hostCut(t *testing.T, at *testgate.Client) {
	r.ends["host2"].cut(t)
	must(t, "", "", "shadowctl", "--socket", filepath.Join(r.folder("host2"), "control.sock"), "shadow", "s1", "--admin", "root", "--purpose", "while cut off")
	refused(t, at, "host2")
	listed(t, at, "host1", 2)
	r.ends["host2"].heal(t)
	listed(t, at, "host2", 3)
	require.Eventually(t, func() bool {
		return strings.Contains(string(at.Do(http.MethodGet, "/api/v1/activity?host=host2", nil, http.StatusOK)), "while cut off")
	}, patience, 200*time.Millisecond, "what happened while it was cut off isn't known")
}

// gateCut: the others go on, and it has the whole list again afterwards.
func (r *rig) gateCut(t *testing.T, at *testgate.Client) {
	r.ends["gate3"].cut(t)
	view := asked(t, at, gate.Wish{Host: "host1", Session: "s1", Purpose: "a gate is cut off"})
	at.View(view).Picture()
	stopped(t, at, view)
	r.ends["gate3"].heal(t)
	listed(t, r.same(at, "gate3", "/"), "host3", 3)
}

func (r *rig) slowLines(t *testing.T, at *testgate.Client) {
	if !r.ends["host1"].slow(t) || !r.ends["gate2"].slow(t) {
		r.lack = "not tried, no netem in this kernel" // a skip would count as a lack of the machine's, which fails make fleet
		return
	}
	at.View(asked(t, at, gate.Wish{Host: "host1", Session: "s1", Purpose: "slow lines"})).Cut()
}

// fullDisk: while the audit can neither be told nor kept nobody is shown anything, and it is said; when
// there is room, it works again.
func (r *rig) fullDisk(t *testing.T, at *testgate.Client) {
	r.ends["host3"].cut(t)
	full := filepath.Join(r.folder("host3"), "small", "full")
	f, err := os.Create(full)
	require.NoError(t, err)
	for chunk := make([]byte, 4096); err == nil; {
		_, err = f.Write(chunk)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	_ = f.Close()
	ask := []string{"--socket", filepath.Join(r.folder("host3"), "control.sock"), "shadow", "s1", "--admin", "root"}
	var out string
	for n := 0; n < 50 && !strings.Contains(out, "audit"); n++ {
		out, _ = command(t, "", "", "shadowctl", ask...)
	}
	require.Contains(t, out, "audit", "it goes on without its audit")
	require.NoError(t, os.Remove(full))
	r.ends["host3"].heal(t)
	listed(t, at, "host3", 3)
	at.View(asked(t, at, gate.Wish{Host: "host3", Session: "s1", Purpose: "there is room"})).Cut()
}

// refused asks for a host that isn't there, and requires a reason.
func refused(t *testing.T, c *testgate.Client, host string) {
	t.Helper()
	began := time.Now()
	resp, err := c.Send(t.Context(), http.MethodPost, "/api/v1/shadows", gate.Wish{Host: host, Session: "s1"})
	require.NoError(t, err)
	defer resp.Body.Close()
	var problem struct{ Reason, Detail string }
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&problem))
	require.Equal(t, "host_unreachable", problem.Reason)
	t.Logf("asked for %s: refused after %v: %s", host, time.Since(began).Round(time.Second), problem.Detail)
}

// audited waits until the gate knows each line of a host's own audit, and requires that it knows none twice.
func (r *rig) audited(t *testing.T, c *testgate.Client, host string) {
	t.Helper()
	own := map[string]int{}
	f, err := os.Open(filepath.Join(r.folder(host), "audit.log"))
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		own[lineOf(t, lines.Bytes())]++
	}
	require.NotEmpty(t, own)
	known := map[string]int{}
	require.Eventually(t, func() bool {
		var list struct{ Events []json.RawMessage }
		resp, err := c.Send(t.Context(), http.MethodGet, "/api/v1/activity?limit=500&host="+host, nil)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK { // the buses may be choosing who leads
			return false
		}
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&list))
		clear(known)
		for _, e := range list.Events {
			known[lineOf(t, e)]++
		}
		for line, n := range own {
			if known[line] < n {
				return false
			}
		}
		return true
	}, patience, 500*time.Millisecond, "%s has audited what the gate doesn't know:\n%v\n%v", host, own, known)
	for line, n := range known {
		require.LessOrEqual(t, n, max(1, own[line]), "%s: %s is known %d times", host, line, n)
	}
	t.Logf("%s: %d lines, each known once", host, len(own))
}

// lineOf is what an event is known by.
func lineOf(t *testing.T, data []byte) string {
	t.Helper()
	var e struct{ ID, Type, Time string }
	require.NoError(t, json.Unmarshal(data, &e))
	return e.ID + " " + e.Type + " " + e.Time
}
