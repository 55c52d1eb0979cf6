package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"vda.internal/shadow/internal/keyfile"
)

// TOML writes c as a file, with a comment on every key. Loaded again it is c.
func (c *Config) TOML() []byte { return keyfile.Print(c.keys(), c.endTable) }

// Fingerprint tells whether two configurations are the same in all that is
// read only when shadowd starts: all but the VDA's two values and where they are, and the fleet.
func (c *Config) Fingerprint() string {
	rest := *c
	rest.EnableSessionShadowing, rest.ShadowingUseSSL = false, false
	rest.Settings, rest.Ctxreg = "", ""
	rest.Fleet = Default().Fleet
	sum := sha256.Sum256(rest.TOML())
	return hex.EncodeToString(sum[:8])
}

// endTable writes what follows a table's own keys.
func (c *Config) endTable(b *strings.Builder, table string) {
	switch table {
	case "consent.texts":
		b.WriteString("\n" + rulesComment)
		for i := range c.Consent.Rules {
			keyfile.PrintTable(b, rulesKey, ruleKeys(&c.Consent.Rules[i])) // lists that match everything are left out
			b.WriteString("\n")
		}
	case "sessions":
		for i := range c.Sessions.Static {
			fmt.Fprintln(b)
			keyfile.PrintTable(b, staticKey, staticKeys(&c.Sessions.Static[i]))
		}
	}
}
