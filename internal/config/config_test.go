package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/keyfile"
	"vda.internal/shadow/sessions"
)

// write makes a file of that content.
func write(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shadowing.toml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// everything sets every key to something that isn't its default, but for the banner, which its rules need.
const everything = `
EnableSessionShadowing = 0x00000000
ShadowingUseSSL = 0x00000001
settings = "ctxreg"
ctxreg = "/opt/ctxreg"

[ports]
listen = "::1"
first = 7001
last = 7001

[viewer]
host = "vda1.corp.example"
token = "optional"
connect_timeout = "1m30s"
reconnect = "45s"
origins = ["director.corp", "*.corp:8443"]
page = false

[consent]
prompter = "exec"
timeout = "15s"
exec = ["/usr/bin/ask", "a \"b\" \\ é"]
banner = true
bell = true
language = "de_AT:de"
pause = false
purpose = "required"
purpose_pattern = "^INC-[0-9]+"
purpose_hint = "name the ticket"

[consent.texts]
question = "Darf {admin} zuschauen?"
yes = "Ja, bitte"
reasons = {viewer_left = "Tschüs", "session_ended" = "Aus"}

[[consent.rules]]
admins = ['CORP\alice', "*@corp.example"]
groups = ["helpdesk"]
sessions = ["x11"]
answer = "ask"
unanswered = "allow"

[[consent.rules]]
accounts = ["director"]
users = ["kiosk*"]
user_groups = ["kiosk"]
answer = "notify"
locked = "allow"
unanswered = "deny"

[[consent.rules]]
answer = "deny"

[source]
kind = "dial"
x11vnc = "/opt/x11vnc"
max_fps = 20
pointer = false
dial = "unix:/run/vnc.sock"

[tls]
dir = "/etc/ssl/shadow"
strict = true

[sessions]
resolver = "static"
exec = ["/usr/bin/sessions"]

[[sessions.static]]
id = "42"
display = ":1"
user = "user1"
xauthority = "/run/user/1000/Xauthority"
locale = "fr_FR.UTF-8"
bus = "unix:path=/run/user/1000/bus"

[[sessions.static]]
id = "43"
display = ":2.0"
user = 'CORP\user2'

[fleet]
servers = ["tls://gate:4222"]
credentials = "/etc/xdl/fleet.creds"
views = "dial-out"
audit = "optional"
spool = "/srv/spool"
spool_mib = 8
spool_age = "1h"

[control]
socket = "/tmp/control.sock"
group = "shadow admins"

[log]
format = "console"
level = "debug"
audit = "/var/log/shadow.audit"
`

func TestLoadEveryKey(t *testing.T) {
	c, err := Load(write(t, everything))
	require.NoError(t, err)
	assert.Equal(t, &Config{
		EnableSessionShadowing: false,
		ShadowingUseSSL:        true,
		Settings:               "ctxreg",
		Ctxreg:                 "/opt/ctxreg",
		Ports:                  Ports{Listen: "::1", First: 7001, Last: 7001},
		Viewer: Viewer{
			Host: "vda1.corp.example", Token: "optional", ConnectTimeout: 90 * time.Second, Reconnect: 45 * time.Second,
			Origins: []string{"director.corp", "*.corp:8443"},
		},
		Consent: Consent{
			Prompter: "exec", Timeout: 15 * time.Second, Exec: []string{"/usr/bin/ask", `a "b" \ é`}, Banner: true, Bell: true, Language: "de_AT:de",
			Pause: false, Purpose: "required", PurposePattern: "^INC-[0-9]+", PurposeHint: "name the ticket",
			Rules: policy.Rules{
				{Admins: []string{`CORP\alice`, "*@corp.example"}, Groups: []string{"helpdesk"}, Sessions: []string{"x11"}, Unanswered: true},
				{Accounts: []string{"director"}, Users: []string{"kiosk*"}, UserGroups: []string{"kiosk"}, Answer: policy.Notify, Locked: true},
				{Answer: policy.Deny},
			},
			Texts: consent.Texts{
				Question: "Darf {admin} zuschauen?", Yes: "Ja, bitte",
				Reasons: map[string]string{"viewer_left": "Tschüs", "session_ended": "Aus"},
			},
		},
		Source: Source{Kind: "dial", MaxFPS: 20, X11VNC: "/opt/x11vnc", Dial: "unix:/run/vnc.sock"},
		TLS:    TLS{Dir: "/etc/ssl/shadow", Strict: true},
		Sessions: Sessions{Resolver: "static", Exec: []string{"/usr/bin/sessions"}, Static: []sessions.StaticSession{
			{ID: "42", Display: ":1", User: "user1", Xauthority: "/run/user/1000/Xauthority", Locale: "fr_FR.UTF-8", Bus: "unix:path=/run/user/1000/bus"},
			{ID: "43", Display: ":2.0", User: `CORP\user2`},
		}},
		Control: Control{Socket: "/tmp/control.sock", Group: "shadow admins"},
		Fleet: Fleet{
			Servers: []string{"tls://gate:4222"}, Credentials: "/etc/xdl/fleet.creds", Views: "dial-out", Audit: "optional", Spool: "/srv/spool", SpoolMiB: 8, SpoolAge: time.Hour,
		},
		Log: Log{Format: "console", Level: "debug", Audit: "/var/log/shadow.audit"},
	}, c)
}

func TestEmptyFileIsTheDefaults(t *testing.T) {
	c, err := Load(write(t, "# nothing but a comment\n"))
	require.NoError(t, err)
	assert.Equal(t, Default(), c)
}

// Without a banner, and with little time, users are asked.
func TestRulesWithoutBanner(t *testing.T) {
	c, err := Load(write(t, "[consent]\nbanner = false\ntimeout = \"100ms\"\n[[consent.rules]]\nusers = [\"a\"]\nanswer = \"ask\"\n[[consent.rules]]\nanswer = \"deny\""))
	require.NoError(t, err)
	assert.False(t, c.Consent.Banner)
	_, err = Load(write(t, "[consent]\ntimeout = \"10s\"\n[[consent.rules]]\nanswer = \"notify\""))
	require.NoError(t, err)
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	c := Default()
	assert.True(t, c.EnableSessionShadowing)
	assert.False(t, c.ShadowingUseSSL)
	assert.Equal(t, Ports{First: 6001, Last: 6099}, c.Ports)
	assert.Equal(t, 20*time.Second, c.Consent.Timeout)
	assert.Equal(t, "required", c.Viewer.Token)
	assert.Equal(t, "x11", c.Consent.Prompter)
	assert.Equal(t, "/etc/xdl/shadowingssl", c.TLS.Dir)
}

func TestMissingFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "missing.toml"))
	require.ErrorIs(t, err, os.ErrNotExist, "a file that was named must be there")

	if _, err := os.Stat(DefaultPath); os.IsNotExist(err) {
		c, err := Load("")
		require.NoError(t, err)
		assert.Equal(t, Default(), c)
	}
}

func TestNotAFile(t *testing.T) {
	_, err := Load(t.TempDir())
	require.ErrorContains(t, err, "isn't a regular file")

	_, err = Load(write(t, strings.Repeat("#", keyfile.MaxFile+1)))
	require.ErrorContains(t, err, "has more than 65536 bytes")
}

// Each file has one mistake (or several: then all are told), and each message
// names line and key and says what is allowed.
func TestMessages(t *testing.T) {
	for _, test := range []struct{ name, content, want string }{
		{"unknown key", "\nfoo = 1", `2: foo: unknown key; there are EnableSessionShadowing, ShadowingUseSSL, [consent], [control], ctxreg, [fleet], [log], [ports], [sessions], settings, [source], [tls], [viewer]`},
		{"wrong case", "enablesessionshadowing = 0", `1: enablesessionshadowing: unknown key; did you mean EnableSessionShadowing?`},
		{"wrong table", "[viewer]\n\ntimeout = \"5s\"", `3: viewer.timeout: unknown key; did you mean consent.timeout?`},
		{"unknown in table", "[ports]\nfrist = 1", `2: ports.frist: unknown key; there are first, last, listen`},
		{"unknown table", "\n[prots]\nfoo = 1", `2: prots: unknown key; there are EnableSessionShadowing,`},
		{"quoted dotted key", `"ports.first" = 1`, `1: "ports.first": unknown key;`},
		{"table for value", "[EnableSessionShadowing]\nx = 1", `1: EnableSessionShadowing: a table isn't allowed; allowed are 0 and 1`},
		{"value for table", "ports = 3", `1: ports: is a table: write [ports] and its keys below`},
		{"array of tables", "[[ports]]\nfirst = 1", `1: ports: is a table: write [ports] and its keys below`},
		{"flag", "EnableSessionShadowing = 2", `1: EnableSessionShadowing: 2 isn't allowed; allowed are 0 and 1`},
		{"flag word", "# on\nEnableSessionShadowing = yes # on", `2: EnableSessionShadowing: "yes" isn't allowed; allowed are 0 and 1`},
		{"flag words", "EnableSessionShadowing = on off", `1: EnableSessionShadowing: "on off" isn't allowed; allowed are 0 and 1`},
		{"word without quotes", "[control]\ngroup = admins\n", `2: control.group: admins has to be in quotes: "admins"`},
		{"wrong word without quotes", "[source]\nkind = vnc\n", `2: source.kind: "vnc" isn't allowed; allowed: `},
		{"flag type", "ShadowingUseSSL = true", `1: ShadowingUseSSL: true isn't allowed; allowed are 0 and 1`},
		{"flag text", `ShadowingUseSSL = "0x00000001"`, `1: ShadowingUseSSL: "0x00000001" isn't allowed; allowed are 0 and 1`},
		{"settings", `settings = "registry"`, `1: settings: "registry" isn't allowed; allowed: "file", "ctxreg"`},
		{"strict", "[tls]\nstrict = 1", `2: tls.strict: 1 isn't allowed; allowed are true and false`},
		{"settings type", `settings = 1`, `1: settings: 1 isn't allowed; allowed: "file"`},
		{"port", "[ports]\nfirst = 0", `2: ports.first: 0 isn't allowed; allowed are the numbers 1 to 65535`},
		{"port type", "[ports]\nlast = \"6099\"", `2: ports.last: "6099" isn't allowed; allowed are the numbers 1 to 65535`},
		{"port float", "[ports]\nlast = 6099.0", `2: ports.last: 6099 isn't allowed`},
		{"port order", "[ports]\nlast = 6000", `2: ports.last: the last port, 6000, is below the first, 6001`},
		{"port order, first only", "[ports]\nfirst = 7000", `2: ports.first: the last port, 6099, is below the first, 7000`},
		{"listen", "[ports]\nlisten = \"localhost\"", `2: ports.listen: "localhost" isn't an IP address; allowed are one such as "0.0.0.0" or "::1", and ""`},
		{"host text", "[viewer]\nhost = \"a b\"", `2: viewer.host: "a b" isn't a host name; allowed is one such as "vda1.corp.example", and ""`},
		{"token", "[viewer]\ntoken = \"\"", `2: viewer.token: "" isn't allowed; allowed: "required", "optional"`},
		{"time", "[consent]\ntimeout = 20", `2: consent.timeout: 20 isn't allowed; allowed are times from "100ms" to "10m0s"`},
		{"time negative", "[consent]\ntimeout = \"-1s\"", `2: consent.timeout: "-1s" isn't allowed`},
		{"time too long", "[viewer]\nconnect_timeout = \"1h\"", `2: viewer.connect_timeout: "1h" isn't allowed; allowed are times from "100ms" to "10m0s"`},
		{"origin path", "[viewer]\norigins = [\"https://a/\"]", `2: viewer.origins: "https://a/" isn't a pattern for HOST, HOST:PORT or https://HOST:PORT (without a path)`},
		{"origin scheme", "[viewer]\norigins = [\"ws://a\"]", `2: viewer.origins: "ws://a" isn't a pattern`},
		{"origin host", "[viewer]\norigins = [\"https://\"]", `2: viewer.origins: "https://" isn't a pattern`},
		{"origin pattern", "[viewer]\norigins = [\"a\", \"[\"]", `2: viewer.origins: "[" isn't a pattern: a bracket or backslash is left open`},
		{"origin type", "[viewer]\norigins = \"a\"", `2: viewer.origins: "a" isn't allowed; allowed is a list of strings: ["…", "…"]`},
		{"origin element", "[viewer]\norigins = [1]", `2: viewer.origins: 1 isn't a string; put it in quotes`},
		{"prompter", "[consent]\nprompter = \"zenity\"", `2: consent.prompter: "zenity" isn't allowed; allowed: "x11", "notify", "exec", "deny", "allow"`},
		{"purpose", "[consent]\npurpose = \"maybe\"", `2: consent.purpose: "maybe" isn't allowed; allowed: "required", "optional", "hidden"`},
		{"purpose pattern", "[consent]\npurpose_pattern = \"INC-(\"", `2: consent.purpose_pattern: "INC-(" isn't a regular expression`},
		{"rules not a list", "[consent]\nrules = \"none\"", `2: consent.rules: is a list of tables: write [[consent.rules]] above each rule`},
		{"rules not tables", "[consent]\nrules = [1]", `2: consent.rules: is a list of tables`},
		{"rule without an answer", "[[consent.rules]]\nusers = [\"a\"]", `1: consent.rules[0]: answer is missing`},
		{"rule's answer", "[[consent.rules]]\nanswer = \"maybe\"", `2: consent.rules[0].answer: "maybe" isn't allowed; allowed: "ask", "notify", "deny", "allow"`},
		{"rule's silence", "[[consent.rules]]\nanswer = \"ask\"\nunanswered = true", `3: consent.rules[0].unanswered: true isn't allowed; allowed: "deny", "allow"`},
		{"rule's key", "[[consent.rules]]\nanswer = \"ask\"\nuser = [\"a\"]", `3: consent.rules[0].user: unknown key; there are`},
		{"rule's empty list", "[[consent.rules]]\nanswer = \"ask\"\nusers = []", `3: consent.rules[0].users: an empty list isn't allowed`},
		{"rule without effect", "[[consent.rules]]\nanswer = \"allow\"\nunanswered = \"allow\"", `3: consent.rules[0].unanswered: has no effect`},
		{"rules never match", "[[consent.rules]]\nusers = [\"a\"]\nanswer = \"ask\"\n[[consent.rules]]\nusers = [\"b*\"]\nanswer = \"deny\"\n[[consent.rules]]\nusers = [\"b\", \"a\"]\nanswer = \"deny\"", `7: consent.rules[2]: can never match: the rules 1 and 2, which come first, match whatever it does`},
		{"name that nobody has", "[[consent.rules]]\nadmins = [\"alice  ng \"]\nanswer = \"ask\"", `2: consent.rules[0].admins: "alice  ng " can never match: names are cleaned before, so write "alice ng"`},
		{"no banner beside allow", "[consent]\nbanner = false\n[[consent.rules]]\nanswer = \"deny\"\nusers = [\"a\"]\n[[consent.rules]]\nanswer = \"allow\"", `2: consent.banner: false isn't allowed with consent.rules[1], which allows viewing without a Yes: only the banner informs the user`},
		{"no banner beside notify", "[consent]\nbanner = false\n[[consent.rules]]\nanswer = \"notify\"", `2: consent.banner: false isn't allowed with consent.rules[0]`},
		{"no banner beside silence", "[consent]\nbanner = false\n[[consent.rules]]\nanswer = \"ask\"\nunanswered = \"allow\"", `2: consent.banner: false isn't allowed with consent.rules[0]`},
		{"no banner beside a lock", "[consent]\nbanner = false\n[[consent.rules]]\nanswer = \"ask\"\nlocked = \"allow\"", `2: consent.banner: false isn't allowed with consent.rules[0]`},
		{"hint without effect", "[consent]\npurpose_hint = \"say why\"", `2: consent.purpose_hint: has no effect: no reason is refused with purpose = "optional" and no consent.purpose_pattern`},
		{"rule behind every user", "[[consent.rules]]\nusers = [\"*\"]\nanswer = \"ask\"\n[[consent.rules]]\ngroups = [\"x\"]\nanswer = \"deny\"", `4: consent.rules[1]: can never match: rule 1`},
		{"silence without time", "[consent]\ntimeout = \"5s\"\n[[consent.rules]]\nanswer = \"ask\"\nunanswered = \"allow\"", `2: consent.timeout: 5s is too short for unanswered = "allow" of consent.rules[0]: the question must be in view for 5s`},
		{"silence that nobody sees", "[consent]\nprompter = \"notify\"\n[[consent.rules]]\nanswer = \"ask\"\nunanswered = \"allow\"", `2: consent.prompter: with "notify" it is unknown whether the question was seen`},
		{"notice without time", "[consent]\ntimeout = \"9.9s\"\n[[consent.rules]]\nanswer = \"notify\"", `2: consent.timeout: 9.9s is too short for answer = "notify": the notice must be in view for 5s; allowed are times from "10s"`},
		{"rule never matches", "[[consent.rules]]\nanswer = \"ask\"\n[[consent.rules]]\nusers = [\"a\"]\nanswer = \"deny\"", `3: consent.rules[1]: can never match: rule 1, which comes first, matches whatever it does`},
		{"prompter exec", "[consent]\nprompter = \"exec\"", `2: consent.prompter: "exec" needs consent.exec, the program and its arguments`},
		{"language", "[consent]\nlanguage = \"de DE\"", `2: consent.language: "de DE" isn't a locale; allowed are one such as "de_DE.UTF-8" or "de"`},
		{"text without its name", "[consent.texts]\n\nquestion = \"Hello?\"", `3: consent.texts.question: must hold {admin}`},
		{"text with another name", "[consent]\ntexts.cannot = \"{admin}\"", `2: consent.texts.cannot: holds {admin}, which has no meaning there`},
		{"long text", "[consent.texts]\nyes = \"" + strings.Repeat("y", 99) + "\"", `2: consent.texts.yes: is longer than 24 characters`},
		{"unknown text", "[consent.texts]\nheadline = \"{admin}\"", `2: consent.texts.headline: unknown key; there are alias, away, begins, cannot`},
		{"text, the wrong table", "[consent]\nsees = \"{host}\"", `2: consent.sees: unknown key; did you mean texts.sees?`},
		{"texts not a table", "[consent]\ntexts = \"de\"", `2: consent.texts: is a table: write [consent.texts] and its keys below`},
		{"buttons alike", "[consent.texts]\nno = \"Oui\"\nyes = \"Oui\"", `3: consent.texts.yes: "Oui" is what the other button says, too`},
		{"reason unknown", "[consent.texts.reasons]\nboredom = \"Bored\"", `1: consent.texts.reasons: "boredom": is for a reason that ends no view`},
		{"reason not a text", "[consent.texts]\nreasons = {viewer_left = 1}", `2: consent.texts.reasons: "viewer_left": 1 isn't a string; put it in quotes`},
		{"reasons not a table", "[consent.texts]\nreasons = [\"gone\"]", `2: consent.texts.reasons: a list isn't allowed; allowed is a table of strings`},
		{"locale", "[sessions]\nresolver = \"static\"\n[[sessions.static]]\nid=\"1\"\nuser=\"a\"\ndisplay=\":1\"\nlocale=\"/etc\"", `7: sessions.static[0].locale: "/etc" isn't a locale`},
		{"relative program", "[consent]\nexec = [\"ask\"]", `2: consent.exec: "ask" isn't an absolute path; the program is named by one`},
		{"kind", "[source]\nkind = \"xvnc\"", `2: source.kind: "xvnc" isn't allowed; allowed: "x11", "x11vnc", "auto", "dial"`},
		{"kind dial", "[source]\nkind = \"dial\"", `2: source.kind: "dial" needs source.dial, the address`},
		{"dial", "[source]\ndial = \"127.0.0.1:5900\"", `2: source.dial: "127.0.0.1:5900" isn't allowed; allowed are "tcp:HOST:PORT" and "unix:/PATH"`},
		{"dial port", "[source]\ndial = \"tcp:host:0\"", `2: source.dial: "tcp:host:0" isn't allowed`},
		{"dial path", "[source]\ndial = \"unix:vnc\"", `2: source.dial: "vnc" isn't an absolute path`},
		{"tls", "[tls]\ndir = \"ssl\"", `2: tls.dir: "ssl" isn't an absolute path`},
		{"resolver", "[sessions]\nresolver = \"utmp\"", `2: sessions.resolver: "utmp" isn't allowed; allowed: "logind", "static", "exec"`},
		{"resolver exec", "[sessions]\nresolver = \"exec\"", `2: sessions.resolver: "exec" needs sessions.exec, the program and its arguments`},
		{"resolver static", "[sessions]\nresolver = \"static\"", `2: sessions.resolver: "static" needs at least one [[sessions.static]]`},
		{"static unused", "[[sessions.static]]\nid=\"1\"\nuser=\"a\"\ndisplay=\":1\"", `1: sessions.static: does nothing: sessions.resolver is "logind"; set it to "static"`},
		{"static not a list", "[sessions]\nresolver = \"static\"\n[sessions.static]\nid = \"1\"", `3: sessions.static: is a list of tables: write [[sessions.static]] above each session`},
		{"static of strings", "[sessions]\nresolver = \"static\"\nstatic = [\"a\"]", `3: sessions.static: is a list of tables: write [[sessions.static]] above each session`},
		{"socket", "[control]\nsocket = \"\"", `2: control.socket: "" isn't an absolute path`},
		{"socket length", "[control]\nsocket = \"/" + strings.Repeat("x", 107) + `"`, `2: control.socket: "/` + strings.Repeat("x", 107) + `" has 108 bytes; a socket's path has at most 107`},
		{"control character", "[control]\ngroup = \"a\\nb\"", `2: control.group: "a\nb" has a control character`},
		{"level", "[log]\nlevel = \"verbose\"", `2: log.level: "verbose" isn't allowed; allowed: "trace", "debug", "info", "warn", "error"`},
		{"audit", "[log]\naudit = \"audit.log\"", `2: log.audit: "audit.log" isn't an absolute path; allowed are one, and ""`},
		{"syntax", "a = 1\nb = \n", `2: `},
		{"twice", "settings = \"file\"\nsettings = \"file\"", `2: `},
		{"dotted", "ports.first = 0", `1: ports.first: 0 isn't allowed`},
		{"inline", "ports = {first = 1, last = 0}", `1: ports.last: 0 isn't allowed`},
		{"inline, several lines", "sessions = {resolver = \"static\", static = [\n{id=\"1\", user=\"a\", display=\":1\"},\n{id=\"2\", user=\"a\", display=\"1\"}]}", `3: sessions.static[1].display: "1" isn't a display of this host; allowed is one such as ":1"`},
		{"CRLF", "# a\r\n[ports]\r\nfirst = 0\r\n", `3: ports.first: 0 isn't allowed`},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.content)
			_, err := Load(path)
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Contains(t, err.Error(), path+":"+test.want)
			assert.Len(t, e.Problems, 1, "%v", err)
		})
	}
}

func TestStaticSessions(t *testing.T) {
	path := write(t, `
[sessions]
resolver = "static"
[[sessions.static]]
id = "1"
display = "host:1"
user = "a"
[[sessions.static]]
id = "1"
display = ":2"
user = ""
Display = ":2"
[[sessions.static]]
xauthority = "x"
bus = "unixexec:path=/bin/sh"
`)
	_, err := Load(path)
	require.Error(t, err)
	assert.Equal(t, strings.Join([]string{
		path + `:6: sessions.static[0].display: "host:1" isn't a display of this host; allowed is one such as ":1"`,
		path + `:9: sessions.static[1].id: "1" is there twice; the other one is in line 4`,
		path + `:11: sessions.static[1].user: may not be empty`,
		path + `:12: sessions.static[1].Display: unknown key; did you mean display?`,
		path + `:13: sessions.static[2]: id is missing; a session needs id, display and user`,
		path + `:13: sessions.static[2]: display is missing; a session needs id, display and user`,
		path + `:13: sessions.static[2]: user is missing; a session needs id, display and user`,
		path + `:14: sessions.static[2].xauthority: "x" isn't an absolute path; allowed are one, and ""`,
		path + `:15: sessions.static[2].bus: "unixexec:path=/bin/sh" isn't the address of a D-Bus bus of this host; allowed are one such as "unix:path=/run/user/1000/bus", and ""`,
	}, "\n        "), err.Error())
}

func TestPrintLoadsBack(t *testing.T) {
	full, err := Load(write(t, everything))
	require.NoError(t, err)
	for name, c := range map[string]*Config{"defaults": Default(), "everything": full} {
		t.Run(name, func(t *testing.T) {
			again, err := Load(write(t, string(c.TOML())))
			require.NoError(t, err, "%s", c.TOML())
			assert.Equal(t, c, again)
		})
	}
}

func TestPrintOfDefaults(t *testing.T) {
	want, err := os.ReadFile("testdata/default.toml")
	require.NoError(t, err)
	assert.Equal(t, string(want), string(Default().TOML()))
}

// A fingerprint is of what is read only at the start.
func TestFingerprint(t *testing.T) {
	for change, restart := range map[string]bool{
		"EnableSessionShadowing = 0": false, "ShadowingUseSSL = 1": false, `settings = "ctxreg"`: false, `ctxreg = "/usr/bin/ctxreg"`: false,
		"[log]\nlevel = \"debug\"": false, "[fleet]\nspool_mib = 8": false, "[fleet]\nservers = [\"tls://gate.corp:4222\"]\ncredentials = \"/etc/xdl/c\"": false,
		"[log]\nformat = \"console\"": true, "[ports]\nfirst = 6010": true, "[consent.texts]\nno = \"Nope\"": true,
		"[[consent.rules]]\nanswer = \"deny\"": true,
		"[sessions]\nresolver = \"static\"\n[[sessions.static]]\nid = \"1\"\nuser = \"kim\"\ndisplay = \":1\"": true,
		"[consent]\nrules = [{answer = \"ask\"}]\n[log]\naudit = \"/var/log/audit.log\"":                       true,
	} {
		c, err := parse("f", []byte(change+"\n"))
		require.NoError(t, err, change)
		assert.Equal(t, restart, c.Fingerprint() != Default().Fingerprint(), change)
	}
}

func TestSettingsAreReadEachTime(t *testing.T) {
	path := write(t, "ShadowingUseSSL = 1\n")
	settings := SettingsFrom(path)

	got, err := settings(t.Context())
	require.NoError(t, err)
	assert.Equal(t, shadow.Settings{EnableSessionShadowing: true, ShadowingUseSSL: true}, got)

	require.NoError(t, os.WriteFile(path, []byte("EnableSessionShadowing = 0\n"), 0o600))
	got, err = settings(t.Context())
	require.NoError(t, err)
	assert.Equal(t, shadow.Settings{}, got)

	require.NoError(t, os.WriteFile(path, []byte("[log]\nlevel = 3\n"), 0o600))
	got, err = settings(t.Context())
	require.Error(t, err, "a mistake anywhere in the file refuses")
	assert.Equal(t, shadow.Settings{}, got)

	require.NoError(t, os.Remove(path))
	_, err = settings(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
}

// The settings are read every second while anybody is viewed: a file that says the same isn't parsed again.
func TestSettingsCostLittle(t *testing.T) {
	path := write(t, string(Default().TOML()))
	settings := SettingsFrom(path)
	read := func(f func() error) float64 {
		return testing.AllocsPerRun(20, func() {
			if err := f(); err != nil {
				panic(err)
			}
		})
	}
	whole := read(func() error { _, err := Load(path); return err })
	again := read(func() error { _, err := settings(t.Context()); return err })
	assert.Less(t, again, whole/10)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add(Default().TOML())
	f.Add([]byte("[[sessions.static]]\n[sessions.static.x]\ny=1\n[[sessions.static]]\n"))
	f.Add([]byte("[consent.texts]\nquestion = \"{admin}?\"\nreasons.viewer_left = \"x\"\n"))
	f.Add([]byte("sessions = {static = [{id = '1'}, [{}]]}\n\"a.b\".c = [[1], {x = 2}]\n"))
	f.Add([]byte("a = 1979-05-27T07:32:00Z\r\nb = nan\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse("f", data)
		if err != nil {
			var e *Error
			require.ErrorAs(t, err, &e)
			require.NotEmpty(t, e.Problems)
			for _, p := range e.Problems {
				require.Positive(t, p.Line)
				require.LessOrEqual(t, p.Line, strings.Count(string(data), "\n")+1)
			}
			return
		}
		again, err := parse("g", c.TOML())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
