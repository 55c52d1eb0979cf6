package ctxreg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIsKey(t *testing.T) {
	for _, s := range []string{
		Key, `hklm\software\citrix\virtualdesktopagent`, `"HKLM\Software\Citrix\VirtualDesktopAgent"`,
		`HKLM\\Software\\Citrix\\VirtualDesktopAgent`, `HKLMSoftwareCitrixVirtualDesktopAgent`,
		`HKEY_LOCAL_MACHINE\SOFTWARE\Citrix\VirtualDesktopAgent`,
	} {
		assert.True(t, IsKey(s), s)
	}
	for _, s := range []string{"", `HKLM\Software\Citrix`, `HKCU\Software\Citrix\VirtualDesktopAgent`, Key + `\Policies`} {
		assert.False(t, IsKey(s), s)
	}
}

func TestData(t *testing.T) {
	for s, want := range map[string]uint32{"0x00000001": 1, "0x0": 0, "0X1": 1, "1": 1, "0": 0, `"0x00000001"`: 1, "'0'": 0, "00": 0} {
		n, err := ParseData(s)
		require.NoError(t, err, s)
		assert.Equal(t, want, n, s)
	}
	for _, s := range []string{"", "2", "0x2", "-1", "yes", "0x", "0x100000001", "1 "} {
		_, err := ParseData(s)
		require.ErrorContains(t, err, "allowed are 0x00000000 and 0x00000001", s)
	}
	assert.Equal(t, "0x00000001", FormatData(1))
	name, err := Name(`"shadowingusessl"`)
	require.NoError(t, err)
	assert.Equal(t, ShadowingUseSSL, name)
	_, err = Name("ShadowingUseTLS")
	require.ErrorContains(t, err, "EnableSessionShadowing and ShadowingUseSSL")
}

func TestParseDump(t *testing.T) {
	const create = `create -k "HKLM\Software\Citrix\VirtualDesktopAgent" -t "REG_DWORD" -v "`
	for _, test := range []struct {
		name, dump  string
		shadow, ssl uint32
	}{
		{"commands", create + `EnableSessionShadowing" -d "0x00000000" --force` + "\n" + create + `ShadowingUseSSL" -d "0x00000001" --force`, 0, 1},
		{"a table", "EnableSessionShadowing  REG_DWORD  0x00000001\r\nShadowingUseSSL  REG_DWORD  0x00000001\r\n", 1, 1},
		{"a tree", "[HKLM\\Software\\Citrix\\VirtualDesktopAgent]\n  \"EnableSessionShadowing\"=0x0\n", 0, 0},
		{"in another case, without blanks", "enablesessionshadowing:0X1\nSHADOWINGUSESSL=0x1", 1, 1},
		{"another key's", `HKLM\Software\Other EnableSessionShadowing 0x00000000` + "\n" + Key + ` EnableSessionShadowing 0x00000001` + "\nShadowingUseSSL 0x1", 1, 1},
		{"another name's", Key + " EnableSessionShadowingLog 0x0\nMyShadowingUseSSL 0x1\nX_EnableSessionShadowing 0x0", 1, 0},
		{"the same twice", "EnableSessionShadowing 0x0\nEnableSessionShadowing 0x00000000\nShadowingUseSSL 0x0", 0, 0},
		{"a comma behind the key", Key + ", EnableSessionShadowing, REG_DWORD, 0x00000000", 0, 0},
		{"a colon behind the key", Key + ": EnableSessionShadowing = 0x0", 0, 0},
		{"the name as part of the key", Key + `\EnableSessionShadowing = 0x0` + "\n" + Key + `\ShadowingUseSSL: 0x1`, 0, 1},
		{"another key's below its header", "[" + Key + "]\n\"EnableSessionShadowing\"=0x1\n[HKLM\\Software\\Other]\n\"EnableSessionShadowing\"=0x0\n\"ShadowingUseSSL\"=0x1", 1, 0},
		{"below a header without a key", "[" + Key + "]\n[something]\nEnableSessionShadowing 0x0", 1, 0},
		{"a header with blanks", Key + "\n[ HKLM\\Software\\Other ]\nEnableSessionShadowing 0x0", 1, 0},
		{"below a bare header", "HKLM\\Software\\Other\n  EnableSessionShadowing REG_DWORD 0x0\n\n" + Key + ":\r\n  ShadowingUseSSL REG_DWORD 0x1", 1, 1},
		{"another root's", `HKCU\Software\Citrix\VirtualDesktopAgent EnableSessionShadowing 0x0` + "\n" + Key, 1, 0},
		{"a key with a blank", `"HKLM\Software\Other EnableSessionShadowing" x 0x0` + "\n" + Key, 1, 0},
		{"a key below ours", Key + `\Policies X 0x0` + "\n" + Key, 1, 0},
		{"defaults", Key + " ListOfDDCs \"ddc1\"", 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			values, err := ParseDump([]byte(test.dump))
			require.NoError(t, err)
			assert.Equal(t, Values{EnableSessionShadowing: test.shadow, ShadowingUseSSL: test.ssl}, values)
		})
	}
	for _, test := range []struct{ name, dump, want string }{
		{"nothing", "", "nothing else of HKLM"},
		{"another format", "Enable=1\n", "nothing else of HKLM"},
		{"no number", "EnableSessionShadowing = 1\n", "has no number such as 0x00000001"},
		{"the number comes first", "0x00000001 EnableSessionShadowing\n", "has no number"},
		{"an odd number", Key + " EnableSessionShadowing 0x00000002\n", "isn't allowed"},
		{"too long a number", "EnableSessionShadowing 0x000000001\n", "has no number"},
		{"a key below ours", Key + `\Policies EnableSessionShadowing 0x0` + "\n" + Key, "isn't it"},
		{"below the header of a key below ours", "[" + Key + "\\Policies]\nEnableSessionShadowing 0x0\n[" + Key + "]\n", "isn't it"},
		{"something else behind the key", Key + `|EnableSessionShadowing|0x0` + "\n" + Key, "isn't it"},
		{"two keys", `HKLM\Software\Other ` + Key + ` EnableSessionShadowing 0x0`, "isn't it"},
		{"a contradiction", "EnableSessionShadowing 0x0\nEnableSessionShadowing 0x1\n", "is there twice, as 0 and 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseDump([]byte(test.dump))
			require.ErrorContains(t, err, test.want)
		})
	}
}

// script is a program in the VDA's place.
func script(t *testing.T, lines string) Program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ctxreg")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+lines), 0o700))
	return Program{Path: path}
}

func TestRead(t *testing.T) {
	values, err := script(t, `[ "$*" = dump ] && echo 'EnableSessionShadowing 0x1' && echo 'ShadowingUseSSL 0x1'`).Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Values{EnableSessionShadowing: 1, ShadowingUseSSL: 1}, values)

	_, err = script(t, `echo 'EnableSessionShadowing 0x1'; echo 'ShadowingUseSSL 0x1'; echo no root >&2; exit 1`).Read(t.Context())
	require.ErrorContains(t, err, `exit status 1: "no root"`)
	_, err = script(t, "echo Usage").Read(t.Context())
	require.ErrorContains(t, err, "ctxreg dump printed")
	_, err = script(t, "exec head -c 5000000 /dev/zero").Read(t.Context())
	require.ErrorContains(t, err, "printed more than 4194304 bytes")
	_, err = Program{Path: filepath.Join(t.TempDir(), "ctxreg")}.Read(t.Context())
	require.ErrorContains(t, err, "the VDA's program isn't at /")
	self, err := os.Executable()
	require.NoError(t, err)
	_, err = Program{Path: self}.Read(t.Context())
	require.ErrorContains(t, err, "is this program")
}

func FuzzParseDump(f *testing.F) {
	f.Add("EnableSessionShadowing 0x1\nShadowingUseSSL 0x0")
	f.Add(`create -k "HKLM\Software\Citrix\VirtualDesktopAgent" -t "REG_DWORD" -v "EnableSessionShadowing" -d "0x00000001" --force`)
	f.Add("[HKLM\\Software\\Citrix\\VirtualDesktopAgent]\r\n\"ShadowingUseSSL\"=0X1")
	f.Add("İEnableSessionShadowing 0x1")
	f.Fuzz(func(t *testing.T, dump string) {
		values, err := ParseDump([]byte(dump))
		if err != nil {
			return
		}
		require.Len(t, values, 2)
		for name, n := range values {
			require.LessOrEqual(t, n, uint32(1))
			if n != Defaults()[name] {
				require.Contains(t, strings.ToLower(dump), strings.ToLower(name))
			}
		}
	})
}
