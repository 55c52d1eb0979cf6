package testgate

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"encoding/hex"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/testenv"
)

//go:embed oidc-provider/.npmrc oidc-provider/*
var providerFiles embed.FS

// A Provider is npm's oidc-provider, running, with one client, the gate. Whoever signs in there as kim is kim@corp, in the groups
// administrators and staff.
type Provider struct {
	Issuer string
	stop   func()
}

// StartProvider starts a provider for the gate at an origin, under TLS if it is given a certificate and its key, two files in PEM. It
// ends with the test.
func StartProvider(t testing.TB, origin string, pair ...string) *Provider {
	t.Helper()
	node := testenv.Program(t, "node", "nodejs")
	dir := providerDir(t)
	cmd := exec.Command(node, append([]string{filepath.Join(dir, "provider.mjs"), origin + "/signin/oidc/callback", origin + "/signin"}, pair...)...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &Provider{stop: sync.OnceFunc(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})}
	t.Cleanup(p.Stop)
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "the provider says where it is")
	p.Issuer = lines.Text()
	return p
}

// Stop ends it. It may be called twice.
func (p *Provider) Stop() { p.stop() }

// SignIn has a gate at an origin sign people in by the provider, whose certificate roots vouch for; nil: it has none.
func (p *Provider) SignIn(t testing.TB, origin string, roots *x509.CertPool) func(*signin.Config) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return func(c *signin.Config) {
		c.OIDC = &signin.OIDC{
			Issuer: p.Issuer, ClientID: "gate", Secret: "a secret of the test's", Origin: origin, Scopes: []string{"openid", "profile", "groups"},
			NameClaim: "preferred_username", GroupsClaim: "groups", ProviderExit: true, Client: &http.Client{Transport: transport, Timeout: time.Minute},
		}
	}
}

// providerDir is where npm has put the certified provider that the lock file names, and its script: a cache, for it takes a while
// and the network.
func providerDir(t testing.TB) string {
	t.Helper()
	npm := testenv.Program(t, "npm", "npm")
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	const from = "oidc-provider"
	names := []string{"package-lock.json", "package.json", ".npmrc", "provider.mjs"}
	files, sum := map[string][]byte{}, sha256.New()
	for _, name := range names {
		files[name], err = providerFiles.ReadFile(from + "/" + name)
		require.NoError(t, err)
		_, _ = sum.Write(files[name])
	}
	dir := filepath.Join(cache, "shadow-test", "oidc-provider-"+hex.EncodeToString(sum.Sum(nil)[:6]))
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "oidc-provider")); err == nil {
		return dir
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o755))
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	require.NoError(t, err)
	defer os.RemoveAll(fresh)
	for name, data := range files {
		require.NoError(t, os.WriteFile(filepath.Join(fresh, name), data, 0o644))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = fresh
	if out, err := cmd.CombinedOutput(); err != nil {
		testenv.Lack(t, "npm can't fetch oidc-provider: %v: %s", err, out)
	}
	_ = os.Rename(fresh, dir) // another test may have been quicker
	return dir
}
