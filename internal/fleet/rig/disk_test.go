package rig_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
)

// The one gate of a fleet has no room on its disk: hosts keep their audits, and say so, and when there is room again the
// list is right and the audits arrive, without anybody's doing.
func TestGateWithoutRoom(t *testing.T) {
	testenv.Root(t)
	require.NoError(t, build())
	if !testenv.InNamespaces(t, 20*time.Minute) {
		return
	}
	network(t)
	dir := private(t)
	state := small(t, dir, smallBus)
	url := fmt.Sprintf("http://127.0.0.1:%d", testenv.Ports(t, 1))
	config := filepath.Join(dir, "shadowgate.toml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `[web]
listen = %q
[accounts]
file = %q
[tokens]
file = ""
[state]
dir = %q
[bus]
listen = "127.0.0.1:%d"
tls = false
audit_mib = 16
name = "gate1"
[[access]]
names = ["alice"]
may = ["list", "shadow", "stop", "audit"]
`, strings.TrimPrefix(url, "http://"), filepath.Join(dir, "accounts"), filepath.Join(state, "gate"), testenv.Ports(t, 1)), 0o600))
	must(t, "", testgate.Password+"\n", "shadowgate", "--config", config, "passwd", "alice")
	g := testgate.At(t, url)
	p := start(t, "", "shadowgate", "--config", config)
	ready(t, p, g.Client())
	hostFile, credentials := filepath.Join(dir, "shadowing.toml"), filepath.Join(dir, "credentials")
	require.NoError(t, os.WriteFile(hostFile, hostConfig(dir, screens(t, dir), "127.0.0.1", fmt.Sprintf("spool = %q", filepath.Join(dir, "spool"))), 0o600))
	_, code, _ := strings.Cut(strings.TrimSpace(must(t, "", "", "shadowgate", "--config", config, "invite", "--hosts", "vda1")), "\n")
	must(t, "", code, "shadowctl", "enroll", url, "--config", hostFile, "--credentials", credentials, "--id", "vda1")
	host := start(t, "", "shadowd", "--config", hostFile)
	alice := g.SignIn("alice")
	listed(t, alice, "vda1", 1)

	empty := fill(t, state)
	for n := 0; !strings.Contains(p.log.String(), "there is no room"); n++ {
		require.Less(t, n, 25, "it never says that it has no room:\n%s", p.log)
		_, err := command(t, "", "", "shadowctl", "--socket", filepath.Join(dir, "control.sock"), "shadow", "s1", "--admin", "root", "--purpose", fmt.Sprint("no room ", n))
		require.NoError(t, err)
		time.Sleep(time.Second)
	}
	host.log.wait(t, "can't be")
	empty()
	p.log.wait(t, "there is room")
	listed(t, alice, "vda1", 1)
	alice.View(asked(t, alice, gate.Wish{Host: "vda1", Session: "s1", Purpose: "there is room"})).Cut()
	for _, what := range []string{"no room 0", "there is room"} {
		require.Eventually(t, func() bool {
			text := string(alice.Do(http.MethodGet, "/api/v1/activity?limit=500", nil, http.StatusOK))
			return strings.Contains(text, what)
		}, patience, 200*time.Millisecond, what)
	}
}
