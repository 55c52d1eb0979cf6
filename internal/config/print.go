package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"vda.internal/shadow/internal/keyfile"
)

// TOML writes c as a file, with a comment on every key. Loaded again it is c.
func (c *Config) TOML() []byte { return keyfile.Print(c.keys(), c.endTable) }

// Fingerprint identifies what is read only at the start: two configurations with the same one differ
// in nothing that needs a restart.
func (c *Config) Fingerprint() string {
	keys := slices.DeleteFunc(c.keys(), func(k keyfile.Key) bool { return k.Read != keyfile.AtStart })
	sum := sha256.Sum256(keyfile.Print(keys, c.endTable))
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
