package hosts

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// packages builds the packages of a version from a tree, and returns their folder.
func packages(t *testing.T, tree, version, arches string) string {
	t.Helper()
	testenv.Root(t)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./tools/packages", "-version", version, "-arch", arches, "-out", dir)
	cmd.Dir = tree
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return dir
}

// made has make do something in a tree, as from a shell.
func made(t *testing.T, tree, target string) ([]byte, error) {
	cmd := exec.CommandContext(t.Context(), "make", "-C", tree, target)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS") })
	return cmd.CombinedOutput()
}

// The packages of both processors are the same bytes when they are built once more, from a copy of the tree in
// another folder, and their programs need nothing of a host's.
func TestPackagesTwice(t *testing.T) {
	if os.Getenv("SHADOW_HOSTS") != "1" {
		t.Skip("packages are built by make hosts only")
	}
	dir := packages(t, "../..", "1.2.3", "amd64,arm64")
	tree := filepath.Join(t.TempDir(), "another", "tree")
	require.NoError(t, os.MkdirAll(filepath.Dir(tree), 0o755))
	out, err := exec.CommandContext(t.Context(), "cp", "--recursive", "--preserve", "../..", tree).CombinedOutput()
	require.NoError(t, err, "%s", out)
	// The pages, too: npm's packages are bundled once more.
	for _, page := range []string{"viewer", "gate/web"} {
		require.NoError(t, os.Remove(filepath.Join(tree, "internal", page, "dist/index.html")))
	}
	out, err = made(t, tree, "pages")
	require.NoError(t, err, "%s", out)
	again := packages(t, tree, "1.2.3", "amd64,arm64")
	sums := func(dir string) string {
		data, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
		require.NoError(t, err)
		return string(data)
	}
	require.Equal(t, 2*(4+4+5), strings.Count(sums(dir), "\n"), "deb and rpm of four packages, five programs' bills of materials")
	assert.Equal(t, sums(dir), sums(again))
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--quiet", "SHA256SUMS")
	check.Dir = dir
	out, err = check.CombinedOutput()
	require.NoError(t, err, "%s", out)

	bills, err := filepath.Glob(filepath.Join(dir, "*.cdx.json"))
	require.NoError(t, err)
	for _, bill := range bills {
		data, err := os.ReadFile(bill)
		require.NoError(t, err)
		for _, want := range []string{`"CycloneDX"`, `"version": "1.2.3"`, `"name": "std"`} {
			assert.Contains(t, string(data), want, bill)
		}
		shows := strings.HasPrefix(filepath.Base(bill), "shadowd_") || strings.HasPrefix(filepath.Base(bill), "shadowgate_")
		assert.Equal(t, shows, strings.Contains(string(data), `"pkg:npm/%40novnc/novnc@`), "%s has noVNC", bill)
	}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		debs, err := filepath.Glob(filepath.Join(dir, "*_"+arch+".deb"))
		require.NoError(t, err)
		require.Len(t, debs, 4)
		root := t.TempDir()
		for _, deb := range debs {
			out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--extract", deb, root).CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
		for _, name := range []string{"sbin/shadowd", "sbin/shadowgate", "bin/shadowctl", "bin/shadow-websockify", "bin/rfbtrace"} {
			program, err := elf.Open(filepath.Join(root, "usr", name))
			require.NoError(t, err)
			assert.Equal(t, machine, program.Machine, name)
			assert.Nil(t, program.Section(".interp"), "%s is static", name)
			assert.Nil(t, program.Section(".symtab"), "%s is stripped", name)
			require.NoError(t, program.Close())
		}
	}
}

// websockify goes beside the Python program, which comes before it, after it, or not at all.
func (h *host) websockify() {
	h.t.Helper()
	h.sh(`set -e; rm -rf /root/stub; mkdir -p /root/stub/python/DEBIAN /root/stub/python/usr/bin /root/stub/novnc/DEBIAN; cd /root/stub
		about() { printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: stands in for the package of that name\n' $1; }
		about websockify >python/DEBIAN/control; (about novnc; echo 'Depends: websockify') >novnc/DEBIAN/control
		printf '#!/bin/sh\necho the Python program\n' >python/usr/bin/websockify; chmod 755 python/usr/bin/websockify
		dpkg-deb --root-owner-group --build python; dpkg-deb --root-owner-group --build novnc`)
	const python = "the Python program"
	is := func(want, when string) {
		h.t.Helper()
		assert.Contains(h.t, h.run("websockify", "--help"), want, when)
	}
	assert.Contains(h.t, h.page("install websockify"), "/usr/bin/shadow-websockify")
	is("--view-only", "ours alone")
	h.sh("dpkg --install /root/stub/novnc.deb && dpkg --purge novnc") // what depends on websockify is satisfied

	h.run("dpkg", "--install", "/root/stub/python.deb")
	is("--view-only", "the Python program came later")
	h.run("update-alternatives", "--set", "websockify", "/usr/bin/websockify.python")
	is(python, "it was chosen")
	h.run("dpkg", "--purge", "websockify")
	is("--view-only", "the chosen one was removed")
	assert.NotContains(h.t, h.run("update-alternatives", "--query", "websockify"), "python")
	h.run("dpkg", "--purge", "shadow-websockify")
	assert.False(h.t, h.exists("/usr/bin/websockify"))

	h.run("dpkg", "--install", "/root/stub/python.deb")
	h.page("install websockify")
	is("--view-only", "the Python program was there before")
	h.run("update-alternatives", "--set", "websockify", "/usr/bin/websockify.python")
	is(python, "it was chosen")
	h.run("dpkg", "--purge", "shadow-websockify")
	is(python, "ours was removed")
	h.run("dpkg", "--purge", "websockify")
	assert.Empty(h.t, h.run("dpkg-divert", "--list", "*websockify*"))
	assert.False(h.t, h.exists("/usr/bin/websockify"))
	h.run("rm", "-r", "/root/stub")
}

// state is what systemctl is-active says of a unit.
func (h *host) state(unit string) string {
	out, _ := h.command("systemctl", "is-active", unit).Output()
	return strings.TrimSpace(string(out))
}

// removed is the packages' way out, and back in on the way.
func (h *host) removed() {
	h.t.Helper()
	h.page("uninstall remove")
	assert.True(h.t, h.exists("/etc/xdl/shadowing.toml"), "a removal keeps the configuration")
	assert.NotEqual(h.t, "active", h.state("shadowd"))
	h.page("install debian")
	for _, unit := range []string{"shadowd", "shadowgate"} {
		h.active(unit)
		h.run("systemctl", "is-enabled", unit)
	}
	h.run("systemctl", "disable", "--now", "shadowgate")
	h.sh("apt-get remove --yes shadowd && apt-get remove --yes shadowgate")
	h.page("install debian")
	h.active("shadowd")
	assert.Equal(h.t, "inactive", h.state("shadowgate"), "somebody had disabled it")
	h.sh("apt-get remove --yes shadowd && apt-get purge --yes shadowgate")
	assert.Contains(h.t, h.sh("getent group shadow-admins"), "ann", "the configuration that is kept names the group")
	h.page("install debian")
	h.active("shadowd")
	h.active("shadowgate")
	assert.Contains(h.t, h.sh("getent group shadow-admins"), "ann")
	h.sh("apt-get remove --yes shadowgate && apt-get purge --yes shadowd")
	h.page("install debian")
	h.run("rm", "/etc/logrotate.d/shadowd")
	h.page("uninstall purge")
	assert.Empty(h.t, h.left(), "a purge leaves nothing")
}

// left is what a purge has left.
func (h *host) left() string {
	h.t.Helper()
	return h.sh(`find / -xdev \( -path /proc -o -path /sys -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path /root -o -path /home \) -prune -o \
		\( -name '*shadowd*' -o -name '*shadowctl*' -o -name '*shadowgate*' -o -name '*shadowing*' -o -name xdl \) -print; find /run -name '*shadowd*'; getent group shadow-admins || true; getent passwd shadowgate || true; pgrep -a shadowd || true`)
}
