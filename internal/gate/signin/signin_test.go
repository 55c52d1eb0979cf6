package signin

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const password = "correct horse battery"

// A clock is moved by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// newDesk is a desk with one account, ann, and a clock.
func newDesk(t *testing.T, change func(*Config)) (*Desk, *clock) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "accounts")
	a := &Accounts{Path: path}
	require.NoError(t, a.Set("ann", password, []string{"staff"}, "Ann"))
	at := &clock{time.Now()}
	c := Config{Accounts: a, Sealer: NewSealer(), Idle: 30 * time.Minute, Longest: 2 * time.Hour, Now: at.Now}
	if change != nil {
		change(&c)
	}
	return New(c), at
}

func request(from string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = from
	return r
}

// signedIn is a request with the cookie of ann's sign-in.
func signedIn(t *testing.T, d *Desk) *http.Request {
	t.Helper()
	r := request("192.0.2.1:1000")
	s, err := d.Password(r, "ann", password)
	require.NoError(t, err)
	return keep(t, d, s, r)
}

// keep is a request with the cookie that s is kept by; r if it isn't written.
func keep(t *testing.T, d *Desk, s *Session, r *http.Request) *http.Request {
	t.Helper()
	w := httptest.NewRecorder()
	require.NoError(t, d.Keep(w, s))
	for _, c := range w.Result().Cookies() {
		next := request(r.RemoteAddr)
		next.AddCookie(c)
		return next
	}
	return r
}

func TestCookie(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		spoil  func(t *testing.T, d *Desk, at *clock, r *http.Request)
		good   bool
	}{
		"fresh":             {nil, func(*testing.T, *Desk, *clock, *http.Request) {}, true},
		"used a while ago":  {nil, func(_ *testing.T, _ *Desk, at *clock, _ *http.Request) { at.now = at.now.Add(29 * time.Minute) }, true},
		"idle for too long": {nil, func(_ *testing.T, _ *Desk, at *clock, _ *http.Request) { at.now = at.now.Add(31 * time.Minute) }, false},
		"clock set back":    {nil, func(_ *testing.T, _ *Desk, at *clock, _ *http.Request) { at.now = at.now.Add(-time.Hour) }, false},
		"new password": {nil, func(t *testing.T, d *Desk, _ *clock, _ *http.Request) {
			require.NoError(t, d.Accounts.Set("ann", "another password", nil, ""))
		}, false},
		"other groups": {nil, func(t *testing.T, d *Desk, _ *clock, _ *http.Request) {
			data, err := os.ReadFile(d.Accounts.Path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(d.Accounts.Path, []byte(strings.Replace(string(data), ":staff:", ":other:", 1)), 0o600))
		}, true},
		"account removed": {nil, func(t *testing.T, d *Desk, _ *clock, _ *http.Request) { require.NoError(t, d.Accounts.Remove("ann")) }, false},
		"accounts gone":   {nil, func(t *testing.T, d *Desk, _ *clock, _ *http.Request) { require.NoError(t, os.Remove(d.Accounts.Path)) }, false},
		"accounts readable by all": {nil, func(t *testing.T, d *Desk, _ *clock, _ *http.Request) {
			require.NoError(t, os.Chmod(d.Accounts.Path, 0o644))
		}, false},
		"accounts broken": {nil, func(t *testing.T, d *Desk, _ *clock, _ *http.Request) {
			require.NoError(t, os.WriteFile(d.Accounts.Path, []byte("ann\n"), 0o600))
		}, false},
		"signed out": {nil, func(t *testing.T, d *Desk, _ *clock, r *http.Request) {
			s, err := d.Identify(r)
			require.NoError(t, err)
			_, err = d.SignOut(httptest.NewRecorder(), r, s)
			require.NoError(t, err)
		}, false},
		"other address, allowed": {nil, func(_ *testing.T, _ *Desk, _ *clock, r *http.Request) { r.RemoteAddr = "192.0.2.9:1" }, true},
		"other address, bound":   {func(c *Config) { c.BindAddress = true }, func(_ *testing.T, _ *Desk, _ *clock, r *http.Request) { r.RemoteAddr = "192.0.2.9:1" }, false},
		"same address, bound":    {func(c *Config) { c.BindAddress = true }, func(_ *testing.T, _ *Desk, _ *clock, r *http.Request) { r.RemoteAddr = "192.0.2.1:2" }, true},
		"bound since":            {nil, func(_ *testing.T, d *Desk, _ *clock, _ *http.Request) { d.BindAddress = true }, false},
		"another gate's key":     {nil, func(_ *testing.T, d *Desk, _ *clock, _ *http.Request) { d.Sealer = NewSealer() }, false},
		"a bit flipped": {nil, func(_ *testing.T, d *Desk, _ *clock, r *http.Request) {
			c, _ := r.Cookie(d.CookieName())
			flipped := []byte(c.Value)
			flipped[len(flipped)/2] ^= 1
			r.Header.Set("Cookie", d.CookieName()+"="+string(flipped))
		}, false},
		"passwords switched off": {nil, func(_ *testing.T, d *Desk, _ *clock, _ *http.Request) { d.Accounts = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, at := newDesk(t, c.change)
			r := signedIn(t, d)
			c.spoil(t, d, at, r)
			s, err := d.Identify(r)
			if !c.good {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "ann", s.Name)
			if name == "other groups" {
				require.Equal(t, []string{"other"}, s.Groups, "as the account has them by now")
			}
		})
	}
}

// However much it is used, a session ends.
func TestLongest(t *testing.T) {
	d, at := newDesk(t, nil)
	r := signedIn(t, d)
	for range 7 {
		at.now = at.now.Add(17 * time.Minute)
		s, err := d.Identify(r)
		require.NoError(t, err)
		r = keep(t, d, s, r)
	}
	at.now = at.now.Add(2 * time.Minute)
	_, err := d.Identify(r)
	require.ErrorIs(t, err, ErrSignedOut)
}

func TestCookieAttributes(t *testing.T) {
	d, _ := newDesk(t, func(c *Config) { c.Secure = true })
	s, err := d.Password(request("192.0.2.1:1"), "ann", password)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	require.NoError(t, d.Keep(w, s))
	c := w.Result().Cookies()[0]
	require.Equal(t, "__Host-shadowgate", c.Name)
	require.True(t, c.Secure)
	require.True(t, c.HttpOnly)
	require.Equal(t, "/", c.Path)
	require.Empty(t, c.Domain)
	require.Equal(t, http.SameSiteLaxMode, c.SameSite)
	require.Zero(t, c.MaxAge, "it goes with the browser")
	require.NotContains(t, c.Value, "ann")
	w = httptest.NewRecorder()
	require.NoError(t, d.Keep(w, s))
	require.Empty(t, w.Result().Cookies(), "it isn't written at every request")
	s.Groups = strings.Split(strings.Repeat(newID()+newID()+",", 60)+newID(), ",")
	for i := range s.Groups {
		s.Groups[i] = newID() + newID() + newID()
	}
	s.Seen = time.Time{}
	require.ErrorIs(t, d.Keep(httptest.NewRecorder(), s), errTooBig)
}

// Keys are changed without signing anybody out, and the old one is worth nothing in the end.
func TestKeyRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "keys")
	s, err := OpenSealer(path, true)
	require.NoError(t, err)
	again, err := OpenSealer(path, true)
	require.NoError(t, err)
	old := s.Seal("p", []byte("x"))
	plain, err := again.Open("p", old)
	require.NoError(t, err, "gates that share the file")
	require.Equal(t, "x", string(plain))
	_, err = s.Open("q", old)
	require.ErrorIs(t, err, ErrForged, "another purpose")

	data, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	oldKey := lines[len(lines)-1]
	const newKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	require.NoError(t, os.WriteFile(path, []byte(newKey+"\n"+oldKey+"\n"), 0o600))
	require.NoError(t, s.Reload())
	_, err = s.Open("p", old)
	require.NoError(t, err)
	fresh := s.Seal("p", []byte("y"))
	_, err = again.Open("p", fresh)
	require.ErrorIs(t, err, ErrForged, "sealed with the new key")
	require.NoError(t, os.WriteFile(path, []byte(newKey+"\n"), 0o600))
	require.NoError(t, s.Reload())
	_, err = s.Open("p", old)
	require.ErrorIs(t, err, ErrForged)
	_, err = s.Open("p", fresh)
	require.NoError(t, err)

	for name, text := range map[string]string{"empty": "", "short": "AAAA\n", "no key": "hello\n", "many": strings.Repeat(newKey+"\n", 17)} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.Error(t, s.Reload(), name)
	}
	require.NoError(t, os.WriteFile(path, []byte(newKey+"\n"), 0o600))
	require.NoError(t, os.Chmod(path, 0o644))
	require.ErrorContains(t, s.Reload(), "chmod")
	_, err = s.Open("p", fresh)
	require.NoError(t, err, "the keys from before stay in use")
	_, err = OpenSealer(filepath.Join(t.TempDir(), "none"), false)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestLimits(t *testing.T) {
	now := time.Now()
	var l Limits
	attempts := func(name, from string, n int) (through int) {
		for range n {
			if l.take(name, from, now) == nil {
				through++
			}
		}
		return through
	}
	require.Equal(t, 5, attempts("ann", "192.0.2.1", 50), "of one address for one account")
	require.Equal(t, 5, attempts("ann", "192.0.2.2", 50))
	require.Equal(t, 15, attempts("bob", "192.0.2.1", 3)+attempts("cem", "192.0.2.1", 5)+attempts("dan", "192.0.2.1", 5)+attempts("eve", "192.0.2.1", 50), "20 of one address")
	for i := range 100 {
		attempts("ann", netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String(), 5)
	}
	require.Zero(t, attempts("ann", "203.0.113.1", 5), "of all addresses for one account")
	require.Equal(t, 5, attempts("zoe", "203.0.113.1", 50))
	require.Equal(t, 5, attempts("kim", "2001:db8:1:2::1", 3)+attempts("kim", "2001:db8:1:2:ffff::9", 50), "a /64 network is one address")
	err := l.take("zoe", "203.0.113.1", now)
	tooMany, ok := errors.AsType[*TooManyError](err)
	require.True(t, ok)
	require.Equal(t, time.Minute, tooMany.After)
	now = now.Add(time.Minute)
	require.Equal(t, 1, attempts("zoe", "203.0.113.1", 50))
	require.NoError(t, l.take("new", "203.0.113.2", now))
	l.giveBack("new", "203.0.113.2", now)
	require.Equal(t, 5, attempts("new", "203.0.113.2", 50), "who has signed in begins anew")
	for i := range 3 * maxBuckets {
		_ = l.take("x"+newID(), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(), now)
	}
	require.LessOrEqual(t, len(l.both.all), maxBuckets)
	require.LessOrEqual(t, len(l.accounts.all), maxBuckets)
	require.LessOrEqual(t, len(l.address.all), maxBuckets)
}

func TestAccountsFile(t *testing.T) {
	good := hashPassword(password).String()
	for name, c := range map[string]struct{ text, want string }{
		"no fields":       {"ann\n", "line 1"},
		"no hash":         {"# x\n\nann:::\n", "line 3"},
		"plain password":  {"ann:hunter2::\n", "argon2id"},
		"bcrypt":          {"ann:$2y$10$abcdefghijklmnopqrstuv::\n", "argon2id"},
		"twice":           {"ann:" + good + "::\nann:" + good + "::\n", "twice"},
		"empty group":     {"ann:" + good + ":a,,b:\n", "empty"},
		"too much memory": {"ann:" + strings.Replace(good, "m=19456", "m=99999999", 1) + "::\n", "out of bounds"},
		"no salt":         {"ann:$argon2id$v=19$m=19456,t=2,p=1$$AAAA::\n", "salt"},
		"no name":         {":" + good + "::\n", "can't be a name"},
		"control":         {"a\x01:" + good + "::\n", "control character"},
	} {
		path := filepath.Join(t.TempDir(), "accounts")
		require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
		a := &Accounts{Path: path}
		err := a.Check()
		require.ErrorContains(t, err, c.want, name)
		require.NotContains(t, err.Error(), "hunter2", name)
		require.Error(t, a.Set("new", password, nil, ""), "%s: a file with mistakes is left alone", name)
	}
	a := &Accounts{Path: filepath.Join(t.TempDir(), "new", "accounts")}
	require.ErrorIs(t, a.Check(), fs.ErrNotExist)
	require.ErrorContains(t, a.Set("ann", "short", nil, ""), "fewer than 8")
	require.Error(t, a.Set("a:b", password, nil, ""))
	require.Error(t, a.Set("ann", password, []string{"a,b"}, ""))
	require.NoError(t, a.Set(`CORP\ann`, password, []string{"staff"}, "Ann"))
	require.NoError(t, a.Set("bob", password, nil, ""))
	require.NoError(t, a.Set(`CORP\ann`, "another password", nil, ""))
	one, ok, err := a.lookUp(`CORP\ann`)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, []string{"staff"}, one.Groups)
	require.Equal(t, "Ann", one.FullName)
	require.True(t, one.hash.matches("another password"))
	require.False(t, one.hash.matches(password))
	info, err := os.Stat(a.Path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.ErrorIs(t, a.Remove("cem"), fs.ErrNotExist)
	require.NoError(t, a.Remove("bob"))
	_, ok, err = a.lookUp("bob")
	require.NoError(t, err)
	require.False(t, ok)
}

// Wrong passwords from many networks lock no account where it has signed in before; from there guesses have a limit all
// the same.
func TestManyNetworksLockNobodyOut(t *testing.T) {
	var l Limits
	now := time.Unix(1000, 0)
	const home = "192.0.2.1"
	require.NoError(t, l.take("ann", home, now))
	l.giveBack("ann", home, now)
	for i := range 20 {
		for range 5 {
			_ = l.take("ann", fmt.Sprint("198.51.100.", i), now)
		}
	}
	require.Error(t, l.take("ann", "203.0.113.1", now), "a new network")
	require.NoError(t, l.take("ann", home, now))
	l.giveBack("ann", home, now)
	for range int(perAccountAndAddress.size) {
		require.NoError(t, l.take("ann", home, now))
	}
	require.Error(t, l.take("ann", home, now))
	for i := range 2 * maxGood {
		l.giveBack("ann", fmt.Sprint("203.0.113.", i), now)
	}
	require.Len(t, l.good["ann"], maxGood)
	for i := range maxGoodAll + 5 {
		l.giveBack(fmt.Sprint("name", i), home, now)
	}
	require.LessOrEqual(t, len(l.good), maxGoodAll)
}

func TestEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ended")
	now := time.Now()
	e, err := OpenEnded(path, now)
	require.NoError(t, err)
	require.NoError(t, e.add("a", "ann", now.Add(time.Hour), now))
	require.NoError(t, e.add("b", "ann", now.Add(time.Minute), now))
	e, err = OpenEnded(path, now.Add(2*time.Minute))
	require.NoError(t, err)
	require.True(t, e.Has("a"))
	require.False(t, e.Has("b"), "it would be over anyway")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(data), "b ")
	var memory Ended
	for i := range maxEnded + 10 {
		require.NoError(t, memory.add(newID(), fmt.Sprint(i), now.Add(time.Duration(i)), now))
	}
	require.LessOrEqual(t, len(memory.all), maxEnded)
}

// When there are too many, the sessions that would end first have ended, all of them, also for the next program.
func TestEndedFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ended")
	now := time.Now().Truncate(time.Second)
	e, err := OpenEnded(path, now)
	require.NoError(t, err)
	e.most = 16
	ended := func(i int) bool {
		return e.Has(fmt.Sprint("id", i)) || e.Covers("ann", now.Add(time.Duration(i+1)*time.Minute))
	}
	for i := range 40 {
		require.NoError(t, e.add(fmt.Sprint("id", i), "ann", now.Add(time.Duration(i+1)*time.Minute), now))
	}
	require.LessOrEqual(t, len(e.all), 16)
	for range 2 {
		for i := range 40 {
			require.True(t, ended(i), "session %d", i)
		}
		require.False(t, e.Covers("ann", now.Add(time.Hour)))
		e, err = OpenEnded(path, now)
		require.NoError(t, err)
	}
}

// Who signs out over and over ends sessions of his own only, also for the next program; what was ended stays so.
func TestEndedByOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ended")
	now := time.Now().Truncate(time.Second)
	e, err := OpenEnded(path, now)
	require.NoError(t, err)
	e.most = 2 * maxEndedOne
	require.NoError(t, e.add("bob's", "bob", now.Add(time.Hour), now))
	const often = 5 * maxEndedOne
	until := func(i int) time.Time { return now.Add(time.Hour + time.Duration(i)*time.Second) }
	for i := range often {
		require.NoError(t, e.add(fmt.Sprint("id", i), "ann", until(i), now))
	}
	require.LessOrEqual(t, len(e.all), maxEndedOne+1)
	for range 2 {
		for i := range often {
			require.True(t, e.Has(fmt.Sprint("id", i)) || e.Covers("ann", until(i)), "session %d", i)
		}
		require.True(t, e.Has("bob's"))
		require.False(t, e.Covers("bob", now))
		require.False(t, e.Covers("bob", until(0)), "another's session has ended")
		require.False(t, e.Covers("ann", until(often)), "the newest session has ended")
		e, err = OpenEnded(path, now)
		require.NoError(t, err)
	}
	e, err = OpenEnded(path, until(often))
	require.NoError(t, err)
	require.Empty(t, e.all)
	require.Empty(t, e.of)
	require.Empty(t, e.floors)
}

// The file doesn't grow by what is over.
func TestEndedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ended")
	now := time.Now()
	e, err := OpenEnded(path, now)
	require.NoError(t, err)
	for i := range 3000 {
		at := now.Add(time.Duration(i) * time.Second)
		require.NoError(t, e.add(newID(), "ann", at.Add(5*time.Second), at))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(120_000))
}

// Who never had a cookie has none that could be used again.
func TestSignOutWithoutCookie(t *testing.T) {
	d := New(Config{Header: &Header{Name: "X-User", From: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, Sealer: NewSealer(), Idle: time.Hour, Longest: time.Hour})
	WithPeer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := d.Identify(r)
		require.NoError(t, err)
		_, err = d.SignOut(w, r, s)
		require.NoError(t, err)
	})).ServeHTTP(httptest.NewRecorder(), func() *http.Request {
		r := request("192.0.2.1:1")
		r.Header.Set("X-User", "ann")
		return r
	}())
	require.Empty(t, d.Ended.all)
}

func FuzzOpen(f *testing.F) {
	s := NewSealer()
	f.Add(s.Seal(purposeSession, []byte("x")))
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		if session, err := openSession(s, value); err == nil {
			require.NotEmpty(t, session.ID)
		}
	})
}
