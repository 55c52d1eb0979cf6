package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/config"
)

// Whatever would stop the start or refuse every request is found, with advice that fits.
func TestCheckLooksAtTheHost(t *testing.T) {
	for name, c := range map[string]struct{ file, key, words string }{
		"group":         {"[control]\ngroup = \"no-such-group\"\n", "control.group", "create the group"},
		"socket":        {"[control]\nsocket = \"/etc/passwd\"\n", "control.socket", "it isn't a socket"},
		"certificate":   {"ShadowingUseSSL = 1\n[tls]\ndir = \"/nonexistent\"\n", "ShadowingUseSSL", "the certificate can't be used"},
		"prompter":      {"[consent]\nprompter = \"exec\"\nexec = [\"/nonexistent/ask\"]\n", "consent.exec", "/nonexistent/ask can't be run"},
		"resolver":      {"[sessions]\nresolver = \"exec\"\nexec = [\"/nonexistent/list\"]\n", "sessions.exec", "/nonexistent/list can't be run"},
		"not a program": {"[sessions]\nresolver = \"exec\"\nexec = [\"/etc/passwd\"]\n", "sessions.exec", "permission denied"},
		"x11vnc":        {"[source]\nkind = \"x11vnc\"\nx11vnc = \"/nonexistent/x11vnc\"\n", "source.x11vnc", "correct the path"},
		"ctxreg":        {"settings = \"ctxreg\"\nctxreg = \"/nonexistent/ctxreg\"\n", "settings", "every request would be refused"},
		"address":       {"[ports]\nlisten = \"192.0.2.77\"\n", "ports.listen", "192.0.2.77 can't be listened on"},
		"user": {"[sessions]\nresolver = \"static\"\n[[sessions.static]]\nid = \"1\"\ndisplay = \":1\"\nuser = \"no-such-user\"\n",
			"sessions.static", `"no-such-user"`},
		"audit":              {"[log]\naudit = \"/nonexistent/audit.log\"\n", "log.audit", "can't be written"},
		"audit folder":       {"[log]\naudit = \"/tmp\"\n", "log.audit", "is a folder"},
		"socket folder":      {"[control]\nsocket = \"/etc/passwd/control.sock\"\n", "control.socket", "its folder can't be made"},
		"host's address":     {"[viewer]\nhost = \"192.0.2.77\"\n", "viewer.host", "192.0.2.77 isn't an address of this host"},
		"dial's password":    {"[source]\nkind = \"dial\"\ndial = \"tcp:127.0.0.1:5900\"\ndial_password_file = \"/nonexistent/password\"\n", "source.dial", "/nonexistent/password"},
		"dial's authorities": {"[source]\nkind = \"dial\"\ndial = \"tcp:127.0.0.1:5900\"\ndial_ca = \"/etc/passwd\"\n", "source.dial", "no certificate in PEM"},
		"fleet's key":        {"[fleet]\nservers = [\"tls://gate.example:4222\"]\ncredentials = \"/nonexistent/key\"\n", "fleet.credentials", "shadowctl enroll writes the file"},
		"fleet's spool": {"[fleet]\nservers = [\"tls://gate.example:4222\"]\ncredentials = \"/run/credentials/none.service/key\"\nspool = \"/etc/passwd/spool\"\n",
			"fleet.spool", "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := call(t, c.file, "--check")
			assert.Equal(t, 1, code)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, c.key+": ")
			assert.Contains(t, stderr, c.words)
			assert.NotContains(t, stderr, "apt-get")
			assert.NotContains(t, stderr, "account: ", "a package's name is no use here")
		})
	}
	// An x11vnc on PATH that somebody else could change.
	dir := t.TempDir()
	program := filepath.Join(dir, "x11vnc")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\necho x11vnc: 0.9.16 lastmod: 2019-01-05\n"), 0o755))
	t.Setenv("PATH", dir)
	for _, kind := range []string{"x11vnc", "auto"} {
		file := fmt.Sprintf("[source]\nkind = %q\n", kind)
		require.NoError(t, os.Chmod(program, 0o755))
		code, _, stderr := call(t, file, "--check")
		assert.Zero(t, code, stderr)
		require.NoError(t, os.Chmod(program, 0o777))
		code, _, stderr = call(t, file, "--check")
		assert.Equal(t, 1, code)
		assert.Contains(t, stderr, "source.kind: the x11vnc on PATH isn't run: ")
		assert.Contains(t, stderr, program+" is writable by others")
	}
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\necho x11vnc: 0.9.12 lastmod: 2010-09-09\n"), 0o755))
	require.NoError(t, os.Chmod(program, 0o755))
	code, _, stderr := call(t, "[source]\nkind = \"x11vnc\"\n", "--check")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "0.9.12", "too old")
	// What systemd hands over at the start isn't there before.
	code, _, stderr = call(t, "[fleet]\nservers = [\"tls://gate.example:4222\"]\ncredentials = \"/run/credentials/none.service/key\"\nspool = \""+filepath.Join(dir, "spool")+"\"\n", "--check")
	assert.Zero(t, code, stderr)
	// All at once.
	_, _, stderr = call(t, "[control]\ngroup = \"no-such-group\"\n[ports]\nlisten = \"192.0.2.77\"\n", "--check")
	assert.Contains(t, stderr, "control.group")
	assert.Contains(t, stderr, "ports.listen")
	assert.Equal(t, 2, strings.Count(stderr, "\n"), stderr)
}

// A program that is there may still be unfit.
func TestCheckLooksAtPrograms(t *testing.T) {
	dir, err := os.MkdirTemp("", "check") // where everybody may enter, unlike in t.TempDir's
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "closed"), 0o700))
	for _, c := range []struct {
		name, path, text string
		mode             os.FileMode
		users            bool
		want             string
	}{
		{"fine", "a", "#!/bin/sh\n", 0o755, true, ""},
		{"fine with an argument", "b", "#! /bin/sh -e\n", 0o755, true, ""},
		{"no script", "c", "\x7fELF\x00", 0o755, true, ""},
		{"of a group", "d", "#!/bin/sh\n", 0o750, true, ""},
		{"root's alone, which runs it", "e", "#!/bin/sh\n", 0o700, false, ""},
		{"root's alone", "f", "#!/bin/sh\n", 0o700, true, "/f (mode 0700) is closed to them; do chmod 755"},
		{"in root's folder", "closed/g", "#!/bin/sh\n", 0o755, true, "/closed (mode 0700) is closed to them"},
		{"not executable", "h", "#!/bin/sh\n", 0o644, false, "permission denied; do chmod 755"},
		{"no first line", "i", "zenity --question\n", 0o755, false, "a first line such as #!/bin/sh"},
		{"another interpreter", "j", "#!/nonexistent/python\n", 0o755, false, `names "/nonexistent/python", which isn't there`},
		{"lines of another system", "k", "#!/bin/sh\r\n", 0o755, false, `names "/bin/sh\r"`},
		{"a folder", ".", "", 0, false, "it isn't a file"},
		{"nothing", "none", "", 0, false, "no such file or directory; correct the path"},
	} {
		path := filepath.Join(dir, c.path)
		if c.mode != 0 {
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			require.NoError(t, os.Chmod(path, c.mode))
		}
		err := fit(path, c.users)
		if c.want == "" {
			assert.NoError(t, err, c.name)
			continue
		}
		assert.ErrorContains(t, err, c.want, c.name)
	}
}

// Sessions' users run shadowd, too.
func TestCheckLooksAtItself(t *testing.T) {
	program := filepath.Join(t.TempDir(), "shadowd")
	require.NoError(t, os.WriteFile(program, nil, 0o700))
	for prompter, source := range map[string]string{"x11": "dial", "deny": "x11", "notify": "x11vnc"} {
		cfg := config.Default()
		cfg.Consent.Prompter, cfg.Source.Kind = prompter, source
		c := checker{cfg: cfg}
		c.own(program)
		require.Len(t, c.wrong, 1)
		assert.ErrorContains(t, c.wrong[0], "shadowd (mode 0700), which asks them and reads the picture; do chmod 755 "+program)
	}
	cfg := config.Default()
	cfg.Consent.Prompter, cfg.Source.Kind = "exec", "x11vnc"
	c := checker{cfg: cfg}
	c.own(program)
	require.NoError(t, os.Chmod(program, 0o755))
	c.cfg = config.Default()
	c.own(program)
	assert.Empty(t, c.wrong)
}

func TestCheckFindsNoPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	code, _, stderr := call(t, fmt.Sprintf("[ports]\nlisten = \"127.0.0.1\"\nfirst = %d\nlast = %[1]d\n", port), "--check")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, fmt.Sprintf("ports.first: no port of %d-%[1]d is free: ", port))
	assert.Contains(t, stderr, "shadowctl doctor says who uses them")
}

// What refuses every request because somebody wants that is no mistake, but is said.
func TestCheckTellsOfRefusals(t *testing.T) {
	for file, want := range map[string]string{
		"EnableSessionShadowing = 0\n":         "EnableSessionShadowing is 0",
		"[consent]\nprompter = \"deny\"\n":     `consent.prompter is "deny"`,
		"[viewer]\nhost = \"localhost\"\n":     "",
		"[viewer]\nhost = \"vda1.invalid\"\n":  "", // what administrators' DNS knows can't be seen here
		"[viewer]\nhost = \"127.0.0.1\"\n":     "",
		"ShadowingUseSSL = 0\n[consent]\n":     "",
		"[control]\nsocket = \"/run/x/y/s\"\n": "",
	} {
		code, stdout, stderr := call(t, file, "--check")
		assert.Zero(t, code, stderr)
		if want == "" {
			assert.True(t, strings.HasSuffix(stdout, ": fine\n"), stdout)
		} else {
			assert.True(t, strings.HasSuffix(stdout, ": fine, but every request is refused: "+want+"\n"), stdout)
		}
	}
}
