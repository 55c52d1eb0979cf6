package policy

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPurpose(t *testing.T) {
	ticket := regexp.MustCompile(`^INC-[0-9]+\b`)
	for _, c := range []struct {
		p      Purpose
		reason string
		says   string // empty: it is fine
	}{
		{Purpose{}, "", ""},
		{Purpose{}, "anything", ""},
		{Purpose{Mode: Hidden}, "", ""},
		{Purpose{Mode: Required}, "", "none was given"},
		{Purpose{Mode: Required}, "anything", ""},
		{Purpose{Mode: Required, Hint: "say what you want to see"}, "", "none was given: say what you want to see"},
		{Purpose{Mode: Required, Hint: "say what you want to see"}, "anything", ""},
		{Purpose{Hint: "say what you want to see"}, "", ""},
		{Purpose{Pattern: ticket}, "", ""},
		{Purpose{Pattern: ticket}, "anything", `it has to match "^INC-[0-9]+\\b"`},
		{Purpose{Pattern: ticket}, "INC-1234 screen flickers", ""},
		{Purpose{Mode: Hidden, Pattern: ticket}, "see INC-1", "doesn't fit"},
		{Purpose{Mode: Required, Pattern: ticket, Hint: "begin with the ticket"}, "", "none was given: begin with the ticket"},
		{Purpose{Mode: Required, Pattern: ticket, Hint: "begin with the ticket"}, "INC", "this one doesn't fit: begin with the ticket"},
		{Purpose{Mode: Required, Pattern: regexp.MustCompile("")}, "", "none was given"},
	} {
		if err := c.p.Check(c.reason); c.says == "" {
			assert.NoError(t, err, "%+v %q", c.p, c.reason)
		} else {
			assert.ErrorContains(t, err, c.says, "%+v %q", c.p, c.reason)
		}
	}
}
