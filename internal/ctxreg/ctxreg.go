package ctxreg

import (
	"fmt"
	"strconv"
	"strings"
)

// Key is the registry key of both values, as it is documented.
const Key = `HKLM\Software\Citrix\VirtualDesktopAgent`

// The names of the values.
const (
	EnableSessionShadowing = "EnableSessionShadowing" // 1, the default: sessions may be shadowed
	ShadowingUseSSL        = "ShadowingUseSSL"        // 1: viewers connect with wss; 0 is the default
)

// Type is the type of both values.
const Type = "REG_DWORD"

// Values are what the values are, by their names.
type Values map[string]uint32

// Defaults are the documented ones.
func Defaults() Values { return Values{EnableSessionShadowing: 1, ShadowingUseSSL: 0} }

// Names lists the names of the values in the documentation's order.
func Names() []string { return []string{EnableSessionShadowing, ShadowingUseSSL} }

// Name is the name as it is documented, for one in any case and with or
// without quotes, or an error that says which there are.
func Name(s string) (string, error) {
	for _, name := range Names() {
		if strings.EqualFold(unquote(s), name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("there is no value %q here; the values are %s", s, strings.Join(Names(), " and "))
}

// IsKey reports whether s is [Key], in any case, with HKEY_LOCAL_MACHINE or
// its short form, and with single, double or no backslashes: a shell takes
// away those that aren't quoted.
func IsKey(s string) bool {
	return squeeze(s) == squeeze(Key)
}

func squeeze(key string) string {
	key = strings.ToLower(strings.ReplaceAll(unquote(key), `\`, ""))
	if rest, ok := strings.CutPrefix(key, "hkey_local_machine"); ok {
		return "hklm" + rest
	}
	return key
}

// ParseData reads the data of a value, "0x00000001" or "1". Only 0 and 1 mean
// anything here.
func ParseData(s string) (uint32, error) {
	digits, base := unquote(s), 10
	if rest, ok := strings.CutPrefix(strings.ToLower(digits), "0x"); ok {
		digits, base = rest, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n > 1 {
		return 0, fmt.Errorf("%q isn't allowed; allowed are 0x00000000 and 0x00000001, or 0 and 1", s)
	}
	return uint32(n), nil
}

// FormatData writes data as the documentation does.
func FormatData(n uint32) string { return fmt.Sprintf("0x%08x", n) }

// unquote takes away the quotes that somebody may have brought past a shell.
func unquote(s string) string {
	for _, q := range []string{`"`, `'`} {
		if len(s) >= 2 && strings.HasPrefix(s, q) && strings.HasSuffix(s, q) {
			return s[1 : len(s)-1]
		}
	}
	return s
}
