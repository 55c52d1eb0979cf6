package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/testenv"
)

// A terminal is a pseudoterminal and what was written to it.
type terminal struct {
	*os.File // the program's end
	keys     *os.File

	mu   sync.Mutex
	seen bytes.Buffer
	over chan struct{}
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		testenv.Lack(t, "there are no pseudoterminals here: %v", err)
	}
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	term := &terminal{File: slave, keys: master, over: make(chan struct{})}
	go func() {
		defer close(term.over)
		buf := make([]byte, 4096)
		for {
			k, err := master.Read(buf)
			term.mu.Lock()
			term.seen.Write(buf[:k])
			term.mu.Unlock()
			if err != nil { // EIO: the other end is closed
				return
			}
		}
	}()
	t.Cleanup(func() { _ = slave.Close(); <-term.over; _ = master.Close() })
	return term
}

// answer waits for a question and types an answer to it.
func (t *terminal) answer(test *testing.T, question, keys string) {
	test.Helper()
	require.Eventually(test, func() bool { return strings.Contains(t.String(), question) }, 5*time.Minute, time.Millisecond, "%s", question)
	_, err := t.keys.WriteString(keys)
	require.NoError(test, err)
}

func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen.String()
}

// On a terminal the seconds that are left are shown, once the user really is asked, and how
// to open the view.
func TestAskingOnATerminal(t *testing.T) {
	term := newTerminal(t)
	e := &fakeEngine{}
	e.answer = func(ctx context.Context, r shadow.Request) (*shadow.Grant, error) {
		e.send(
			shadow.Event{Type: shadow.EventPrompted, ID: "other", Until: time.Now().Add(time.Hour)},
			shadow.Event{Type: shadow.EventRequested, ID: "ab12", Session: r.Session, Admin: r.Admin})
		assert.NotContains(t, term.String(), "Asking", "the user isn't asked yet")
		e.send(shadow.Event{Type: shadow.EventPrompted, ID: "ab12", Until: time.Now().Add(20 * time.Second)})
		assert.Eventually(t, func() bool {
			return strings.Contains(term.String(), "20 s left") && strings.Contains(term.String(), "19 s left")
		}, patience, 10*time.Millisecond)
		e.send(shadow.Event{Type: shadow.EventGranted, ID: "ab12", Consent: string(consent.ByAnswer)})
		g, err := granted(ctx, r)
		g.Page, g.Expires = "http://vda1.corp:6001/#t", time.Date(2026, 1, 2, 15, 4, 5, 0, time.Local)
		return g, err
	}
	var stdout bytes.Buffer
	status := run(t.Context(), "shadowctl", []string{"--socket", daemon(t, e), "shadow", "42", "--admin", "a"}, &stdout, term.File)
	require.NoError(t, term.File.Close())
	<-term.over
	assert.Equal(t, exitDone, status)
	assert.Equal(t, "ws://vda1.corp:6001/websockify?token=t&x\n", stdout.String())
	said := term.String()
	assert.NotContains(t, said, "3600 s")
	assert.Contains(t, said, "The user said Yes. Open this in a browser; it works once, until 15:04:05:\r\n\r\n  http://vda1.corp:6001/#t\r\n")
}

// What allows a view is said as it is: not every grant is the user's Yes.
func TestGrantedWithoutAYes(t *testing.T) {
	for basis, words := range map[consent.Basis]string{
		consent.ByNotice: "the user wasn't asked, but has seen", consent.BySilence: "The user didn't answer", consent.ByLock: "The screen is locked",
		consent.ByRuleOnly: "this host's rules let you view",
	} {
		term := newTerminal(t)
		e := &fakeEngine{}
		e.answer = func(ctx context.Context, r shadow.Request) (*shadow.Grant, error) {
			e.send(shadow.Event{Type: shadow.EventGranted, ID: "ab12", Consent: string(basis)})
			return granted(ctx, r)
		}
		var stdout bytes.Buffer
		status := run(t.Context(), "shadowctl", []string{"--socket", daemon(t, e), "shadow", "42", "--admin", "a"}, &stdout, term.File)
		require.NoError(t, term.File.Close())
		<-term.over
		assert.Equal(t, exitDone, status)
		assert.Contains(t, term.String(), words)
		assert.NotContains(t, term.String(), "said Yes")
	}
}

// Who is refused before the user was asked isn't told that the user is asked.
func TestRefusedOnATerminal(t *testing.T) {
	term := newTerminal(t)
	e := &fakeEngine{answer: refused(shadow.NoUser, "")}
	var stdout bytes.Buffer
	status := run(t.Context(), "shadowctl", []string{"--socket", daemon(t, e), "shadow", "42", "--admin", "a"}, &stdout, term.File)
	require.NoError(t, term.File.Close())
	<-term.over
	assert.Equal(t, exitRefused, status)
	assert.NotContains(t, term.String(), "Asking")
	assert.True(t, strings.HasPrefix(term.String(), "shadowctl: refused (no_user)"), "%q", term.String())
}

// With --json nothing else is said, on a terminal either.
func TestJSONOnATerminal(t *testing.T) {
	term := newTerminal(t)
	e := &fakeEngine{answer: granted}
	var stdout bytes.Buffer
	status := run(t.Context(), "shadowctl", []string{"--json", "--socket", daemon(t, e), "shadow", "42", "--admin", "a"}, &stdout, term.File)
	require.NoError(t, term.File.Close())
	<-term.over
	assert.Equal(t, exitDone, status)
	assert.Empty(t, term.String())
}
