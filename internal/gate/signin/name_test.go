package signin

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Nobody signs in by a name that is another's for hosts, which clean what they are told.
func TestNamesAreThoseOfHosts(t *testing.T) {
	for name, good := range map[string]bool{
		"alice": true, "Änne Ng": true, "山田": true,
		"al\u200bice": false, "al\u00adice": false, "alice  ng": false, "al\ue000ice": false, "alice\u202e": false,
	} {
		assert.Equal(t, good, checkName(name) == nil, "an account %+q", name)
		assert.Equal(t, good, (&Stated{Name: name}).check() == nil, "somebody that a proxy or a provider names %+q", name)
	}
}
