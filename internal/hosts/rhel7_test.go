package hosts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What RHEL 7 has instead of Debian's: systemctl of systemd 219, which here makes and removes the links and notes what it is
// told, and alternatives of chkconfig 1.7. Both refuse what they don't know. A complaint is in /complaints, also where a
// script ignores it.
var rhel7 = map[string]string{
	"/usr/bin/systemctl": `#!/bin/sh
now=; [ "$2" != --now ] || { now=$1; verb=$1; shift 2; set -- $verb "$@"; }
case $now in enable) echo "start $2" >>/told ;; disable) echo "stop $2" >>/told ;; esac
case $1 in
enable) mkdir -p /etc/systemd/system/multi-user.target.wants; ln -sf /usr/lib/systemd/system/$2 /etc/systemd/system/multi-user.target.wants/$2 ;;
disable) rm -f /etc/systemd/system/multi-user.target.wants/$2 ;;
is-enabled) [ -e /etc/systemd/system/multi-user.target.wants/$2 ] ;;
is-failed) exit 1 ;;
start | stop | try-restart | reset-failed | daemon-reload) echo "$*" >>/told ;;
*) echo "systemctl: Unknown operation '$1'." >>/complaints; exit 1 ;;
esac`,
	"/usr/sbin/update-alternatives": `#!/bin/sh
case $1 in
--install) [ $# = 5 ] || exit 2; ln -sf $4 /etc/alternatives/$3; [ -e $2 ] && ! [ -L $2 ] || ln -sf /etc/alternatives/$3 $2 ;;
--remove) [ "$(readlink /etc/alternatives/$2)" != $3 ] || rm -f /etc/alternatives/$2 /usr/bin/$2 ;;
--display) exit 2 ;;
*) echo "alternatives: bad option $1" >>/complaints; exit 2 ;;
esac`,
}

// lacking are Debian's programs that RHEL 7 has not.
var lacking = []string{"systemd-sysusers", "systemd-tmpfiles", "systemd-creds", "dpkg", "dpkg-divert", "dpkg-query", "deb-systemd-helper", "deb-systemd-invoke", "invoke-rc.d"}

// oldRoots has rpm install, upgrade and remove the packages in a root that is, to their scripts, RHEL 7's: none of
// its systemd, shells and rpm are to be had for the tests.
func oldRoots(t *testing.T, last, now built) {
	base := debian(t, releases[0])
	for _, shell := range []string{"dash", "bash"} {
		t.Run(shell, func(t *testing.T) { newOldRoot(t, base, shell).lives(last, now) })
	}
}

// An oldRoot is a root that isn't booted.
type oldRoot struct {
	t    *testing.T
	root string
}

func newOldRoot(t *testing.T, base, shell string) *oldRoot {
	t.Helper()
	dir := t.TempDir()
	o := &oldRoot{t, filepath.Join(dir, "root")}
	for _, d := range []string{"root", "upper", "work"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	require.NoError(t, syscall.Mount("overlay", o.root, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", base, dir, dir)))
	t.Cleanup(func() { _ = syscall.Unmount(o.root, syscall.MNT_DETACH) })
	for _, name := range lacking {
		for _, bin := range []string{"usr/bin", "usr/sbin"} {
			require.NoError(t, os.RemoveAll(filepath.Join(o.root, bin, name)))
		}
	}
	require.NoError(t, os.RemoveAll(filepath.Join(o.root, "usr/bin/update-alternatives")))
	for name, text := range rhel7 {
		require.NoError(t, os.RemoveAll(filepath.Join(o.root, name)))
		require.NoError(t, os.WriteFile(filepath.Join(o.root, name), []byte(text+"\n"), 0o755))
	}
	o.sh("ln -sf /usr/bin/" + shell + " /usr/bin/sh; mkdir -p /run/systemd/system; test -c /dev/null || mknod -m 666 /dev/null c 1 3")
	return o
}

// sh runs a line of shell in the root. It must not fail.
func (o *oldRoot) sh(line string) string {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), "chroot", o.root, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "BASH_COMPAT=4.2", "sh", "-c", line)
	out, err := cmd.CombinedOutput()
	require.NoError(o.t, err, "%s\n%s", line, out)
	return string(out)
}

// told is what systemctl has been told since the last time.
func (o *oldRoot) told() string {
	o.t.Helper()
	return o.sh("cat /told; rm -f /told")
}

// lives goes through the life of an installation.
func (o *oldRoot) lives(last, now built) {
	t := o.t
	files := func(b built) string {
		var list []string
		for _, name := range []string{"shadowd", "shadowgate", "shadow-websockify", "rfbtrace"} {
			file := name + "-" + b.version + "-1.x86_64.rpm"
			data, err := os.ReadFile(filepath.Join(b.dir, file))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(o.root, "root", file), data, 0o600))
			list = append(list, "/root/"+file)
		}
		return strings.Join(list, " ")
	}
	count := func(verb string) map[string]int {
		said := o.told()
		return map[string]int{"shadowd": strings.Count(said, verb+" shadowd.service\n"), "shadowgate": strings.Count(said, verb+" shadowgate.service\n")}
	}
	both := map[string]int{"shadowd": 1, "shadowgate": 1}
	enabled := func() string {
		return o.sh("cd /etc/systemd/system/multi-user.target.wants && ls -d shadow* 2>/dev/null || true")
	}

	// The release before may call what RHEL 7 lacks: its complaints are its own.
	o.sh("rpm --install --nodeps " + files(last))
	assert.Equal(t, both, count("start"))
	o.sh("echo '# of this site' >>/etc/xdl/shadowing.toml; rm -f /complaints")
	o.sh("rpm --upgrade --nodeps " + files(now))
	assert.Equal(t, both, count("try-restart"))
	assert.Equal(t, "shadowd.service\nshadowgate.service\n", enabled())
	assert.Contains(t, o.sh("cat /etc/xdl/shadowing.toml"), "of this site")
	o.sh("rpm --upgrade --oldpackage --nodeps " + files(last))
	assert.Equal(t, both, count("try-restart"), "the way back")
	o.sh("rpm --erase shadowd shadowgate shadow-websockify rfbtrace; rm -rf /etc/xdl; userdel shadowgate; groupdel shadow-admins; rm -rf /var/lib/shadowgate /told /complaints /etc/alternatives/websockify /usr/bin/websockify")

	o.sh("rpm --install --nodeps " + files(now))
	assert.Equal(t, both, count("start"))
	assert.Equal(t, "shadowd.service\nshadowgate.service\n", enabled())
	assert.Empty(t, o.sh("rpm --verify --nodeps shadowd shadowgate shadow-websockify rfbtrace"))
	assert.Regexp(t, `^shadowgate:x:\d+:\d+::/var/lib/shadowgate:/usr/sbin/nologin\n$`, o.sh("getent passwd shadowgate"), "useradd has made it")
	assert.Equal(t, "shadowgate shadow-admins\n", o.sh("id -nG shadowgate"))
	assert.Equal(t, "shadowgate shadowgate 700\n", o.sh("stat --format '%U %G %a' /var/lib/shadowgate"), "that systemd makes no StateDirectory")
	assert.Contains(t, o.sh("websockify --help"), "--view-only")
	o.sh(commands(t)["uninstall rpm"] + "\nrpm --erase shadow-websockify rfbtrace")
	assert.Empty(t, enabled())
	assert.Empty(t, o.sh("getent passwd shadowgate; getent group shadow-admins shadowgate; ls -d /usr/bin/websockify /etc/alternatives/websockify /etc/xdl /var/lib/shadow* /usr/share/doc/shadow* 2>/dev/null || true"))
	assert.Empty(t, o.sh("cat /complaints 2>/dev/null || true"), "what the scripts have called and RHEL 7 lacks")
}

// features are what rpm 4.11 knows of rpmlib(), by its own list, each up to a version.
var features = map[string]string{
	"VersionedDependencies": "3.0.3-1", "CompressedFileNames": "3.0.4-1", "PayloadIsBzip2": "3.0.5-1", "PayloadIsXz": "5.2-1", "PayloadIsLzma": "4.4.2-1",
	"PayloadFilesHavePrefix": "4.0-1", "ExplicitPackageProvide": "4.0-1", "HeaderLoadSortsTags": "4.0.1-1", "ScriptletInterpreterArgs": "4.0.3-1",
	"PartialHardlinkSets": "4.0.4-1", "ConcurrentAccess": "4.1-1", "BuiltinLuaScripts": "4.2.2-1", "FileDigests": "4.6.0-1", "FileCaps": "4.6.1-1",
	"ScriptletExpansion": "4.9.0-1", "TildeInVersions": "4.10.0-1",
}

// readable fails unless rpm 4.11, RHEL 7's, reads an rpm: gzip and SHA-256, ordinary scripts and dependencies, and names
// that it finds again in the payload.
func readable(t *testing.T, file string) {
	t.Helper()
	ask := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "rpm", append(args, "--query", "--package", file)...).Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	assert.Equal(t, "cpio gzip 8", ask("--queryformat", "%{PAYLOADFORMAT} %{PAYLOADCOMPRESSOR} %{FILEDIGESTALGO}"), file)
	for _, program := range []string{"PREINPROG", "POSTINPROG", "PREUNPROG", "POSTUNPROG"} {
		assert.Contains(t, []string{"(none)", "/bin/sh"}, ask("--queryformat", "%{"+program+"}"), "%s of %s", program, file)
	}
	assert.Equal(t, "(none)(none)(none)", ask("--queryformat", "%{TRIGGERNAME}%{FILETRIGGERNAME}%{TRANSFILETRIGGERNAME}"), file)
	for line := range strings.Lines(ask("--requires", "--provides", "--conflicts", "--obsoletes")) {
		line = strings.TrimSpace(line)
		assert.NotRegexp(t, `[()]\s*(if|or|and|with|unless)\s|\^`, line, "%s: rich dependencies came with 4.12, carets with 4.15", file)
		if m := regexp.MustCompile(`^rpmlib\((\w+)\) <= (\S+)$`).FindStringSubmatch(line); m != nil {
			assert.Equal(t, features[m[1]], m[2], "%s: rpm 4.11 doesn't know %s", file, line)
		}
	}
	names := strings.Split(ask("--list"), "\n")
	assert.True(t, slices.IsSorted(names), "%s: rpm 4.11 looks for a file of the payload as in a sorted list: %v", file, names)
	for size := range strings.FieldsSeq(ask("--queryformat", "[%{FILESIZES} ]")) {
		n, err := strconv.ParseInt(size, 10, 64)
		require.NoError(t, err)
		assert.Less(t, n, int64(1)<<31, file)
	}
}
