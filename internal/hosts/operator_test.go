package hosts

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/api"
)

// siteName is what viewers call the host once setup has been told so.
const siteName = "vda1.corp.example"

// set has the host prepared by setup, which proposes nothing a second time, and viewers come by wss.
func (h *host) set() {
	h.t.Helper()
	h.sh("cp --preserve /etc/xdl/shadowing.toml /root/shadowing.toml")
	_ = h.command("sh", "-c", h.text("setup guide")).Run() // which has nobody to ask
	h.page("setup dry")
	h.run("cmp", "/etc/xdl/shadowing.toml", "/root/shadowing.toml")
	assert.True(h.t, decode[struct{ Written bool }](h.t, []byte(h.page("setup script"))).Written)
	assert.True(h.t, h.exists("/etc/xdl/shadowingssl/shadowingkey.pem"))
	h.sh("rm /etc/xdl/shadowingssl/*; mv /root/shadowing.toml /etc/xdl/shadowing.toml")

	out := h.page("configure setup")
	assert.Contains(h.t, out, siteName)
	assert.Contains(h.t, h.sh("cat /etc/xdl/shadowing.toml"), `host = "`+siteName+`"`)
	before := h.sh("cat /etc/xdl/shadowing.toml; sha256sum /etc/xdl/shadowingssl/*")
	h.page("configure setup")
	assert.Equal(h.t, before, h.sh("cat /etc/xdl/shadowing.toml; sha256sum /etc/xdl/shadowingssl/*"), "setup changes nothing that is there")
	h.active("shadowd")
	require.NoError(h.t, h.watch().Close())
	h.page("configure file")
	h.page("configure ctxreg")
	h.page("configure group")
	assert.Contains(h.t, h.run("id", "-nG", "ann"), "shadow-admins")
	assert.Contains(h.t, h.run("su", "ann", "-c", "shadowctl sessions"), "ann", "a member may ask")
	assert.Contains(h.t, h.page("configure journal"), `"ready"`)
}

// secrets has the key's passphrase come from systemd, in the clear and encrypted.
func (h *host) secrets() {
	h.t.Helper()
	h.put("/etc/xdl/shadowingpassphrase", "correct horse\n", 0o600)
	h.sh(`cd /etc/xdl/shadowingssl
		openssl pkcs8 -topk8 -in shadowingkey.pem -out locked.pem -passout file:/etc/xdl/shadowingpassphrase
		chmod 600 locked.pem; mv locked.pem shadowingkey.pem`)
	h.run("systemctl", "restart", "shadowd")
	h.active("shadowd")
	assert.Contains(h.t, h.doctor(), "passphrase", "nobody has told shadowd")
	for _, how := range []string{"configure passphrase", "configure encrypted"} {
		h.page(how)
		h.active("shadowd")
		require.NoError(h.t, h.watch().Close(), how)
		assert.NotContains(h.t, h.doctor(), "passphrase", how)
		h.opened(how)
	}
	h.run("systemctl", "stop", "shadowd")
	h.opened("while it doesn't run")
	h.run("systemctl", "start", "shadowd")
	h.active("shadowd")
	assert.False(h.t, h.exists("/etc/xdl/shadowingpassphrase"))
	h.run("rm", "-r", "/etc/systemd/system/shadowd.service.d", "/etc/xdl/shadowingssl", "/etc/xdl/shadowingpassphrase.cred")
	h.run("systemctl", "daemon-reload")
}

// opened has those who look at the certificate from outside the service know that systemd opens the key.
func (h *host) opened(when string) {
	h.t.Helper()
	assert.Contains(h.t, h.run("shadowd", "--check"), "fine", when)
	assert.NotContains(h.t, h.sh("shadowctl setup --dry-run"), "write its passphrase", when)
}

// limited has a check by root find what the service's unit doesn't let it do, as the start does.
func (h *host) limited() {
	h.t.Helper()
	for what, change := range map[string]string{
		"log.audit":   "sed -i 's#^audit = .*#audit = \"/etc/xdl/audit.log\"#' /etc/xdl/shadowing.toml",
		"ports.first": "printf '[ports]\nfirst = 500\nlast = 510\n' >> /etc/xdl/shadowing.toml",
	} {
		h.configure("")
		h.sh("shadowd --check")
		h.sh(change)
		out, err := h.command("shadowd", "--check").CombinedOutput()
		require.Error(h.t, err, what)
		assert.Contains(h.t, string(out), what)
		assert.Contains(h.t, string(out), "shadowd.service")
		if what == "log.audit" {
			require.Error(h.t, h.command("systemctl", "restart", "shadowd").Run())
		}
	}
	h.configure("")
	h.sh("sed -i 's/shadow-admins/latecomers/' /etc/xdl/shadowing.toml")
	h.run("systemctl", "reset-failed", "shadowd") // the starts by hand don't count
	require.Error(h.t, h.command("systemctl", "restart", "shadowd").Run(), "there is no such group")
	h.until("systemd tries again and again", func() bool {
		tries, err := strconv.Atoi(strings.TrimSpace(h.run("systemctl", "show", "--property=NRestarts", "--value", "shadowd")))
		require.NoError(h.t, err)
		return tries > 5 // after which it would give up, if they came in ten seconds
	})
	h.run("groupadd", "latecomers")
	h.active("shadowd") // by itself
	h.configure("")
	h.run("systemctl", "restart", "shadowd")
	h.active("shadowd")
	h.run("groupdel", "latecomers")
}

// byHand has the unit of the console start it where systemd knows a part of its directives only, and where it was installed
// by hand.
func (h *host) byHand() {
	h.t.Helper()
	begins := func(why string) {
		h.t.Helper()
		h.run("systemctl", "daemon-reload")
		h.run("systemctl", "reset-failed", "shadowgate") // or so many starts in a short time would be too many
		h.run("systemctl", "restart", "shadowgate")
		h.active("shadowgate")
		h.until(why, h.consoleReady)
	}
	const dropIn = "/etc/systemd/system/shadowgate.service.d"
	h.put(dropIn+"/old.conf", "[Service]\nStateDirectory=\n", 0o644)
	begins("systemd 232 to 234 has no StateDirectory")
	h.put(dropIn+"/old.conf", "[Service]\nStateDirectory=\nReadWritePaths=\n", 0o644)
	require.Error(h.t, h.command("sh", "-c", "systemctl daemon-reload; systemctl restart shadowgate").Run(), "and would keep it from its state")
	h.run("rm", "-r", dropIn)

	unit, err := os.ReadFile("../../dist/shadowgate.service")
	require.NoError(h.t, err)
	h.put("/etc/systemd/system/shadowgate.service", string(unit), 0o644)
	h.sh("mkdir -p /usr/local/sbin; mv /usr/sbin/shadowgate /usr/local/sbin/")
	begins("the console is where somebody has put it")
	assert.Contains(h.t, h.doctor(), "/etc/systemd/system/shadowgate.service is used, and the package's unit isn't")
	h.sh("mv /usr/local/sbin/shadowgate /usr/sbin/; rm /etc/systemd/system/shadowgate.service")
	begins("the console is the package's again")
}

// doctor is what the doctor says; it may have found something.
func (h *host) doctor() string {
	h.t.Helper()
	out, _ := h.command("shadowctl", "doctor").CombinedOutput()
	return string(out)
}

// trust is what a viewer trusts: the certificate that signed itself, if there is one.
func (h *host) trust() *tls.Config {
	h.t.Helper()
	pem, err := os.ReadFile(filepath.Join(h.root, "etc/xdl/shadowingssl/shadowingcert.pem"))
	if err != nil {
		return nil
	}
	pool := x509.NewCertPool()
	require.True(h.t, pool.AppendCertsFromPEM(pem))
	return &tls.Config{RootCAs: pool}
}

// calling has calls come all the while something is done, and returns how many there were, and how many of them
// were lost, with why.
func (h *host) calling(do func()) string {
	h.t.Helper()
	h.put("/root/call", `#!/bin/sh
rm -f /root/over; calls=0; lost=0
while ! [ -e /root/over ]; do
	calls=$((calls+1)); shadowctl list >/dev/null 2>/root/lost || { lost=$((lost+1)); cat /root/lost >&2; }
	[ -e /root/calling ] || touch /root/calling
done
rm -f /root/calling
echo $calls calls, $lost lost
`, 0o755)
	calls := h.command("/root/call")
	var said strings.Builder
	calls.Stdout, calls.Stderr = &said, &said
	require.NoError(h.t, calls.Start())
	h.until("calls are made", func() bool { return h.exists("/root/calling") })
	do()
	h.run("touch", "/root/over")
	require.NoError(h.t, calls.Wait())
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	h.t.Log(strings.Join(lines[max(0, len(lines)-3):], "\n"))
	return said.String()
}

// restarts has calls come all the while shadowd is started anew: each is answered. Without systemd's
// keeping the socket some are not. A stop is one, whoever calls.
func (h *host) restarts() {
	h.t.Helper()
	count := func() string {
		return h.calling(func() {
			for range 5 {
				h.run("systemctl", "reset-failed", "shadowd") // or so many starts in a short time would be too many
				h.run("systemctl", "restart", "shadowd")
				h.active("shadowd")
			}
		})
	}
	assert.Contains(h.t, count(), " 0 lost")
	h.run("kill", "-KILL", h.mainPID("shadowd"))
	h.run("shadowctl", "list") // waits for the next
	h.active("shadowd")

	h.run("systemctl", "stop", "shadowd")
	require.Error(h.t, h.command("shadowctl", "list").Run())
	assert.Equal(h.t, "inactive", strings.TrimSpace(h.sh("systemctl is-active shadowd || true")))
	h.run("systemctl", "start", "shadowd")

	h.put("/etc/systemd/system/shadowd.service.d/forget.conf", "[Service]\nFileDescriptorStoreMax=0\n", 0o644)
	h.run("systemctl", "daemon-reload")
	h.run("systemctl", "restart", "shadowd")
	h.t.Log("and without the kept socket: ", count())
	h.run("rm", "-r", "/etc/systemd/system/shadowd.service.d")
	h.run("systemctl", "daemon-reload")
	h.run("systemctl", "restart", "shadowd")
	h.active("shadowd")
}

// spoilt has a start fail, which the doctor sees.
func (h *host) spoilt() {
	h.t.Helper()
	h.configure("[viewer.typo]\n")
	require.Error(h.t, h.command("systemctl", "restart", "shadowd").Run())
	var said string
	h.until("the doctor has seen the failed start", func() bool {
		said = h.doctor()
		return strings.Contains(said, "has failed") || strings.Contains(said, "again and again")
	})
	assert.Contains(h.t, said, "typo", "with what the service logged last")
	require.Error(h.t, h.command("shadowd", "--check").Run())
	h.configure("")
	h.run("systemctl", "reset-failed", "shadowd")
	h.run("systemctl", "start", "shadowd")
	h.active("shadowd")
	assert.NotContains(h.t, h.doctor(), "has failed")
}

// sessions has the real logind list what isn't an ordinary desktop, and each is refused with its reason.
func (h *host) sessions() {
	h.t.Helper()
	h.sh("getent passwd bob || useradd --create-home --shell /bin/bash bob")
	h.locked()
	for name, kind := range map[string]string{
		"wayland":  "XDG_SESSION_TYPE=wayland XDG_SESSION_CLASS=user",
		"greeter":  "XDG_SESSION_TYPE=x11 XDG_SESSION_CLASS=greeter",
		"terminal": "XDG_SESSION_TYPE=tty XDG_SESSION_CLASS=user",
	} {
		h.put("/etc/systemd/system/"+name+".service", "[Service]\nUser=bob\nPAMName=login\nEnvironment="+kind+"\nExecStart=/bin/sleep infinity\n", 0o644)
	}
	h.run("systemctl", "daemon-reload")
	for name, reason := range map[string]string{"wayland": "wayland", "greeter": "no_user", "terminal": "wayland"} {
		h.run("systemctl", "start", name)
		id := h.sessionOf(name)
		out, err := h.command("shadowctl", "--json", "shadow", id, "--admin", `CORP\alice`).Output()
		require.Error(h.t, err)
		assert.Contains(h.t, string(out), `"`+reason+`"`, name)
		h.run("systemctl", "stop", name)
		h.until(name+" isn't listed any more", func() bool { return !strings.Contains(h.run("shadowctl", "--json", "sessions"), `"user":"bob"`) })
	}
}

// sessionOf is the session of a unit, once it is listed.
func (h *host) sessionOf(unit string) (id string) {
	h.t.Helper()
	h.until("the session of "+unit+" is listed", func() bool {
		for _, s := range decode[api.SessionList](h.t, []byte(h.run("shadowctl", "--json", "sessions"))).Sessions {
			if s.User == "bob" {
				require.Empty(h.t, id, "what serves the user isn't listed as a session")
				id = s.ID
			}
		}
		return id != ""
	})
	return id
}

// locked has a desktop say, as lockers do, that it is locked: nobody is asked there.
func (h *host) locked() {
	h.t.Helper()
	id := h.session()
	hint := func(locked string) {
		h.run("su", "ann", "-c", "busctl call org.freedesktop.login1 $(busctl --json=short call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager GetSession s "+
			id+" | sed 's/.*\\[\"\\(.*\\)\"\\].*/\\1/') org.freedesktop.login1.Session SetLockedHint b "+locked)
	}
	hint("true")
	out, err := h.command("shadowctl", "--json", "shadow", id, "--admin", `CORP\alice`).Output()
	require.Error(h.t, err)
	assert.Contains(h.t, string(out), `"locked"`)
	hint("false")
	h.until("the session can be shadowed again", func() bool { return h.session() == id })
}

// ansible has the example's role, as the package brings it, prepare a host that has nothing yet; a
// second run finds nothing to be done.
func (h *host) ansible() {
	h.t.Helper()
	deb := "shadowd_" + h.now.version + "_amd64.deb"
	h.sh(`set -e; cd /root; rm -rf play package; dpkg-deb --extract ` + deb + ` package
		cp -r package/usr/share/doc/shadowd/examples/ansible play; cp ` + deb + ` play; rm -r package
		openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=` + siteName + ` -addext subjectAltName=DNS:` + siteName + ` -keyout /root/play/key -out /root/play/cert 2>/dev/null
		printf '[desktops]\nlocalhost ansible_connection=local ansible_python_interpreter=/usr/bin/python3\n' >/root/play/inventory
		dpkg --purge shadowd shadowgate`)
	play := func(more string) string {
		return h.sh("cd /root/play && HOME=/root ansible-playbook --inventory inventory site.yml --diff " + more + ` -e '{"shadowd_package": "/root/play/` + deb + `",
			"shadowd_certificate": "/root/play/cert", "shadowd_key": "/root/play/key", "shadowd_members": ["ann"], "shadowd_host": "` + siteName + `"}' 2>&1`)
	}
	out := play("")
	assert.Contains(h.t, out, "failed=0", "%s", out)
	h.active("shadowd")
	assert.Contains(h.t, h.sh("cat /etc/xdl/shadowing.toml"), `host = "`+siteName+`"`)
	h.until("the session can be shadowed", func() bool { return h.session() != "" })
	require.NoError(h.t, h.watch().Close())
	out = play("")
	assert.Contains(h.t, out, "changed=0", "%s", out)
	out = play("--check")
	assert.Contains(h.t, out, "changed=0", "%s", out)
	h.sh("rm -r /root/play /etc/xdl/shadowingssl; dpkg --purge shadowd")
	assert.Empty(h.t, h.left(), "a purge leaves nothing")
}
