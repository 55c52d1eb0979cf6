package hosts

import (
	"os"
	"regexp"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reachable has the console be a gate that other hosts reach, as the page says, with the rights of its unit.
func (h *host) reachable() {
	h.t.Helper()
	page, err := os.ReadFile("../../docs/fleet.md")
	require.NoError(h.t, err)
	file := regexp.MustCompile("(?ms)^```toml\n(.*?)^```$").FindSubmatch(page)
	require.NotNil(h.t, file)
	h.put("/etc/xdl/shadowgate.toml", string(file[1]), 0o644)
	require.Error(h.t, h.command("systemctl", "restart", "shadowgate").Run(), "nothing has been made ready")
	h.page("fleet gate")
	h.sh(`cd /etc/xdl/shadowgatessl
		openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=gate.corp.example -addext subjectAltName=DNS:gate.corp.example -keyout shadowingkey.pem -out shadowingcert.pem 2>/dev/null
		chgrp shadowgate shadowingkey.pem; chmod 640 shadowingkey.pem; chmod 644 shadowingcert.pem`)
	h.run("runuser", "-u", "shadowgate", "--", "shadowgate", "--check")
	h.run("systemctl", "reset-failed", "shadowgate")
	h.run("systemctl", "restart", "shadowgate")
	h.active("shadowgate")
	for _, port := range []string{"443", "4222"} {
		c, err := h.dial(h.t.Context(), "tcp", "gate:"+port)
		require.NoError(h.t, err)
		require.NoError(h.t, c.Close())
	}
	h.run("rm", "-r", "/etc/systemd/system/shadowgate.service.d", "/etc/xdl/shadowgatessl")
	h.run("systemctl", "daemon-reload")
}

// fleet has the host be a gate and enter its own fleet; then both get their keys from systemd.
func (h *host) fleet() {
	h.t.Helper()
	h.sh("cp --preserve /etc/xdl/shadowgate.toml /root/shadowgate.toml")
	h.reachable()
	h.put("/etc/xdl/shadowgate.toml", "[bus]\nlisten = \"127.0.0.1:4222\"\ntls = false\n", 0o644)
	h.run("systemctl", "restart", "shadowgate")
	h.active("shadowgate")
	id := h.enrol()
	assert.True(h.t, h.exists("/var/lib/shadowd/spool"))
	assert.Contains(h.t, h.run("shadowgate", "__complete", "hosts", "revoke", ""), id)

	for _, key := range []string{"/etc/xdl/fleet.credentials", "/var/lib/shadowgate/bus/fleet.nk", "/var/lib/shadowgate/cookie.keys"} {
		assert.True(h.t, h.exists(key), key)
	}
	h.page("harden fleet")
	h.active("shadowd")
	h.until("the fleet has the host again", h.up)
	h.page("harden gate")
	h.active("shadowgate")
	h.until("the gate with its keys from systemd has the host", h.up)
	for _, key := range []string{"/etc/xdl/fleet.credentials", "/var/lib/shadowgate/bus/fleet.nk", "/var/lib/shadowgate/cookie.keys"} {
		assert.False(h.t, h.exists(key), key)
	}
	h.run("systemctl", "reload", "shadowd", "shadowgate")
	h.until("the fleet still has the host", h.up)
	h.run("shadowgate", "hosts", "revoke", id)
	h.until("the host has been shown out", func() bool { return strings.Contains(h.hosts(), "revoked") })

	h.run("rm", "-r", "/etc/systemd/system/shadowd.service.d", "/etc/systemd/system/shadowgate.service.d")
	h.sh("mv /root/shadowgate.toml /etc/xdl/shadowgate.toml")
	h.configure("")
	h.run("systemctl", "daemon-reload")
	h.run("systemctl", "restart", "shadowd", "shadowgate")
	h.active("shadowd")
	h.active("shadowgate")
}

// enrol has the host enter the fleet of the gate on it, and returns its id there.
func (h *host) enrol() (id string) {
	h.t.Helper()
	invited := h.run("shadowgate", "invite", "--hosts", "*")
	_, enroll, found := strings.Cut(strings.TrimSpace(invited), "shadowctl enroll ")
	require.True(h.t, found, invited)
	url, code, found := strings.Cut(enroll, "\n")
	require.True(h.t, found, invited)
	said := h.sh("printf '%s\\n' '" + code + "' | shadowctl enroll " + url)
	id, _, found = strings.Cut(said, " is in the fleet")
	require.True(h.t, found, said)
	h.until("the fleet has the host", h.up)
	return id
}

// hosts is what the gate says of its fleet.
func (h *host) hosts() string {
	out, _ := h.command("shadowgate", "hosts").Output()
	return string(out)
}

// up reports whether a host of the fleet can be asked.
func (h *host) up() bool { return strings.Contains(h.hosts(), " up ") }
