package doctor

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testnotify"
)

// A desktop that can ask in a notification is found to do so.
func TestNotifications(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	p := w.well(t)
	p.notify(bus(t))
	startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{})
	service := testnotify.Start(t, p.session.Bus, "actions", "body")
	r := p.examine()
	assert.True(t, r.Works, "%+v", r.Checks)
	question := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Name == "question" })
	require.GreaterOrEqual(t, question, 0)
	assert.Equal(t, Check{Name: "question", State: OK, Found: "user1 can be asked in a notification (testnotify), and has 20s"}, r.Checks[question])
	assert.Empty(t, service.Shown, "nobody was asked")
}

// Without a session all that can be shadowed are looked at.
func TestAllSessions(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	p := w.well(t)
	p.Session = ""
	gone := *p.session
	gone.ID, gone.Display = "43", ":59996"
	greeter := &shadow.Session{ID: "c1", User: "gdm", Class: "greeter"}
	p.host.resolver = sessionsOf{p.session, &gone, greeter}
	startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{})
	r := p.examine()
	states := map[string]State{}
	for _, c := range r.Checks {
		states[c.Name] = c.State
	}
	assert.Equal(t, OK, states["sessions"])
	assert.Equal(t, OK, states["session 42"])
	assert.Equal(t, Bad, states["session 43"])
	assert.NotContains(t, states, "session c1")
}

// Who is asked is a matter of the host, whether anybody is there or not.
func TestThePrompterIsJudgedOnce(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	second := *w.well(t).session
	second.ID = "43"
	for _, there := range []bool{true, false} {
		p := w.well(t)
		p.Session = ""
		p.session.Locked = !there
		p.host.resolver = sessionsOf{p.session}
		if there {
			p.host.resolver = sessionsOf{p.session, &second}
		}
		p.tables["consent"] = "prompter = \"deny\"\n"
		startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{})
		var questions []Check
		for _, c := range p.examine().Checks {
			if c.Name == "question" {
				questions = append(questions, c)
			}
		}
		require.Len(t, questions, 1)
		assert.Equal(t, Bad, questions[0].State)
	}
}
