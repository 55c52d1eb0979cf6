package shadow

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A line of net/http's names its source in the text.
func TestSourcesOfLines(t *testing.T) {
	for message, want := range map[string]string{
		"http: TLS handshake error from 192.0.2.1:40000: EOF":         "192.0.2.1/32",
		"http: TLS handshake error from [2001:db8:1:2::3]:40000: EOF": "2001:db8:1:2::/64",
		"http: panic serving 192.0.2.1:40000: boom\ngoroutine":        "192.0.2.1/32",
		"http: Accept error: too many open files; retrying in 5ms":    "invalid Prefix",
		"": "invalid Prefix",
	} {
		assert.Equal(t, want, sourceOf(map[string]any{}, message).String(), message)
	}
	assert.Equal(t, "192.0.2.7/32", sourceOf(map[string]any{"remote": "192.0.2.7:1"}, " from 192.0.2.1:1: x").String())
}
