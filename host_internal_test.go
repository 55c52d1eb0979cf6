package shadow

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestIsFullNameOf(t *testing.T) {
	assert.True(t, isFullNameOf("vda1.corp.example.", "VDA1"))
	assert.False(t, isFullNameOf("vda1.", "vda1"))
	assert.False(t, isFullNameOf("vda10.corp.example", "vda1"))
	assert.False(t, isFullNameOf("localhost", "vda1"))
}
