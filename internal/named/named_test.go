package named_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow/internal/named"
)

func TestText(t *testing.T) {
	const ours, theirs = named.Package("source"), named.Package("rfb")
	sentinel := theirs.New("no such type")
	for text, err := range map[string]error{
		"plain":                                       errors.New("plain"),
		"no such type":                                sentinel,
		"greeting: no such type: 7":                   fmt.Errorf("greeting: %w: 7", sentinel),
		"the server: no such type":                    ours.Errorf("the server: %w", sentinel),
		"the server: read: EOF":                       ours.Errorf("the server: %w", fmt.Errorf("read: %w", io.EOF)),
		"one: no such type\ntwo":                      errors.Join(ours.Errorf("one: %w", sentinel), ours.New("two")),
		"no such type; no such type and no such type": ours.Errorf("%w; %w and %w", sentinel, sentinel, sentinel),
		"rfb: as somebody says":                       errors.New("rfb: as somebody says"),
	} {
		assert.Equal(t, text, named.Text(err))
	}
}

// An error names the package that returned it, and no other.
func TestError(t *testing.T) {
	const ours, theirs = named.Package("source"), named.Package("rfb")
	err := ours.Errorf("the server: %w", theirs.Errorf("handshake: %w", io.EOF))
	assert.EqualError(t, err, "source: the server: handshake: EOF")
	assert.ErrorIs(t, err, io.EOF)
	assert.EqualError(t, fmt.Errorf("opening: %w", err), "opening: source: the server: handshake: EOF")
}
