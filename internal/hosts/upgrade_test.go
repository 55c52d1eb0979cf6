package hosts

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// A built is the packages of one version.
type built struct {
	dir, version string
}

// beforeReleases is what is upgraded from while nothing has been released: a commit with other scripts, units, pages and
// programs than today's.
const beforeReleases = "8e6306dd6e1d1f6db662513b470454f8288d3720"

// lastRelease makes the packages of the newest release before this commit, from that one's own tree.
func lastRelease(t *testing.T) built {
	t.Helper()
	commit, version := beforeReleases, "1.2.2"
	// A release that is made just now isn't what it is upgraded from.
	if tag, _, _ := strings.Cut(git(t, "tag", "--list", "v[0-9]*", "--sort=-version:refname", "--merged", "HEAD", "--no-contains", "HEAD"), "\n"); tag != "" {
		commit, version = tag, strings.TrimPrefix(tag, "v")
	}
	commit = git(t, "rev-parse", "--verify", commit+"^{commit}")
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(cache, "shadow-hosts", strings.Join([]string{"packages", version, commit, runtime.Version()}, "-"))
	if _, err := os.Stat(dir); err == nil {
		return built{dir, version}
	}
	tree := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `git -C ../.. archive "$1" | tar -x -C "$2"`, "sh", commit, tree).CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = made(t, tree, "pages")
	require.NoError(t, err, "%s", out)
	t.Setenv("SOURCE_DATE_EPOCH", git(t, "log", "-1", "--format=%ct", commit)) // the tree has no git
	fresh := packages(t, tree, version, "amd64")
	require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o755))
	half, err := os.MkdirTemp(filepath.Dir(dir), "making-")
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(filepath.Join(half, "packages"), os.DirFS(fresh)))
	require.NoError(t, os.Rename(filepath.Join(half, "packages"), dir))
	require.NoError(t, os.Remove(half))
	return built{dir, version}
}

// git is what git says of this repository, which must have its history.
func git(t *testing.T, args ...string) string {
	t.Helper()
	testenv.Program(t, "git", "git")
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = "../.."
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, "git %v: %s\nThe packages of the last release are built from the history: git fetch --unshallow --tags", args, complaints.String())
	return strings.TrimSpace(string(out))
}

// next is the version after a release's.
func next(t *testing.T, version string) string {
	t.Helper()
	parts := regexp.MustCompile(`^(\d+\.\d+\.)(\d+)`).FindStringSubmatch(version)
	require.NotNil(t, parts, version)
	patch, err := strconv.Atoi(parts[2])
	require.NoError(t, err)
	return parts[1] + strconv.Itoa(patch+1)
}

func TestNext(t *testing.T) {
	for version, want := range map[string]string{"1.2.2": "1.2.3", "0.9.9": "0.9.10", "2.0.0-rc.1": "2.0.1"} {
		assert.Equal(t, want, next(t, version))
	}
}

// bring puts packages into the folder that the pages' commands are run in; they are of this version then.
func (h *host) bring(b built) {
	h.t.Helper()
	h.version = b.version
	files, err := os.ReadDir(b.dir)
	require.NoError(h.t, err)
	for _, f := range files {
		if strings.Contains(f.Name(), "arm64") || strings.Contains(f.Name(), "aarch64") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(b.dir, f.Name()))
		require.NoError(h.t, err)
		h.put("/root/"+f.Name(), string(data), 0o644)
	}
}

// What an upgrade keeps, byte for byte, of what a site and the programs have written.
const kept = `cd / && sha256sum etc/xdl/*.toml etc/xdl/shadowgate.accounts etc/xdl/fleet.credentials etc/xdl/shadowingssl/* var/lib/shadowgate/cookie.keys var/lib/shadowgate/bus/*.nk
stat --format '%n %U:%G %a' etc/xdl etc/xdl/shadowingssl etc/xdl/shadowingssl/* var/lib/shadowd var/lib/shadowgate
getent group shadow-admins; getent passwd shadowgate; systemctl is-enabled shadowd shadowgate
readlink -f /usr/bin/websockify`

// upgraded is the way from the last release to this version, with a configuration that isn't taken, and back: on a host
// that is a gate, in its own fleet, and watched.
func (h *host) upgraded() {
	t := h.t
	h.sh("apt-get purge --yes shadowd shadowgate; rm -rf /etc/xdl/shadowingssl /var/log/shadowd-audit.log*")
	h.put("/etc/apt/apt.conf.d/keep", "Dpkg::Options { \"--force-confold\"; };\n", 0o644) // as whoever is asked may answer
	h.bring(h.last)
	h.page("install debian")
	h.page("install websockify")
	h.put("/etc/xdl/shadowing.toml", "# of this site\n[log]\naudit = \"/var/log/shadowd-audit.log\"\n", 0o644)
	h.page("configure setup")
	h.page("configure group")
	h.sh("printf 'correct horse battery\\n' | (" + h.text("configure console") + ")")
	h.put("/etc/xdl/shadowgate.toml", "[bus]\nlisten = \"127.0.0.1:4222\"\ntls = false\n", 0o644)
	h.run("systemctl", "restart", "shadowd", "shadowgate")
	h.active("shadowd")
	h.active("shadowgate")
	h.desktop()
	id := h.enrol()
	h.is(h.last)
	before := h.sh(kept)
	status, cookies := h.call(http.MethodPost, "/api/v1/signin", `{"name": "alice", "password": "correct horse battery"}`, nil)
	require.Equal(t, http.StatusNoContent, status)
	signedIn := func() {
		t.Helper()
		status, _ := h.call(http.MethodGet, "/api/v1/me", "", cookies)
		assert.Equal(t, http.StatusOK, status, "people stay signed in")
	}

	h.bring(h.now)
	h.survives(id, func() { h.page("upgrade debian") })
	h.is(h.now)
	h.page("install websockify")
	assert.Equal(t, before, h.sh(kept), "an upgrade keeps what is there")
	signedIn()
	assert.Contains(t, before, "shadow-admins:x:")
	_ = h.command("sh", "-c", h.text("upgrade look")).Run()
	assert.NotContains(t, h.doctor(), "program was replaced", "the new programs run")

	h.survives(id, func() { h.page("upgrade back") })
	h.is(h.last)
	assert.Equal(t, before, h.sh(kept), "the way back keeps it, too")
	signedIn()
	h.survives(id, func() { h.page("upgrade debian") })
	h.is(h.now)
	assert.Equal(t, before, h.sh(kept), "and the way there once more")
	h.run("rm", "/etc/apt/apt.conf.d/keep")
	h.leftover()
	h.page("upgrade back")
	h.refused()
	h.is(h.now)
	h.run("shadowgate", "hosts", "revoke", id)
	h.sh("rm -f /etc/xdl/fleet.credentials; apt-get purge --yes shadow-websockify; rm -rf /etc/xdl/shadowingssl; : >/etc/xdl/shadowgate.toml; systemctl restart shadowgate")
	h.active("shadowgate")
}

// is fails unless both services are there in a version.
func (h *host) is(b built) {
	h.t.Helper()
	h.active("shadowd")
	h.active("shadowgate")
	for _, name := range []string{"shadowd", "shadowgate", "shadowctl"} {
		assert.Equal(h.t, name+" version "+b.version+"\n", h.run(name, "--version"))
	}
	for _, unit := range []string{"shadowd", "shadowgate"} {
		assert.Equal(h.t, "/usr/sbin/"+unit, strings.TrimSpace(h.sh("readlink /proc/$(systemctl show --property=MainPID --value "+unit+")/exe")), "it has been started since")
	}
	h.until("the console is ready", h.consoleReady)
}

// survives has programs be changed while somebody watches, and others call the control socket: the view ends, each call is
// answered, the fleet has the host again, the audit goes on, and another view is to be had.
func (h *host) survives(id string, change func()) {
	h.t.Helper()
	c := h.watch()
	said := h.calling(change)
	require.Error(h.t, frame(c), "the view has ended")
	assert.Contains(h.t, said, " 0 lost", "whoever calls the control socket meanwhile is answered")
	h.active("shadowd")
	h.active("shadowgate")
	h.until("the fleet has the host again", h.up)
	require.NoError(h.t, h.watch().Close())
	audit := h.sh("cat /var/log/shadowd-audit.log")
	assert.Contains(h.t, audit, `"shutdown"`, "why the view ended")
	h.until("the last view's end is in the audit", func() bool {
		audit = h.sh("cat /var/log/shadowd-audit.log")
		return strings.Count(audit, `"granted"`) > 0 && strings.Contains(audit[strings.LastIndex(audit, `"granted"`):], `"ended"`)
	})
	assert.Contains(h.t, h.run("shadowgate", "hosts"), id)
}

// leftover has an upgrade bring a configuration that isn't taken, and the doctor see it.
func (h *host) leftover() {
	h.t.Helper()
	assert.NotContains(h.t, h.doctor(), ".dpkg-dist")
	deb := "shadowd_" + h.now.version + "_amd64.deb"
	h.sh(fmt.Sprintf(`cd /root && rm -rf changed && dpkg-deb --raw-extract %[1]s changed &&
		echo '# new in this version' >> changed/etc/xdl/shadowing.toml && sed -i 's/^Version: .*/&+1/' changed/DEBIAN/control &&
		cp %[1]s shadowd.deb && dpkg-deb --build changed %[1]s`, deb))
	h.page("upgrade keep")
	h.sh("mv /root/shadowd.deb /root/" + deb)
	assert.Contains(h.t, h.sh("cat /etc/xdl/shadowing.toml"), "of this site", "an upgrade keeps the configuration")
	assert.Contains(h.t, h.doctor(), "an upgrade brought /etc/xdl/shadowing.toml.dpkg-dist")
	h.run("rm", "/etc/xdl/shadowing.toml.dpkg-dist")
	h.active("shadowd")
}

// refused has an upgrade find a configuration that isn't taken: the package is installed all the same.
func (h *host) refused() {
	h.t.Helper()
	h.configure("[viewer.typo]\n")
	h.page("upgrade debian")
	assert.Empty(h.t, h.run("dpkg", "--audit"))
	assert.NotEqual(h.t, "active", h.state("shadowd"))
	h.configure("")
	h.active("shadowd") // it is tried again and again

	const dropIn = "/etc/systemd/system/shadowd.service.d/once.conf"
	h.put(dropIn, "[Service]\nRestart=no\n", 0o644)
	h.run("systemctl", "daemon-reload")
	again := func() { h.run("dpkg", "--install", "/root/shadowd_"+h.now.version+"_amd64.deb") }
	h.configure("[viewer.typo]\n")
	require.Error(h.t, h.command("systemctl", "restart", "shadowd").Run())
	require.Equal(h.t, "failed", h.state("shadowd"))
	h.configure("")
	again()
	h.active("shadowd") // with no other command
	h.run("systemctl", "stop", "shadowd")
	again()
	assert.Equal(h.t, "inactive", h.state("shadowd"), "somebody has stopped it")
	h.run("rm", "-r", filepath.Dir(dropIn))
	h.run("systemctl", "daemon-reload")
	h.run("systemctl", "start", "shadowd")
}
