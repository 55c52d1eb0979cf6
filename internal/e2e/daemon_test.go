package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// patience bounds every single wait.
const patience = testenv.Patience

// eventually waits for a condition, within patience.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		require.True(t, time.Now().Before(deadline), "waited in vain: %s", what)
		time.Sleep(20 * time.Millisecond)
	}
}

// noSource waits until no picture is captured any more. An end that is announced doesn't wait for
// a source that is slow to end.
func (d *daemon) noSource() {
	d.t.Helper()
	eventually(d.t, "no source runs", func() bool { return len(d.sources()) == 0 })
}

// A daemon is a running shadowd and the sessions that it knows.
type daemon struct {
	t      testing.TB
	cmd    *exec.Cmd
	done   chan struct{}
	config string
	client api.Client

	first, last int  // its ports
	killed      bool // by kill

	mu     sync.Mutex
	log    bytes.Buffer
	events []shadow.Event
}

// options are the parts of a configuration that tests vary.
type options struct {
	settings string // lines at the top
	consent  string // lines of [consent]
	banner   bool   // show it
	source   string // lines of [source]; empty: a picture without the pointer, which screenshots don't have either
	viewer   string // lines of [viewer]
	ports    int    // how many; 0 means 6
	path     string // PATH; empty: the test's
	bus      string // address of the sessions' bus; empty: their users'
	certs    string // folder of the certificate; empty: the suite's
	logind   string // address of a bus with a logind that knows the sessions; empty: they are in the configuration
}

// portBase hands out port ranges that don't overlap.
var portBase atomic.Int32

func init() { portBase.Store(int32(6700 + os.Getpid()%300*40)) }

func startDaemon(t testing.TB, o options, desktops ...*testhost.Desktop) *daemon {
	t.Helper()
	if suite.lack != "" {
		testenv.Lack(t, "%s", suite.lack)
	}
	if o.ports == 0 {
		o.ports = 6
	}
	last := int(portBase.Add(int32(o.ports)))
	d := &daemon{t: t, done: make(chan struct{}), first: last - o.ports + 1, last: last}
	dir := t.TempDir()
	d.config = filepath.Join(dir, "shadowing.toml")
	d.client.Socket = filepath.Join(dir, "control.sock")
	d.configure(o, desktops...)
	d.cmd = exec.Command(suite.shadowd, "--config", d.config)
	if o.path != "" {
		d.cmd.Env = append(os.Environ(), "PATH="+o.path)
	}
	if o.logind != "" {
		d.cmd.Env = append(d.cmd.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+o.logind)
	}
	stderr, err := d.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, d.cmd.Start())
	go d.read(bufio.NewScanner(stderr))
	t.Cleanup(d.stop)
	eventually(t, "shadowd answers", func() bool {
		_, err := d.client.List(t.Context())
		return err == nil || d.exited()
	})
	require.False(t, d.exited(), "shadowd has ended:\n%s", d.logged())
	return d
}

// configure writes the configuration.
func (d *daemon) configure(o options, desktops ...*testhost.Desktop) {
	d.t.Helper()
	var b strings.Builder
	fmt.Fprintln(&b, o.settings)
	fmt.Fprintf(&b, "[ports]\nlisten = \"127.0.0.1\"\nfirst = %d\nlast = %d\n", d.first, d.last)
	if !strings.Contains(o.viewer, "reconnect") {
		o.viewer += "\nreconnect = \"0s\"" // or tabs that are closed would be waited for
	}
	if !strings.Contains(o.viewer, "connect_timeout") {
		o.viewer += "\nconnect_timeout = \"2m\"" // a browser may be slow to start a tab
	}
	if !strings.Contains(o.consent, "timeout") {
		o.consent = "timeout = \"2m\"\n" + o.consent // and so may a test's user be
	}
	fmt.Fprintf(&b, "[viewer]\nhost = \"localhost\"\norigins = [%q]\n%s\n", suite.pageHost, o.viewer)
	fmt.Fprintf(&b, "[consent]\nbanner = %v\n%s\n[tls]\ndir = %q\n", o.banner, o.consent, cmp.Or(o.certs, suite.certs))
	fmt.Fprintf(&b, "[source]\n%s\n", cmp.Or(o.source, "pointer = false"))
	fmt.Fprintf(&b, "[control]\nsocket = %q\n", d.client.Socket)
	if o.logind == "" {
		fmt.Fprintf(&b, "[sessions]\nresolver = \"static\"\n")
	}
	for i, desktop := range desktops {
		fmt.Fprintf(&b, "[[sessions.static]]\nid = \"s%d\"\ndisplay = %q\nuser = %q\nxauthority = %q\n",
			i+1, desktop.Display, userName(d.t, desktop.Identity.UID), desktop.Xauthority)
		if o.bus != "" {
			fmt.Fprintf(&b, "bus = %q\n", o.bus)
		}
	}
	require.NoError(d.t, os.WriteFile(d.config, []byte(b.String()), 0o600))
}

// read keeps what shadowd logs, and its audit lines as events.
func (d *daemon) read(lines *bufio.Scanner) {
	for lines.Scan() {
		d.mu.Lock()
		d.log.Write(append(lines.Bytes(), '\n'))
		var e shadow.Event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Type != "" {
			d.events = append(d.events, e)
		}
		d.mu.Unlock()
	}
	_ = d.cmd.Wait()
	close(d.done)
}

func (d *daemon) exited() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

func (d *daemon) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// event waits for the audit line of that type about that shadow.
func (d *daemon) event(kind shadow.EventType, id string) (found shadow.Event) {
	d.t.Helper()
	eventually(d.t, "audit line "+string(kind), func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, e := range d.events {
			if e.Type == kind && (id == "" || e.ID == id) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// lastEvent is the last audit line of that type so far.
func (d *daemon) lastEvent(kind shadow.EventType) (last shadow.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.Type == kind {
			last = e
		}
	}
	return last
}

// count is how many audit lines of that type there are.
func (d *daemon) count(kind shadow.EventType) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// kill ends the daemon without a chance to tidy up.
func (d *daemon) kill() {
	d.killed = true
	_ = d.cmd.Process.Kill()
	<-d.done
}

// stop sends SIGTERM and checks that nothing is left.
func (d *daemon) stop() {
	if d.killed {
		return
	}
	children := childrenOf(d.cmd.Process.Pid)
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(patience):
		_ = d.cmd.Process.Kill()
		<-d.done
		d.t.Error("shadowd did not end on SIGTERM")
	}
	if d.t.Failed() {
		d.t.Logf("shadowd's log:\n%s", d.logged())
	}
	assert.Zero(d.t, d.cmd.ProcessState.ExitCode(), "exit status of shadowd")
	assert.NotContains(d.t, d.logged(), "DATA RACE")
	assert.NoFileExists(d.t, d.client.Socket)
	for _, pid := range children {
		assert.NoDirExists(d.t, fmt.Sprintf("/proc/%d", pid), "a child outlived shadowd")
	}
	assert.Empty(d.t, d.listening(), "ports still listened on")
}

// listening is which of the daemon's ports accept connections.
func (d *daemon) listening() (ports []int) {
	for port := d.first; port <= d.last; port++ {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(port), time.Second)
		if err == nil {
			c.Close()
			ports = append(ports, port)
		}
	}
	return ports
}

// sources are the process ids of the daemon's children that read a session's
// picture: its own, or x11vnc.
func (d *daemon) sources() (pids []int) {
	for _, pid := range childrenOf(d.cmd.Process.Pid) {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.TrimSpace(string(comm)) == "x11vnc" || bytes.Contains(line, []byte("\x00capture\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// childrenOf are the direct children of a process, of all its threads.
func childrenOf(pid int) (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		data, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// A request is a POST /v1/shadows that waits for the user.
type request struct {
	t     testing.TB
	done  chan struct{}
	grant *api.Grant
	err   error
}

// ask requests a shadow in the background.
func (d *daemon) ask(session, admin string) *request { return d.askFor(session, admin, "") }

// askFor is ask for one monitor.
func (d *daemon) askFor(session, admin, monitor string) *request {
	return d.asks(api.Request{Session: session, Admin: admin, Client: "198.51.100.7", Monitor: monitor})
}

// asks is ask for whatever else there is to say.
func (d *daemon) asks(what api.Request) *request {
	r := &request{t: d.t, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	d.t.Cleanup(cancel)
	go func() {
		defer close(r.done)
		r.grant, r.err = d.client.Shadow(ctx, what)
	}()
	return r
}

func (r *request) wait() {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience + 20*time.Second):
		require.Fail(r.t, "no answer to the request")
	}
}

// granted requires a grant.
func (r *request) granted() *api.Grant {
	r.t.Helper()
	r.wait()
	require.NoError(r.t, r.err)
	return r.grant
}

// refused requires a refusal for that reason, and returns its words.
func (r *request) refused(reason shadow.Reason) string {
	r.t.Helper()
	r.wait()
	var problem *api.Problem
	require.True(r.t, errors.As(r.err, &problem), "%v", r.err)
	require.Equal(r.t, reason, problem.Reason, "%v", problem)
	return problem.Detail
}
