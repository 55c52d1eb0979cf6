package rfc6455

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The RFC's own example (§1.3).
func TestAccept(t *testing.T) {
	assert.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", Accept("dGhlIHNhbXBsZSBub25jZQ=="))
}
