package shadow

import (
	"net/netip"
	"regexp"

	"vda.internal/shadow/internal/strangers"
)

// quieted lets those lines pass for which n has room, and adds to their fields how many of their source's
// were left out before.
func quieted(n *strangers.Noise) func(fields map[string]any, message string) bool {
	return func(fields map[string]any, message string) bool {
		left, ok := n.Pass(sourceOf(fields, message))
		if left > 0 {
			fields["left_out"] = left
		}
		return ok
	}
}

// complaint finds whom a line of net/http's is about.
var complaint = regexp.MustCompile(` (?:from|serving) (\S+): `)

// sourceOf is whose line it is, if it says so.
func sourceOf(fields map[string]any, message string) netip.Prefix {
	remote, ok := fields["remote"].(string)
	if !ok {
		if m := complaint.FindStringSubmatch(message); m != nil {
			remote = m[1]
		}
	}
	return strangers.Network(addressOf(remote))
}
