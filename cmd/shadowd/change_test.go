package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/fleet/spool"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/sessions"
	"vda.internal/shadow/source"
)

// enrolled makes a host that joins a fleet of which no server answers. join is what SIGHUP does.
func enrolled(t *testing.T) (m *member, c config.Fleet, join func(config.Fleet) error) {
	t.Helper()
	dir := t.TempDir()
	s, err := spool.Open(filepath.Join(dir, "try"), spool.Options{})
	if errors.Is(err, os.ErrPermission) {
		testenv.Lack(t, "the way to the test's folder isn't only ours: %v", err)
	}
	require.NoError(t, err)
	require.NoError(t, s.Close())
	giveKey(t, filepath.Join(dir, "credentials"))
	engine, err := shadow.New(shadow.Config{Sessions: sessions.Static{}, Prompter: consent.Deny{}, Source: &source.X11vnc{}})
	require.NoError(t, err)
	m = &member{logger: zerolog.Nop(), own: func(shadow.Event) error { return nil }}
	t.Cleanup(m.close)
	c = config.Fleet{
		Servers: []string{"nats://127.0.0.1:1"}, Credentials: filepath.Join(dir, "credentials"), Views: "dial-out",
		Audit: "required", Spool: filepath.Join(dir, "spool"), SpoolMiB: 32,
	}
	return m, c, func(c config.Fleet) error { return m.join(c, engine, nil) }
}

// giveKey gives the host a key, as shadowctl enroll does.
func giveKey(t *testing.T, path string) {
	t.Helper()
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	seed, err := key.Seed()
	require.NoError(t, err)
	require.NoError(t, (&enrol.Credentials{ID: "vda1", Seed: string(seed), JWT: "jwt", Fleet: []string{"key"}}).Save(path))
}

// waiting is how many lines the spool in use has, and fails if there is none.
func (m *member) waiting(t *testing.T) int {
	t.Helper()
	s := m.spooled.Load()
	require.NotNil(t, s, "what happens isn't spooled")
	return s.State().Events
}

// A change of the fleet that can't be made leaves what there was, as the log says.
func TestFailedChangeKeepsTheFleet(t *testing.T) {
	m, c, join := enrolled(t)
	require.NoError(t, join(c))
	require.NoError(t, m.audit(shadow.Event{ID: "before"}))
	for name, change := range map[string]func(*config.Fleet){
		"another spool that can't be made": func(c *config.Fleet) { c.Spool = "/etc/passwd/spool" },
		"no credentials":                   func(c *config.Fleet) { c.Credentials += ".none" },
		"a key that can't be read": func(c *config.Fleet) {
			data, err := os.ReadFile(c.Credentials)
			require.NoError(t, err)
			c.Credentials += ".mistyped"
			require.NoError(t, os.WriteFile(c.Credentials, []byte(strings.Replace(string(data), `"seed": "SU`, `"seed": "XX`, 1)), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			other := c
			change(&other)
			require.Error(t, join(other))
			had := m.waiting(t)
			require.NoError(t, m.audit(shadow.Event{ID: name}))
			assert.Equal(t, had+1, m.waiting(t))
			require.NotNil(t, m.now, "it has left the fleet")
		})
	}
}

// Another server, another key or other bounds change nothing of the spool, nor of the ports of views that are away.
func TestChangeKeepsTheSpool(t *testing.T) {
	m, c, join := enrolled(t)
	require.NoError(t, join(c))
	s, views := m.spooled.Load().Spool, m.now.views
	require.NoError(t, m.audit(shadow.Event{ID: "before"}))
	stop := make(chan struct{})
	written := make(chan int)
	go func() { // each line while it changes is spooled, too
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				written <- n
				return
			default:
				assert.NoError(t, m.audit(shadow.Event{ID: "meanwhile", Detail: strconv.Itoa(n)}))
			}
		}
	}()
	for _, change := range []func(){
		func() { c.Servers = []string{"nats://127.0.0.1:2"} },
		func() { giveKey(t, c.Credentials) },
		func() { c.SpoolMiB = 64 },
	} {
		change()
		require.NoError(t, join(c))
		assert.Same(t, s, m.spooled.Load().Spool)
		assert.Same(t, views, m.now.views)
	}
	close(stop)
	assert.Equal(t, 1+<-written, m.waiting(t))
}

// A line that meets the end of the spool before goes into the one that has come.
func TestChangeOfTheSpool(t *testing.T) {
	m, c, join := enrolled(t)
	require.NoError(t, join(c))
	former := m.spooled.Load()
	c.Spool += "2"
	require.NoError(t, join(c))
	require.ErrorIs(t, former.Append("a", []byte("{}")), spool.ErrClosed)
	require.NoError(t, m.spool(former, shadow.Event{ID: "late"}))
	assert.Equal(t, 1, m.waiting(t))
}

// Lines that wait in a spool are delivered though the configuration names another by now, before those of the new one:
// after a change while shadowd runs, and after a restart.
func TestLinesOfTheSpoolBefore(t *testing.T) {
	m, c, join := enrolled(t)
	m.state = t.TempDir()
	require.NoError(t, join(c))
	require.NoError(t, m.audit(shadow.Event{ID: "first"}))
	require.NoError(t, m.audit(shadow.Event{ID: "second"}))
	c.Spool += "2"
	require.NoError(t, join(c)) // SIGHUP
	require.NoError(t, m.audit(shadow.Event{ID: "third"}))
	back := c
	back.Spool = strings.TrimSuffix(c.Spool, "2")
	require.ErrorContains(t, join(back), "delivered first")
	require.Equal(t, 3, m.now.lines.waiting())
	m.close()

	again := &member{logger: zerolog.Nop(), own: m.own, state: m.state}
	t.Cleanup(again.close)
	engine, err := shadow.New(shadow.Config{Sessions: sessions.Static{}, Prompter: consent.Deny{}, Source: &source.X11vnc{}})
	require.NoError(t, err)
	c.Spool += "3"
	require.NoError(t, again.join(c, engine, nil))
	require.NoError(t, again.audit(shadow.Event{ID: "fourth"}))
	lines := again.now.lines
	require.Equal(t, 4, lines.waiting())
	for _, want := range []string{"first", "second", "third", "fourth"} {
		id, data, err := lines.Peek(t.Context())
		require.NoError(t, err)
		assert.Contains(t, string(data), want)
		require.NoError(t, lines.Ack(id))
	}
	assert.Zero(t, lines.waiting())
	again.close()

	data, err := os.ReadFile(filepath.Join(m.state, "spools.vda1.json"))
	require.NoError(t, err)
	assert.Contains(t, string(data), c.Spool)
	last := &member{logger: zerolog.Nop(), own: m.own, state: m.state}
	t.Cleanup(last.close)
	require.NoError(t, last.join(c, engine, nil))
	data, err = os.ReadFile(filepath.Join(m.state, "spools.vda1.json"))
	require.NoError(t, err)
	assert.JSONEq(t, `[`+strconv.Quote(c.Spool)+`]`, string(data), "empty ones are forgotten")
}
