package consent

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hear is the decision about a child that says s, in pieces of n bytes.
func hear(s string, n int) (Decision, error) {
	t := newTranscript()
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
	for s, want := range map[string]Decision{"shown\nyes\n": Granted, "shown\nno\n": Denied, "shown\nclosed\n": Closed, "closed\n": Closed, "locked\n": Locked, "shown\nlocked\n": Locked, "shown\ntimeout\n": TimedOut} {
		d, err := hear(s, len(s))
		require.NoError(t, err, s)
		assert.Equal(t, want, d, s)
	}
	for s, want := range map[string]error{"gone\n": ErrGone, "shown\ngone\n": ErrGone, "display no X server\n": ErrDisplay, "": errNoAnswer, "shown\n": errNoAnswer, "shown\nyes": errNoAnswer, "sho": errNoAnswer} {
		d, err := hear(s, max(1, len(s)))
		assert.ErrorIs(t, err, want, s)
		assert.Equal(t, Denied, d, s)
	}
	for _, s := range []string{
		"yes\n", "no\n", "timeout\n", "locked\nlocked\n", "shown\nshown\n", "shown\nyes\n\n", "shown\nyes\nno\n", "shown\nno\nyes\n", "shown\nYES\n", "shown\nyes \n", "shown \nyes\n",
		" shown\nyes\n", "shown\r\nyes\r\n", "\n", "hello\n", "shown\nyes\x00\n", "display\n", "shown\nyes\nx", strings.Repeat("x", maxAnswer), "failed " + strings.Repeat("x", maxAnswer) + "\n",
	} {
		d, err := hear(s, len(s))
		assert.ErrorContains(t, err, "broke the protocol", "%q", s)
		assert.Equal(t, Denied, d)
	}
	_, err := hear("failed out of\tpaper \x1b[31m\n", 5)
	assert.EqualError(t, err, "consent: the prompt failed: out of paper [31m")
	_, err = hear("display refused: "+strings.Repeat("x", 400)+"\n", 100)
	assert.ErrorIs(t, err, ErrDisplay)
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
		assert.Equal(t, s == "shown\nyes\n", d == Granted, "only one text grants")
		if err != nil {
			assert.Equal(t, Denied, d)
		}
		banner := newTranscript()
		banner.banner = true
		_, _ = banner.Write([]byte(s))
		d, _ = banner.decision()
		assert.Equal(t, Denied, d, "a banner grants nothing")
	})
}

// hand is a question as the child gets it.
func hand(t *testing.T, q question) question {
	t.Helper()
	line, err := q.encode()
	require.NoError(t, err)
	assert.Equal(t, 1, bytes.Count(line, []byte("\n")))
	got, err := readQuestion(bufio.NewReaderSize(bytes.NewReader(line), maxQuestion))
	require.NoError(t, err)
	return got
}

func TestQuestion(t *testing.T) {
	r := Request{Admin: "CORP\\alice\n{\"}\u202e", Host: "vda1", Replaces: "", Display: ":1", UID: 1000}
	q := hand(t, newQuestion(r, Texts{Yes: "Aye"}, 20*time.Second))
	assert.Equal(t, question{Admin: `CORP\alice {"}`, Host: "vda1", Millis: 20000, Language: "en", Texts: Texts{Yes: "Aye"}, Bus: "unix:path=/run/user/1000/bus"}, q)

	q = hand(t, newQuestion(Request{Admin: "\u200b", Locale: "de_CH.UTF-8"}, Texts{Here: "diesem Gerät"}, time.Second))
	assert.Equal(t, "Die Administration", q.Admin)
	assert.Equal(t, "diesem Gerät", q.Host)
	assert.Equal(t, "de", q.Language)

	q = newQuestion(Request{Bus: "unix:abstract=x"}, Texts{}, time.Second)
	q.Notify = true
	assert.Equal(t, "unix:abstract=x", hand(t, q).Bus)
	q.Banner = true
	line, err := q.encode()
	require.NoError(t, err)
	_, err = readQuestion(bufio.NewReaderSize(bytes.NewReader(line), maxQuestion))
	assert.ErrorContains(t, err, "the banner is no notification")

	q = newQuestion(Request{Admin: "a"}, Texts{}, 0)
	q.Banner, q.Ended = true, "The viewer disconnected"
	assert.Equal(t, "The viewer disconnected", hand(t, q).Ended)
	q.Banner, q.Millis = false, 1
	line, err = q.encode()
	require.NoError(t, err)
	_, err = readQuestion(bufio.NewReaderSize(bytes.NewReader(line), maxQuestion))
	assert.ErrorContains(t, err, "the question has words for the end of viewing")

	// The longest there can be is still within the bound.
	long := func(holds string, most int) string { return holds + strings.Repeat("<", most-len(holds)) }
	var all Texts
	for _, f := range all.fields() {
		holds := ""
		if f.holds != "" {
			holds = "{" + f.holds + "}"
		}
		*f.value = long(holds, f.most)
	}
	all.Yes = long(">", maxLabel)
	require.NoError(t, all.Validate())
	q = newQuestion(Request{Admin: strings.Repeat("<", 100), Host: strings.Repeat("<", 100), Replaces: strings.Repeat("&", 100),
		Bus: "unix:path=/" + strings.Repeat("<", 500)}, all, time.Hour)
	q.Banner, q.Ended = true, strings.Repeat("<", maxText)
	hand(t, q)

	for _, s := range []string{
		"", "{}", "{}\n", "null\n", `{"admin":"a","timeout_ms":1}`, `{"admin":"a","timeout_ms":0}` + "\n", `{"admin":"","timeout_ms":5}` + "\n",
		`{"admin":"a","timeout_ms":5,"colour":"red"}` + "\n", `{"admin":"a","timeout_ms":5,"texts":{"question":"Hello"}}` + "\n", `{"admin":"a","timeout_ms":5}{}` + "\n", `{"admin":"a","timeout_ms":5}` + "\n\n",
		`{"admin":"` + strings.Repeat("a", maxQuestion) + `","timeout_ms":5}` + "\n",
	} {
		_, err := readQuestion(bufio.NewReaderSize(strings.NewReader(s), maxQuestion))
		assert.Error(t, err, "%.60q", s)
	}
}

func FuzzReadQuestion(f *testing.F) {
	f.Add(`{"admin":"a","host":"h","replaces":"","timeout_ms":20000,"language":"de","texts":{"yes":"Jawohl"}}` + "\n")
	f.Add(`{"admin":"a","timeout_ms":1,"bus":"unix:abstract=x","notify":true}` + "\n")
	f.Add(`{"admin":"a","banner":true,"ended":"The viewer disconnected"}` + "\n")
	f.Add(`{"admin":"a","timeout_ms":1,"ended":"The viewer disconnected"}` + "\n")
	f.Add("{}\n")
	f.Fuzz(func(t *testing.T, s string) {
		q, err := readQuestion(bufio.NewReaderSize(strings.NewReader(s), maxQuestion))
		if err == nil {
			assert.NotEmpty(t, q.Admin)
			assert.True(t, q.Banner || q.Millis > 0)
			assert.True(t, q.Banner || q.Ended == "")
		}
	})
}
