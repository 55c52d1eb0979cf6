package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/ctxreg"
	"vda.internal/shadow/internal/usage"
)

const someKey = `HKLM\Software\Citrix\VirtualDesktopAgent`

// registryFile makes a configuration file.
func registryFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shadowing.toml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestCtxregWrites(t *testing.T) {
	const before = "# keep me\nEnableSessionShadowing = 1 # and me\n\n[ports]\nfirst = 6002\n"
	off := strings.Replace(before, "= 1", "= 0", 1)
	ssl := strings.Replace(before, "# and me\n", "# and me\nShadowingUseSSL = 1\n", 1)
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"as documented", []string{"update", "-k", someKey, "-v", "EnableSessionShadowing", "-d", "0x00000000"}, off},
		{"not quoted in a shell", []string{"update", "-k", "HKLMSoftwareCitrixVirtualDesktopAgent", "-v", "EnableSessionShadowing", "-d", "0"}, off},
		{"quotes that no shell took", []string{"update", "-k", `"` + someKey + `"`, "-v", `"EnableSessionShadowing"`, "-d", `"0x0"`}, off},
		{"another case", []string{"update", "-k", strings.ToLower(someKey), "-v", "enablesessionshadowing", "-d", "0X00000000"}, off},
		{"create", []string{"create", "-k", someKey, "-t", "REG_DWORD", "-v", "ShadowingUseSSL", "-d", "0x00000001"}, ssl},
		{"create what is there", []string{"create", "-k", someKey, "-t", "reg_dword", "-v", "EnableSessionShadowing", "-d", "0x00000000", "--force"}, off},
		{"update what isn't there", []string{"update", "-k", someKey, "-v", "ShadowingUseSSL", "-d", "1"}, ssl},
		{"delete", []string{"delete", "-k", someKey, "-v", "EnableSessionShadowing"}, "# keep me\n\n[ports]\nfirst = 6002\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := registryFile(t, before)
			r := shadowctl(t.Context(), append([]string{"ctxreg", "--config", file}, test.args...)...)
			assert.Equal(t, result{}, r)
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, test.want, string(data))
		})
	}
}

func TestCtxregRefuses(t *testing.T) {
	const content = "EnableSessionShadowing = 1\n"
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"create -k KEY -v EnableSessionShadowing -d 0", exitFailed, "the value is there already: EnableSessionShadowing is 0x00000001; use update, or --force"},
		{"delete -k KEY -v ShadowingUseSSL", exitFailed, "ShadowingUseSSL isn't set; its default, 0x00000000, applies"},
		{"update -k KEY -v EnableSessionShadowing -d 2", usage.Status, `"2" isn't allowed; allowed are 0x00000000 and 0x00000001`},
		{"update -k KEY -v MaxIdleTime -d 1", usage.Status, `there is no value "MaxIdleTime" here`},
		{"update -k HKLM\\Software\\Citrix -v EnableSessionShadowing -d 1", usage.Status, `there is no key "HKLM\\Software\\Citrix" here`},
		{"create -k KEY -t REG_SZ -v ShadowingUseSSL -d 1", usage.Status, "the type is REG_DWORD"},
		{"update -v EnableSessionShadowing -d 1", usage.Status, "-k is missing: the registry key"},
		{"update -k KEY -d 1", usage.Status, "-v is missing: the name of the value"},
		{"update -k KEY -v EnableSessionShadowing", usage.Status, "-d is missing: the data of the value"},
		{"read -k KEY -v EnableSessionShadowing -d 1", usage.Status, "unknown shorthand flag: 'd'"},
		{"update -k KEY -v EnableSessionShadowing -d 1 more", usage.Status, `unexpected argument "more"`},
		{"update -k EMPTY -v EnableSessionShadowing -d 0", usage.Status, "-k is empty"},
		{"update -k KEY -v EMPTY -d 0", usage.Status, "-v is empty"},
		{"update -k KEY -v EnableSessionShadowing -d EMPTY", usage.Status, "-d is empty"},
		{"create -k KEY -t EMPTY -v ShadowingUseSSL -d 1", usage.Status, "-t is empty"},
		{"dump -k EMPTY", usage.Status, "-k is empty"},
		{"", usage.Status, "a command is missing"},
		{"query", usage.Status, `unknown command "query"`},
	} {
		file := registryFile(t, content)
		args := strings.Fields(strings.ReplaceAll(test.args, "KEY", someKey))
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "EMPTY", "")
		}
		r := shadowctl(t.Context(), append([]string{"ctxreg", "--config", file}, args...)...)
		assert.Equal(t, test.status, r.status, test.args)
		assert.Contains(t, r.stderr, test.want, test.args)
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, content, string(data), test.args)
	}
}

func TestCtxregReads(t *testing.T) {
	file := registryFile(t, "EnableSessionShadowing = 0\n")
	read := func(args ...string) result {
		return shadowctl(t.Context(), append([]string{"ctxreg", "--config", file}, args...)...)
	}
	assert.Equal(t, result{0, "0x00000000\n", ""}, read("read", "-k", someKey, "-v", "EnableSessionShadowing"))
	assert.Equal(t, result{0, "0x00000000\n", ""}, read("read", "-k", someKey, "-v", "ShadowingUseSSL"))
	assert.Equal(t, result{0, `{"EnableSessionShadowing":0,"ShadowingUseSSL":0}` + "\n", ""}, read("dump", "--json"))
	// What dump prints is understood where another program's is.
	dump := read("dump")
	require.Zero(t, dump.status)
	values, err := ctxreg.ParseDump([]byte(dump.stdout))
	require.NoError(t, err)
	assert.Equal(t, ctxreg.Values{ctxreg.EnableSessionShadowing: 0, ctxreg.ShadowingUseSSL: 0}, values)
}

func TestCtxregLeavesABrokenFileAlone(t *testing.T) {
	file := registryFile(t, "prots = 1\nEnableSessionShadowing = 9\n")
	r := shadowctl(t.Context(), "ctxreg", "--config", file, "update", "-k", someKey, "-v", "EnableSessionShadowing", "-d", "0")
	assert.Equal(t, exitFailed, r.status)
	assert.Contains(t, r.stderr, "shadowctl: "+file+":1: prots: unknown key")
	assert.Contains(t, r.stderr, "\n        "+file+":2: EnableSessionShadowing: 9 isn't allowed")
}

// Where the VDA's own registry counts, writing the file would change nothing.
func TestCtxregBesideTheVDAs(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "ctxreg")
	require.NoError(t, os.WriteFile(tool, []byte("#!/bin/sh\necho EnableSessionShadowing 0x00000000; echo ShadowingUseSSL 0x00000001\n"), 0o700))
	file := registryFile(t, "settings = \"ctxreg\"\nctxreg = \""+tool+"\"\n")
	r := shadowctl(t.Context(), "ctxreg", "--config", file, "update", "-k", someKey, "-v", "EnableSessionShadowing", "-d", "0")
	assert.Equal(t, exitFailed, r.status)
	assert.Contains(t, r.stderr, "use the VDA's own program, "+tool)
	r = shadowctl(t.Context(), "ctxreg", "--config", file, "read", "-k", someKey, "-v", "ShadowingUseSSL")
	assert.Equal(t, result{0, "0x00000001\n", ""}, r)
}

// What is wrong with the VDA's program is said without our own packages' names.
func TestCtxregWithABrokenVDA(t *testing.T) {
	for script, want := range map[string]string{
		"sleep 600": " did not answer within 5 s",
		"exit 3":    ": exit status 3",
	} {
		tool := filepath.Join(t.TempDir(), "ctxreg")
		require.NoError(t, os.WriteFile(tool, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
		file := registryFile(t, "settings = \"ctxreg\"\nctxreg = \""+tool+"\"\n")
		r := shadowctl(t.Context(), "ctxreg", "--config", file, "dump")
		assert.Equal(t, result{exitFailed, "", "shadowctl: " + tool + want + "\n"}, r)
	}
}

// Under the name ctxreg the program is ctxreg.
func TestCtxregByName(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "ctxreg")
	out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	file := filepath.Join(dir, "shadowing.toml")
	out, err = exec.Command(bin, "update", "-k", someKey, "-v", "EnableSessionShadowing", "-d", "0x00000000", "--config", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	s, err := config.SettingsFrom(file)(t.Context())
	require.NoError(t, err)
	assert.False(t, s.EnableSessionShadowing)

	var stdout, stderr bytes.Buffer
	assert.Equal(t, usage.Status, run(t.Context(), bin, []string{"bogus"}, &stdout, &stderr))
	assert.Equal(t, "ctxreg: unknown command \"bogus\"\nTry 'ctxreg --help'.\n", stderr.String())
	for _, args := range [][]string{{"--help"}, {"update", "--help"}, {}} {
		stdout.Reset()
		stderr.Reset()
		run(t.Context(), bin, args, &stdout, &stderr)
		assert.NotContains(t, stdout.String()+stderr.String(), "shadowctl", args)
	}
	stdout.Reset()
	require.Zero(t, run(t.Context(), bin, []string{"dump", "--json", "--config", file}, &stdout, &stderr))
	assert.JSONEq(t, `{"EnableSessionShadowing": 0, "ShadowingUseSSL": 0}`, stdout.String())
}
