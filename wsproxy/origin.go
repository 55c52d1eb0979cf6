package wsproxy

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
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
		return pkg.Errorf("origin pattern %q names no host", pattern)
	case strings.ContainsAny(host, "/#@ "):
		return pkg.Errorf("origin pattern %q has more than a scheme, a host and a port", pattern)
	}
	if _, err := path.Match(strings.ToLower(pattern), ""); err != nil {
		return pkg.Errorf("origin pattern %q has a bracket or a backslash that is left open", pattern)
	}
	return nil
}

// checkOrigin admits a request without an Origin header (no browser sends
// one), one from a page of the request's own host and port, and one that a
// pattern admits. A malformed pattern admits nobody; its error says so.
func checkOrigin(r *http.Request, patterns []string) error {
	origin := r.Header.Get("Origin")
	if origin == "" || origin == opaque && slices.Contains(patterns, opaque) {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return &CloseError{StatusPolicyViolation, fmt.Sprintf("origin %.80q not allowed", origin)}
	}
	if isOwn(u, r) {
		return nil
	}
	for _, pattern := range patterns {
		ok, err := matchOrigin(pattern, u)
		if err != nil {
			return pkg.Errorf("origin pattern %q: %w", pattern, err)
		}
		if ok {
			return nil
		}
	}
	return &CloseError{StatusPolicyViolation, fmt.Sprintf("origin %.80q not allowed", origin)}
}

// opaque is the origin of a sandboxed page or a file (HTML, "ascii
// serialisation of an origin").
const opaque = "null"

// isOwn reports whether an origin is the host and port that r was sent to. A
// port that isn't named is the scheme's: Host may name one that a browser leaves
// out of an origin, and the other way round. The request's scheme, if it isn't
// known because a proxy may have ended TLS, is taken for the origin's.
func isOwn(origin *url.URL, r *http.Request) bool {
	scheme := cmp.Or(r.URL.Scheme, origin.Scheme)
	if r.TLS != nil && r.URL.Scheme == "" {
		scheme = "https"
	}
	own := &url.URL{Scheme: scheme, Host: r.Host}
	return strings.EqualFold(origin.Hostname(), own.Hostname()) && portOf(origin) == portOf(own)
}

func portOf(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
		return port
	case u.Scheme == "https":
		return "443"
	case u.Scheme == "http":
		return "80"
	}
	return ""
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
