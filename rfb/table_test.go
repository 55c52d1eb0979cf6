package rfb

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDocumentationIsWhatTheCodeDoes(t *testing.T) {
	var b strings.Builder
	require.NoError(t, WriteTable(&b))
	golden(t, "../docs/rfb.md", b.String())
}

// What the tables say is consistent: a message that is parsed has a length, a
// name belongs to one number, and an encoding that is asked for can be framed.
func TestTables(t *testing.T) {
	for peer, messages := range map[string]*[256]message{"client": &clientMessages, "server": &serverMessages} {
		names := make(map[string]bool)
		for i, m := range messages {
			if m.name == "" {
				assert.Zero(t, m.head, "%s %d", peer, i)
				assert.Zero(t, m.view, "%s %d", peer, i)
				continue
			}
			assert.False(t, names[m.name], "%s %s twice", peer, m.name)
			names[m.name] = true
			assert.NotEmpty(t, m.origin, m.name)
			assert.Equal(t, m.new != nil, m.layout != "" && !strings.Contains(m.layout, "unpublished"), "%s has a type if it has a layout", m.name)
			for _, v := range []verdict{m.view, m.control} {
				if v >= dropped {
					assert.NotZero(t, m.head, "%s %s is parsed and needs a length", peer, m.name)
					assert.NotNil(t, m.new, m.name)
				}
			}
			assert.GreaterOrEqual(t, m.control, m.view, "Control lets no less pass: %s", m.name)
		}
	}
	numbers, names := make(map[Encoding]bool), make(map[string]bool)
	for _, e := range encodings {
		assert.False(t, numbers[e.number] || names[e.name], "%s twice", e.name)
		numbers[e.number], names[e.name] = true, true
		assert.Equal(t, e.name, e.number.String())
		assert.Equal(t, e.new != nil, encodingBit(e.number) != 0)
		if e.asks == viewAsks {
			assert.NotNil(t, e.new, "%s is asked for and must be framed", e.name)
		}
	}
}
