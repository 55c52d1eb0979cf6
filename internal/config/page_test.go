package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/keyfile"
)

// The configurations that the page on consent shows can be used, and its test of them says what shadowctl would.
func TestConsentPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/consent.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllSubmatch(page, -1)
	require.NotEmpty(t, blocks)
	var rules policy.Rules
	for _, block := range blocks {
		path := filepath.Join(t.TempDir(), "shadowing.toml")
		require.NoError(t, os.WriteFile(path, block[1], 0o600))
		cfg, err := Load(path)
		require.NoError(t, err, "%s", block[1])
		for i, rule := range cfg.Consent.Rules {
			assert.True(t, len(rule.Accounts) > 0 || !rule.WithoutYes(), "rule %d allows something, and names no accounts, against the page's advice", i+1)
		}
		rules = cfg.Consent.Rules
	}
	v := rules.Decide(policy.Request{
		Admin: `CORP\alice`, Account: "director", Groups: []string{"helpdesk"},
		User: "kim", UserGroups: []string{"kim", "users"}, Session: "c2", Type: "x11",
	})
	for line := range strings.Lines(v.Why + "rule " + v.Name() + " decides, for account director: ") {
		assert.Contains(t, string(page), "\n"+line)
	}
}

// The page on configuration says when a change of each key takes effect.
func TestConfigurePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/configure.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "## When a change takes effect\n")
	require.True(t, found)
	rows := regexp.MustCompile(`(?m)^\| ([^-|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(table, -1)
	require.Len(t, rows, 4, "a heading, and a row for each moment")
	keys := Default().keys()
	for i, at := range []keyfile.Moment{keyfile.AtRequest, keyfile.AtHangup} {
		var want []string
		for _, k := range keys {
			if k.Read == at {
				want = append(want, k.Name)
			}
		}
		var got []string
		for _, m := range regexp.MustCompile("`([A-Za-z_]+(?:\\.[a-z_*]+)?)`").FindAllStringSubmatch(rows[i+1][2], -1) {
			prefix, whole := strings.CutSuffix(m[1], "*")
			for _, k := range keys {
				if k.Name == m[1] || whole && strings.HasPrefix(k.Name, prefix) {
					got = append(got, k.Name)
				}
			}
		}
		if at == keyfile.AtRequest { // of the certificate only the place needs a restart
			got = slices.DeleteFunc(got, func(k string) bool { return k == "tls.dir" })
		}
		assert.ElementsMatch(t, want, got, rows[i+1][1])
	}
	assert.Equal(t, "all other keys", rows[3][2])
}
