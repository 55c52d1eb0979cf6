package shadow

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The longest event that there can be fits a line of the fleet's audit.
func TestEventsAreShort(t *testing.T) {
	b := broadcaster{audit: newAuditor(nil, zerolog.Nop())}
	events := b.subscribe(t.Context())
	name, purpose := strings.Repeat("<", 256), strings.Repeat("\U0001f980", 200)
	caller := &Caller{UID: 1<<32 - 1, PID: 1<<31 - 1, User: name, Gate: name}
	b.send(Event{
		Type: EventRequested, ID: name, Session: name, User: name, Admin: name, Client: name, Identity: name, Purpose: purpose,
		Viewer: name, Detail: strings.Repeat("<", maxDetail-1) + strings.Repeat("ü", 100_000), Caller: caller, EndedBy: caller,
	})
	e := <-events
	assert.Len(t, e.Detail, maxDetail-1+len("…"))
	assert.True(t, strings.HasSuffix(e.Detail, "<…"), "half a character is left")
	data, err := json.Marshal(e)
	require.NoError(t, err)
	assert.Less(t, len(data), 31<<10) // fleet.MaxLine without its headers
}
