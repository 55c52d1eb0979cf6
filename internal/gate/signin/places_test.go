package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A shelf is a board of desks in one process.
type shelf struct {
	up    map[string]string
	heard []func(string)
	err   error
}

func (s *shelf) Post(_ context.Context, key, notice string, _ time.Time) error {
	if s.err != nil {
		return s.err
	}
	if s.up == nil {
		s.up = map[string]string{}
	}
	s.up[key] = notice
	for _, heard := range s.heard {
		heard(notice)
	}
	return nil
}

func (s *shelf) OnPosted(heard func(string)) {
	for _, notice := range s.up {
		heard(notice)
	}
	s.heard = append(s.heard, heard)
}

// identified is whose request it is.
func identified(t *testing.T, d *Desk, r *http.Request) *Session {
	t.Helper()
	s, err := d.Identify(r)
	require.NoError(t, err)
	d.Note(r, s)
	return s
}

func TestBrowsers(t *testing.T) {
	for agent, want := range map[string]string{
		"": " ", "curl/8.14.1": "curl ", "x y/1": " ", strings.Repeat("a", 40): " ", "\u202eevil/1": " ",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                                 "Firefox Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0":                          "Edge Windows",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36":                                                  "Chrome Linux",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1":                "Safari iOS",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36":                                        "Chrome Android",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15" + strings.Repeat(" Firefox", 99): "Safari macOS",
	} {
		browser, system := browserOf(agent)
		require.Equal(t, want, browser+" "+system, agent)
	}
}

// Of one person so many places are remembered; the list says that it isn't whole, and the others end with all.
func TestPlacesOfOne(t *testing.T) {
	d, at := newDesk(t, nil)
	mine := signedIn(t, d)
	var all []*http.Request
	for range maxPlacesOne + 5 {
		at.now = at.now.Add(time.Second)
		r := signedIn(t, d)
		identified(t, d, r)
		all = append(all, r)
	}
	s := identified(t, d, mine)
	list, whole := d.Places(s)
	require.Len(t, list, maxPlacesOne)
	require.False(t, whole)
	require.True(t, list[0].Current)
	require.NoError(t, d.EndOthers(s))
	for _, r := range all {
		_, err := d.Identify(r)
		require.ErrorIs(t, err, ErrSignedOut)
	}
	list, _ = d.Places(identified(t, d, mine))
	require.Len(t, list, 1)
	at.now = at.now.Add(3 * time.Hour)
	_, whole = d.Places(s)
	require.True(t, whole, "those that weren't listed are over")
}

// What one desk knows the others hear, and nobody else: a notice says nothing without the keys, and what somebody else has put up
// changes nothing.
func TestNotices(t *testing.T) {
	board := new(shelf)
	one, at := newDesk(t, func(c *Config) { c.Board = board })
	with := func(sealer *Sealer) *Desk {
		c := one.Config
		c.Sealer, c.Ended = sealer, nil
		return New(c)
	}
	two, foreign := with(one.Sealer), with(NewSealer())
	r, other := signedIn(t, one), signedIn(t, one)
	s := identified(t, one, r)
	identified(t, one, other)
	require.NoError(t, one.Tell(t.Context()))
	list, _ := two.Places(s)
	require.Len(t, list, 2)
	require.Equal(t, "192.0.2.1", list[0].From)
	list, _ = foreign.Places(s)
	require.Empty(t, list)
	for key, notice := range board.up {
		for _, secret := range []string{"ann", "192.0.2.1", s.ID} {
			require.NotContains(t, key+notice, secret)
		}
	}

	found, err := one.EndPlace(s, list0(two, s, false))
	require.NoError(t, err)
	require.True(t, found)
	_, err = two.Identify(other)
	require.NoError(t, err, "it hasn't been told")
	board.err = errors.New("the bus is down")
	require.Error(t, one.Tell(t.Context()))
	board.err = nil
	require.NoError(t, one.Tell(t.Context()), "it is told later")
	_, err = two.Identify(other)
	require.ErrorIs(t, err, ErrSignedOut)
	_, err = with(one.Sealer).Identify(other)
	require.ErrorIs(t, err, ErrSignedOut, "a desk that begins later")

	for _, forged := range []string{"", "x", foreign.Sealer.Seal(purposeNotice, []byte(`{"k":"out","s":"`+s.ID+`","o":"x","x":"2100-01-01T00:00:00Z"}`)),
		one.Sealer.Seal(purposeSession, []byte(`{"k":"out","s":"`+s.ID+`","o":"x","x":"2100-01-01T00:00:00Z"}`))} {
		require.NoError(t, board.Post(t.Context(), "k", forged, at.now.Add(time.Hour)))
	}
	identified(t, two, r)
}

// list0 is what a place of s's owner is called: s's own, or the first other.
func list0(d *Desk, s *Session, current bool) string {
	list, _ := d.Places(s)
	for _, p := range list {
		if p.Current == current {
			return p.ID
		}
	}
	return ""
}

// Who signs in after all was ended, at a desk whose clock is behind, is signed in.
func TestEndOthersWithAClockThatIsBehind(t *testing.T) {
	board := new(shelf)
	one, at := newDesk(t, func(c *Config) { c.Board = board })
	c := one.Config
	c.Ended, c.Now = nil, func() time.Time { return at.now.Add(-30 * time.Second) }
	behind := New(c)
	s := identified(t, one, signedIn(t, one))
	old := signedIn(t, behind)
	require.NoError(t, one.EndOthers(s))
	require.NoError(t, one.Tell(t.Context()))
	_, err := behind.Identify(old)
	require.ErrorIs(t, err, ErrSignedOut)
	identified(t, behind, signedIn(t, behind))
}

// So many notices wait for a board that takes none; an ending that can't wait with them is told of.
func TestNoticesThatWait(t *testing.T) {
	board := &shelf{err: errors.New("the bus is down")}
	d, at := newDesk(t, func(c *Config) { c.Board = board })
	for i := range maxPosts {
		require.NoError(t, d.end(fmt.Sprint(i), fmt.Sprint(i), at.now.Add(time.Hour), ""))
	}
	require.ErrorIs(t, d.end("one more", "x", at.now.Add(time.Hour), ""), errCrowded)
	require.True(t, d.Ended.Has("one more"), "here it has ended")
	at.now = at.now.Add(2 * time.Hour)
	require.NoError(t, d.Tell(t.Context()), "what is over needn't be told")
	require.Empty(t, d.posts.all)
}

// Who signs out in a loop takes no room from others, with a board that takes notices or takes none, and has signed out everywhere.
func TestSignOutsOfOne(t *testing.T) {
	for name, failure := range map[string]error{"a board": nil, "a board that takes none": errors.New("the bus is down")} {
		t.Run(name, func(t *testing.T) {
			board := &shelf{err: failure}
			d, at := newDesk(t, func(c *Config) { c.Board = board })
			c := d.Config
			c.Ended = nil
			other := New(c)
			old := signedIn(t, d)
			identified(t, other, old)
			s := identified(t, d, old)
			at.now = at.now.Add(time.Second)
			for i := range 5000 {
				require.NoError(t, d.end(fmt.Sprint(i), s.Owner(), at.now.Add(time.Hour), ""))
				if failure == nil {
					require.NoError(t, d.Tell(t.Context()))
				}
			}
			require.NoError(t, d.end("another's", "x", at.now.Add(time.Hour), ""))
			require.LessOrEqual(t, len(d.posts.all), maxOuts+3) // the cut, another's, and where one is signed in
			board.err = nil
			require.NoError(t, d.Tell(t.Context()))
			require.LessOrEqual(t, len(board.up), maxOuts+3)
			require.True(t, other.Ended.Has("another's"))
			_, err := other.Identify(old)
			require.ErrorIs(t, err, ErrSignedOut)
			at.now = at.now.Add(time.Second)
			identified(t, other, signedIn(t, d))
		})
	}
}

// A file of notices has those that count, and is written anew before it grows.
func TestFileBoard(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "signed-in"), time.Now()
	b, err := OpenBoard(path, now)
	require.NoError(t, err)
	for i := range 3000 {
		require.NoError(t, b.Post(t.Context(), fmt.Sprint("k", i%10), fmt.Sprint("n", i), now.Add(time.Hour)))
	}
	require.NoError(t, b.Post(t.Context(), "over", "n", now.Add(-time.Hour)))
	require.Less(t, b.lines, 1100)
	b, err = OpenBoard(path, now)
	require.NoError(t, err)
	heard := map[string]bool{}
	b.OnPosted(func(notice string) { heard[notice] = true })
	require.Len(t, heard, 10)
	require.True(t, heard["n2999"] && heard["n2990"])
}

// Ended sessions of one person that were ended together are so after a restart, and are forgotten when they are over.
func TestCutIsKept(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "ended"), time.Now().Truncate(time.Second)
	e, err := OpenEnded(path, now)
	require.NoError(t, err)
	require.NoError(t, e.cut(ownerKey("ann"), "mine", now, now.Add(time.Hour), now))
	require.NoError(t, e.cut(ownerKey("ann"), "another", now.Add(-time.Minute), now.Add(time.Hour), now), "an older one changes nothing")
	for range 2 {
		require.True(t, e.Cuts("ann", "other", now))
		require.False(t, e.Cuts("ann", "mine", now))
		require.True(t, e.Cuts("ann", "another", now))
		require.False(t, e.Cuts("ann", "other", now.Add(time.Second)))
		require.False(t, e.Cuts("bob", "other", now))
		e, err = OpenEnded(path, now)
		require.NoError(t, err)
	}
	e, err = OpenEnded(path, now.Add(2*time.Hour))
	require.NoError(t, err)
	require.Empty(t, e.cuts)
}
