package house

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// prefixed are the errors that may begin with a word and a colon, and why.
var prefixed = map[string]string{
	"consent/desktop/child.go: panic": "no package: what happened",
}

// An error begins with its package's name only where others import the package, and there by [named.Package]:
// what people read must not have it, and nobody has to take it off again.
func TestErrorsDoNotNamePackages(t *testing.T) {
	begins := regexp.MustCompile("(?:errors\\.New|fmt\\.Errorf)\\(\\s*[\"`]([a-z][a-z0-9]*): ")
	found := map[string]bool{}
	for path, text := range sources(t) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, m := range begins.FindAllStringSubmatch(text, -1) {
			key := path + ": " + m[1]
			found[key] = true
			assert.Contains(t, prefixed, key, "an internal package doesn't name itself; a public one has a named.Package")
		}
	}
	for key := range prefixed {
		assert.True(t, found[key], "%s isn't there any more: take it off the list", key)
	}
}
