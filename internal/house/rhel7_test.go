package house

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// onRHEL7 are the programs that the rpms' scripts may call, with the options and verbs of theirs that are in the manual
// pages of RHEL 7: systemd 219 (which has no systemd-sysusers there), coreutils 8.22, grep 2.20, shadow-utils 4.1.5,
// chkconfig 1.7.
var onRHEL7 = map[string]string{
	"systemctl": "enable disable is-enabled is-failed reset-failed start stop try-restart daemon-reload",
	"groupadd":  "--system", "useradd": "--system --user-group --no-create-home --home-dir --shell", "usermod": "--append --groups",
	"getent": "group passwd", "id": "-nG", "update-alternatives": "--install --remove --display",
	"grep": "-q -qw", "install": "-d -o -g -m", "rm": "-f -rf", "rmdir": "--ignore-fail-on-non-empty", "touch": "", "mkdir": "-p", "ln": "-sf", "readlink": "",
}

// verbs are the programs whose first word is one of those above.
const verbs = " systemctl getent "

// becomeRHEL7 has the host's scripts find the programs above only, which refuse what they don't know and note it.
func (f *fakeHost) becomeRHEL7() {
	f.t.Helper()
	f.path = f.t.TempDir()
	for name, words := range onRHEL7 {
		real := filepath.Join(f.state, name)
		if _, err := os.Stat(real); err != nil {
			real, err = exec.LookPath(name)
			require.NoError(f.t, err)
		}
		refused := fmt.Sprintf("case ' %s ' in *\" $word \"*) ;; *) echo '%s knows no '\"$word\" >>$STATE/complaints; exit 64 ;; esac", words, name)
		each := "for word in \"$@\"; do case $word in -*) " + refused + " ;; esac; done"
		if strings.Contains(verbs, " "+name+" ") {
			each = "word=$1; " + refused
		}
		text := "#!/bin/sh\n" + each + "\nPATH=/usr/bin:/bin exec " + real + " \"$@\"\n"
		require.NoError(f.t, os.WriteFile(filepath.Join(f.path, name), []byte(text), 0o755))
	}
}

// shells are those that may be a distribution's sh, Red Hat's as it was in version 4.2.
var shells = map[string][]string{"dash": {"dash"}, "bash": {"bash", "--posix"}}

// The rpms' scripts do on RHEL 7 what they do elsewhere: with its programs, and with no other.
func TestScriptsOnRHEL7(t *testing.T) {
	for shell, command := range shells {
		t.Run(shell, func(t *testing.T) {
			path := testenv.Program(t, shell, shell)
			f := newFakeHost(t)
			f.shell = append([]string{path}, command[1:]...)
			f.becomeRHEL7()
			require.NoError(t, os.WriteFile(filepath.Join(f.root, "usr/bin/shadow-websockify"), nil, 0o755))
			for _, name := range []string{"shadowd", "shadowgate"} {
				f.script(name+".postinst", "1")
				f.is(name, true, true, "installed")
				f.script(name+".postinst", "2")
				f.script(name+".prerm", "1")
				f.script(name+".postrm", "1")
				f.is(name, true, true, "upgraded")
				f.touch("failed-" + name + ".service")
				f.script(name+".postinst", "2")
				f.is(name, true, true, "upgraded, after it had failed")
			}
			assert.True(t, f.has("group-shadow-admins"))
			assert.True(t, f.has("passwd-shadowgate"))
			f.script("websockify.postinst", "1")
			f.script("websockify.postinst", "2")
			f.script("websockify.prerm", "1")
			list, err := os.ReadFile(filepath.Join(f.state, "alternatives"))
			require.NoError(t, err)
			assert.Equal(t, f.root+"/usr/bin/shadow-websockify - priority 50\n", string(list))
			for _, name := range []string{"shadowd", "shadowgate"} {
				f.script(name+".prerm", "0")
				f.script(name+".postrm", "0")
				f.is(name, false, false, "removed")
			}
			f.script("websockify.prerm", "0")
			list, err = os.ReadFile(filepath.Join(f.state, "alternatives"))
			require.NoError(t, err)
			assert.Empty(t, list)
			assert.NoDirExists(t, filepath.Join(f.root, "etc/systemd/system"), "systemctl makes the links")
			complaints, _ := os.ReadFile(filepath.Join(f.state, "complaints"))
			assert.Empty(t, string(complaints))
		})
	}
}

// No page tells who has RHEL 7 to call what isn't there, unless it is for Debian.
func TestPagesOnRHEL7(t *testing.T) {
	newer := map[string]string{ // and since when
		"--ignore-missing": "coreutils 8.25", "--value": "systemd 230", "systemctl edit --stdin": "systemd 254", "--remove-all": "chkconfig 1.10", "-addext": "OpenSSL 1.1.1",
	}
	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for option, since := range newer {
			assert.NotContains(t, string(text), option, "%s: it came with %s", page, since)
		}
	}
}
