package keyfile

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
)

var hostPattern = regexp.MustCompile(`^(?i)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// CheckHost takes a host's name, an IP address, and "".
func CheckHost(s string) error {
	if s == "" {
		return nil
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	if len(s) > 253 || !hostPattern.MatchString(s) {
		return fmt.Errorf(`%q isn't a host name; allowed is one such as "vda1.corp.example", and ""`, s)
	}
	return nil
}

// CheckIP takes an IP address, and "".
func CheckIP(s string) error {
	if _, err := netip.ParseAddr(s); s != "" && err != nil {
		return fmt.Errorf(`%q isn't an IP address; allowed are one such as "0.0.0.0" or "::1", and ""`, s)
	}
	return nil
}

// CheckPath takes an absolute path.
func CheckPath(s string) error {
	if !filepath.IsAbs(s) {
		return fmt.Errorf("%q isn't an absolute path", s)
	}
	return nil
}

// CheckFile takes an absolute path, and "".
func CheckFile(s string) error {
	if s != "" && !filepath.IsAbs(s) {
		return fmt.Errorf(`%q isn't an absolute path; allowed are one, and ""`, s)
	}
	return nil
}
