package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/doctor"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/usage"
)

func TestDoctor(t *testing.T) {
	t.Setenv("LC_ALL", "")
	t.Setenv("LC_CTYPE", "")
	t.Setenv("LANG", "de_DE.UTF-8")
	// Nothing but the daemon is looked at here: package doctor tests the rest.
	file := registryFile(t, "EnableSessionShadowing = 0\n[sessions]\nresolver = \"static\"\n[[sessions.static]]\nid = \"1\"\ndisplay = \":59995\"\nuser = \"root\"\n"+
		"[source]\nkind = \"x11vnc\"\nx11vnc = \"/nonexistent/x11vnc\"\n[viewer]\nhost = \"localhost\"\n[ports]\nlisten = \"127.0.0.1\"\nfirst = 60999\nlast = 60999\n")
	yesterday := time.Now().Add(-24 * time.Hour) // before the daemon was started
	require.NoError(t, os.Chtimes(file, yesterday, yesterday))
	socket := daemon(t, &fakeEngine{})
	r := shadowctl(t.Context(), "doctor", "--config", file, "--socket", socket, "1")
	assert.Equal(t, exitFailed, r.status)
	assert.Empty(t, r.stderr, "the report says it all")
	assert.Contains(t, r.stdout, "✔ configuration  "+file+" has no mistakes\n")
	assert.Contains(t, r.stdout, "✘ settings       EnableSessionShadowing is 0: every request is refused\n                 → shadowctl ctxreg update -k ")
	assert.Contains(t, r.stdout, "✔ daemon         shadowd answers on "+socket)
	assert.True(t, strings.HasSuffix(r.stdout, "\n\nViewing would not work: what is marked with ✘ prevents it.\n"), r.stdout)
	assert.NotContains(t, r.stdout, "\x1b")

	// Not every terminal has all characters.
	t.Setenv("LANG", "de_DE.ISO-8859-1")
	r = shadowctl(t.Context(), "doctor", "--config", file, "--socket", socket, "1")
	assert.Contains(t, r.stdout, "+ configuration  "+file+" has no mistakes\n")
	assert.Contains(t, r.stdout, "x settings       EnableSessionShadowing is 0: every request is refused\n                 > shadowctl ctxreg update -k ")
	assert.True(t, strings.HasSuffix(r.stdout, "\n\nViewing would not work: what is marked with x prevents it.\n"), r.stdout)
	assert.Regexp(t, `^[[:ascii:]]*$`, r.stdout)

	r = shadowctl(t.Context(), "doctor", "--json", "--config", file, "--socket", filepath.Join(t.TempDir(), "none"))
	assert.Equal(t, exitFailed, r.status, "the daemon's absence is a finding, not a failure of ours")
	assert.Empty(t, r.stderr)
	var report doctor.Report
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &report))
	assert.False(t, report.Works)
	states := map[string]doctor.State{}
	for _, c := range report.Checks {
		states[c.Name] = c.State
	}
	assert.Equal(t, doctor.Bad, states["daemon"])
	assert.Equal(t, doctor.OK, states["configuration"])

	r = shadowctl(t.Context(), "doctor", "1", "2")
	assert.Equal(t, usage.Status, r.status)
}

func TestDoctorsPaper(t *testing.T) {
	t.Setenv("LC_ALL", "C.UTF-8")
	var b bytes.Buffer
	p := &printer{w: &b, width: 50, colour: true}
	p.check(doctor.Check{Name: "session \x1b[2J", State: doctor.Bad, Found: "display :1 of alice can't be reached: no X server answers", Remedy: "start it"})
	assert.Equal(t, "\x1b[31m✘\x1b[0m session \uFFFD[2J   display :1 of alice can't be\n"+
		"                 reached: no X server answers\n"+
		"                 \x1b[1m→ \x1b[0mstart it\n", b.String())
	for _, test := range []struct {
		report doctor.Report
		want   string
	}{
		{doctor.Report{Works: true}, "\nViewing would work on this host.\n"},
		{doctor.Report{Works: true, Checks: []doctor.Check{{State: doctor.Note}}}, "\nViewing would work on this host. What is marked with ! deserves a look.\n"},
		{doctor.Report{Checks: []doctor.Check{{State: doctor.Note}, {Name: "firewall", State: doctor.Note, Unseen: true}, {Name: "session 2", State: doctor.Note, Unseen: true}}},
			"\nCannot tell whether viewing would work; not checked: firewall, session 2.\n"},
		{doctor.Report{Checks: []doctor.Check{{State: doctor.Note, Unseen: true}, {State: doctor.Bad}, {State: doctor.Note}}}, "\nViewing would not work: what is marked with ✘ prevents it.\n"},
	} {
		b.Reset()
		require.NoError(t, newPrinter(&b).verdict(&test.report))
		assert.Equal(t, test.want, b.String())
	}
}

// What only root can see is no fault of the host's, but nothing to rely on.
func TestDoctorAsAnotherUser(t *testing.T) {
	testenv.Root(t)
	const nobody = 65534
	dir, err := os.MkdirTemp("", "doctor") // where everybody may enter, unlike in t.TempDir's
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	bin := filepath.Join(dir, "shadowctl")
	out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "ssl"), 0o700))
	file := filepath.Join(dir, "shadowing.toml")
	doctorAs := func(uid uint32, mode os.FileMode) (*doctor.Report, int) {
		require.NoError(t, os.Chmod(file, mode))
		cmd := exec.CommandContext(t.Context(), bin, "doctor", "--json", "--config", file, "--socket", daemon(t, &fakeEngine{}), "1")
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.Output()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%s", out)
		report := new(doctor.Report)
		require.NoError(t, json.Unmarshal(out, report), "%s%s", out, exit.Stderr)
		return report, exit.ExitCode()
	}
	require.NoError(t, os.WriteFile(file, []byte("ShadowingUseSSL = 1\n[tls]\ndir = \""+dir+"/ssl\"\n[sessions]\nresolver = \"static\"\n"+
		"[[sessions.static]]\nid = \"1\"\ndisplay = \":59995\"\nuser = \"root\"\n[viewer]\nhost = \"localhost\"\n[ports]\nlisten = \"127.0.0.1\"\n"), 0o644))

	report, status := doctorAs(nobody, 0o644)
	assert.Equal(t, exitFailed, status)
	assert.False(t, report.Works)
	var unseen []string
	for _, c := range report.Checks {
		assert.NotEqual(t, doctor.Bad, c.State, "%+v", c)
		if c.Unseen {
			assert.Equal(t, doctor.Note, c.State)
			assert.Equal(t, "run this as root", c.Remedy, "%+v", c)
			unseen = append(unseen, c.Name)
		}
	}
	assert.Equal(t, []string{"daemon", "firewall", "certificate", "session 1"}, unseen)

	// Nothing at all is known without the configuration.
	report, status = doctorAs(nobody, 0o600)
	assert.Equal(t, exitFailed, status)
	last := report.Checks[len(report.Checks)-1]
	assert.Equal(t, "configuration", last.Name)
	assert.Equal(t, doctor.Bad, last.State)
	assert.Equal(t, "run this as root", last.Remedy)

	// Root sees what is wrong.
	report, _ = doctorAs(0, 0o600)
	var bad []string
	for _, c := range report.Checks {
		if c.State == doctor.Bad {
			bad = append(bad, c.Name)
		}
	}
	assert.Equal(t, []string{"certificate", "session 1"}, bad)
}
