package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/gate/settings"
)

// Where hosts that dial would find no gate, or the wrong one, that is said at the start.
func TestViewsWarnings(t *testing.T) {
	const origin = "https://gate.corp.example"
	for _, c := range []struct {
		bus          settings.Bus
		origin, says string // part of the warning; empty: there is none
	}{
		{settings.Bus{}, "", ""},
		{settings.Bus{Listen: "127.0.0.1:4222"}, origin, ""},
		{settings.Bus{Listen: "127.0.0.1:4222"}, "", "can't be viewed here"},
		{settings.Bus{Listen: "127.0.0.1:4222", Cluster: "127.0.0.1:6222"}, origin, "come to any of them"},
		{settings.Bus{Servers: []string{"tls://nats1"}}, origin, "come to any of them"},
		{settings.Bus{Servers: []string{"tls://nats1"}, Views: "https://gate1.corp.example"}, origin, ""},
	} {
		s := &settings.Settings{Bus: c.bus}
		s.Web.Origin = c.origin
		list := warnings(s)
		if c.says == "" {
			require.Empty(t, list, "%v", c)
			continue
		}
		require.Len(t, list, 1, "%v", c)
		require.Contains(t, list[0], c.says)
	}
}

// Rights by a name that people may be able to choose are warned of, at the start and by --check.
func TestNameWarning(t *testing.T) {
	const oidc = "[web]\norigin = \"https://gate.corp.example\"\n[oidc]\nissuer = \"https://idp.corp.example\"\nclient_id = \"x\"\n"
	const byName, byGroup = "[[access]]\nnames = [\"alice\"]\nmay = [\"list\"]\n", "[[access]]\nnames = [\"*\"]\ngroups = [\"helpdesk\"]\nmay = [\"list\"]\n"
	for name, c := range map[string]struct {
		text  string
		warns bool
	}{
		"by name": {oidc + byName, true}, "by group": {oidc + byGroup, false}, "without a provider": {byName, false},
		"another claim": {oidc + "name_claim = \"upn\"\n" + byName, false},
	} {
		path, _ := config(t, c.text)
		status, out, errs := call(t, "", "--check", "--config", path)
		require.Zero(t, status, "%s: %s", name, errs)
		require.Equal(t, c.warns, strings.Contains(out, "warning: [[access]] goes by names"), "%s: %s", name, out)
		require.Contains(t, out, ": fine\n", name)
	}
}

// While the gate is down, a command shows its key to nobody who listens at its port instead.
func TestCommandsKeepTheirKey(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	came := make(chan struct{}, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
			came <- struct{}{}
		}
	}()
	s := &settings.Settings{}
	s.Bus.Listen, s.Bus.Dir, s.Bus.Name = l.Addr().String(), filepath.Join(t.TempDir(), "bus"), "gate1"
	_, err = bus.OpenKeys(s.BusKeys(), true)
	require.NoError(t, err)
	_, err = reach(t.Context(), s)
	require.ErrorContains(t, err, "does shadowgate run?")
	require.Empty(t, came, "it spoke with a stranger")
}
