package hosts

import (
	"strings"

	"github.com/stretchr/testify/assert"
)

// rpm installs the other kind of package, looks at what it has put there, and removes it.
func (h *host) rpm() {
	h.t.Helper()
	names := []string{"shadowd", "shadowgate", "shadow-websockify", "rfbtrace"}
	files := func(version string) string {
		return "/root/" + strings.Join(names, "-"+version+"-1.x86_64.rpm /root/") + "-" + version + "-1.x86_64.rpm"
	}
	h.sh("rpm --install --nodeps " + files(h.last.version)) // no package of the system is rpm's
	h.is(h.last)
	h.run("systemctl", "disable", "--now", "shadowgate")
	h.configure("")
	for _, change := range []struct {
		how string
		to  built
	}{{"--upgrade", h.now}, {"--upgrade --oldpackage", h.last}, {"--upgrade", h.now}} {
		main := h.mainPID("shadowd")
		h.sh("rpm " + change.how + " --nodeps " + files(change.to.version))
		h.active("shadowd")
		assert.NotEqual(h.t, main, h.mainPID("shadowd"), "it was started anew")
		assert.Equal(h.t, "shadowd version "+change.to.version+"\n", h.run("shadowd", "--version"))
		assert.Equal(h.t, "inactive", h.state("shadowgate"), "somebody has disabled and stopped it")
		assert.Contains(h.t, h.sh("cat /etc/xdl/shadowing.toml"), "of this site", "the configuration is kept")
	}
	h.sh("rpm --erase shadowd shadowgate shadow-websockify rfbtrace; rm -f /etc/xdl/shadowing.toml.rpmsave; rpm --install --nodeps " + files(h.now.version))
	h.is(h.now)
	for _, name := range names {
		assert.Empty(h.t, h.run("rpm", "--verify", "--nodeps", name))
	}
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
Version: `+h.now.version+`.1
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
	h.sh("rpm --upgrade --nodeps /root/rpmbuild/RPMS/x86_64/shadowd-" + h.now.version + ".1-1.x86_64.rpm")
	assert.Contains(h.t, h.sh("cat /etc/xdl/shadowing.toml"), "of this site", "an upgrade keeps the configuration")
	h.run("systemctl", "restart", "shadowd")
	h.active("shadowd")
	assert.Contains(h.t, h.doctor(), "an upgrade brought /etc/xdl/shadowing.toml.rpmnew")
}
