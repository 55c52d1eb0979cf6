package source

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseX11vncVersion(t *testing.T) {
	for in, want := range map[string][3]int{
		"x11vnc: 0.9.16 lastmod: 2019-01-05\n":       {0, 9, 16},
		"x11vnc: 0.9.13 lastmod: 2011-08-10":         {0, 9, 13},
		"warning: something\nx11vnc: 1.0 lastmod: x": {1, 0, 0},
	} {
		got, ok := parseX11vncVersion(in)
		assert.True(t, ok, in)
		assert.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "x11vnc: ", "bash: x11vnc: not found", "x11vnc: 9999999999.1"} {
		_, ok := parseX11vncVersion(in)
		assert.False(t, ok, in)
	}
	assert.True(t, older([3]int{0, 9, 12}, minX11vnc))
	assert.False(t, older([3]int{0, 9, 13}, minX11vnc))
	assert.False(t, older([3]int{0, 10, 0}, minX11vnc))
	assert.False(t, older([3]int{1, 0, 0}, minX11vnc))
}

func TestInstallCommand(t *testing.T) {
	for release, want := range map[string]string{
		"ID=debian\n": "apt-get install x11vnc",
		"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n": "apt-get install x11vnc",
		"ID=\"rhel\"\nID_LIKE=\"fedora\"\n":         "dnf install epel-release && dnf install x11vnc",
		"ID=\"rocky\"\nID_LIKE=\"rhel centos\"\n":   "dnf install epel-release && dnf install x11vnc",
		"ID=fedora\n":                     "dnf install x11vnc",
		"ID=\"sles\"\nID_LIKE=\"suse\"\n": "zypper install x11vnc",
		"NAME=Unheard\nID=unheard\n":      "the distribution's package manager (package x11vnc)",
		"":                                "the distribution's package manager (package x11vnc)",
	} {
		file := filepath.Join(t.TempDir(), "os-release")
		require.NoError(t, os.WriteFile(file, []byte(release), 0o600))
		assert.Equal(t, want, installCommand(file), release)
	}
	assert.Contains(t, installCommand("/nonexistent"), "x11vnc")
}

// script makes a program that prints text for -version.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x11vnc")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\necho '"+text+"'\n"), 0o700))
	return path
}

func TestX11vncCheck(t *testing.T) {
	for text, want := range map[string]string{
		"x11vnc: 0.9.12 lastmod: 2010-09-09": "0.9.13 or later is needed",
		"hello":                              "names no version",
	} {
		err := (&X11vnc{Path: script(t, text)}).Check(t.Context(), nil)
		assert.ErrorContains(t, err, want)
	}
	missing := &X11vnc{Path: filepath.Join(t.TempDir(), "x11vnc")}
	err := missing.Check(t.Context(), nil)
	require.ErrorContains(t, err, "there is no x11vnc at "+missing.Path)
	require.ErrorContains(t, err, "correct the path")
	require.NotContains(t, err.Error(), "install", "it may be installed elsewhere")

	// A bad answer is looked into again, a good one is kept.
	require.NoError(t, os.WriteFile(missing.Path, []byte("#!/bin/sh\necho x11vnc: 0.9.16\n"), 0o700))
	require.NoError(t, missing.Check(t.Context(), nil))
	require.NoError(t, os.WriteFile(missing.Path, []byte("#!/bin/sh\necho x11vnc: 0.1\n"), 0o700))
	require.NoError(t, missing.Check(t.Context(), nil), "the version is checked once")
	require.NoError(t, os.Remove(missing.Path))
	require.ErrorContains(t, missing.Check(t.Context(), nil), "there is no x11vnc", "nobody may be asked in vain")
}

func TestX11vncCheckDoesNotWaitForEver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	path := filepath.Join(t.TempDir(), "x11vnc")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 600\n"), 0o700))
	cancel()
	assert.Error(t, (&X11vnc{Path: path}).Check(ctx, nil))
}

func TestLastWords(t *testing.T) {
	l := newLog()
	assert.Empty(t, l.lastLine())
	_, _ = l.Write([]byte("a line of the log\nthe end\n\n"))
	assert.Equal(t, `: "the end"`, l.lastLine())
}
