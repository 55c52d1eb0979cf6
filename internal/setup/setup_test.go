package setup

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"

	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/doctor"
	"vda.internal/shadow/internal/host/account"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/tlsstore"
)

const full = "vda1.corp.example"

// A site is a host that a test prepares.
type site struct {
	Host
	t   *testing.T
	tls string // folder of the pair
}

// newSite is a host with its full name, the group and a firewall that lets viewers in. The file
// gets a line for the folder of the pair.
func newSite(t *testing.T, file string) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{t: t, tls: filepath.Join(dir, "etc", "ssl")}
	s.Config = filepath.Join(dir, "shadowing.toml")
	require.NoError(t, os.WriteFile(s.Config, []byte(file+fmt.Sprintf("[tls]\ndir = %q\n", s.tls)), 0o600))
	s.FQDN = func(context.Context) (string, error) { return full, nil }
	s.GroupID = func(_ context.Context, name string) (uint32, error) {
		if name == DefaultGroup || name == "helpdesk" {
			return 990, nil
		}
		return 0, fmt.Errorf("%w: group %q", account.ErrUnknown, name)
	}
	s.reports(doctor.Check{Name: "service", State: doctor.OK})
	return s
}

// reports is what the doctor finds.
func (s *site) reports(checks ...doctor.Check) {
	s.Examine = func(context.Context, *config.Config) *doctor.Report { return &doctor.Report{Checks: checks} }
}

// plan is what comes of the proposal, changed by change.
func (s *site) plan(change func(*Answers)) (*Plan, error) {
	s.t.Helper()
	state, err := s.Look(s.t.Context())
	require.NoError(s.t, err)
	a := state.Proposal(s.t.Context())
	if change != nil {
		change(&a)
	}
	return state.Plan(s.t.Context(), a)
}

func commands(p *Plan) (list []string) {
	for _, s := range p.Steps {
		list = append(list, strings.SplitN(s.Command, "\n", 2)[0])
	}
	return list
}

func TestProposals(t *testing.T) {
	const request, doctored, restart = `(umask 077; mkdir -p DIR && openssl req -new -sha256 \`, "shadowctl doctor --config FILE", "systemctl enable shadowd && systemctl restart shadowd"
	for _, c := range []struct {
		name, file string
		spoil      func(*site)
		answers    func(*Answers)
		lines      []config.Line
		commands   []string
	}{
		{name: "a new host", lines: []config.Line{{Name: "viewer.host", Value: `"vda1.corp.example"`}, {Name: "control.group", Value: `"shadow-admins"`}},
			commands: []string{request, "AGAIN", restart, doctored}},
		{name: "for a trial", answers: func(a *Answers) { a.Certificate = SelfSigned },
			lines:    []config.Line{{Name: "ShadowingUseSSL", Value: "1"}, {Name: "viewer.host", Value: `"vda1.corp.example"`}, {Name: "control.group", Value: `"shadow-admins"`}},
			commands: []string{restart, doctored}},
		{name: "all is decided", file: "ShadowingUseSSL = 0\n[viewer]\nhost = \"vda1.corp.example\"\n[control]\ngroup = \"helpdesk\"\n",
			commands: []string{doctored}},
		{name: "an empty value is one", file: "[viewer]\nhost = \"\"\n[control]\ngroup = \"\"\n", answers: func(a *Answers) { a.Certificate = None }, commands: []string{doctored}},
		{name: "no group", spoil: func(s *site) {
			s.GroupID = func(context.Context, string) (uint32, error) { return 0, account.ErrUnknown }
		}, answers: func(a *Answers) { a.Certificate = None }, lines: []config.Line{{Name: "viewer.host", Value: `"vda1.corp.example"`}}, commands: []string{restart, doctored}},
		{name: "no domain", file: "[control]\ngroup = \"helpdesk\"\n", spoil: func(s *site) { s.FQDN = func(context.Context) (string, error) { return "vda1", nil } },
			commands: []string{"AGAIN --host NAME.DOMAIN", doctored}},
		{name: "no name", file: "[control]\ngroup = \"helpdesk\"\n", spoil: func(s *site) { s.FQDN = func(context.Context) (string, error) { return "", errors.New("none") } },
			commands: []string{doctored}},
		{name: "a name that nobody should have", file: "[control]\ngroup = \"helpdesk\"\n", spoil: func(s *site) { s.FQDN = func(context.Context) (string, error) { return "vda1.corp\nEND\nreboot", nil } },
			commands: []string{doctored}},
		{name: "another name", file: "[control]\ngroup = \"helpdesk\"\n", answers: func(a *Answers) { a.Name, a.Certificate = "192.0.2.10", None },
			lines: []config.Line{{Name: "viewer.host", Value: `"192.0.2.10"`}}, commands: []string{restart, doctored}},
		{name: "a firewall in the way of both families", file: "[viewer]\nhost = \"vda1.corp.example\"\n[control]\ngroup = \"helpdesk\"\n", answers: func(a *Answers) { a.Certificate = None },
			spoil: func(s *site) {
				s.reports(doctor.Check{Name: "firewall", State: doctor.Bad, Command: "ufw allow 6001:6099/tcp"}, doctor.Check{Name: "firewall", State: doctor.Bad, Command: "ufw allow 6001:6099/tcp"},
					doctor.Check{Name: "firewall", State: doctor.Note, Command: "nft insert rule"}, doctor.Check{Name: "firewall", State: doctor.Bad, Remedy: "an advice"})
			}, commands: []string{"ufw allow 6001:6099/tcp", doctored}},
		{name: "a service that doesn't run", file: "[viewer]\nhost = \"vda1.corp.example\"\n[control]\ngroup = \"helpdesk\"\n", answers: func(a *Answers) { a.Certificate = None },
			spoil: func(s *site) { s.reports(doctor.Check{Name: "service", State: doctor.Bad}) }, commands: []string{restart, doctored}},
		{name: "no service", answers: func(a *Answers) { a.Certificate, a.Group = None, "" }, spoil: func(s *site) { s.reports() },
			lines: []config.Line{{Name: "viewer.host", Value: `"vda1.corp.example"`}}, commands: []string{"shadowd --config FILE", doctored}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.file)
			if c.spoil != nil {
				c.spoil(s)
			}
			p, err := s.plan(c.answers)
			require.NoError(t, err)
			assert.Equal(t, c.lines, p.Lines)
			assert.Equal(t, len(c.lines) > 0, p.Changes())
			for i := range c.commands {
				c.commands[i] = strings.NewReplacer("DIR", s.tls, "AGAIN", "shadowctl setup --config "+s.Config, "FILE", s.Config).Replace(c.commands[i])
			}
			assert.Equal(t, c.commands, commands(p))
			// What was written isn't proposed again, and the rest of the file stays.
			before, err := os.ReadFile(s.Config)
			require.NoError(t, err)
			require.NoError(t, p.Write())
			again, err := s.plan(c.answers)
			require.NoError(t, err)
			assert.False(t, again.Changes())
			assert.Empty(t, again.Diff())
			after, err := os.ReadFile(s.Config)
			require.NoError(t, err)
			assert.Equal(t, strings.Join(strings.Fields(string(after)), " "), strings.Join(strings.Fields(string(p.After)), " "))
			for line := range strings.Lines(string(before)) {
				assert.Contains(t, string(after), line)
			}
			_, err = config.Load(s.Config)
			assert.NoError(t, err)
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	s := newSite(t, "[viewer]\nhost = \"vda2.corp.example\"\n[control]\ngroup = \"helpdesk\"\n")
	for want, change := range map[string]func(*Answers){
		`viewer.host is "vda2.corp.example" in`: func(a *Answers) { a.Name = full },
		`control.group is "helpdesk" in`:        func(a *Answers) { a.Group = DefaultGroup },
		`groupadd --system typo`:                func(a *Answers) { a.Group = "typo" },
		`isn't a host name`:                     func(a *Answers) { a.Name = "a b" },
	} {
		_, err := s.plan(change)
		assert.ErrorContains(t, err, want)
	}
	require.NoError(t, os.WriteFile(s.Config, []byte("bogus = 1\n"), 0o600))
	_, err := s.Look(t.Context())
	assert.ErrorContains(t, err, "bogus: unknown key")
}

// The pair of a trial is one that shadowd takes, and nothing is overwritten.
func TestTrialPair(t *testing.T) {
	for _, host := range []string{full, "192.0.2.10"} {
		s := newSite(t, "")
		state, err := s.Look(t.Context())
		require.NoError(t, err)
		assert.Equal(t, PairMissing, state.Pair(host).State)
		p, err := state.Plan(t.Context(), Answers{Name: host, Certificate: SelfSigned})
		require.NoError(t, err)
		assert.Equal(t, []string{s.tls + "/shadowingcert.pem", s.tls + "/shadowingkey.pem"}, p.Files())
		require.NoError(t, p.Write())
		assert.ErrorContains(t, p.Write(), "somebody else has made it meanwhile")

		found := state.Pair(host)
		assert.Equal(t, PairFine, found.State, found.Found)
		assert.Contains(t, found.Found, "is for "+host)
		assert.Empty(t, found.Remedy)
		other := state.Pair("vda2.corp.example")
		assert.Equal(t, PairUnfit, other.State)
		assert.Contains(t, other.Remedy, "subject alternative name vda2.corp.example")
		store := tlsstore.Store{Dir: s.tls}
		_, err = store.TLSConfig(host)
		require.NoError(t, err)
		for path, mode := range map[string]os.FileMode{s.tls: 0o700, p.Files()[0]: 0o644, p.Files()[1]: 0o600} {
			info, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, mode, info.Mode().Perm(), path)
		}
		entries, err := os.ReadDir(s.tls)
		require.NoError(t, err)
		assert.Len(t, entries, 2, "nothing is left behind")
		got, err := config.SettingsFrom(s.Config)(t.Context())
		require.NoError(t, err)
		assert.True(t, got.ShadowingUseSSL)
	}
}

// A pair that is there already is used; one that can't be used, or is on its way, is left alone.
func TestPairsThatAreThere(t *testing.T) {
	s := newSite(t, "")
	require.NoError(t, makePair(s.tls, full, time.Now()))
	p, err := s.plan(func(a *Answers) { a.Certificate = SelfSigned })
	require.NoError(t, err)
	assert.Equal(t, config.Line{Name: "ShadowingUseSSL", Value: "1"}, p.Lines[0])
	assert.Empty(t, p.Files())

	require.NoError(t, os.Remove(filepath.Join(s.tls, certName)))
	state, err := s.Look(t.Context())
	require.NoError(t, err)
	waiting := state.Pair(full)
	assert.Equal(t, PairWaiting, waiting.State)
	assert.Contains(t, waiting.Remedy, s.tls+"/shadowingcert.pem")

	require.NoError(t, os.WriteFile(filepath.Join(s.tls, certName), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), 0o644))
	assert.Equal(t, PairUnfit, state.Pair(full).State)
	for _, choice := range Choices() {
		p, err := s.plan(func(a *Answers) { a.Certificate = choice })
		require.NoError(t, err)
		assert.Empty(t, p.Files())
		for _, l := range p.Lines {
			assert.NotEqual(t, "ShadowingUseSSL", l.Name)
		}
		assert.NotContains(t, strings.Join(commands(p), "\n"), "openssl")
	}
}

// An encrypted key whose passphrase systemd hands to the service is a fine one, and nobody is told to
// write the passphrase beside it.
func TestPassphraseOfTheService(t *testing.T) {
	s := newSite(t, "")
	require.NoError(t, makePair(s.tls, full, time.Now()))
	data, err := os.ReadFile(filepath.Join(s.tls, keyName))
	require.NoError(t, err)
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	locked, err := pkcs8.MarshalPrivateKey(key, []byte("correct horse"), nil)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.tls, keyName), pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: locked}), 0o600))
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	state, err := s.Look(t.Context())
	require.NoError(t, err)
	found := state.Pair(full)
	assert.Equal(t, PairUnfit, found.State)
	assert.Contains(t, found.Remedy, "shadowingpassphrase")

	require.NoError(t, os.WriteFile(filepath.Join(bin, "systemctl"), []byte("#!/bin/sh\n[ $1 = show ] && echo LoadState=loaded && exit\necho LoadCredentialEncrypted=shadowingpassphrase:/etc/xdl/shadowingpassphrase.cred\n"), 0o755))
	state, err = s.Look(t.Context())
	require.NoError(t, err)
	found = state.Pair(full)
	assert.Equal(t, PairFine, found.State, found.Found)
	assert.Contains(t, found.Found, "systemd hands its passphrase")
	assert.Empty(t, found.Remedy)
}

// The command makes a request that names the host as browsers need it, and a key that the
// store takes with what an authority makes of it.
func TestRequestCommand(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		testenv.Lack(t, "there is no openssl")
	}
	long := strings.Repeat("a", 30) + "." + strings.Repeat("b", 40) + ".example"
	for host, want := range map[string]string{full: "DNS:" + full, "192.0.2.10": "IP Address:192.0.2.10", long: "DNS:" + long} {
		dir := filepath.Join(t.TempDir(), "it's $HOME")
		out, err := exec.Command("/bin/sh", "-c", requestCommand(dir, host)).CombinedOutput()
		require.NoError(t, err, "%s", out)
		text, err := exec.Command("openssl", "req", "-in", dir+"/request.csr", "-noout", "-verify", "-text").CombinedOutput()
		require.NoError(t, err, "%s", text)
		for _, w := range []string{want, "TLS Web Server Authentication", "Public-Key: (3072 bit)"} {
			assert.Contains(t, string(text), w)
		}
		info, err := os.Stat(filepath.Join(dir, keyName))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

		out, err = exec.Command("openssl", "x509", "-req", "-in", dir+"/request.csr", "-signkey", filepath.Join(dir, keyName), "-days", "30",
			"-out", filepath.Join(dir, certName), "-extfile", writeFile(t, "subjectAltName = "+strings.Replace(want, "IP Address", "IP", 1)+"\n")).CombinedOutput()
		require.NoError(t, err, "%s", out)
		pair, err := (&tlsstore.Store{Dir: dir}).Load(host)
		found := judged(dir, pair, err)
		assert.Equal(t, PairFine, found.State, found.Found)
		_, err = tls.LoadX509KeyPair(filepath.Join(dir, certName), filepath.Join(dir, keyName))
		assert.NoError(t, err)
	}
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// Where the VDA's registry counts, the file's value would change nothing.
func TestSettingsOfTheVDA(t *testing.T) {
	for answer, want := range map[string]bool{"0x00000000": true, "0x00000001": false} {
		tool := filepath.Join(t.TempDir(), "ctxreg")
		require.NoError(t, os.WriteFile(tool, []byte("#!/bin/sh\necho EnableSessionShadowing 0x00000001; echo ShadowingUseSSL "+answer+"\n"), 0o700))
		s := newSite(t, fmt.Sprintf("settings = \"ctxreg\"\nctxreg = %q\n", tool))
		require.NoError(t, makePair(s.tls, full, time.Now()))
		p, err := s.plan(nil)
		require.NoError(t, err)
		for _, l := range p.Lines {
			assert.NotEqual(t, "ShadowingUseSSL", l.Name)
		}
		command := tool + ` create -k "HKLM\Software\Citrix\VirtualDesktopAgent" -t REG_DWORD -v ShadowingUseSSL -d 0x00000001 --force`
		assert.Equal(t, want, strings.Contains(strings.Join(commands(p), "\n"), command))
	}
}

// The printed change is one that patch(1) would take.
func TestDiff(t *testing.T) {
	numbers := func(first, last int) (text string) {
		for i := first; i <= last; i++ {
			text += fmt.Sprintln("line", i)
		}
		return text
	}
	for name, c := range map[string]struct{ before, after string }{
		"a new file":     {"", "a\nb\n"},
		"at the top":     {numbers(1, 9), "new\n" + numbers(1, 9)},
		"at the end":     {numbers(1, 9), numbers(1, 9) + "\nnew\n"},
		"in the middle":  {numbers(1, 20), numbers(1, 10) + "new\n" + numbers(11, 20)},
		"two far apart":  {numbers(1, 30), numbers(1, 4) + "new\n" + numbers(5, 20) + "new\n" + numbers(21, 30)},
		"two near by":    {numbers(1, 30), numbers(1, 10) + "new\n" + numbers(11, 15) + "new\n" + numbers(16, 30)},
		"the same twice": {"a\n\nb\n\n", "a\n\n\nb\n\nb\n"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		require.NoError(t, os.WriteFile(path, []byte(c.before), 0o600))
		var before []byte
		if c.before != "" {
			before = []byte(c.before)
		}
		diff := unified(path, before, []byte(c.after))
		want, err := exec.Command("diff", "-u", path, writeFile(t, c.after)).Output()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		hunks := func(s string) string { return strings.Join(strings.SplitAfter(s, "\n")[2:], "") }
		if name != "the same twice" { // where there are two ways to say it
			assert.Equal(t, normal(hunks(string(want))), normal(hunks(diff)), name)
		}
		if _, err := exec.LookPath("patch"); err == nil {
			cmd := exec.Command("patch", "-s", path)
			cmd.Stdin = strings.NewReader(diff)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s: %s\n%s", name, out, diff)
			got, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, c.after, string(got), name)
		}
	}
	assert.Empty(t, unified("/x", []byte("a\n"), []byte("a\n")))
}

// normal leaves out a count of one line, as diff does.
func normal(hunks string) string { return strings.ReplaceAll(hunks, ",1 ", " ") }
