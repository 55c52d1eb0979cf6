package xsession

import (
	"bytes"
	"cmp"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// IsLocale reports whether s can be a locale's name, "de_DE.UTF-8", or several with colons
// between them, "de_AT:de:en", as LANGUAGE has them. It may be one that no host has.
func IsLocale(s string) bool { return localePattern.MatchString(s) }

var localePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.@:-]{0,127}$`)

// HostLocale returns the locale that the host whose files are under root gives to those who
// choose none: in /etc/locale.conf (locale.conf(5)) or Debian's /etc/default/locale. It is
// empty if there is none.
func HostLocale(root string) string {
	for _, name := range []string{"etc/locale.conf", "etc/default/locale"} {
		if l := messages(variables(readFile(filepath.Join(root, name)), "\n")); l != "" {
			return l
		}
	}
	return ""
}

// messages is the locale of messages that environment variables mean (locale(7)): LANGUAGE
// counts besides one, unless that is C (gettext's manual, "The LANGUAGE variable").
func messages(v map[string]string) string {
	name := cmp.Or(v["LC_ALL"], v["LC_MESSAGES"], v["LANG"])
	switch list := v["LANGUAGE"]; {
	case name == "C" || name == "POSIX":
		return "C"
	case !IsLocale(name):
		return ""
	case IsLocale(list + ":" + name):
		return list + ":" + name
	}
	return name
}

// variables takes those that concern messages out of data, in which assignments such as
// LANG=C stand with sep between them. The last one of a name counts.
func variables(data []byte, sep string) map[string]string {
	v := map[string]string{}
	for line := range bytes.SplitSeq(data, []byte(sep)) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		switch name {
		case "LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE":
			v[name] = strings.Trim(value, `"'`)
		}
	}
	return v
}

// readFile returns the start of a file, or nothing.
func readFile(name string) []byte {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, maxProcFile))
	return data
}
