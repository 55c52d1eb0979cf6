package hosts

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// releases of Debian that are booted.
var releases = []string{"bookworm", "trixie"}

// TestPackagesOnABootedHost goes through the life of an installation, one step after the other.
func TestPackagesOnABootedHost(t *testing.T) {
	if os.Getenv("SHADOW_HOSTS") != "1" {
		t.Skip("a host is booted by make hosts only")
	}
	last := lastRelease(t)
	now := built{version: next(t, last.version)}
	now.dir = packages(t, "../..", now.version, "amd64")
	t.Run("lint", func(t *testing.T) { lint(t, now.dir) })
	t.Run("rhel7", func(t *testing.T) { oldRoots(t, last, now) })
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			h := boot(t, release)
			h.now, h.last = now, last
			h.step("install", h.installed)
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
			h.step("by hand", h.byHand)
			h.step("restart", h.restarts)
			h.step("fleet", h.fleet)
			h.step("upgrade", h.upgraded)
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
func (h *host) installed() {
	t := h.t
	h.bring(h.now)
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
	assert.Equal(t, "shadowd version "+h.now.version+"\n", h.run("shadowd", "--version"))
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
	status, _ := h.call(http.MethodGet, "/readyz", "", nil)
	return status == http.StatusOK
}

// call calls the console on the host, and returns the answer's status, 0 if there is none, and its cookies.
func (h *host) call(method, path, body string, cookies []*http.Cookie) (status int, set []*http.Cookie) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialFrom(ctx, h.own, network, address)
		}}}
	r, err := http.NewRequestWithContext(h.t.Context(), method, "http://127.0.0.1:8880"+path, strings.NewReader(body))
	require.NoError(h.t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Cookies()
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

// hang stops both services, which the watchdog notices.
func (h *host) hang() {
	h.t.Helper()
	for _, unit := range []string{"shadowd", "shadowgate"} {
		dropIn := "/etc/systemd/system/" + unit + ".service.d"
		h.put(dropIn+"/test.conf", "[Service]\nWatchdogSec=3\nRestartSec=0\n", 0o644)
		h.run("systemctl", "daemon-reload")
		h.run("systemctl", "restart", unit)
		h.active(unit)
		main := h.mainPID(unit)
		h.run("kill", "-STOP", main)
		h.until("the watchdog has had it started again", func() bool { m := h.mainPID(unit); return m != main && m != "0" })
		h.active(unit)
		require.Contains(h.t, h.sh("journalctl --no-pager --unit "+unit), "Watchdog timeout")
		h.run("rm", "-r", dropIn)
		h.run("systemctl", "daemon-reload")
		h.run("systemctl", "restart", unit)
	}
	h.active("shadowd")
	h.active("shadowgate")
	h.desktop()
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
