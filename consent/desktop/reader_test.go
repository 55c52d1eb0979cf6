package desktop

import (
	_ "embed"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// readerScript is a client of the accessibility bus, as a screen reader is one.
//
//go:embed testdata/reader.py
var readerScript string

// A part is a window or a part of it as a screen reader finds it.
type part struct {
	Role        string   `json:"role"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	States      []string `json:"states"`
	At          [4]int   `json:"at"` // x, y, width, height on the screen
	Actions     []string `json:"actions"`
	Children    []part   `json:"children"`
	Application string   `json:"application"`
}

// is reports whether a part has all of some states.
func (p part) is(states ...string) bool {
	return !slices.ContainsFunc(states, func(s string) bool { return !slices.Contains(p.States, s) })
}

// named is the part of a name.
func (p part) named(t *testing.T, name string) part {
	t.Helper()
	i := slices.IndexFunc(p.Children, func(c part) bool { return c.Name == name })
	require.GreaterOrEqual(t, i, 0, "%q isn't in %+v", name, p)
	return p.Children[i]
}

// accessibility starts the session's bus and the accessibility bus on a desktop, and returns the address of the first.
func (d *desk) accessibility() (bus string) {
	d.t.Helper()
	const launcher = "/usr/libexec/at-spi-bus-launcher"
	testenv.Program(d.t, "dbus-daemon", "dbus")
	if _, err := os.Stat(launcher); err != nil {
		testenv.Lack(d.t, "%s is needed (Debian package at-spi2-core); make deps installs it", launcher)
	}
	if out, err := exec.Command("/usr/bin/python3", "-c", "import pyatspi").CombinedOutput(); err != nil {
		testenv.Lack(d.t, "pyatspi is needed (Debian package python3-pyatspi); make deps installs it: %s", out)
	}
	bus = "unix:path=" + d.Home + "/bus"
	_, err := d.Spawn("dbus-daemon", "--session", "--nofork", "--address="+bus)
	require.NoError(d.t, err)
	eventually(d.t, func() bool { _, err := os.Stat(d.Home + "/bus"); return err == nil }, "no session bus")
	_, err = d.Spawn("env", append(d.reading(bus), launcher, "--launch-immediately")...)
	require.NoError(d.t, err)
	eventually(d.t, func() bool {
		out, err := d.Run(d.ctx, "xprop", "-root", "AT_SPI_BUS")
		return err == nil && strings.Contains(string(out), "unix:")
	}, "no accessibility bus")
	return bus
}

// reading is the environment of a program that reads a desktop, for env(1).
func (d *desk) reading(bus string) []string {
	return []string{"DBUS_SESSION_BUS_ADDRESS=" + bus, "XDG_RUNTIME_DIR=" + d.Home, "GSETTINGS_BACKEND=memory", "NO_AT_BRIDGE=1"}
}

// client starts the client with standard output in a file.
func (d *desk) client(bus string, args ...string) (p *child.Process, output *os.File) {
	d.t.Helper()
	output, err := os.Create(filepath.Join(d.t.TempDir(), "output"))
	require.NoError(d.t, err)
	d.t.Cleanup(func() { output.Close() })
	cmd := exec.Command("env", slices.Concat(d.reading(bus), []string{"/usr/bin/python3", "-c", readerScript}, args)...)
	cmd.Stdout, cmd.Stderr = output, os.Stderr
	p, err = d.SpawnCmd(cmd)
	require.NoError(d.t, err)
	return p, output
}

// reader runs the client, for as long as that takes on a busy machine.
func (d *desk) reader(bus string, args ...string) string {
	d.t.Helper()
	p, output := d.client(bus, args...)
	select {
	case <-p.Done():
	case <-d.ctx.Done():
		require.FailNow(d.t, "the client doesn't end", "%v", args)
	}
	said, err := os.ReadFile(output.Name())
	require.NoError(d.t, err)
	require.NoError(d.t, p.Err(), "%v: %s", args, said)
	return strings.TrimSpace(string(said))
}

// read is what a screen reader finds.
func (d *desk) read(bus string) (p part) {
	d.t.Helper()
	require.NoError(d.t, json.Unmarshal([]byte(d.reader(bus, "tree")), &p))
	return p
}

// listen starts a client that notes events, and returns what it has noted so far.
func (d *desk) listen(bus string) func() string {
	d.t.Helper()
	_, output := d.client(bus, "listen", "600")
	heard := func() string {
		b, err := os.ReadFile(output.Name())
		require.NoError(d.t, err)
		return string(b)
	}
	eventually(d.t, func() bool { return strings.Contains(heard(), "listening") }, "nobody listens")
	return heard
}

// A screen reader finds the question: what it is, what it says, which button has the focus, and where all that is. It hears
// of the focus. It can press No, and not Yes.
func TestReaderOfAQuestion(t *testing.T) {
	t.Parallel()
	var bus string
	var heard func() string
	d := put(t, managed, func(d *desk) { bus = d.accessibility(); heard = d.listen(bus) }, func(r *consent.Request) {
		r.Bus, r.Purpose, r.Identity.Name = bus, "INC-1234 screen flickers", "Alice Ng"
		r.Timeout = 2 * time.Minute
	})
	d.ready()
	w := d.read(bus)
	assert.Equal(t, "shadowd", w.Application)
	assert.Equal(t, "dialog", w.Role)
	assert.Equal(t, `Alice Ng (CORP\alice) wants to view your screen`, w.Name)
	assert.Contains(t, w.Description, "INC-1234 screen flickers")
	assert.Contains(t, w.Description, "They cannot use your mouse or keyboard.")
	assert.Contains(t, w.Description, "counts as No")
	assert.True(t, w.is("active", "modal", "showing", "visible", "enabled"), "%v", w.States)
	assert.Equal(t, [4]int{d.win.X, d.win.Y, d.win.Width, d.win.Height}, w.At)

	no, yes := w.named(t, "No"), w.named(t, "Yes")
	assert.Equal(t, "push button", no.Role)
	assert.True(t, no.is("focused", "focusable", "is default", "sensitive"), "%v", no.States)
	assert.True(t, yes.is("focusable", "sensitive"), "%v", yes.States)
	assert.False(t, yes.is("focused"))
	assert.Equal(t, []string{"click"}, yes.Actions)
	x, y := d.allow()
	assert.True(t, yes.At[0] < x && x < yes.At[0]+yes.At[2] && yes.At[1] < y && y < yes.At[1]+yes.At[3], "%v isn't around %d, %d", yes.At, x, y)
	var roles []string
	for _, c := range w.Children {
		roles = append(roles, c.Role)
	}
	assert.Equal(t, []string{"label", "label", "label", "label", "label", "push button", "push button"}, roles)
	for _, want := range []string{"window:create", "window:activate", "object:state-changed:focused | No | 1"} {
		eventually(t, func() bool { return strings.Contains(heard(), want) }, "it doesn't hear "+want)
	}

	d.key("Right")
	eventually(t, func() bool { return strings.Contains(heard(), "object:state-changed:focused | Yes | 1") }, "the focus")
	assert.Equal(t, "False", d.reader(bus, "press", "Yes"))
	assert.Equal(t, "False", d.reader(bus, "grab", "Yes"))
	d.unanswered()
	assert.Equal(t, "True", d.reader(bus, "press", "No"))
	d.expect(consent.Denied)
}

// A screen reader finds what is only claimed: of whom a Yes would disconnect, and of who is viewing.
func TestReaderOfClaims(t *testing.T) {
	t.Parallel()
	const claimed = "The caller gave this name; this computer could not verify it."
	var bus string
	d := put(t, bare, func(d *desk) { bus = d.accessibility() }, func(r *consent.Request) {
		r.Bus, r.Replaces, r.ReplacesUnverified, r.Timeout = bus, `CORP\bob`, true, 5*time.Minute
	})
	w := d.read(bus)
	ends := `CORP\bob is watching now and will be disconnected if you say Yes.`
	assert.Contains(t, w.Description, ends+" "+claimed)
	assert.Equal(t, []string{"label", "label"}, []string{w.named(t, ends).Role, w.named(t, claimed).Role})
	d.refuse()

	r := request(d.Desktop)
	r.Bus, r.Identity = bus, consent.Identity{}
	_, _, _, end := d.watched(r)
	defer end()
	eventually(t, func() bool { w = d.read(bus); return w.Role == "notification" }, "no banner")
	assert.Equal(t, claimed, w.Description)
	assert.Equal(t, "label", w.named(t, claimed).Role)
}

// The root window says where the accessibility bus is where the session has no bus of its own.
func TestReaderByTheRootWindow(t *testing.T) {
	t.Parallel()
	var bus string
	d := put(t, bare, func(d *desk) { bus = d.accessibility() }, func(r *consent.Request) {
		r.Bus, r.Timeout = "unix:path=/nonexistent/bus", 2*time.Minute
	})
	w := d.read(bus)
	assert.Equal(t, `CORP\alice wants to view your screen`, w.Name)
	d.refuse()
}

// A screen reader finds the banner, hears what becomes of the viewing, pauses and stops it. It can't let it go on.
func TestReaderOfABanner(t *testing.T) {
	t.Parallel()
	d := gallery(t, 1, testhost.Options{Width: 800, Height: 480})
	bus := d.accessibility()
	heard := d.listen(bus)
	r := request(d.Desktop)
	r.Bus, r.Purpose, r.Basis = bus, "INC-1234", consent.BySilence
	changes, wishes, stopped, end := d.watched(r)
	defer end()
	w := d.read(bus)
	assert.Equal(t, "notification", w.Role)
	assert.Equal(t, `CORP\alice is viewing your screen`, w.Name)
	assert.Contains(t, w.Description, "INC-1234")
	assert.Contains(t, w.Description, "You did not answer")
	stop, pause := w.named(t, "Stop"), w.named(t, "Pause")
	assert.Equal(t, []string{"push button", "push button"}, []string{stop.Role, pause.Role})
	assert.Equal(t, []string{"click"}, stop.Actions)
	assert.Positive(t, stop.At[2])
	eventually(t, func() bool { return strings.Contains(heard(), "object:state-changed:showing | "+w.Name) }, "it doesn't hear of the banner")

	assert.Equal(t, "True", d.reader(bus, "press", "Pause"))
	assert.Equal(t, consent.Pause, take(t, wishes))
	d.reader(bus, "press", "Pause") // before anything has come of the first, it must not be the opposite
	changes <- consent.View{State: consent.Paused}
	eventually(t, func() bool {
		return strings.Contains(heard(), `accessible-name | Paused: CORP\alice does not see your screen`)
	}, "it doesn't hear of the pause")
	assert.Empty(t, wishes)
	assert.Equal(t, "False", d.reader(bus, "press", "Resume"), "the viewer sees again only by the mouse")
	assert.Empty(t, wishes)

	changes <- consent.View{State: consent.Away, Until: time.Now().Add(time.Hour)}
	eventually(t, func() bool { return strings.Contains(heard(), "object:children-changed:remove") }, "the button is still there")
	assert.Len(t, d.read(bus).Children, 4)
	assert.Equal(t, "True", d.reader(bus, "press", "Stop"))
	take(t, stopped)
}

// An accessibility bus that takes a connection and says nothing holds up neither the question nor its answer.
func TestReaderHangs(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "bus")
	for dir := filepath.Dir(socket); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, os.Chmod(socket, 0o777))
	came := make(chan net.Conn, 9)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(came)
				return
			}
			came <- c
		}
	}()
	d := put(t, bare, func(d *desk) {
		d.run("xprop", "-root", "-f", "AT_SPI_BUS", "8s", "-set", "AT_SPI_BUS", "unix:path="+socket)
	},
		func(r *consent.Request) { r.Bus = "unix:path=/nonexistent/bus" })
	d.ready()
	select {
	case c := <-came:
		defer c.Close()
	case <-d.ctx.Done():
		require.Fail(t, "nobody came to the bus, and the test means nothing")
	}
	d.refuse()
}
