package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent/policy"
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
