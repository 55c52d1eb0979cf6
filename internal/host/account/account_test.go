package account

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLookup(t *testing.T) {
	want, err := user.Lookup("nobody")
	require.NoError(t, err)
	a, err := Lookup(t.Context(), "nobody")
	require.NoError(t, err)
	assert.Equal(t, "nobody", a.Name)
	assert.Equal(t, want.Uid, strconv.Itoa(int(a.UID)))
	assert.Equal(t, want.Gid, strconv.Itoa(int(a.GID)))
	assert.Equal(t, want.HomeDir, a.Home)

	b, err := LookupID(t.Context(), a.UID)
	require.NoError(t, err)
	assert.Equal(t, a, b)

	g, err := GroupID(t.Context(), "root")
	require.NoError(t, err)
	assert.Zero(t, g)
}

// noNames are no accounts' names, though getent takes some for numbers of accounts that there are.
var noNames = []string{"no-such-account", "", "0", "-u", "a\nb", "+0", "-0", " 0", "\t+0", "\v0", "00", "-18446744073709551616", "18446744073709551616"}

func TestUnknown(t *testing.T) {
	for _, name := range noNames {
		_, err := Lookup(t.Context(), name)
		require.ErrorIs(t, err, ErrUnknown, "%q: a number is no name, an option neither", name)
		_, err = GroupID(t.Context(), name)
		require.ErrorIs(t, err, ErrUnknown, "%q", name)
	}
	_, err := LookupID(t.Context(), 4000000000)
	require.ErrorIs(t, err, ErrUnknown)
}

// names is a program that knows what a domain's name service would.
func names(t *testing.T, script string) database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "getent")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700))
	return database{path}
}

func TestNameServices(t *testing.T) {
	d := names(t, `
case "$*" in
'passwd -- CORP\alice') printf '%s\n' 'CORP\alice:*:70001:70000:Alice,Room 5,,:/home/CORP/alice:/bin/bash' ;;
'initgroups -- CORP\alice') printf '%s\n' 'CORP\alice           70000 70002 70003' ;;
'passwd -- CORP\space 12') printf '%s\n' 'CORP\space 12:*:70009:70000::/:/bin/sh' ;;
'initgroups -- CORP\space 12') printf '%s\n' 'CORP\space 12' ;;
'passwd -- short') echo short:x:1 ;;
'passwd -- negative') echo negative:x:-1:1::/:/bin/sh ;;
'passwd -- none') echo none:x:4294967295:1::/:/bin/sh ;;
'passwd -- broken') exit 1 ;;
'passwd -- flood') head -c 2000000 /dev/zero ;;
'group -- CORP\shadow admins') printf '%s\n' 'CORP\shadow admins:*:70100:' ;;
*) exit 2 ;;
esac
`)
	a, err := d.user(t.Context(), `CORP\alice`)
	require.NoError(t, err)
	assert.Equal(t, &Account{Name: `CORP\alice`, UID: 70001, GID: 70000, Groups: []uint32{70000, 70002, 70003}, Home: "/home/CORP/alice"}, a)

	name, full, err := d.fullName(t.Context(), `CORP\alice`)
	require.NoError(t, err)
	assert.Equal(t, []string{`CORP\alice`, "Alice"}, []string{name, full})

	a, err = d.user(t.Context(), `CORP\space 12`)
	require.NoError(t, err)
	assert.Empty(t, a.Groups, "a number in the name isn't a group")

	gid, err := d.group(t.Context(), `CORP\shadow admins`)
	require.NoError(t, err)
	assert.Equal(t, uint32(70100), gid)

	for key, want := range map[string]string{
		"short":    "has 3 fields instead of 7",
		"negative": `"-1" isn't a user or group id`,
		"none":     `"4294967295" isn't a user or group id`, // to the kernel it means "leave it as it is"
		"broken":   "exit status 1",
		"flood":    "asking the name services",
	} {
		_, err := d.user(t.Context(), key)
		require.ErrorContains(t, err, want, key)
		require.NotErrorIs(t, err, ErrUnknown, key)
	}
	_, err = d.user(t.Context(), "nobody-there")
	require.ErrorIs(t, err, ErrUnknown)
	_, err = d.group(t.Context(), "nobody-there")
	require.ErrorIs(t, err, ErrUnknown)
}

func TestFullName(t *testing.T) {
	name, full, err := FullName(t.Context(), "root")
	require.NoError(t, err)
	assert.Equal(t, []string{"root", "root"}, []string{name, full})
	for _, name := range noNames {
		_, _, err := FullName(t.Context(), name)
		require.ErrorIs(t, err, ErrUnknown, "%q", name)
	}
}

// The name services may find somebody else by a name: who that is, isn't who was asked for.
func TestAnotherAccountsName(t *testing.T) {
	d := names(t, `
echo "$*" >> "$0.asked"
case "$*" in
*[Aa]lice*|*ALICE*) printf '%s\n' 'CORP\alice:*:1001:1001:Alice Ng:/home/alice:/bin/bash' ;;
*1001) echo 'alice:x:1001:1001:Alice Ng:/home/alice:/bin/bash' ;;
*im*|*KIM*) echo 'kim:x:1002:1002:Kim Lee:/home/kim:/bin/bash' ;;
*) exit 2 ;;
esac
`)
	for name, want := range map[string]string{
		`CORP\alice`: `CORP\alice`, `corp\Alice`: `CORP\alice`, "ALICE": `CORP\alice`, "alice@corp.example": `CORP\alice`, "kim": "kim", `CORP\KIM`: "kim",
		"+1001": "", "-18446744073709550615": "", " 1001": "", "\n1001": "", "1001": "", "001001": "",
		"\u212Aim": "", "kim2": "", "malice": "", `alice\mallory`: "", `CORP\alice\`: "", "": "",
	} {
		account, _, err := d.fullName(t.Context(), name)
		assert.Equal(t, want, account, "%q", name)
		_, groupErr := d.group(t.Context(), name)
		for _, err := range []error{err, groupErr} {
			if want == "" {
				require.ErrorIs(t, err, ErrUnknown, "%q", name)
			} else {
				require.NoError(t, err, "%q", name)
			}
		}
	}
	asked, err := os.ReadFile(d.program + ".asked")
	require.NoError(t, err)
	assert.NotContains(t, string(asked), "1001", "a number that the name services would take for an account's")
}
