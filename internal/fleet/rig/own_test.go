package rig_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
)

// A NATS server of one's own that knows the fleet as docs/fleet.md says, by dist/nats: it takes a host, and when the host is
// revoked, and the page's commands have been called again, it takes it no more.
func TestRevokedAtServersOfOnesOwn(t *testing.T) {
	if !alone(t) {
		return
	}
	commands := blockWith(t, "fleet.md", "dist/nats/write-accounts")
	require.Len(t, commands, 2)
	o := newOwned(t)
	example, err := os.ReadFile("../../../dist/nats/nats-server.conf")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("/etc/nats/nats-server.conf", example, 0o600))
	o.call(commands[0].line)
	o.run(func(said string) {
		require.Contains(t, said, "write-accounts", "nobody says what else is to be done")
		for _, c := range commands {
			o.call(c.line)
		}
	})
}

// The same at a server that has an operator already, to whom the fleet is an account: with what nsc would write there, by the
// library that nsc is made of, for nsc itself isn't to be had in every place where tests run.
func TestRevokedByAnotherOperator(t *testing.T) {
	if !alone(t) {
		return
	}
	o := newOwned(t)
	key := func(prefix nkeys.PrefixByte) (nkeys.KeyPair, string) {
		k, err := nkeys.CreatePair(prefix)
		require.NoError(t, err)
		public, err := k.PublicKey()
		require.NoError(t, err)
		return k, public
	}
	operator, name := key(nkeys.PrefixByteOperator)
	_, system := key(nkeys.PrefixByteAccount)
	_, account := key(nkeys.PrefixByteAccount)
	signing, signer := key(nkeys.PrefixByteAccount)
	seed, err := signing.Seed()
	require.NoError(t, err)
	keys := filepath.Join(o.dir, "state", "bus")
	require.NoError(t, os.MkdirAll(keys, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(keys, "fleet.nk"), seed, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(keys, "account.pub"), []byte(account+"\n"), 0o600))

	fleet := jwt.NewAccountClaims(account)
	fleet.Name = "SHADOW"
	fleet.SigningKeys.Add(signer)
	fleet.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	us := jwt.NewOperatorClaims(name)
	us.SystemAccount = system
	ours, err := us.Encode(operator)
	require.NoError(t, err)
	systems, err := jwt.NewAccountClaims(system).Encode(operator)
	require.NoError(t, err)
	configure := func() {
		t.Helper()
		fleets, err := fleet.Encode(operator)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile("/etc/nats/nats-server.conf", fmt.Appendf(nil, `server_name: nats1
listen: "127.0.0.1:4222"
tls { cert_file: "/etc/nats/cert.pem", key_file: "/etc/nats/key.pem" }
jetstream { store_dir: "/var/lib/nats" }
operator: %s
system_account: %s
resolver: MEMORY
resolver_preload: { %[2]s: %[3]s, %[4]s: %[5]s }
`, ours, system, systems, account, fleets), 0o600))
	}
	configure()
	o.run(func(said string) {
		require.Contains(t, said, "shadowgate hosts revoked | xargs -n 1 nsc revocations add-user --account SHADOW --user-public-key")
		page, err := os.ReadFile("../../../docs/fleet.md")
		require.NoError(t, err)
		require.Contains(t, string(page), strings.TrimSpace(said[strings.Index(said, "\n")+1:]))
		list := strings.Fields(must(t, "", "", "shadowgate", "hosts", "revoked"))
		require.Len(t, list, 1)
		fleet.Revoke(list[0])
		configure()
		require.NoError(t, o.server.Process.Signal(syscall.SIGHUP))
	})
}

// alone prepares a test of one's own server, in namespaces.
func alone(t *testing.T) bool {
	t.Helper()
	testenv.Root(t)
	require.NoError(t, build())
	return testenv.InNamespaces(t, 20*time.Minute)
}

// owned is a gate with a server that isn't its own, at their usual places.
type owned struct {
	t       *testing.T
	dir, ca string
	url     string // of the gate
	server  *process
}

func newOwned(t *testing.T) *owned {
	t.Helper()
	network(t)
	ownEtc(t)
	o := &owned{t: t, dir: private(t), url: fmt.Sprintf("http://127.0.0.1:%d", testenv.Ports(t, 1))}
	require.NoError(t, os.MkdirAll("/etc/nats", 0o755))
	o.ca = certificate(t, filepath.Join(o.dir, "tls"), "127.0.0.1")
	for from, to := range map[string]string{"shadowingcert.pem": "cert.pem", "shadowingkey.pem": "key.pem"} {
		data, err := os.ReadFile(filepath.Join(o.dir, "tls", from))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join("/etc/nats", to), data, 0o600))
	}
	require.NoError(t, os.WriteFile("/etc/xdl/shadowgate.toml", fmt.Appendf(nil, `[web]
listen = %q
[state]
dir = %q
[bus]
servers = ["tls://127.0.0.1:4222"]
ca = %q
name = "gate1"
[[access]]
names = ["alice"]
may = ["list", "shadow", "stop"]
`, strings.TrimPrefix(o.url, "http://"), filepath.Join(o.dir, "state"), o.ca), 0o600))
	return o
}

// call calls a command of the page, in the project's folder. systemd is a program that sends the server a signal.
func (o *owned) call(line string) {
	o.t.Helper()
	bin := filepath.Join(o.dir, "bin")
	require.NoError(o.t, os.MkdirAll(bin, 0o755))
	reload := "#!/bin/sh\n[ \"$*\" = \"reload nats-server\" ] || exit 1\n"
	if o.server != nil {
		reload += fmt.Sprintf("exec kill -HUP %d\n", o.server.Process.Pid)
	}
	require.NoError(o.t, os.WriteFile(filepath.Join(bin, "systemctl"), []byte(reload), 0o755))
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = "../../.."
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+programs+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	require.NoError(o.t, err, "%s: %s", line, out)
}

// run has a host enter and be viewed, and be revoked, first at the gate, and then by revoke, which gets what the gate has said to
// that.
func (o *owned) run(revoke func(said string)) {
	t := o.t
	t.Helper()
	o.server = startWith(t, "", nil, filepath.Join(programs, "nats-server"), "--config", "/etc/nats/nats-server.conf")
	must(t, "", testgate.Password+"\n", "shadowgate", "passwd", "alice")
	g := testgate.At(t, o.url)
	ready(t, start(t, "", "shadowgate"), g.Client())
	alice := g.SignIn("alice")
	var out string
	require.Eventually(t, func() (ok bool) {
		var err error
		out, err = command(t, "", "", "shadowgate", "invite", "--hosts", "vda1")
		return err == nil
	}, patience, time.Second, "no invitation")
	_, code, _ := strings.Cut(strings.TrimSpace(out), "\n")
	file, credentials := "/etc/xdl/shadowing.toml", filepath.Join(o.dir, "credentials")
	require.NoError(t, os.WriteFile(file, hostConfig(o.dir, screens(t, o.dir), "127.0.0.1", fmt.Sprintf("spool = %q", filepath.Join(o.dir, "spool"))), 0o600))
	must(t, "", code, "shadowctl", "enroll", o.url, "--config", file, "--credentials", credentials, "--id", "vda1")
	host := start(t, "", "shadowd", "--config", file)
	listed(t, alice, "vda1", 1)
	view := asked(t, alice, gate.Wish{Host: "vda1", Session: "s1"})
	alice.View(view).Cut()

	said := must(t, "", "", "shadowgate", "hosts", "revoke", "vda1")
	listed(t, alice, "", 0)
	require.NoError(t, connectAs(t, credentials), "the server has heard of it already, so that this proves nothing")
	revoke(said)
	host.log.wait(t, "a host that was revoked has to enrol again")
	require.Eventually(t, func() bool { return errors.Is(connectAs(t, credentials), nats.ErrAuthorization) }, patience, 100*time.Millisecond, "its key is good yet")
}

// connectAs connects with a host's credentials, once.
func connectAs(t *testing.T, file string) error {
	t.Helper()
	c, err := enrol.Load(file)
	require.NoError(t, err)
	key, err := nkeys.FromSeed([]byte(c.Seed))
	require.NoError(t, err)
	nc, err := nats.Connect(strings.Join(c.Servers, ","), nats.Secure(insecure()), nats.NoReconnect(), nats.Timeout(30*time.Second),
		nats.UserJWT(func() (string, error) { return c.JWT, nil }, key.Sign))
	if err != nil {
		return err
	}
	defer nc.Close()
	return nc.FlushTimeout(patience)
}
