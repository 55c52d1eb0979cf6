package desktop

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
)

// hear is the decision about a child that says s, in pieces of n bytes.
func hear(s string, n int) (consent.Decision, error) {
	t := newQuestionTranscript()
	for len(s) > 0 {
		cut := min(n, len(s))
		if _, err := t.Write([]byte(s[:cut])); err != nil {
			break
		}
		s = s[cut:]
	}
	return t.decision()
}

func TestTranscript(t *testing.T) {
	for s, want := range map[string]consent.Decision{"shown\nyes\n": consent.Granted, "shown\nno\n": consent.Denied, "shown\nclosed\n": consent.Closed, "closed\n": consent.Closed, "locked\n": consent.Locked, "shown\nlocked\n": consent.Locked, "shown\ntimeout\n": consent.TimedOut} {
		d, err := hear(s, len(s))
		require.NoError(t, err, s)
		assert.Equal(t, want, d, s)
	}
	for s, want := range map[string]error{"gone\n": consent.ErrGone, "shown\ngone\n": consent.ErrGone, "display no X server\n": consent.ErrDisplay, "": errNoAnswer, "shown\n": errNoAnswer, "shown\nyes": errNoAnswer, "sho": errNoAnswer} {
		d, err := hear(s, max(1, len(s)))
		assert.ErrorIs(t, err, want, s)
		assert.Equal(t, consent.Denied, d, s)
	}
	for _, s := range []string{
		"yes\n", "no\n", "timeout\n", "locked\nlocked\n", "shown\nshown\n", "shown\nyes\n\n", "shown\nyes\nno\n", "shown\nno\nyes\n", "shown\nYES\n", "shown\nyes \n", "shown \nyes\n",
		" shown\nyes\n", "shown\r\nyes\r\n", "\n", "hello\n", "shown\nyes\x00\n", "display\n", "shown\nyes\nx", strings.Repeat("x", maxAnswer), "failed " + strings.Repeat("x", maxAnswer) + "\n",
	} {
		d, err := hear(s, len(s))
		assert.ErrorContains(t, err, "broke the protocol", "%q", s)
		assert.Equal(t, consent.Denied, d)
	}
	_, err := hear("failed out of\tpaper \x1b[31m\n", 5)
	assert.EqualError(t, err, "consent: the prompt failed: out of paper [31m")
	_, err = hear("display refused: "+strings.Repeat("x", 400)+"\n", 100)
	assert.ErrorIs(t, err, consent.ErrDisplay)
}

func FuzzTranscript(f *testing.F) {
	for _, s := range []string{"shown\nyes\n", "shown\nno\n", "closed\n", "gone\n", "display x\n", "failed x\n", "yes\n", "shown\nyes\nyes\n", "shown\ntimeout\n", "locked\n", "shown\nalive\nstopped\nalive\nover\n", strings.Repeat("x", 600)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := hear(s, max(1, len(s)))
		for _, n := range []int{1, 7} {
			cut, cutErr := hear(s, n)
			assert.Equal(t, d, cut)
			assert.Equal(t, err, cutErr)
		}
		assert.Equal(t, s == "shown\nyes\n", d == consent.Granted, "only one text grants")
		if err != nil {
			assert.Equal(t, consent.Denied, d)
		}
	})
}

// A banner says other things than a question does.
func TestBannerTranscript(t *testing.T) {
	hear := func(s string) *bannerTranscript {
		b := newBannerTranscript()
		_, _ = b.Write([]byte(s))
		return b
	}
	b := hear("shown\nalive\nstopped\nalive\nover\n")
	assert.NoError(t, b.err)
	assert.True(t, b.final && b.stop)
	<-b.isShown
	<-b.stopped
	<-b.alive
	<-b.answered
	assert.ErrorIs(t, hear("shown\nclosed\n").err, consent.ErrStopped)
	assert.ErrorIs(t, hear("gone\n").err, consent.ErrGone)
	assert.False(t, hear("shown\nalive\n").final)
	for _, s := range []string{"alive\n", "stopped\n", "unseen\n", "shown\nstopped\nstopped\n", "shown\nyes\n", "shown\nno\n", "locked\n", "shown\ntimeout\n", "shown\nover\nalive\n"} {
		assert.ErrorContains(t, hear(s).err, "broke the protocol", "%q", s)
	}
	for _, s := range []string{"shown\nalive\n", "over\n", "shown\nstopped\n", "shown\nstopped\nyes\n"} {
		d, err := hearQuestion(s)
		assert.Error(t, err, "%q", s)
		assert.Equal(t, consent.Denied, d)
	}
}

// hearQuestion is the decision about a child that says s in one.
func hearQuestion(s string) (consent.Decision, error) { return hear(s, len(s)) }

// read is what the child gets of a line.
func read(line string) (message, error) {
	return readMessage(bufio.NewReaderSize(strings.NewReader(line), maxMessage))
}

// hand is a message as the child gets it.
func hand(t *testing.T, m message) message {
	t.Helper()
	line, err := m.encode()
	require.NoError(t, err)
	assert.Equal(t, 1, bytes.Count(line, []byte("\n")))
	got, err := read(string(line))
	require.NoError(t, err)
	return got
}

func TestMessage(t *testing.T) {
	r := consent.Request{Admin: "CORP\\alice", Host: "vda1", Display: ":1", UID: 1000}
	q := newQuestion(r, consent.Texts{Yes: "Aye"})
	q.Millis = 20000
	got := hand(t, message{Question: q})
	assert.Equal(t, q, got.Question)
	assert.Nil(t, got.Banner)
	assert.Equal(t, "Aye", got.Question.Yes)
	assert.Equal(t, `CORP\alice wants to view your screen`, got.Question.Head.Text(0))
	assert.Equal(t, "unix:path=/run/user/1000/bus", got.Question.Bus)
	r.Bus = "unix:abstract=x"
	assert.Equal(t, "unix:abstract=x", newQuestion(r, consent.Texts{}).Bus)

	r.Replaces, r.ReplacesUnverified = `CORP\bob`, true
	q = newQuestion(r, consent.Texts{})
	q.Millis = 20000
	watcher := consent.Texts{}.Wording(r).Watcher
	require.NotEmpty(t, watcher)
	assert.Equal(t, watcher, hand(t, message{Question: q}).Question.dialog(time.Second).Watcher, "in a window")
	assert.Contains(t, q.notification(time.Second).Body, "if you say Yes.\n"+watcher.Text(0), "in a notification")

	r.Basis = consent.ByNotice
	q = newNotice(r, consent.Texts{})
	q.Millis = 20000
	notice := hand(t, message{Question: q}).Question
	assert.Equal(t, `CORP\bob is watching now and will be disconnected.`, notice.dialog(time.Second).Replaces.Text(0), "nobody says Yes to a notice")
	assert.Equal(t, watcher, notice.Watcher)
	r.Basis = consent.ByAnswer

	b := newBanner(consent.Texts{}.Wording(r))
	b.Why = "The viewer disconnected"
	assert.Equal(t, b, hand(t, message{Banner: b}).Banner)
}

// The longest there can be is still within the bound.
func TestLongestMessage(t *testing.T) {
	full := func(holds string) string { return strings.Repeat(holds, 200/len(holds)) }
	texts := consent.Texts{
		Question: full("{admin}"), Sees: full("{host}"), Cannot: full("<"), Replaces: full("{replaces}"), Countdown: full("{seconds}"),
		No: strings.Repeat("<", 24), Yes: strings.Repeat(">", 24), Viewing: full("{admin}"), Ended: full("{admin}"), Stop: strings.Repeat("<", 24),
	}
	require.NoError(t, texts.Validate())
	name := strings.Repeat("\U00020000", 100)
	r := consent.Request{Admin: name, Host: name, Replaces: name, Bus: "unix:path=/" + strings.Repeat("<", 500)}
	q := newQuestion(r, texts)
	q.Millis = time.Hour.Milliseconds()
	hand(t, message{Question: q})
	b := newBanner(texts.Wording(r))
	b.Why = strings.Repeat("\U00020000", 200)
	hand(t, message{Banner: b})
}

// What departs from the protocol is refused, and said.
func TestBadMessage(t *testing.T) {
	valid := func() *question {
		q := newQuestion(consent.Request{Admin: "a"}, consent.Texts{})
		q.Millis = 1
		return q
	}
	line := func(m message) string {
		b, err := m.encode()
		require.NoError(t, err)
		return string(b)
	}
	_, err := read(line(message{Question: valid()}))
	require.NoError(t, err, "or the rest means nothing")
	for says, change := range map[string]func(q *question){
		"no time":                 func(q *question) { q.Millis = 0 },
		"buttons are the same":    func(q *question) { q.No = q.Yes },
		"or have no words":        func(q *question) { q.Yes = "" },
		"lacks a sentence":        func(q *question) { q.Sees = nil },
		`is a "colour"`:           func(q *question) { q.Head = consent.Sentence{{Text: "a", Role: "colour"}} },
		"not one line of at most": func(q *question) { q.Language = strings.Repeat("a", maxMessage) },
	} {
		q := valid()
		change(q)
		_, err := read(line(message{Question: q}))
		assert.ErrorContains(t, err, says)
	}
	b := newBanner(consent.Texts{}.Wording(consent.Request{}))
	_, err = read(line(message{Question: valid(), Banner: b}))
	assert.ErrorContains(t, err, "more than one of them")
	b.Stop = ""
	_, err = read(line(message{Banner: b}))
	assert.ErrorContains(t, err, "the banner lacks words")
	whole := strings.TrimSuffix(line(message{Question: valid()}), "\n")
	for _, s := range []string{"", "{}", "{}\n", "null\n", whole, whole + "{}\n", whole + "\n\n", `{"colour":"red"}` + "\n", `{"question":{"texts":{}}}` + "\n"} {
		_, err := read(s)
		assert.Error(t, err, "%.60q", s)
	}
}

func FuzzReadMessage(f *testing.F) {
	q := newQuestion(consent.Request{Admin: "a", Replaces: "b"}, consent.Texts{})
	q.Millis = 1
	for _, m := range []message{{Question: q}, {Banner: newBanner(consent.Texts{}.Wording(consent.Request{Admin: "a"}))}} {
		line, err := m.encode()
		require.NoError(f, err)
		f.Add(string(line))
	}
	f.Add("{}\n")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := read(s)
		if err != nil {
			return
		}
		assert.NotEqual(t, m.Question == nil, m.Banner == nil)
		if m.Question != nil {
			assert.True(t, m.Question.Millis > 0 && m.Question.No != m.Question.Yes)
		}
	})
}
