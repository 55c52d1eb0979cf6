package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
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
		"audit":        {"[log]\naudit = \"/nonexistent/audit.log\"\n", "log.audit", "can't be written"},
		"audit folder": {"[log]\naudit = \"/tmp\"\n", "log.audit", "is a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := call(t, c.file, "--check")
			assert.Equal(t, 1, code)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, c.key+": ")
			assert.Contains(t, stderr, c.words)
			assert.NotContains(t, stderr, "apt-get")
		})
	}
	// All at once.
	_, _, stderr := call(t, "[control]\ngroup = \"no-such-group\"\n[ports]\nlisten = \"192.0.2.77\"\n", "--check")
	assert.Contains(t, stderr, "control.group")
	assert.Contains(t, stderr, "ports.listen")
	assert.Equal(t, 2, strings.Count(stderr, "\n"), stderr)
}
