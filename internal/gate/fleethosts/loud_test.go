package fleethosts_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/fleethosts"
	"vda.internal/shadow/internal/gate/testgate"
)

// Who has a host's key can sign what he likes as that host's: of that, too, the log has a few short lines, with how many were left
// out.
func TestLoudPresences(t *testing.T) {
	r := newRig(t)
	c := r.Enroll("vda2")
	key, err := nkeys.FromSeed([]byte(c.Seed))
	require.NoError(t, err)
	nc, _ := r.As(c)
	log := &testgate.Log{}
	d := fleethosts.New(r.Conn("gate1"), fleethosts.Options{Fleet: r.Keys.Fleet(), Revoked: r.Server.Revoke, Logger: zerolog.New(log)})
	g := testgate.New(t, nil, testgate.Options{Gate: func(c *gate.Config) { c.Directory, c.Logger = d, zerolog.New(log) }})
	alice := g.SignIn("alice")
	since := time.Now()
	say := func(i int, change func(*fleet.Presence)) {
		t.Helper()
		p := &fleet.Presence{ID: "vda2", Boot: "b", Since: since, Time: since.Add(time.Duration(i) * time.Microsecond), Sessions: []api.Session{}, Shadows: []api.Status{}}
		change(p)
		data, err := fleet.SignPresence(key, p)
		require.NoError(t, err)
		require.NoError(t, nc.Publish(fleet.PresenceSubject("vda2"), data))
	}
	const each = 500
	for i := range each {
		say(i, func(p *fleet.Presence) { p.Failed = strings.Repeat("x", 1000) + fmt.Sprint(i) })
	}
	for i := range each {
		say(each+i, func(p *fleet.Presence) { p.LeftOut = i % 2 })
	}
	require.Eventually(t, func() bool { // the last may be one of those that went over the host's rate
		say(int(time.Since(since).Microseconds()), func(p *fleet.Presence) { p.Sessions = []api.Session{{ID: "last", User: "ann"}} })
		resp, err := alice.Send(t.Context(), http.MethodGet, "/api/v1/sessions", nil)
		require.NoError(t, err)
		defer resp.Body.Close()
		var rows gate.RowList
		return json.NewDecoder(resp.Body).Decode(&rows) == nil && len(rows.Sessions) == 1
	}, testgate.Patience, 100*time.Millisecond)
	took := int(time.Since(since) / (10 * time.Second))
	crowded := 0
	for line := range strings.Lines(log.String()) {
		assert.Less(t, len(line), 1000)
		if strings.Contains(line, "more sessions than it can report") {
			crowded++
		}
	}
	assert.Positive(t, crowded)
	assert.LessOrEqual(t, crowded, 10+took+1)
	assert.LessOrEqual(t, strings.Count(log.String(), `"message":"host"`), 10+took+1)
}
