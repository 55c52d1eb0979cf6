package rig_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
)

// The two commands of the docs add a host to a running gate, over TLS with authorities of its own: it is listed and
// viewed, and what happened there is known. The code is good once; another gives the host another key; and a
// host that is revoked is out, and says so.
func TestEnrol(t *testing.T) {
	dir := private(t)
	ports := testenv.Ports(t, 2)
	ca := certificate(t, filepath.Join(dir, "tls"), "127.0.0.1")
	url := fmt.Sprintf("https://127.0.0.1:%d", ports)
	config := filepath.Join(dir, "shadowgate.toml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `[web]
listen = "127.0.0.1:%d"
origin = %q
[tls]
on = true
dir = %q
[accounts]
file = %q
[tokens]
file = ""
[state]
dir = %q
[bus]
listen = "127.0.0.1:%d"
ca = %q
name = "gate1"
[[access]]
names = ["alice"]
may = ["list", "shadow", "stop", "audit"]
`, ports, url, filepath.Join(dir, "tls"), filepath.Join(dir, "accounts"), filepath.Join(dir, "state"), ports+1, ca), 0o600))
	must(t, "", testgate.Password+"\n", "shadowgate", "--config", config, "passwd", "alice")
	g := testgate.At(t, url)
	ready(t, start(t, "", "shadowgate", "--config", config), g.Client())

	hostFile, credentials := filepath.Join(dir, "shadowing.toml"), filepath.Join(dir, "fleet.credentials")
	require.NoError(t, os.WriteFile(hostFile, hostConfig(dir, screens(t, dir), "127.0.0.1", fmt.Sprintf("spool = %q", filepath.Join(dir, "spool"))), 0o600))
	enroll := func(code, id string) (string, error) {
		t.Helper()
		return command(t, "", code+"\n", "shadowctl", "enroll", url, "--config", hostFile, "--credentials", credentials, "--id", id)
	}
	invite := func(more ...string) string {
		t.Helper()
		lines := must(t, "", "", "shadowgate", append([]string{"--config", config, "invite", "--hosts", "vda-*", "--for", "1h"}, more...)...)
		does, code, _ := strings.Cut(strings.TrimSpace(lines), "\n")
		require.Equal(t, "shadowctl enroll "+url, does, "the code is where every user can read it")
		return code
	}
	code := invite()
	out, err := enroll(code, "web-1")
	require.Error(t, err, out)
	require.Contains(t, out, `the code is for hosts "vda-*", and this one is "web-1"`)
	out, err = enroll(code, "vda-1")
	require.NoError(t, err, out)
	require.Contains(t, out, "vda-1 is in the fleet. Its key is in "+credentials)
	out, err = enroll(code, "vda-2")
	require.Error(t, err, out)
	require.Contains(t, out, "the code isn't known: it was used")
	require.NotContains(t, out, strings.SplitN(code, ".", 2)[0], "the secret is shown")

	host := start(t, "", "shadowd", "--config", hostFile)
	alice := g.SignIn("alice")
	listed(t, alice, "vda-1", 1)
	require.Contains(t, must(t, "", "", "shadowgate", "--config", config, "hosts"), "vda-1  up")
	view := alice.AskFor(gate.Wish{Host: "vda-1", Session: "s1", Purpose: "INC-7"})
	v := alice.View(view.ID)
	stopped(t, alice, view.ID)
	code1, _ := v.End()
	require.Contains(t, []int{1000, 0}, code1, "the host ends it, or the gate, if that takes longer than a second")
	require.Eventually(t, func() bool {
		text := string(alice.Do(http.MethodGet, "/api/v1/activity", nil, http.StatusOK))
		return strings.Contains(text, "INC-7") && strings.Contains(text, "ended")
	}, patience, 100*time.Millisecond, "the activity lacks it")

	// Another key, which a hangup puts into use. The one before is worth nothing.
	before, err := os.ReadFile(credentials)
	require.NoError(t, err)
	out, err = enroll(invite(), "vda-1")
	require.NoError(t, err, out)
	after, err := os.ReadFile(credentials)
	require.NoError(t, err)
	require.NotEqual(t, before, after)
	require.NoError(t, host.Process.Signal(syscall.SIGHUP))
	listed(t, alice, "vda-1", 1)
	alice.View(asked(t, alice, gate.Wish{Host: "vda-1", Session: "s1"})).Cut()

	must(t, "", "", "shadowgate", "--config", config, "hosts", "revoke", "vda-1")
	listed(t, alice, "", 0)
	host.log.wait(t, "a host that was revoked has to enrol again")
	require.Contains(t, must(t, "", "", "shadowgate", "--config", config, "hosts"), "vda-1  revoked")
}

// asked asks until the host can be asked again, and returns the view's id.
func asked(t *testing.T, c *testgate.Client, wish gate.Wish) string {
	t.Helper()
	var view gate.View
	why := ""
	require.Eventually(t, func() bool {
		resp, err := c.Send(t.Context(), http.MethodPost, "/api/v1/shadows", wish)
		if err != nil {
			why = err.Error()
			return false
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusCreated && json.NewDecoder(resp.Body).Decode(&view) == nil {
			return true
		}
		text, _ := io.ReadAll(resp.Body)
		if string(text) != why {
			t.Logf("%s isn't asked yet: %s", wish.Host, text)
		}
		why = string(text)
		return false
	}, patience, time.Second, "the host can't be asked")
	return view.ID
}

// listed waits until the console lists so many hosts that are up, among them id.
func listed(t *testing.T, c *testgate.Client, id string, n int) {
	t.Helper()
	var last []byte
	require.Eventually(t, func() bool {
		last = c.Do(http.MethodGet, "/api/v1/hosts", nil, http.StatusOK)
		var list struct{ Hosts []gate.HostState }
		require.NoError(t, json.Unmarshal(last, &list))
		there, found := 0, id == ""
		for _, h := range list.Hosts {
			if h.State == "up" {
				there++
				found = found || h.Name == id
			}
		}
		return found && there == n
	}, patience, 100*time.Millisecond, "not %d hosts with %q: %s", n, id, last)
}
