package source

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/program"
	"vda.internal/shadow/internal/host/strict"
	"vda.internal/shadow/internal/host/sysv"
	"vda.internal/shadow/source/internal/self"
)

// minX11vnc is the oldest x11vnc that is known to work (-noultraext, -safer and
// -inetd as used here).
var minX11vnc = [3]int{0, 9, 13}

// X11vnc is a [shadow.Source] that starts one x11vnc(1) per viewer, as the session's user, on one
// end of a socket pair: it listens nowhere and has no second client. It runs view-only, with every
// other way to act on the session turned off; the relay in front of it enforces the same again. The
// zero value is ready to use.
type X11vnc struct {
	Path string // of the program; empty: found on PATH

	// State is a directory, accessible to its owner only, that records running x11vncs for Sweep;
	// empty: none are recorded.
	State string

	// OnLeft is called if an x11vnc left shared memory that can't be removed, because removing
	// another user's needs CAP_SYS_ADMIN. It remains recorded for Sweep. OnLeft must not block; nil
	// ignores the error.
	OnLeft func(error)

	mu      sync.Mutex
	checked string // path that was found good
}

// Check requires x11vnc 0.9.13 or later. Success is cached while the program exists; failure is
// checked again at the next request. The error says how to install it on this distribution. In a
// program whose main calls capture.Child it also connects to s's display as the session's user, and
// refuses Xwayland ([shadow.Wayland]), whose empty root window x11vnc would show, and displays that
// refuse the user.
func (x *X11vnc) Check(ctx context.Context, s *shadow.Session) error {
	if err := allMonitors(s, "x11vnc"); err != nil {
		return err
	}
	if _, err := x.program(ctx); err != nil || s == nil {
		return err
	}
	server, err := lookAt(s)
	if err != nil {
		return err
	}
	if err := server.refusal(); err != nil || !self.Capture.Ready() {
		return err
	}
	if _, err := new(X11).Look(ctx, s); err != nil && final(ctx, err) {
		return err
	}
	return nil
}

// final reports whether err, of X11 looking at a display, would be x11vnc's as well: it is about
// the session and not about its pixels, or there is no time left.
func final(ctx context.Context, err error) bool {
	_, refused := errors.AsType[*shadow.End](err)
	return refused || ctx.Err() != nil
}

// program is the path of a good x11vnc.
func (x *X11vnc) program(ctx context.Context) (string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.checked != "" {
		if _, err := os.Stat(x.checked); err == nil {
			return x.checked, nil
		}
		x.checked = "" // removed, or moved by an update
	}
	name := x.Path
	if name == "" {
		name = "x11vnc"
	}
	path, err := exec.LookPath(name)
	if err != nil && x.Path != "" {
		return "", pkg.Errorf("there is no x11vnc at %s (%w); correct the path, or leave it out to find x11vnc on PATH", x.Path, errors.Unwrap(err))
	}
	if err != nil {
		return "", pkg.Errorf("x11vnc is not installed (%w); install it with: %s", err, installCommand("/etc/os-release"))
	}
	if err := strict.Check(path); err != nil { // it is run as root, too
		return "", pkg.Errorf("x11vnc isn't run: %w", err)
	}
	out, err := program.Output(ctx, program.Command{Path: path, Args: []string{"-version"}, Timeout: 10 * time.Second})
	if err != nil {
		return "", pkg.Errorf("%w", err)
	}
	version, ok := parseX11vncVersion(string(out))
	if !ok {
		return "", pkg.Errorf("%s -version says %.60q, which names no version of x11vnc", path, strings.TrimSpace(string(out)))
	}
	if older(version, minX11vnc) {
		return "", pkg.Errorf("%s is version %d.%d.%d, and 0.9.13 or later is needed; update it with: %s",
			path, version[0], version[1], version[2], installCommand("/etc/os-release"))
	}
	x.checked = path
	return path, nil
}

var x11vncVersion = regexp.MustCompile(`x11vnc: (\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?`)

// parseX11vncVersion reads "x11vnc: 0.9.16 lastmod: 2019-01-05".
func parseX11vncVersion(s string) (v [3]int, ok bool) {
	m := x11vncVersion.FindStringSubmatch(s)
	if m == nil {
		return v, false
	}
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // an absent third part is 0
	}
	return v, true
}

func older(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// installCommand is how x11vnc is installed on the distribution that the
// os-release(5) file describes.
func installCommand(file string) string {
	data, _ := os.ReadFile(file)
	var ids string
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "ID" || key == "ID_LIKE" {
			ids += " " + strings.Trim(value, `"'`)
		}
	}
	for _, id := range strings.Fields(ids) {
		switch id {
		case "debian", "ubuntu":
			return "apt-get install x11vnc"
		case "fedora":
			return "dnf install x11vnc"
		case "rhel", "centos", "rocky", "almalinux", "ol", "amzn":
			return "dnf install epel-release && dnf install x11vnc"
		case "suse", "opensuse", "sles", "sled":
			return "zypper install x11vnc"
		case "arch":
			return "pacman -S x11vnc"
		}
	}
	return "the distribution's package manager (package x11vnc)"
}

// x11vncArgs are the options for s. Each one that switches something off is
// there because it was found to let something through or to slow a viewer that
// sends no input; docs/DESIGN.md has the list.
func x11vncArgs(s *shadow.Session) []string {
	args := []string{"-display", s.Display}
	if s.Xauthority != "" {
		args = append(args, "-auth", s.Xauthority)
	}
	return append(args, "-inetd", "-viewonly", "-norc", "-nopw", "-safer", "-nocmds", "-noultraext", "-nosel",
		"-noxrecord", "-nolookup", "-nonap", "-ncache", "0", "-nowireframe", "-noscrollcopyrect",
		"-nowirecopyrect", "-nodpms", "-timeout", "15", "-nocursorshape",
		"-speeds", "lan", "-wait", "10", "-defer", "10")
}

// Sweep removes shared memory left by x11vncs of a daemon that was killed, and returns the number
// of segments. Call it before the first Open. For an x11vnc that this process started, it is
// removed when it ends.
func (x *X11vnc) Sweep() (segments int, err error) { return sysv.Ledger(x.State).Sweep() }

// noMemory lets x11vnc do without shared memory.
const noMemory = "-noshm"

// x11vncMemory is what x11vnc is told where there is too little shared memory for it: it would
// end.
func x11vncMemory() []string {
	if sharedMemory(x11vncSegments) {
		return nil
	}
	return []string{noMemory}
}

// x11vncCommand is what to run for s. Where this program can, it first finds the cookie that
// opens the display, as everything else here does, and gives x11vnc that one alone.
func x11vncCommand(path string, s *shadow.Session, memory []string) *exec.Cmd {
	if s.Xauthority == "" || !self.Capture.Ready() {
		return exec.Command(path, append(x11vncArgs(s), memory...)...)
	}
	found := *s
	found.Xauthority = self.CookieFile
	args := append([]string{s.Display, s.Xauthority, path}, x11vncArgs(&found)...)
	return self.Cookie.Command(append(args, memory...)...)
}

// Open starts x11vnc on s. It doesn't wait for x11vnc to reach the display: a failure shows when
// its greeting doesn't come, and [shadow.Ender]'s Err then has what it printed.
func (x *X11vnc) Open(ctx context.Context, s *shadow.Session) (net.Conn, error) {
	path, err := x.program(ctx)
	if err != nil {
		return nil, err
	}
	server, err := lookAt(s)
	if err == nil {
		err = server.refusal()
	}
	if err != nil {
		return nil, err
	}
	memory := x11vncMemory()
	conn, err := x.start(path, s, server, memory)
	if err != nil || memory != nil {
		return conn, err
	}
	// An X server without MIT-SHM, or in another container, ends an x11vnc that wants to share memory.
	if p := conn.(*process); !p.greets(ctx) && p.wantedMemory() {
		_ = conn.Close()
		return x.start(path, s, server, []string{noMemory})
	}
	return conn, nil
}

// start runs the x11vnc at path, so that it finds no other X server than the one that was looked at.
func (x *X11vnc) start(path string, s *shadow.Session, server server, memory []string) (net.Conn, error) {
	if server.confined() {
		conn, err := start("x11vnc", child.StartAlone, x11vncCommand(path, s, memory), s, sysv.Ledger(x.State), x.OnLeft, nil)
		if err == nil || !noNamespace(err) {
			return conn, err
		}
	}
	if err := server.unconfined(); err != nil {
		return nil, err
	}
	return start("x11vnc", child.Start, x11vncCommand(path, s, memory), s, sysv.Ledger(x.State), x.OnLeft, nil)
}
