package xsession

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIsLocale(t *testing.T) {
	for _, s := range []string{"C", "de", "de_DE.UTF-8", "zh_CN.gb18030", "sr_RS@latin", "de_AT:de:en", strings.Repeat("a", 128)} {
		assert.True(t, IsLocale(s), s)
	}
	for _, s := range []string{"", ":de", "../../etc", "de DE", "de\nDE", "$(id)", "dé", "de\x00", "-x", strings.Repeat("a", 129)} {
		assert.False(t, IsLocale(s), s)
	}
}

func TestMessages(t *testing.T) {
	for name, c := range map[string]struct{ environ, want string }{
		"LANG":                         {"LANG=de_DE.UTF-8", "de_DE.UTF-8"},
		"LC_MESSAGES before LANG":      {"LANG=de_DE.UTF-8,LC_MESSAGES=fr_FR", "fr_FR"},
		"LC_ALL before both":           {"LC_ALL=ja_JP.UTF-8,LANG=de_DE,LC_MESSAGES=fr_FR", "ja_JP.UTF-8"},
		"an empty one doesn't count":   {"LC_ALL=,LANG=de_DE", "de_DE"},
		"LANGUAGE before all":          {"LANG=de_AT.UTF-8,LANGUAGE=es:fr", "es:fr:de_AT.UTF-8"},
		"LANGUAGE with C.UTF-8":        {"LANG=C.UTF-8,LANGUAGE=es", "es:C.UTF-8"},
		"LANGUAGE not with C":          {"LANG=C,LANGUAGE=es", "C"},
		"nor with POSIX":               {"LC_ALL=POSIX,LANG=de_DE,LANGUAGE=es", "C"},
		"LANGUAGE alone":               {"LANGUAGE=es", ""},
		"an empty LANGUAGE":            {"LANG=de_DE,LANGUAGE=", "de_DE"},
		"a hostile LANGUAGE":           {"LANG=de_DE,LANGUAGE=$(reboot)", "de_DE"},
		"a hostile LANG":               {"LANG=../../x", ""},
		"other times and numbers":      {"LC_TIME=de_DE,LC_NUMERIC=fr_FR", ""},
		"the last of two":              {"LANG=de_DE,LANG=fr_FR", "fr_FR"},
		"variables that look like one": {"GDM_LANG=de_DE,XLANG=fr_FR", ""},
	} {
		assert.Equal(t, c.want, messages(variables([]byte(c.environ), ",")), name)
	}
}

func TestLocaleOfASession(t *testing.T) {
	uid := uint32(os.Getuid())
	h := newHost(t)
	h.process(10, 1, "gdm-session-wor", nil, nil)
	h.process(11, 10, "gdm-x-session", nil, []string{"LANGUAGE=fr"})
	h.process(12, 11, "gnome-session", nil, []string{"A=1", "LANG=de_DE.UTF-8", "B=2"})
	h.process(13, 12, "xterm", nil, []string{"LANG=es_ES.UTF-8"})
	h.process(20, 1, "other", nil, []string{"LANG=ja_JP.UTF-8"})
	h.process(30, 1, "bare", nil, nil)
	locale := func(s Session) string {
		t.Helper()
		scanned, err := Scan(h.root)
		require.NoError(t, err)
		found, err := scanned.Look(t.Context(), s)
		require.NoError(t, err)
		return found.Locale
	}
	assert.Equal(t, "de_DE.UTF-8", locale(Session{Leader: 10, UID: uid}), "the nearest descendant with one")
	assert.Equal(t, "es_ES.UTF-8", locale(Session{Leader: 13, UID: uid}))
	assert.Empty(t, locale(Session{Leader: 10, UID: uid + 1}), "somebody else's processes")
	assert.Empty(t, locale(Session{Leader: 30, UID: uid}), "a host without a locale")

	h.file("etc/default/locale", "# made by update-locale\nLANG=\"fr_FR.UTF-8\"\n", 0o644)
	assert.Equal(t, "fr_FR.UTF-8", locale(Session{Leader: 30, UID: uid}), "the host's")
	assert.Equal(t, "fr_FR.UTF-8", locale(Session{UID: uid}), "without a leader, too")
	h.file("etc/locale.conf", "LANG=zh_CN.UTF-8\r\nLC_TIME=de_DE\r\n", 0o644)
	assert.Equal(t, "zh_CN.UTF-8", HostLocale(h.root), "systemd's first")
	assert.Equal(t, "de_DE.UTF-8", locale(Session{Leader: 10, UID: uid}), "the session's own before the host's")
}

func TestBus(t *testing.T) {
	uid := uint32(os.Getuid())
	h := newHost(t)
	h.process(10, 1, "gdm-session-wor", nil, nil)
	h.process(11, 10, "gdm-x-session", nil, []string{"DBUS_SESSION_BUS_ADDRESS=unixexec:path=/bin/sh"})
	h.process(12, 11, "gnome-session", nil, []string{"DBUS_SESSION_BUS_ADDRESS=unix:abstract=/tmp/dbus-x,guid=1"})
	h.process(13, 12, "xterm", nil, []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=/other"})
	bus := func(s Session) string {
		t.Helper()
		scanned, err := Scan(h.root)
		require.NoError(t, err)
		found, err := scanned.Look(t.Context(), s)
		require.NoError(t, err)
		return found.Bus
	}
	assert.Equal(t, "unix:abstract=/tmp/dbus-x,guid=1", bus(Session{Leader: 10, UID: uid}), "the nearest that starts no program")
	assert.Equal(t, "unix:path=/other", bus(Session{Leader: 13, UID: uid}))
	assert.Equal(t, fmt.Sprintf("unix:path=/run/user/%d/bus", uid+1), bus(Session{Leader: 10, UID: uid + 1}))
	assert.Equal(t, "unix:path=/run/user/1000/bus", bus(Session{UID: 1000}))
}

func FuzzLocale(f *testing.F) {
	f.Add([]byte("LANG=de_DE.UTF-8\nLANGUAGE='de:en'\n"))
	f.Add([]byte("LC_ALL=C\x00LANG=\xff\n=\n#"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, sep := range []string{"\n", "\x00"} {
			if l := messages(variables(data, sep)); l != "" {
				assert.True(t, IsLocale(l), "%q", l)
			}
		}
	})
}
