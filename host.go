package shadow

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"time"
)

// FQDN is this host's fully qualified name, as hostname -f finds it: the
// host's own name if it has a dot, else what the resolver calls its address,
// else the bare name. It is what an empty Config.Host means.
func FQDN(ctx context.Context) (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", errors.New("this host has no name")
	}
	if strings.Contains(name, ".") {
		return name, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if full, err := net.DefaultResolver.LookupCNAME(ctx, name); err == nil && isFullNameOf(full, name) {
		return strings.TrimSuffix(full, "."), nil
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return name, nil
	}
	for _, addr := range addrs {
		names, _ := net.DefaultResolver.LookupAddr(ctx, addr)
		for _, full := range names {
			if isFullNameOf(full, name) {
				return strings.TrimSuffix(full, "."), nil
			}
		}
	}
	return name, nil
}

// isFullNameOf reports whether full is name with a domain.
func isFullNameOf(full, name string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(full), strings.ToLower(name)+".")
	return ok && rest != ""
}
