package rig_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
)

// A machine is one of the network with its own name, on which commands run as at root's prompt.
type machine struct {
	*end
	bin string   // first on its PATH
	env []string // besides
}

// newMachine makes one of an end.
func newMachine(t *testing.T, e *end, env ...string) *machine {
	t.Helper()
	m := &machine{end: e, bin: filepath.Join(t.TempDir(), "bin"), env: env}
	require.NoError(t, os.MkdirAll(m.bin, 0o755))
	return m
}

// shell is what a line of a page is run with.
func (m *machine) shell(line string) *exec.Cmd {
	cmd := exec.Command("ip", "netns", "exec", m.name, "unshare", "--uts", "sh", "-c", `hostname "$0" && eval "$1"`, m.name, line)
	cmd.Env = append(append(os.Environ(), "PATH="+m.bin+":"+programs+":"+os.Getenv("PATH")), m.env...)
	return cmd
}

// typed is what a terminal shows of a line, and of what is typed when it asks.
func (m *machine) typed(t *testing.T, line, asks, answer string) string {
	t.Helper()
	cmd := m.shell(fmt.Sprintf("exec script --quiet --return --command %q /dev/null", line))
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	var shown bytes.Buffer
	for one := make([]byte, 1); asks != "" && !strings.HasSuffix(shown.String(), asks); shown.Write(one) {
		_, err := io.ReadFull(stdout, one)
		require.NoError(t, err, "%s says %s", line, &shown)
	}
	_, err = io.WriteString(stdin, answer)
	require.NoError(t, err)
	rest, err := io.ReadAll(stdout)
	require.NoError(t, err)
	shown.Write(rest)
	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait(), "%s: %s", line, &shown)
	return strings.ReplaceAll(shown.String(), "\r\n", "\n")
}

// systemctl is a program that does for a unit what systemd would, by a signal.
func (m *machine) systemctl(t *testing.T, unit string, p *process) {
	t.Helper()
	script := fmt.Sprintf("#!/bin/sh\n[ \"$*\" = \"reload %s\" ] || exit 1\nexec kill -HUP %d\n", unit, p.Process.Pid)
	require.NoError(t, os.WriteFile(filepath.Join(m.bin, "systemctl"), []byte(script), 0o755))
}

// Two commands add a second host to a running gate: those of docs/fleet.md, word for word, with what they print there. The
// gate is configured by the page, too.
func TestTwoCommandsOfThePage(t *testing.T) {
	testenv.Root(t)
	for program, debian := range map[string]string{"ip": "iproute2", "script": "bsdutils", "unshare": "util-linux"} {
		testenv.Program(t, program, debian)
	}
	require.NoError(t, build())
	if !testenv.InNamespaces(t, 20*time.Minute) {
		return
	}
	const name = "gate.corp.example"
	page := toml(t, "fleet.md", "[bus]\nlisten")
	invite, enroll := blockWith(t, "fleet.md", "shadowgate invite"), blockWith(t, "fleet.md", "shadowctl enroll")
	ends := network(t, "gate", "vda-16", "vda-17")
	ownEtc(t)
	dir := private(t)
	trusted := certificate(t, filepath.Join(dir, "tls"), name)
	names := fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", ends["gate"].address, name)
	for _, e := range ends {
		e.etc(t, "hosts", fmt.Sprintf("%s%s %s.corp.example %[3]s\n", names, e.address, e.name))
	}
	for _, file := range []string{"shadowingcert.pem", "shadowingkey.pem"} {
		data, err := os.ReadFile(filepath.Join(dir, "tls", file))
		require.NoError(t, err)
		ends["gate"].etc(t, "xdl/shadowgatessl/"+file, string(data))
	}
	ends["gate"].etc(t, "xdl/shadowgate.toml", page+"[[access]]\nnames = [\"alice\"]\nmay = [\"list\", \"shadow\", \"stop\"]\n")
	at := newMachine(t, ends["gate"])
	passwd := at.shell("shadowgate passwd alice")
	passwd.Stdin = strings.NewReader(testgate.Password + "\n")
	out, err := passwd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	g := testgate.At(t, "https://"+name)
	p := start(t, "gate", "shadowgate")
	dialed := func() *testgate.Client { return g.Client().Through(net.JoinHostPort(ends["gate"].address, "443")) }
	ready(t, p, dialed())
	alice := dialed()
	signIn(alice, "alice")

	screen := screens(t, dir)
	code := regexp.MustCompile(`\b[A-Z2-7]{26}\b`)
	for n, id := range []string{"vda-16", "vda-17"} {
		m := newMachine(t, ends[id], "SSL_CERT_FILE="+trusted) // its system trusts the gate's certificate already
		folder := filepath.Join(dir, id)
		require.NoError(t, os.Mkdir(folder, 0o700))
		host, _, _ := strings.Cut(string(hostConfig(folder, screen, ends[id].address, "")), "[fleet]")
		m.etc(t, "xdl/shadowing.toml", host+fmt.Sprintf("[fleet]\nspool = %q\n", filepath.Join(folder, "spool")))
		daemon := startWith(t, id, m.env, filepath.Join(programs, "shadowd"))
		m.systemctl(t, "shadowd", daemon)

		cmd := at.shell(invite[0].line)
		var wrong bytes.Buffer
		cmd.Stderr = &wrong
		out, err := cmd.Output()
		require.NoError(t, err, "%s", &wrong)
		secret := code.FindString(string(out))
		require.NotEmpty(t, secret, "%s", out)
		require.Equal(t, code.ReplaceAllString(invite[0].prints, secret), string(out))
		shown := m.typed(t, enroll[0].line, "Code: ", secret+"\n")
		require.Equal(t, strings.ReplaceAll(code.ReplaceAllString(enroll[0].prints, secret), "vda-17", id), shown)
		listed(t, alice, id, n+1)
	}
	view := asked(t, alice, gate.Wish{Host: "vda-17", Session: "s1"})
	alice.View(view).Cut()
}
