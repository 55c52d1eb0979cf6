package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// TOML writes c as a file, with a comment on every key. Loaded again it is c.
func (c *Config) TOML() []byte {
	var b strings.Builder
	keys := c.keys()
	table := ""
	for _, k := range keys {
		name := k.name
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			if t := name[:i]; t != table {
				c.endTable(&b, table)
				fmt.Fprintf(&b, "\n[%s]\n", t)
				table = t
			}
			name = name[i+1:]
		}
		if k.comment != "" {
			fmt.Fprintf(&b, "# %s\n", k.comment)
		}
		fmt.Fprintf(&b, "%s = %s\n", name, k.value.toml())
	}
	return []byte(b.String())
}

// Fingerprint tells whether two configurations are the same in all that is
// read only when shadowd starts: all but the VDA's two values and where they are.
func (c *Config) Fingerprint() string {
	rest := *c
	rest.EnableSessionShadowing, rest.ShadowingUseSSL = false, false
	rest.Settings, rest.Ctxreg = "", ""
	sum := sha256.Sum256(rest.TOML())
	return hex.EncodeToString(sum[:8])
}

// endTable writes what follows a table's own keys.
func (c *Config) endTable(b *strings.Builder, table string) {
	switch table {
	case "consent.texts":
		c.endConsent(b)
		return
	case "sessions":
	default:
		return
	}
	for i := range c.Sessions.Static {
		fmt.Fprintf(b, "\n[[%s]]\n", staticKey)
		for _, k := range staticKeys(&c.Sessions.Static[i]) {
			fmt.Fprintf(b, "%s = %s\n", k.name, k.value.toml())
		}
	}
}

// endConsent writes the rules. Lists that match everything are left out.
func (c *Config) endConsent(b *strings.Builder) {
	b.WriteString("\n" + rulesComment)
	for i := range c.Consent.Rules {
		fmt.Fprintf(b, "[[%s]]\n", rulesKey)
		for _, k := range ruleKeys(&c.Consent.Rules[i]) {
			if l, ok := k.value.(list); ok && len(*l.dst) == 0 {
				continue
			}
			fmt.Fprintf(b, "%s = %s\n", k.name, k.value.toml())
		}
		b.WriteString("\n")
	}
}
