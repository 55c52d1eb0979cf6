package keyfile

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
)

var hostPattern = regexp.MustCompile(`^(?i)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// CheckHost takes a host's name, an IP address, and "".
func CheckHost(s string) error {
	if s == "" || isHost(s) {
		return nil
	}
	return fmt.Errorf(`%q isn't a host name; allowed is one such as "vda1.corp.example", and ""`, s)
}

// CheckName is CheckHost where "" isn't allowed.
func CheckName(s string) error {
	if isHost(s) {
		return nil
	}
	return fmt.Errorf(`%q isn't a host name; allowed is one such as "vda1.corp.example"`, s)
}

func isHost(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || len(s) <= 253 && hostPattern.MatchString(s)
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

// CheckPatterns refuses a list that matches nothing, where somebody may have meant everything.
func CheckPatterns(patterns []string) error {
	if len(patterns) == 0 {
		return errors.New("an empty list isn't allowed; leave the key out to match everything")
	}
	return nil
}
