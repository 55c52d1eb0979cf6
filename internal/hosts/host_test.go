package hosts

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/testenv"
)

// patience bounds every single wait.
const patience = testenv.Patience

// The addresses of the host and of whoever watches, in namespaces of the test's own (RFC 5737).
const hostAddress, viewerAddress = "192.0.2.1", "192.0.2.2"

// included is what the root has besides a minimal Debian.
const included = "systemd,systemd-sysv,dbus,libpam-systemd,procps,xvfb,xfce4-session,xfwm4,xfce4-panel,xfdesktop4,xfce4-settings,dbus-user-session,x11-xserver-utils,fonts-dejavu-core,xauth,xterm,xdotool,x11-utils,man-db,logrotate,bash-completion,rpm,x11vnc,openssl,ansible-core,python3-cffi-backend,python3-apt"

// A host is a booted container.
type host struct {
	t       *testing.T
	root    string // of its files, from outside
	viewer  string // the network namespace of whoever watches
	own     string // the host's
	console string // file with what it prints
	nspawn  *exec.Cmd
	done    <-chan struct{} // closed when nspawn has ended
	leader  int             // its first process
	release string          // of Debian
	now     built           // the packages of this tree
	last    built           // those of the last release
	version string          // of the packages that the pages' commands name
	ran     map[string]bool // which of the pages' commands have been run
}

// boot starts a host with a release of Debian. It is ended with the test.
func boot(t *testing.T, release string) *host {
	t.Helper()
	base := debian(t, release)
	dir := t.TempDir()
	h := &host{t: t, release: release, ran: map[string]bool{}, root: filepath.Join(dir, "root"), viewer: fmt.Sprintf("shadow-viewer-%d", os.Getpid())}
	for _, d := range []string{"root", "upper", "work"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", base, dir, dir)
	require.NoError(t, syscall.Mount("overlay", h.root, "overlay", 0, options))
	t.Cleanup(func() { _ = syscall.Unmount(h.root, syscall.MNT_DETACH) })
	h.put("/etc/systemd/system.conf.d/test.conf", "[Manager]\nDefaultTimeoutStopSec=20s\n", 0o644)
	own := fmt.Sprintf("shadow-host-%d", os.Getpid())
	h.network(own)

	h.own, h.console = own, filepath.Join(dir, "console")
	t.Cleanup(func() {
		if t.Failed() && h.leader != 0 {
			out, _ := h.command("journalctl", "--no-pager", "--lines=60", "--unit=desktop", "--unit=shadowd", "--unit=shadowgate").CombinedOutput()
			t.Logf("journal:\n%s", out)
		}
		h.powerOff()
		if out, _ := os.ReadFile(h.console); t.Failed() {
			t.Logf("console:\n%s", out[max(0, len(out)-4000):])
		}
	})
	h.start()
	return h
}

// start boots what is in the root, and returns when everything runs.
func (h *host) start() {
	h.t.Helper()
	console, err := os.Create(h.console)
	require.NoError(h.t, err)
	defer console.Close()
	h.nspawn = exec.Command("systemd-nspawn", "--quiet", "--directory="+h.root, "--machine=shadow-test", "--boot", "--register=no", "--keep-unit",
		"--network-namespace-path=/run/netns/"+h.own, "--resolv-conf=off", "--timezone=off", "--console=pipe")
	h.nspawn.Stdout, h.nspawn.Stderr = console, console
	require.NoError(h.t, h.nspawn.Start())
	done := make(chan struct{})
	h.done = done
	go func(cmd *exec.Cmd) { defer close(done); _ = cmd.Wait() }(h.nspawn)
	h.until("the host has booted", h.booted)
}

// powerOff ends the host.
func (h *host) powerOff() {
	if h.nspawn == nil {
		return
	}
	_ = h.nspawn.Process.Signal(syscall.SIGTERM)
	select {
	case <-h.done:
	case <-time.After(patience):
		_ = h.nspawn.Process.Kill()
		<-h.done
	}
}

// debian is a folder with a release of Debian that nothing changes. The first time it is made, in
// the user's cache, which takes minutes.
func debian(t *testing.T, release string) string {
	t.Helper()
	testenv.Root(t)
	for _, p := range []string{"debootstrap", "systemd-nspawn", "nsenter", "ip"} {
		testenv.Program(t, p, map[string]string{"systemd-nspawn": "systemd-container", "nsenter": "util-linux", "ip": "iproute2"}[p])
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	root := filepath.Join(cache, "shadow-hosts", release+"-5")
	if _, err := os.Stat(root); err == nil {
		return root
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(root), 0o755))
	half, err := os.MkdirTemp(filepath.Dir(root), "making-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(half, 0o755))
	args := []string{"--variant=minbase", "--include=" + included, release, half}
	if mirror := mirror(); mirror != "" {
		args = append(args, mirror)
	}
	out, err := exec.CommandContext(t.Context(), "debootstrap", args...).CombinedOutput()
	if err != nil {
		_ = os.RemoveAll(half)
		require.NoError(t, err, "%s", out[max(0, len(out)-2000):])
	}
	require.NoError(t, os.Rename(half, root))
	return root
}

// mirror is where this machine's own packages come from; empty: not known.
func mirror() string {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, name := range append([]string{"/etc/apt/sources.list"}, files...) {
		b, _ := os.ReadFile(name)
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 1 && (f[0] == "URIs:" || f[0] == "deb") && strings.HasSuffix(strings.TrimSuffix(f[1], "/"), "/debian") {
				return f[1]
			}
		}
	}
	return ""
}

// network makes two namespaces, joined by a cable.
func (h *host) network(own string) {
	for _, line := range []string{
		"netns add " + own, "netns add " + h.viewer,
		"-n " + own + " link add host0 type veth peer name eth0 netns " + h.viewer,
		"-n " + own + " address add " + hostAddress + "/24 dev host0", "-n " + own + " link set host0 up", "-n " + own + " link set lo up",
		"-n " + h.viewer + " address add " + viewerAddress + "/24 dev eth0", "-n " + h.viewer + " link set eth0 up",
	} {
		out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
		require.NoError(h.t, err, "ip %s: %s", line, out)
	}
	h.t.Cleanup(func() {
		for _, ns := range []string{own, h.viewer} {
			_ = exec.Command("ip", "netns", "delete", ns).Run()
		}
	})
}

// booted looks for the host's first process, and whether it has started everything.
func (h *host) booted() bool {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", h.nspawn.Process.Pid, h.nspawn.Process.Pid))
	h.leader = 0
	for pid := range strings.FieldsSeq(string(children)) {
		h.leader, _ = strconv.Atoi(pid)
	}
	if h.leader == 0 {
		return false
	}
	out, _ := h.command("systemctl", "is-system-running").Output()
	state := strings.TrimSpace(string(out))
	return state == "running" || state == "degraded"
}

// command is a command in the host, as root.
func (h *host) command(name string, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(h.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--",
		"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", name}
	return exec.Command("nsenter", append(enter, args...)...)
}

// run runs a command in the host, and returns what it prints. It must not fail.
func (h *host) run(name string, args ...string) string {
	h.t.Helper()
	cmd := h.command(name, args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(h.t, err, "%s %v\n%s%s", name, args, out, complaints.String())
	return string(out)
}

// sh runs a line of shell in the host. It must not fail.
func (h *host) sh(line string) string {
	h.t.Helper()
	return h.run("sh", "-c", line)
}

// put writes a file of the host's.
func (h *host) put(name, text string, mode os.FileMode) {
	h.t.Helper()
	name = filepath.Join(h.root, name)
	require.NoError(h.t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(h.t, os.WriteFile(name, []byte(text), mode))
	require.NoError(h.t, os.Chmod(name, mode))
}

// exists reports whether the host has a file of that name.
func (h *host) exists(name string) bool {
	_, err := os.Lstat(filepath.Join(h.root, name))
	return err == nil
}

func (h *host) until(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		require.True(h.t, time.Now().Before(deadline), "waited in vain: %s", what)
		time.Sleep(100 * time.Millisecond)
	}
}

// active waits until a unit is.
func (h *host) active(unit string) {
	h.t.Helper()
	h.until(unit+" is active", func() bool {
		out, _ := h.command("systemctl", "is-active", unit).Output()
		return strings.TrimSpace(string(out)) == "active"
	})
}

// mainPID is a service's first process, as the host counts.
func (h *host) mainPID(unit string) string {
	h.t.Helper()
	return strings.TrimSpace(h.run("systemctl", "show", "--property=MainPID", "--value", unit))
}

// dial connects from where the viewer is. Whatever a viewer calls the host, it is this one.
func (h *host) dial(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return dialFrom(ctx, h.viewer, network, net.JoinHostPort(hostAddress, port))
}

// dialFrom connects from within a network namespace.
func dialFrom(ctx context.Context, namespace, network, address string) (c net.Conn, err error) {
	done := make(chan struct{})
	go func() { // the thread ends with the goroutine, which doesn't unlock it
		defer close(done)
		runtime.LockOSThread()
		var ns *os.File
		if ns, err = os.Open("/run/netns/" + namespace); err != nil {
			return
		}
		defer ns.Close()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return
		}
		var d net.Dialer
		c, err = d.DialContext(ctx, network, address)
	}()
	<-done
	return c, err
}
