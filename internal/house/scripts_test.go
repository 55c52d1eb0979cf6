package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tools stand in for what the packages' scripts call: they keep in $STATE what they are told.
var tools = map[string]string{
	"systemctl": `verb=; unit=; now=
for word in "$@"; do
	case $word in --now) now=yes ;; -*) ;; *) if [ -z "$verb" ]; then verb=$word; else unit=$word; fi ;; esac
done
begin() {
	rm -f "$STATE/failed-$unit" "$STATE/active-$unit"
	if [ -e "$STATE/refused" ]; then touch "$STATE/failed-$unit"; exit 1; fi
	touch "$STATE/active-$unit"
}
case $verb in
is-enabled) [ -e "$STATE/enabled-$unit" ] ;;
is-failed) [ -e "$STATE/failed-$unit" ] ;;
reset-failed) rm -f "$STATE/failed-$unit" ;;
enable) touch "$STATE/enabled-$unit"; [ -z "$now" ] || begin ;;
disable) rm -f "$STATE/enabled-$unit"; [ -z "$now" ] || rm -f "$STATE/active-$unit" ;;
start) begin ;;
stop) rm -f "$STATE/active-$unit" ;;
try-restart) [ ! -e "$STATE/active-$unit" ] || begin ;;
daemon-reload) ;;
*) exit 2 ;;
esac`,
	"systemd-sysusers": "",
	"getent":           `[ -e "$STATE/$1-$2" ]`,
	"groupadd":         `touch "$STATE/group-$2"`,
	"groupdel":         `rm "$STATE/group-$1"`,
	"useradd":          `touch "$STATE/passwd-shadowgate"`,
	"usermod":          "",
	"userdel":          `rm "$STATE/passwd-$1"`,
	"id":               "echo shadowgate",
	"install":          "",
	"dpkg-query":       `for package in "$@"; do :; done; cat "$STATE/status-$package"`,
	"dpkg-divert": `for word in "$@"; do case $word in --add | --remove) verb=$word ;; --divert) ;; -*) ;; shadow-websockify) ;; *.python) to=$word ;; *) from=$word ;; esac; done
if [ $verb = --add ]; then
	[ ! -e $STATE/diverted ] && [ -e $from ] && mv $from $to
	touch $STATE/diverted
else
	[ ! -e $to ] || mv $to $from
	rm -f $STATE/diverted
fi
true`,
	"update-alternatives": `case $1 in
--install) [ -e $4 ] || exit 2; grep -qsF "$4 " $STATE/alternatives || echo "$4 - priority $5" >>$STATE/alternatives ;;
--display) cat $STATE/alternatives ;;
--remove) grep -vF "$3 " $STATE/alternatives >$STATE/rest; mv $STATE/rest $STATE/alternatives ;;
--remove-all) rm -f $STATE/alternatives ;;
esac`,
}

// A fakeHost has the packages' scripts run with stand-ins of the tools, below a folder.
type fakeHost struct {
	t           *testing.T
	root, state string
	shell       []string // that runs the scripts
	path        string   // where it finds programs
}

func newFakeHost(t *testing.T) *fakeHost {
	t.Helper()
	f := &fakeHost{t: t, root: t.TempDir(), state: t.TempDir(), shell: []string{"/bin/sh"}}
	f.path = f.state + ":/usr/bin:/bin"
	for _, dir := range []string{"etc/xdl", "run/systemd/system", "var/lib", "usr/bin", "usr/sbin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(f.root, dir), 0o755))
	}
	for name, text := range tools {
		require.NoError(t, os.WriteFile(filepath.Join(f.state, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	return f
}

// script runs one, as dpkg and rpm do; it must not fail.
func (f *fakeHost) script(name string, args ...string) {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(dist, "packages", name))
	require.NoError(f.t, err)
	moved := string(text)
	for _, dir := range []string{"/etc/xdl", "/etc/systemd/", "/run/", "/var/lib/", "/usr/bin/", "/usr/sbin/shadow", "/usr/sbin/policy-rc.d"} {
		moved = strings.ReplaceAll(moved, dir, f.root+dir)
	}
	cmd := exec.CommandContext(f.t.Context(), f.shell[0], append(append(slices.Clone(f.shell[1:]), "-c", moved, name), args...)...)
	cmd.Env = []string{"STATE=" + f.state, "PATH=" + f.path, "BASH_COMPAT=4.2"}
	out, err := cmd.CombinedOutput()
	require.NoError(f.t, err, "%s %v\n%s", name, args, out)
}

func (f *fakeHost) has(file string) bool {
	_, err := os.Lstat(filepath.Join(f.state, file))
	return err == nil
}

func (f *fakeHost) touch(file string) {
	f.t.Helper()
	require.NoError(f.t, os.WriteFile(filepath.Join(f.state, file), nil, 0o600))
}

// set has a package's state be what dpkg says of it.
func (f *fakeHost) set(name, state string) {
	f.t.Helper()
	require.NoError(f.t, os.WriteFile(filepath.Join(f.state, "status-"+name), []byte(state), 0o600))
}

// install, remove and purge are what dpkg does with the scripts.
func (f *fakeHost) install(name, before string) {
	f.t.Helper()
	f.script(name+".postinst", "configure", before)
	f.set(name, "installed")
}

func (f *fakeHost) remove(name string) {
	f.t.Helper()
	f.script(name+".prerm", "remove")
	f.script(name+".postrm", "remove")
	f.set(name, "config-files")
}

func (f *fakeHost) purge(name string) {
	f.t.Helper()
	f.script(name+".postrm", "purge")
	f.set(name, "not-installed")
}

// is fails unless a service is so.
func (f *fakeHost) is(name string, enabled, active bool, when string) {
	f.t.Helper()
	assert.Equal(f.t, enabled, f.has("enabled-"+name+".service"), "%s is enabled: %s", name, when)
	assert.Equal(f.t, active, f.has("active-"+name+".service"), "%s is active: %s", name, when)
}

// In whichever order dpkg and rpm call the scripts, a service is what its operator has made of it.
func TestScriptsKeepServices(t *testing.T) {
	for _, name := range []string{"shadowd", "shadowgate"} {
		t.Run(name, func(t *testing.T) {
			f := newFakeHost(t)
			marks := func() []string {
				left, err := filepath.Glob(filepath.Join(f.root, "etc/xdl", ".*"))
				require.NoError(t, err)
				return left
			}
			unit := name + ".service"
			f.install(name, "")
			f.is(name, true, true, "installed")
			f.install(name, "1.2.2")
			f.is(name, true, true, "upgraded")
			f.remove(name)
			f.is(name, false, false, "removed")
			f.install(name, "1.2.2")
			f.is(name, true, true, "removed, and installed again")
			assert.Empty(t, marks())
			f.script(name+".prerm", "remove", "in-favour", "other", "1")
			f.script(name+".postinst", "abort-remove", "in-favour", "other", "1")
			f.is(name, true, true, "a removal that was taken back")
			for _, args := range [][]string{{"abort-upgrade", "1.2.3"}, {"abort-deconfigure", "in-favour", "other", "1"}} {
				f.script(name+".postinst", args...)
				f.is(name, true, true, args[0])
			}
			f.script(name+".prerm", "upgrade", "1.2.3")
			f.script(name+".prerm", "deconfigure", "in-favour", "other", "1")
			f.is(name, true, true, "nothing is stopped before an upgrade")

			f.script(name+".prerm", "remove")
			f.script(name+".prerm", "remove") // dpkg tries it again where the rest has failed
			f.install(name, "1.2.2")
			f.is(name, true, true, "removed in two tries, and installed again")

			require.NoError(t, os.Remove(filepath.Join(f.state, "active-"+unit)))
			f.install(name, "1.2.2")
			f.is(name, true, false, "its operator had stopped it before the upgrade")
			require.NoError(t, os.Remove(filepath.Join(f.state, "enabled-"+unit)))
			f.install(name, "1.2.2")
			f.is(name, false, false, "its operator had disabled it before the upgrade")
			f.remove(name)
			f.install(name, "1.2.2")
			f.is(name, false, false, "its operator had disabled it before the removal")

			f.touch("enabled-" + unit)
			f.touch("active-" + unit)
			f.touch("refused") // whatever would start it finds a configuration that it doesn't take
			f.install(name, "1.2.2")
			f.is(name, true, false, "upgraded, with a configuration that isn't taken")
			require.NoError(t, os.Remove(filepath.Join(f.state, "refused")))
			f.install(name, "1.2.3")
			f.is(name, true, true, "upgraded to a version that takes it")
			f.touch("failed-" + unit)
			require.NoError(t, os.Remove(filepath.Join(f.state, "active-"+unit)))
			require.NoError(t, os.Remove(filepath.Join(f.state, "enabled-"+unit)))
			f.install(name, "1.2.3")
			f.is(name, false, false, "it has failed, and was disabled then")
			f.touch("enabled-" + unit)
			f.touch("refused")
			f.install(name, "1.2.3")
			f.is(name, true, false, "upgraded, with a configuration that isn't taken any more")
			f.remove(name)
			f.install(name, "1.2.2")
			f.is(name, true, false, "installed again with that")
			f.remove(name)
			assert.False(t, f.has("failed-"+unit), "systemd forgets what isn't there any more")
			f.purge(name)
			assert.Empty(t, marks())
			f.touch("active-" + unit)
			f.script(name+".postrm", "remove")
			assert.False(t, f.has("active-"+unit), "removed while it was only unpacked: there was no script before")
			f.install(name, "")
			f.is(name, true, false, "installed with that")
			require.NoError(t, os.Remove(filepath.Join(f.state, "refused")))

			f.script(name+".postinst", "1")
			f.is(name, true, true, "rpm's installation")
			f.script(name+".postinst", "2")
			f.script(name+".prerm", "1")
			f.script(name+".postrm", "1")
			f.is(name, true, true, "rpm's upgrade")
			f.script(name+".prerm", "0")
			f.script(name+".postrm", "0")
			f.is(name, false, false, "rpm's removal")
			assert.Empty(t, marks())
		})
	}
}

// The group that shadowing.toml names goes, with its members, when neither package is left, not
// even its configuration.
func TestScriptsKeepTheGroup(t *testing.T) {
	for first, other := range map[string]string{"shadowd": "shadowgate", "shadowgate": "shadowd"} {
		f := newFakeHost(t)
		f.install("shadowd", "")
		f.install("shadowgate", "")
		require.True(t, f.has("group-shadow-admins"))
		f.remove(other)
		f.remove(first)
		f.purge(first)
		assert.True(t, f.has("group-shadow-admins"), "%s is purged, and %s only removed", first, other)
		f.purge(other)
		assert.False(t, f.has("group-shadow-admins"), "%s is purged after %s", other, first)
		assert.False(t, f.has("passwd-shadowgate"))

		f = newFakeHost(t)
		f.install(first, "")
		f.remove(first)
		f.purge(first)
		assert.False(t, f.has("group-shadow-admins"), "%s was alone", first)
	}
}

// The name websockify leads to whichever of the two programs is there, whoever came first.
func TestScriptsOfferBothWebsockifys(t *testing.T) {
	const python = "/usr/bin/websockify.python"
	f := newFakeHost(t)
	put := func(path string) { require.NoError(t, os.WriteFile(f.root+path, nil, 0o755)) }
	offered := func() (ours, pythons bool) {
		list, _ := os.ReadFile(filepath.Join(f.state, "alternatives"))
		return strings.Contains(string(list), f.root+"/usr/bin/shadow-websockify "), strings.Contains(string(list), f.root+python+" ")
	}
	is := func(ours, pythons bool, when string) {
		t.Helper()
		o, p := offered()
		assert.Equal(t, ours, o, "ours is offered: %s", when)
		assert.Equal(t, pythons, p, "the Python program is offered: %s", when)
	}
	put("/usr/bin/shadow-websockify")
	f.script("websockify.postinst", "configure", "")
	is(true, false, "ours is installed")
	put(python) // to which dpkg diverts it
	f.script("websockify.postinst", "triggered", python)
	is(true, true, "then the Python program")
	f.script("websockify.prerm", "deconfigure", "in-favour", "other", "1")
	f.script("websockify.postinst", "abort-deconfigure", "in-favour", "other", "1")
	is(true, true, "a removal that was taken back")
	f.script("websockify.prerm", "remove", "in-favour", "other", "1")
	is(false, false, "ours is being removed")
	assert.FileExists(t, f.root+"/usr/bin/websockify")
	f.script("websockify.postinst", "abort-remove", "in-favour", "other", "1")
	is(true, true, "that was taken back, too")
	assert.FileExists(t, f.root+python)
	require.NoError(t, os.Remove(f.root+python))
	f.script("websockify.postinst", "triggered", python)
	is(true, false, "the Python program is removed")
	f.script("websockify.prerm", "remove")
	is(false, false, "ours is removed")
	put("/usr/bin/websockify")
	f.script("websockify.postinst", "configure", "")
	is(true, true, "ours is installed beside the Python program")
}

// An alternative that is neither ours nor the package's of the Python program is a site's, and stays.
func TestScriptsLeaveOthersAlternatives(t *testing.T) {
	f := newFakeHost(t)
	for _, program := range []string{"/usr/bin/shadow-websockify", "/usr/bin/other"} {
		require.NoError(t, os.WriteFile(f.root+program, nil, 0o755))
	}
	other := f.root + "/usr/bin/other - priority 7\n"
	for _, args := range [][2]string{{"configure", "remove"}, {"1", "0"}} {
		require.NoError(t, os.WriteFile(filepath.Join(f.state, "alternatives"), []byte(other), 0o600))
		f.script("websockify.postinst", args[0], "")
		f.script("websockify.prerm", args[1])
		list, err := os.ReadFile(filepath.Join(f.state, "alternatives"))
		require.NoError(t, err)
		assert.Equal(t, other, string(list))
	}
	assert.False(t, f.has("diverted"), "rpm has no diversions, whatever programs there are")
}

// An image that gets its systemd later has the services enabled; one that is built where starts are forbidden, too.
func TestScriptsInImages(t *testing.T) {
	for _, name := range []string{"shadowd", "shadowgate"} {
		f := newFakeHost(t)
		link := filepath.Join(f.root, "etc/systemd/system/multi-user.target.wants", name+".service")
		require.NoError(t, os.Rename(filepath.Join(f.state, "systemctl"), filepath.Join(f.state, "none")))
		f.path = f.onlyTools()
		f.install(name, "")
		to, err := os.Readlink(link)
		require.NoError(t, err)
		assert.Equal(t, "/usr/lib/systemd/system/"+name+".service", to)
		f.script(name+".prerm", "remove")
		assert.NoFileExists(t, link)

		f = newFakeHost(t)
		require.NoError(t, os.WriteFile(filepath.Join(f.root, "usr/sbin/policy-rc.d"), []byte("#!/bin/sh\nexit 101\n"), 0o755))
		f.install(name, "")
		f.is(name, true, false, "starts are forbidden")
	}
}

// onlyTools is a PATH that has what the scripts need, and no systemctl of this machine's.
func (f *fakeHost) onlyTools() string {
	f.t.Helper()
	dir := f.t.TempDir()
	for _, name := range []string{"rm", "mkdir", "ln", "grep", "touch", "rmdir", "readlink", "cat", "mv"} {
		path, err := exec.LookPath(name)
		require.NoError(f.t, err)
		require.NoError(f.t, os.Symlink(path, filepath.Join(dir, name)))
	}
	return f.state + ":" + dir
}
