package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

const dist = "../../dist"

// systemd thinks the units little exposed: 0 is safe, 10 is not.
func TestUnitsExposeLittle(t *testing.T) {
	analyze := testenv.Program(t, "systemd-analyze", "systemd")
	for unit, limit := range map[string]float64{"shadowd": 4.0, "shadowgate": 1.5} {
		out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--no-pager", filepath.Join(dist, unit+".service")).CombinedOutput()
		if strings.Contains(string(out), "unrecognized option") {
			t.Skip("this systemd is older than 250")
		}
		require.NoError(t, err, "%s", out)
		found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
		require.NotNil(t, found, "%s", out)
		value, err := strconv.ParseFloat(string(found[1]), 64)
		require.NoError(t, err)
		t.Logf("%s: %v", unit, value)
		assert.LessOrEqual(t, value, limit, "%s\n%s", unit, out)
	}
}

// Of the directives, systemd 219 (RHEL 7, Amazon Linux 2) knows these. It says in the journal that it
// doesn't know the others, and starts the unit.
var knownTo219 = map[string][]string{
	"Unit":    {"Description", "Documentation", "After"},
	"Install": {"WantedBy"},
	"Service": {
		"Type", "ExecStart", "ExecReload", "Restart", "WatchdogSec", "RuntimeDirectory", "RuntimeDirectoryMode", "FileDescriptorStoreMax",
		"KillMode", "TimeoutStopSec", "User", "Group", "UMask", "CapabilityBoundingSet", "NoNewPrivileges", "ProtectSystem", "ProtectHome",
		"PrivateDevices", "PrivateTmp", "RestrictAddressFamilies", "SystemCallArchitectures", "SystemCallErrorNumber", "SystemCallFilter",
		"DevicePolicy", "LimitNOFILE", "AppArmorProfile",
	},
}

// What came later may be missing there: the programs make those folders themselves, and the rest protects.
var cameLater = []string{
	"RuntimeDirectoryPreserve", "StateDirectory", "StateDirectoryMode", "AmbientCapabilities", "ProtectClock", "ProtectHostname",
	"ProtectControlGroups", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProcSubset", "PrivateUsers",
	"PrivateIPC", "PrivateMounts", "LockPersonality", "MemoryDenyWriteExecute", "RemoveIPC", "RestrictNamespaces", "RestrictRealtime",
	"RestrictSUIDSGID", "KeyringMode", "NoExecPaths", "ExecPaths",
}

// The units are what systemd 219 reads.
func TestUnitsForOldSystemd(t *testing.T) {
	units, err := filepath.Glob(filepath.Join(dist, "*.service"))
	require.NoError(t, err)
	require.Len(t, units, 2)
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		require.NoError(t, err)
		section := ""
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			assert.Less(t, len(line), 2048, "LINE_MAX is the longest line")
			if name, ok := strings.CutPrefix(line, "["); ok {
				section = strings.TrimSuffix(name, "]")
				require.Contains(t, knownTo219, section, unit)
				continue
			}
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			key, value, found := strings.Cut(line, "=")
			require.True(t, found, "%s: %s", unit, line)
			assert.NotContains(t, value, "#", "a comment has a line of its own")
			if slices.Contains(knownTo219[section], key) {
				checkOldValue(t, unit, key, value)
				continue
			}
			assert.True(t, section == "Service" && slices.Contains(cameLater, key), "%s: is %s harmless where systemd doesn't know it? List it then", unit, key)
		}
	}
}

// checkOldValue fails for what systemd 219 takes for something else: it would allow nothing but
// what it knows of a list without ~.
func checkOldValue(t *testing.T, unit, key, value string) {
	t.Helper()
	switch key {
	case "SystemCallFilter":
		assert.Regexp(t, `^~`, value, "%s: %s", unit, key)
	case "ExecStart", "ExecReload":
		assert.Regexp(t, `^/`, value, "%s: the prefixes of %s are newer", unit, key)
	case "Type":
		assert.Contains(t, []string{"simple", "notify"}, value, unit)
	case "Restart":
		assert.Contains(t, []string{"no", "on-failure", "always"}, value, unit)
	}
}

// The packages' scripts are for the sh of any distribution, and need no program that an older one
// lacks without asking for it.
func TestPackageScripts(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join(dist, "packages", "*.p*"))
	require.NoError(t, err)
	require.Len(t, scripts, 8)
	for _, script := range scripts {
		out, err := exec.CommandContext(t.Context(), "sh", "-n", script).CombinedOutput()
		require.NoError(t, err, "%s: %s", script, out)
		text, err := os.ReadFile(script)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(text), "#!/bin/sh\n"), script)
		assert.NotRegexp(t, `\[\[|<\(|<<<|&>|\blocal\b|\bfunction\b|\bdeb-systemd-\w+|\$\{\w+[/^,]`, string(text), "%s: other shells and systems don't have that", script)
		for _, program := range []string{"systemd-sysusers", "systemctl", "update-alternatives", "dpkg-divert"} {
			before, _, used := strings.Cut(string(text), program)
			asked := strings.HasSuffix(before, "command -v ") || program == "systemctl" && strings.Contains(before, "-d /run/systemd/system")
			assert.True(t, !used || asked, "%s doesn't ask whether there is %s", script, program)
		}
	}
}
