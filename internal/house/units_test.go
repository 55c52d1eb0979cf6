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
			testenv.Lack(t, "this systemd is older than 250")
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

// systemd 219 (RHEL 7, Amazon Linux 2) has these directives in the sections that a service may have, says its documentation:
// systemd.unit(5), .service(5), .exec(5), .kill(5) and .resource-control(5). It says in the journal that it doesn't know
// others, and starts the unit.
var knownTo219 = map[string][]string{
	"Install": strings.Fields("Alias WantedBy RequiredBy Also DefaultInstance"),
	"Unit": strings.Fields(`Description Documentation SourcePath Requires RequiresOverridable Requisite RequisiteOverridable Wants BindsTo Conflicts
		Before After OnFailure PropagatesReloadTo ReloadPropagatedFrom PartOf JoinsNamespaceOf RequiresMountsFor StopWhenUnneeded RefuseManualStart
		RefuseManualStop AllowIsolate DefaultDependencies OnFailureJobMode IgnoreOnIsolate IgnoreOnSnapshot JobTimeoutSec JobTimeoutAction
		JobTimeoutRebootArgument ConditionPathExists ConditionPathExistsGlob ConditionPathIsDirectory ConditionPathIsSymbolicLink
		ConditionPathIsMountPoint ConditionPathIsReadWrite ConditionDirectoryNotEmpty ConditionFileNotEmpty ConditionFileIsExecutable
		ConditionNeedsUpdate ConditionFirstBoot ConditionKernelCommandLine ConditionArchitecture ConditionVirtualization ConditionSecurity
		ConditionCapability ConditionHost ConditionACPower`),
	"Service": strings.Fields(`Type RemainAfterExit GuessMainPID PIDFile BusName BusPolicy ExecStart ExecStartPre ExecStartPost ExecReload ExecStop ExecStopPost
		RestartSec TimeoutStartSec TimeoutStopSec TimeoutSec WatchdogSec Restart SuccessExitStatus RestartPreventExitStatus RestartForceExitStatus
		PermissionsStartOnly RootDirectoryStartOnly NonBlocking NotifyAccess Sockets StartLimitInterval StartLimitBurst StartLimitAction FailureAction
		RebootArgument FileDescriptorStoreMax
		WorkingDirectory RootDirectory User Group SupplementaryGroups Nice OOMScoreAdjust IOSchedulingClass IOSchedulingPriority CPUSchedulingPolicy
		CPUSchedulingPriority CPUSchedulingResetOnFork CPUAffinity UMask Environment EnvironmentFile StandardInput StandardOutput StandardError TTYPath
		TTYReset TTYVHangup TTYVTDisallocate SyslogIdentifier SyslogFacility SyslogLevel SyslogLevelPrefix TimerSlackNSec LimitCPU LimitFSIZE LimitDATA
		LimitSTACK LimitCORE LimitRSS LimitNOFILE LimitAS LimitNPROC LimitMEMLOCK LimitLOCKS LimitSIGPENDING LimitMSGQUEUE LimitNICE LimitRTPRIO
		LimitRTTIME PAMName CapabilityBoundingSet SecureBits Capabilities ReadWriteDirectories ReadOnlyDirectories InaccessibleDirectories PrivateTmp
		PrivateDevices PrivateNetwork ProtectSystem ProtectHome MountFlags UtmpIdentifier SELinuxContext AppArmorProfile SmackProcessLabel
		IgnoreSIGPIPE NoNewPrivileges SystemCallFilter SystemCallErrorNumber SystemCallArchitectures RestrictAddressFamilies Personality
		RuntimeDirectory RuntimeDirectoryMode
		KillMode KillSignal SendSIGHUP SendSIGKILL
		CPUAccounting CPUShares StartupCPUShares CPUQuota MemoryAccounting MemoryLimit BlockIOAccounting BlockIOWeight StartupBlockIOWeight
		BlockIODeviceWeight BlockIOReadBandwidth BlockIOWriteBandwidth DeviceAllow DevicePolicy Slice Delegate`),
}

// What came later, and with which systemd. It may be missing: the programs make those folders themselves, and the rest protects.
var cameLater = map[string]int{
	"RuntimeDirectoryPreserve": 235, "StateDirectory": 235, "StateDirectoryMode": 235, "AmbientCapabilities": 229, "ProtectClock": 245,
	"ProtectHostname": 242, "ProtectControlGroups": 232, "ProtectKernelLogs": 244, "ProtectKernelModules": 232, "ProtectKernelTunables": 232,
	"ProtectProc": 247, "ProcSubset": 247, "PrivateUsers": 232, "PrivateIPC": 248, "PrivateMounts": 239, "LockPersonality": 235,
	"MemoryDenyWriteExecute": 231, "RemoveIPC": 232, "RestrictNamespaces": 233, "RestrictRealtime": 231, "RestrictSUIDSGID": 242,
	"KeyringMode": 235, "ReadWritePaths": 231, "NoExecPaths": 248, "ExecPaths": 248,
}

// A directive is a line of a unit.
type directive struct{ section, key, value string }

// directives are a unit's, which must be what systemd 219 can read.
func directives(t *testing.T, unit string) (list []directive) {
	t.Helper()
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
		assert.False(t, strings.HasSuffix(line, `\`), "%s: %s goes on in the next line", unit, line)
		list = append(list, directive{section, key, value})
	}
	return list
}

func units(t *testing.T) []string {
	t.Helper()
	units, err := filepath.Glob(filepath.Join(dist, "*.service"))
	require.NoError(t, err)
	require.Len(t, units, 2)
	return units
}

// The units are what systemd 219 reads.
func TestUnitsForOldSystemd(t *testing.T) {
	for _, unit := range units(t) {
		for _, d := range directives(t, unit) {
			if slices.Contains(knownTo219[d.section], d.key) {
				checkOldValue(t, unit, d.key, d.value)
				continue
			}
			assert.True(t, d.section == "Service" && cameLater[d.key] > 219, "%s: is %s harmless where systemd doesn't know it? List it then", unit, d.key)
		}
	}
}

// Whatever a systemd knows of a unit goes together: the console writes its state with one that knows the directive which
// takes that away, and not yet the one which gives it back.
func TestUnitsForEverySystemd(t *testing.T) {
	for _, unit := range units(t) {
		list := directives(t, unit)
		for version := 219; version <= 260; version++ {
			strict, state, writable := false, "", ""
			for _, d := range list {
				switch {
				case cameLater[d.key] > version:
				case d.key == "ProtectSystem" && (d.value != "strict" || version >= 232): // before, the value isn't known
					strict = d.value == "strict"
				case d.key == "StateDirectory":
					state = "/var/lib/" + d.value
				case d.key == "ReadWritePaths":
					writable = strings.TrimPrefix(d.value, "-")
				}
			}
			name := strings.TrimSuffix(filepath.Base(unit), ".service")
			assert.True(t, !strict || slices.Contains([]string{state, writable}, "/var/lib/"+name), "%s: systemd %d keeps it from its state", unit, version)
		}
	}
}

// A path that a host may lack doesn't keep a service from starting: arm64 has no /lib64 on Debian, and a program that was
// installed by hand isn't where the package has it.
func TestUnitsNeedNoPath(t *testing.T) {
	for _, unit := range units(t) {
		for _, d := range directives(t, unit) {
			switch d.key {
			case "ExecPaths", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "BindPaths", "BindReadOnlyPaths":
				for path := range strings.FieldsSeq(d.value) {
					assert.Regexp(t, "^-", path, "%s: %s", unit, d.key)
				}
			}
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
	case "KillMode":
		assert.Contains(t, []string{"control-group", "process", "mixed", "none"}, value, unit)
	case "DevicePolicy":
		assert.Contains(t, []string{"auto", "closed", "strict"}, value, unit)
	case "ProtectHome":
		assert.Contains(t, []string{"yes", "no", "read-only"}, value, unit)
	case "ProtectSystem": // of which it doesn't know the last, and leaves it out
		assert.Contains(t, []string{"yes", "no", "full", "strict"}, value, unit)
	case "RuntimeDirectory":
		assert.NotContains(t, value, "/", "%s: it makes one folder of each name", unit)
	case "AppArmorProfile":
		assert.Regexp(t, "^-", value, "%s: where there is no such profile", unit)
	case "RestartSec", "TimeoutStopSec", "WatchdogSec", "LimitNOFILE", "FileDescriptorStoreMax":
		assert.Regexp(t, `^\d+$`, value, "%s: %s", unit, key)
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
		for _, program := range []string{"systemd-sysusers", "systemctl", "update-alternatives"} {
			before, _, used := strings.Cut(string(text), program)
			asked := strings.HasSuffix(before, "command -v ") || program == "systemctl" && strings.Contains(before, "-d /run/systemd/system")
			assert.True(t, !used || asked, "%s doesn't ask whether there is %s", script, program)
		}
	}
}
