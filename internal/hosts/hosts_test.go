package hosts

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/rfb"
)

// releases of Debian that are booted.
var releases = []string{"bookworm", "trixie"}

// TestPackagesOnABootedHost goes through the life of an installation, one step after the other.
func TestPackagesOnABootedHost(t *testing.T) {
	if os.Getenv("SHADOW_HOSTS") != "1" {
		t.Skip("a host is booted by make hosts only")
	}
	old, recent := packages(t, "../..", "1.2.2", "amd64"), packages(t, "../..", "1.2.3", "amd64")
	t.Run("lint", func(t *testing.T) { lint(t, recent) })
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			h := boot(t, release)
			h.step("install", func() { h.installed(old) })
			h.step("websockify", h.websockify)
			h.step("setup", h.set)
			h.step("secrets", h.secrets)
			h.step("account", h.account)
			h.step("sessions", h.sessions)
			h.step("views", h.viewed)
			h.step("watchdog", h.hang)
			h.step("x11vnc", h.x11vnc)
			h.step("failed start", h.spoilt)
			h.step("unit", h.limited)
			h.step("restart", h.restarts)
			h.step("fleet", h.fleet)
			h.step("upgrade", func() { h.upgraded(recent) })
			h.step("reboot", h.reboot)
			h.step("remove", h.removed)
			h.step("ansible", h.ansible)
			h.step("rpm", h.rpm)
			h.step("pages", h.ranAll)
		})
	}
}

// step does a part of a host's life as a subtest. The next is done even if it fails.
func (h *host) step(name string, do func()) {
	whole := h.t
	defer func() { h.t = whole }()
	whole.Run(name, func(t *testing.T) {
		h.t = t
		do()
	})
}

// installed is the packages' way in.
func (h *host) installed(dir string) {
	t := h.t
	h.bring(dir, "1.2.2")
	h.page("install check")
	h.page("install debian")
	h.active("shadowd")
	h.active("shadowgate")
	h.desktop()
	_ = h.command("sh", "-c", h.text("install look")).Run() // the doctor may find something
	assert.LessOrEqual(t, exposure(h, "shadowgate"), 1.5, "systemd-analyze security")
	assert.LessOrEqual(t, exposure(h, "shadowd"), 4.0, "systemd-analyze security")
	h.page("harden exposure")
	h.until("the console of this host is ready", h.consoleReady)
	assert.Equal(t, "shadowd version 1.2.2\n", h.run("shadowd", "--version"))
	assert.Contains(t, h.sh("man shadowd | cat"), "/etc/xdl/shadowing.toml")
	assert.Contains(t, h.sh("man -w shadowctl shadowing.toml"), "man5/shadowing.toml")
	assert.Contains(t, h.run("bash", "-c", ". /usr/share/bash-completion/bash_completion; . /usr/share/bash-completion/completions/shadowctl; complete -p shadowctl"), "shadowctl")
	assert.Contains(t, h.sh("getent group shadow-admins"), "shadow-admins")
}

// account makes an account of the console.
func (h *host) account() {
	h.t.Helper()
	h.sh("printf 'correct horse battery\\n' | (" + h.text("configure console") + ")")
	h.configure("")
	h.run("systemctl", "restart", "shadowd")
	h.active("shadowd")
}

// viewed is what users and administrators do.
func (h *host) viewed() {
	t := h.t
	c := h.watch()
	main := h.mainPID("shadowd")
	h.run("systemctl", "reload", "shadowd") // for logrotate
	require.NoError(t, frame(c), "a reload ends nothing")
	assert.Equal(t, main, h.mainPID("shadowd"))
	h.rotate(c)

	h.page("harden less")
	require.Error(t, frame(c), "a restart ends views")
	h.active("shadowd")
	c = h.watch()
	h.run("rm", "-r", "/etc/systemd/system/shadowd.service.d")
	h.run("systemctl", "daemon-reload")
	h.run("systemctl", "stop", "desktop") // the user logs out
	require.Error(t, frame(c), "the session has ended")
}

// upgraded is the way to the next version, with a configuration that isn't taken, and back.
func (h *host) upgraded(dir string) {
	t := h.t
	main := h.mainPID("shadowd")
	h.bring(dir, "1.2.3")
	h.page("upgrade debian")
	h.active("shadowd")
	assert.Equal(t, "shadowd version 1.2.3\n", h.run("shadowd", "--version"))
	assert.NotEqual(t, main, h.mainPID("shadowd"), "the new version runs")
	assert.Contains(t, h.sh("cat /etc/xdl/shadowing.toml"), "of this site", "an upgrade keeps the configuration")
	_ = h.command("sh", "-c", h.text("upgrade look")).Run()
	h.leftover()
	h.page("upgrade back")
	assert.Equal(t, "shadowd version 1.2.2\n", h.run("shadowd", "--version"))
	h.refused()
}

// bring puts a version's packages into the folder that the pages' commands are run in.
func (h *host) bring(dir, version string) {
	h.t.Helper()
	h.version = version
	files, err := os.ReadDir(dir)
	require.NoError(h.t, err)
	for _, f := range files {
		if strings.Contains(f.Name(), "arm64") || strings.Contains(f.Name(), "aarch64") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(h.t, err)
		h.put("/root/"+f.Name(), string(data), 0o644)
	}
}

// exposure is what systemd-analyze thinks of a unit: 0 is safe, 10 is not.
func exposure(h *host, unit string) float64 {
	h.t.Helper()
	out := h.run("systemd-analyze", "security", "--no-pager", unit+".service")
	_, overall, found := strings.Cut(out, "Overall exposure level for "+unit+".service: ")
	require.True(h.t, found, "%s", out)
	value, err := strconv.ParseFloat(strings.Fields(overall)[0], 64)
	require.NoError(h.t, err)
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "✗") {
			h.t.Log(strings.TrimSpace(line))
		}
	}
	h.t.Logf("%s: exposure %v", unit, value)
	return value
}

// consoleReady reports whether shadowgate can be used, which needs shadowd.
func (h *host) consoleReady() bool {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialFrom(ctx, h.own, network, address)
		}}}
	resp, err := client.Get("http://127.0.0.1:8880/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// rpm installs the other kind of package, looks at what it has put there, and removes it.
func (h *host) rpm() {
	h.t.Helper()
	names := []string{"shadowd", "shadowgate", "shadow-websockify", "rfbtrace"}
	for _, name := range names {
		h.sh("rpm --install --nodeps /root/" + name + "-1.2.3-1.x86_64.rpm") // no package of the system is rpm's
		assert.Empty(h.t, h.run("rpm", "--verify", "--nodeps", name))
	}
	h.active("shadowd")
	h.active("shadowgate")
	h.until("the console is ready", h.consoleReady)
	assert.Contains(h.t, h.run("websockify", "--help"), "--view-only")
	h.newer()
	h.run("systemctl", "disable", "--now", "shadowd") // the next version has no scripts
	h.page("uninstall rpm")
	h.run("rpm", "--erase", "shadow-websockify", "rfbtrace")
	assert.NotContains(h.t, h.sh("systemctl list-unit-files"), "shadow")
	assert.Empty(h.t, h.left(), "the page's commands leave nothing")
}

// newer makes an rpm like the one that is installed, of a later version and with another
// configuration, which doesn't take the place of the site's.
func (h *host) newer() {
	h.t.Helper()
	h.put("/root/newer.spec", `Name: shadowd
Version: 1.2.4
Release: 1
Summary: the next version
License: MIT
BuildArch: x86_64
AutoReqProv: no
%global __os_install_post %{nil}
%global debug_package %{nil}
%description
The next version.
%install
mkdir -p %{buildroot}
rpm -ql shadowd | grep -v '/share/lintian' | xargs tar --create --no-recursion | tar --extract --directory %{buildroot}
echo '# new in this version' > %{buildroot}/etc/xdl/shadowing.toml
%files
%config(noreplace) /etc/xdl/shadowing.toml
%dir /etc/xdl/shadowingssl
/usr
`, 0o644)
	h.run("rpmbuild", "-bb", "--define", "_topdir /root/rpmbuild", "/root/newer.spec")
	h.configure("")
	h.sh("rpm --upgrade --nodeps /root/rpmbuild/RPMS/x86_64/shadowd-1.2.4-1.x86_64.rpm")
	assert.Contains(h.t, h.sh("cat /etc/xdl/shadowing.toml"), "of this site", "an upgrade keeps the configuration")
	h.run("systemctl", "restart", "shadowd")
	h.active("shadowd")
	assert.Contains(h.t, h.doctor(), "an upgrade brought /etc/xdl/shadowing.toml.rpmnew")
}

// configure is what an operator changes, and more.
func (h *host) configure(more string) {
	h.t.Helper()
	h.put("/etc/xdl/shadowing.toml", `# of this site
[viewer]
host = "`+hostAddress+`"
reconnect = "0s"

[control]
group = "shadow-admins"

[log]
audit = "/var/log/shadowd-audit.log"
`+more, 0o644)
}

// desktop logs a user on: a session of logind's, with an X server and a window manager.
func (h *host) desktop() {
	h.t.Helper()
	h.sh("getent passwd ann || useradd --create-home --shell /bin/bash ann")
	h.put("/usr/local/bin/desktop", `#!/bin/bash
export XAUTHORITY=$HOME/.Xauthority DISPLAY=:7
rm -f $XAUTHORITY; xauth add :7 . $(mcookie) 2>/dev/null
Xvfb :7 -auth $XAUTHORITY -screen 0 1024x768x24 -nolisten tcp &
trap "kill $!" EXIT
until xdpyinfo >/dev/null 2>&1; do sleep 0.1; done
xsetroot -solid '#204060' 2>/dev/null
openbox
`, 0o755)
	h.put("/etc/systemd/system/desktop.service", `[Service]
User=ann
PAMName=login
Environment=XDG_SESSION_TYPE=x11 XDG_SESSION_CLASS=user
ExecStart=/usr/local/bin/desktop
`, 0o644)
	h.run("systemctl", "daemon-reload")
	h.run("systemctl", "start", "desktop")
	h.until("its window manager runs", func() bool {
		out, _ := h.command("env", "DISPLAY=:7", "XAUTHORITY=/home/ann/.Xauthority", "xprop", "-root", "_NET_SUPPORTING_WM_CHECK").Output()
		return strings.Contains(string(out), "window id")
	})
	h.until("the session can be shadowed", func() bool { return h.session() != "" })
}

// session is the id of ann's session, once it can be shadowed.
func (h *host) session() string {
	out, err := h.command("shadowctl", "--json", "sessions").Output()
	if err != nil {
		return ""
	}
	for _, s := range decode[api.SessionList](h.t, out).Sessions {
		if s.User == "ann" && s.Shadowable {
			return s.ID
		}
	}
	return ""
}

func decode[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(data, &v), "%s", data)
	return v
}

// watch asks, answers Yes as the user, and connects from outside.
func (h *host) watch() net.Conn {
	h.t.Helper()
	ask := h.command("shadowctl", "--json", "shadow", h.session(), "--admin", `CORP\alice`, "--purpose", "INC-1 a test")
	answer, err := ask.StdoutPipe()
	require.NoError(h.t, err)
	require.NoError(h.t, ask.Start())
	// The question takes no input for its first half second: press until it has gone.
	h.sh(`export DISPLAY=:7 XAUTHORITY=/home/ann/.Xauthority
		until w=$(xdotool search --onlyvisible --classname '^consent$'); do sleep 0.1; done
		while xdotool search --onlyvisible --classname '^consent$' >/dev/null; do
			sleep 1; xdotool key --clearmodifiers Right; xdotool key --clearmodifiers Return; sleep 0.5
		done`)
	out, err := io.ReadAll(answer)
	require.NoError(h.t, err)
	require.NoError(h.t, ask.Wait(), "%s\n%s", out, h.sh("journalctl -u shadowd --no-pager | tail -20"))
	grant := decode[api.Grant](h.t, out)
	c, _, err := websocket.Dial(h.t.Context(), grant.URL, &websocket.DialOptions{Subprotocols: []string{"binary"},
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: h.dial, TLSClientConfig: h.trust()}}})
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(1 << 26)
	server, err := rfb.Connect(h.t.Context(), websocket.NetConn(context.WithoutCancel(h.t.Context()), c, websocket.MessageBinary))
	require.NoError(h.t, err)
	require.EqualValues(h.t, 1024, server.Init.Width)
	require.NoError(h.t, frame(server))
	return server
}

// frame asks for a whole picture, and reads it.
func frame(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	out, err := rfb.AppendMessage(nil, &rfb.SetEncodings{Encodings: []rfb.Encoding{rfb.EncodingRaw}})
	if err != nil {
		return err
	}
	if out, err = rfb.AppendMessage(out, &rfb.FramebufferUpdateRequest{Rect: rfb.Rect{Width: 1024, Height: 768}}); err != nil {
		return err
	}
	if _, err := c.Write(out); err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, c, 1024*768*4)
	return err
}

// rotate has logrotate move the audit file away.
func (h *host) rotate(c net.Conn) {
	h.t.Helper()
	h.page("configure logrotate")
	require.Contains(h.t, h.sh("cat /var/log/shadowd-audit.log"), `"granted"`)
	h.run("logrotate", "--force", "/etc/logrotate.d/shadowd")
	require.NoError(h.t, frame(c), "logrotate ends nothing")
	h.sh("shadowctl --json shadow nobody-s --admin bob >/dev/null 2>&1 || true")
	h.until("the new file has the next line", func() bool { return strings.Contains(h.sh("cat /var/log/shadowd-audit.log"), "bob") })
	require.NotContains(h.t, h.sh("cat /var/log/shadowd-audit.log.1"), `"bob"`)
}

// hang stops shadowd, which the watchdog notices.
func (h *host) hang() {
	const unit = "shadowd"
	h.t.Helper()
	h.put("/etc/systemd/system/shadowd.service.d/test.conf", "[Service]\nWatchdogSec=3\nRestartSec=0\n", 0o644)
	h.run("systemctl", "daemon-reload")
	h.run("systemctl", "restart", unit)
	h.active(unit)
	main := h.mainPID(unit)
	h.run("kill", "-STOP", main)
	h.until("the watchdog has had it started again", func() bool { m := h.mainPID(unit); return m != main && m != "0" })
	h.active(unit)
	require.Contains(h.t, h.sh("journalctl -u shadowd --no-pager"), "Watchdog timeout")
	h.run("rm", "-r", "/etc/systemd/system/shadowd.service.d")
	h.run("systemctl", "daemon-reload")
	h.desktop()
}

// x11vnc has the unit's rights suffice for x11vnc, too: it is alone in a network of its own, where
// nobody can pretend to be the X server, and the shared memory that it leaves behind is removed.
func (h *host) x11vnc() {
	h.t.Helper()
	h.configure("[source]\nkind = \"x11vnc\"\n")
	h.run("systemctl", "restart", "shadowd")
	h.active("shadowd")
	c := h.watch()
	assert.NotEqual(h.t, h.sh("readlink /proc/$(pgrep -x shadowd | head -1)/ns/net"), h.sh("readlink /proc/$(pgrep -x x11vnc)/ns/net"))
	segments := func() string { return h.sh("ipcs -m | grep -w ann || true") }
	require.NotEmpty(h.t, segments())
	h.sh("kill -KILL $(pgrep -x x11vnc)")
	require.Error(h.t, frame(c), "its source is gone")
	h.until("its shared memory is removed", func() bool { return segments() == "" })
	h.configure("")
	h.run("systemctl", "restart", "shadowd")
	h.active("shadowd")
}

// rebooting is systemd-nspawn's exit status when its host wants to boot again.
const rebooting = 133

// reboot restarts the host.
func (h *host) reboot() {
	h.t.Helper()
	_ = h.command("systemctl", "reboot").Run() // which may be cut off
	<-h.done
	require.Equal(h.t, rebooting, h.nspawn.ProcessState.ExitCode())
	h.start()
	h.active("shadowd")
	h.desktop()
	_ = h.watch()
	h.until("the console is ready again", h.consoleReady)
}
