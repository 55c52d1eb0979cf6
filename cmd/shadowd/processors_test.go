package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestProcessorsGrowWithTheViews(t *testing.T) {
	for _, c := range []struct{ shadows, most, want int }{
		{0, 1, 1}, {99, 1, 1},
		{0, 8, 1}, {1, 8, 1}, {15, 8, 1}, {16, 8, 2}, {99, 8, 7}, {500, 8, 8},
	} {
		assert.Equal(t, c.want, processors(c.shadows, c.most), "%d shadows, %d processors", c.shadows, c.most)
	}
}
