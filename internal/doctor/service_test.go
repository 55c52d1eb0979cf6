package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/config"
)

// bare is a doctor of a host that has the given tools, by name, and nothing else.
func bare(t *testing.T, tools map[string]string) *Doctor {
	t.Helper()
	root := t.TempDir()
	for name, script := range tools {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte("#!/bin/sh\n"+script), 0o755))
	}
	here := netip.MustParseAddr("192.0.2.10")
	return &Doctor{bad: map[string]bool{}, host: host{
		root: root, path: root,
		lookup: func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{here}, nil },
		own:    func() ([]netip.Addr, error) { return []netip.Addr{here}, nil },
		bind:   func(string) error { return nil },
		via:    func() []string { return nil },
	}}
}

const running = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=77\nNRestarts=0\nNeedDaemonReload=no\nFragmentPath=/usr/lib/systemd/system/shadowd.service"

func TestTheService(t *testing.T) {
	mkdir := func(t *testing.T, d *Doctor, path string) string {
		path = filepath.Join(d.host.root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		return path
	}
	for _, c := range []struct {
		name, shows, log string
		spoil            func(*testing.T, *Doctor)
		state            State
		found, remedy    string
	}{
		{name: "runs", shows: running, state: OK, found: "shadowd.service runs"},
		{name: "no unit", shows: "LoadState=not-found\nActiveState=inactive"},
		{name: "a systemd that says nothing", shows: ""},
		{name: "masked", shows: "LoadState=masked\nActiveState=inactive", state: Bad, found: "is masked", remedy: "systemctl unmask shadowd"},
		{name: "a unit with mistakes", shows: "LoadState=bad-setting\nActiveState=inactive", state: Bad, found: "can't read shadowd.service (bad-setting)", remedy: "systemd-analyze verify"},
		{name: "failed", shows: "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nExecMainStatus=1", log: "shadowd: another daemon",
			state: Bad, found: "has failed: it ended with status 1; the last line of its log: shadowd: another daemon", remedy: "systemctl reset-failed shadowd"},
		{name: "failed too often", shows: "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=start-limit-hit", state: Bad, found: "started too often", remedy: "shadowd --check"},
		{name: "killed by the watchdog", shows: "LoadState=loaded\nActiveState=failed\nResult=watchdog", state: Bad, found: "it hung"},
		{name: "killed", shows: "LoadState=loaded\nActiveState=failed\nResult=signal\nExecMainStatus=9", state: Bad, found: "ended by signal 9"},
		{name: "starts again and again", shows: "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\nExecMainStatus=2\nNRestarts=7",
			state: Bad, found: "starts it again and again (7 times so far): it ended with status 2", remedy: "journalctl -u shadowd -n 20"},
		{name: "starts", shows: "LoadState=loaded\nActiveState=activating\nSubState=start", state: Note, found: "activating (start)", remedy: "wait"},
		{name: "not started", shows: "LoadState=loaded\nActiveState=inactive\nSubState=dead", state: Note, found: "isn't started", remedy: "systemctl enable --now shadowd"},
		{name: "not at boot", shows: running + "\nUnitFileState=disabled", state: Note, found: "isn't started when the host boots", remedy: "systemctl enable shadowd"},
		{name: "changed unit", shows: running + "\nNeedDaemonReload=yes", state: Note, found: "has changed since systemd read it", remedy: "daemon-reload"},
		{name: "restarted", shows: running + "\nNRestarts=1", state: Note, found: "had to start it again (once so far) after", remedy: "journalctl"},
		{name: "upgraded", shows: running, state: Note, found: "replaced by an upgrade", remedy: "systemctl restart shadowd",
			spoil: func(t *testing.T, d *Doctor) {
				require.NoError(t, os.Symlink("/usr/sbin/shadowd (deleted)", mkdir(t, d, "/proc/77/exe")))
			}},
		{name: "a unit by hand before the package's", shows: running + "\nFragmentPath=/etc/systemd/system/shadowd.service", state: Note,
			found: "/etc/systemd/system/shadowd.service is used, and the package's unit isn't", remedy: "systemctl edit shadowd",
			spoil: func(t *testing.T, d *Doctor) {
				require.NoError(t, os.WriteFile(mkdir(t, d, "/usr/lib/systemd/system/shadowd.service"), nil, 0o644))
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := bare(t, map[string]string{"systemctl": prints(c.shows), "journalctl": prints(c.log)})
			if c.spoil != nil {
				c.spoil(t, d)
			}
			d.service(t.Context())
			if c.state == "" {
				assert.Empty(t, d.list)
				return
			}
			require.Len(t, d.list, 1, "%+v", d.list)
			assert.Equal(t, "service", d.list[0].Name)
			assert.Equal(t, c.state, d.list[0].State)
			assert.Contains(t, d.list[0].Found, c.found)
			assert.Contains(t, d.list[0].Remedy, c.remedy)
			assert.Equal(t, c.state == OK, d.list[0].Remedy == "")
		})
	}
	for name, tools := range map[string]map[string]string{"no systemd": {}, "not booted": {"systemctl": "exit 1"}} {
		d := bare(t, tools)
		d.service(t.Context())
		assert.Empty(t, d.list, name)
	}
}

// The console is looked at where it is installed. Nothing of it keeps a shadow from working.
func TestTheConsole(t *testing.T) {
	for _, c := range []struct {
		name, shows string
		state       State
		found       string
	}{
		{name: "none", shows: "LoadState=not-found\nActiveState=inactive"},
		{name: "disabled", shows: "LoadState=loaded\nActiveState=inactive\nUnitFileState=disabled"},
		{name: "masked", shows: "LoadState=masked\nActiveState=inactive"},
		{name: "runs", shows: strings.ReplaceAll(running, "shadowd", "shadowgate"), state: OK, found: "shadowgate.service runs"},
		{name: "stopped", shows: "LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled", state: Note, found: "shadowgate.service isn't started"},
		{name: "failed", shows: "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nExecMainStatus=226", state: Note, found: "shadowgate.service has failed: it ended with status 226"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := bare(t, map[string]string{"systemctl": `[ "$2" = shadowgate.service ] || exit 1; ` + prints(c.shows)})
			d.console(t.Context())
			if c.state == "" {
				assert.Empty(t, d.list)
				return
			}
			require.Len(t, d.list, 1, "%+v", d.list)
			assert.Equal(t, Check{Name: "console", State: c.state}, Check{Name: d.list[0].Name, State: d.list[0].State})
			assert.Contains(t, d.list[0].Found, c.found)
			assert.NotContains(t, d.list[0].Remedy, "shadowd")
			assert.Empty(t, d.bad)
		})
	}
	d := bare(t, map[string]string{"systemctl": prints(running)})
	file := filepath.Join(d.host.root, "etc/xdl/shadowgate.toml")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file+".rpmnew", nil, 0o600))
	d.console(t.Context())
	require.Len(t, d.list, 2)
	assert.Equal(t, "console", d.list[1].Name)
	assert.Contains(t, d.list[1].Found, file+".rpmnew")
	assert.Contains(t, d.list[1].Remedy, "diff -u "+file+" "+file+".rpmnew")
}

// What upgrades leave beside the file is named, with the command that shows the difference.
func TestLeftovers(t *testing.T) {
	for suffix, found := range map[string]string{
		".dpkg-dist": "which isn't used: shadowing.toml was kept", ".dpkg-new": "which isn't used", ".ucf-dist": "which isn't used", ".rpmnew": "which isn't used",
		".dpkg-old": "what it says doesn't count", ".ucf-old": "what it says doesn't count", ".rpmsave": "what it says doesn't count",
	} {
		d := bare(t, nil)
		d.Config = filepath.Join(t.TempDir(), "shadowing.toml")
		require.NoError(t, os.WriteFile(d.Config, nil, 0o600))
		require.NoError(t, os.WriteFile(d.Config+suffix, nil, 0o600))
		require.True(t, d.configuration())
		require.Len(t, d.list, 2, suffix)
		assert.Equal(t, Note, d.list[1].State)
		assert.Contains(t, d.list[1].Found, d.Config+suffix)
		assert.Contains(t, d.list[1].Found, found)
		assert.Contains(t, d.list[1].Remedy, "diff -u "+d.Config+" "+d.Config+suffix)
	}
	d := bare(t, nil)
	d.Config = filepath.Join(t.TempDir(), "shadowing.toml")
	require.NoError(t, os.WriteFile(d.Config, nil, 0o600))
	require.True(t, d.configuration())
	assert.Len(t, d.list, 1)
}

// A configuration with mistakes keeps the service from starting: both are told, and what an upgrade left.
func TestTheServiceUnderABrokenConfiguration(t *testing.T) {
	d := bare(t, map[string]string{"systemctl": prints("LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nExecMainStatus=1")})
	d.Config = filepath.Join(t.TempDir(), "shadowing.toml")
	require.NoError(t, os.WriteFile(d.Config, []byte("bogus = 1\n"), 0o600))
	require.NoError(t, os.WriteFile(d.Config+".dpkg-dist", nil, 0o600))
	var names []string
	for _, c := range d.Examine(t.Context()).Checks {
		names = append(names, string(c.State)+" "+c.Name)
	}
	assert.Equal(t, []string{"bad configuration", "note configuration", "bad service", "note console"}, names)
}

// The host alone is looked at for a configuration that isn't written yet, and a firewall's
// command comes by itself.
func TestTheHostAlone(t *testing.T) {
	d := bare(t, map[string]string{
		"systemctl":     prints(running),
		"nft":           prints(`{"nftables": []}`),
		"iptables-save": prints("*filter\n:INPUT DROP [0:0]\n:ufw-user-input - [0:0]\nCOMMIT"),
	})
	cfg := config.Default()
	cfg.Viewer.Host = "vda1.corp.example"
	r := d.Host(t.Context(), cfg)
	var all []string
	for _, c := range r.Checks {
		all = append(all, fmt.Sprintf("%s %s %s", c.State, c.Name, c.Command))
	}
	assert.Equal(t, []string{"ok service ", "ok name ", "ok ports ", "bad firewall ufw allow 6001:6099/tcp"}, all)
	assert.False(t, r.Works)

	// What is an advice isn't a command.
	d = bare(t, map[string]string{"iptables-save": prints("*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT DROP [0:0]\n:INPUT_ZONES - [0:0]\nCOMMIT")})
	for _, c := range d.Host(t.Context(), cfg).Checks {
		assert.Empty(t, c.Command, "%+v", c)
	}
	d = bare(t, map[string]string{"iptables-save": prints("*filter\n:INPUT DROP [0:0]\nCOMMIT")})
	r = d.Host(t.Context(), cfg)
	assert.Equal(t, "iptables -I INPUT -p tcp --dport 6001:6099 -j ACCEPT", r.Checks[len(r.Checks)-1].Command, "without what is said in brackets")
}
