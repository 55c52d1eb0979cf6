package wsproxy

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// CheckOriginPattern says what is wrong with one of [Handler.OriginPatterns], or
// returns nil.
func CheckOriginPattern(pattern string) error {
	scheme, host, ok := strings.Cut(pattern, "://")
	if !ok {
		scheme, host = "", pattern
	}
	switch {
	case host == "", ok && scheme == "":
		return fmt.Errorf("wsproxy: origin pattern %q names no host", pattern)
	case strings.ContainsAny(host, "/#@ "):
		return fmt.Errorf("wsproxy: origin pattern %q has more than a scheme, a host and a port", pattern)
	}
	if _, err := path.Match(strings.ToLower(pattern), ""); err != nil {
		return fmt.Errorf("wsproxy: origin pattern %q has a bracket or a backslash that is left open", pattern)
	}
	return nil
}

// checkOrigin admits a request without an Origin header (no browser sends
// one), one from a page of the request's own host and port, and one that a
// pattern admits. A malformed pattern admits nobody; its error says so.
func checkOrigin(r *http.Request, patterns []string) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" { // "null": a sandboxed page or a file
		return &CloseError{StatusPolicyViolation, fmt.Sprintf("origin %.80q not allowed", origin)}
	}
	if strings.EqualFold(u.Host, r.Host) {
		return nil
	}
	for _, pattern := range patterns {
		ok, err := matchOrigin(pattern, u)
		if err != nil {
			return fmt.Errorf("wsproxy: origin pattern %q: %w", pattern, err)
		}
		if ok {
			return nil
		}
	}
	return &CloseError{StatusPolicyViolation, fmt.Sprintf("origin %.80q not allowed", origin)}
}

// matchOrigin compares host and port, and the scheme too if the pattern names
// one. The pattern may be literal, for an IPv6 address looks like a class.
func matchOrigin(pattern string, u *url.URL) (bool, error) {
	s := u.Host
	if strings.Contains(pattern, "://") {
		s = u.Scheme + "://" + u.Host
	}
	if strings.EqualFold(pattern, s) {
		return true, nil
	}
	return path.Match(strings.ToLower(pattern), strings.ToLower(s))
}
