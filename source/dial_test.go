package source_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/testlogind"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/sessions"
	"vda.internal/shadow/source"
)

func TestDial(t *testing.T) {
	for _, bad := range []string{"", "tcp", "tcp:", "tcp:5900", "udp:127.0.0.1:1", "unix:relative", "127.0.0.1:5900"} {
		_, err := source.ParseDial(bad)
		assert.Error(t, err, bad)
	}
	path := filepath.Join(t.TempDir(), "rfb.sock")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	d, err := source.ParseDial("unix:" + path)
	require.NoError(t, err)
	server := &rfb.Server{Init: rfb.ServerInit{Width: 2, Height: 3, Format: rfb.PixelFormat{BitsPerPixel: 32, Depth: 24, TrueColor: true, RedMax: 255, GreenMax: 255, BlueMax: 255}}}
	serve := func() <-chan error {
		done := make(chan error, 1)
		go func() {
			conn, err := ln.Accept()
			if err == nil {
				_, err = server.Accept(t.Context(), conn)
				conn.Close()
			}
			done <- err
		}()
		return done
	}
	done := serve()
	conn, err := d.Open(t.Context(), nil)
	require.NoError(t, err)
	assert.EqualValues(t, 3, conn.(*rfb.ServerConn).Init.Height, "it is greeted")
	conn.Close()
	require.NoError(t, <-done)

	// Before anybody is asked it is seen that the server lets us in. No client comes of it.
	done = serve()
	require.NoError(t, d.Check(t.Context(), nil))
	require.Error(t, <-done, "it became a client")

	// With a password.
	server.Password = "secret"
	for _, try := range []func() error{
		func() error { _, err := d.Open(t.Context(), nil); return err },
		func() error { return d.Check(t.Context(), nil) },
	} {
		done = serve()
		err = try()
		require.ErrorIs(t, err, rfb.ErrSecurity)
		require.ErrorContains(t, err, "give its password")
		<-done
	}
	d.PasswordFile = filepath.Join(t.TempDir(), "password")
	require.ErrorContains(t, d.Check(t.Context(), nil), "no such file", "before anybody is asked")
	for password, want := range map[string]error{"secret\r\nnot this": nil, "guess": rfb.ErrPassword} {
		require.NoError(t, os.WriteFile(d.PasswordFile, []byte(password), 0o600))
		done = serve()
		require.ErrorIs(t, d.Check(t.Context(), nil), want)
		<-done
		done = serve()
		conn, err = d.Open(t.Context(), nil)
		require.ErrorIs(t, err, want)
		if err == nil {
			conn.Close()
		}
		<-done
	}
	d.PasswordFile = ""
	ln.Close()
	_, err = d.Open(t.Context(), nil)
	require.ErrorContains(t, err, "no RFB server")
	require.ErrorContains(t, d.Check(t.Context(), nil), "no RFB server")
	require.Error(t, new(source.Dial).Check(t.Context(), nil))
}

// A server that runs already shows one session: with two, one user's Yes could
// show the other's screen.
func TestDialWithSeveralSessions(t *testing.T) {
	d := &source.Dial{Network: "unix", Address: "/x", Sessions: sessions.Static{{ID: "1", Display: ":1", User: "root"}}}
	require.ErrorContains(t, d.Check(t.Context(), nil), "no RFB server")
	d.Sessions = sessions.Static{{ID: "1", Display: ":1", User: "root"}, {ID: "2", Display: ":2", User: "root"}}
	require.ErrorContains(t, d.Check(t.Context(), nil), "2 sessions")
}

// What other sessions there are decides whether a server may show s, and whether that can be told.
func TestDialFits(t *testing.T) {
	alice := shadow.Session{ID: "1", User: "alice", UID: 1001, Display: ":1"}
	like := func(change func(*shadow.Session)) *shadow.Session {
		other := shadow.Session{ID: "2", User: "bob", UID: 1002, Display: ":2"}
		change(&other)
		return &other
	}
	unknown := &shadow.End{Reason: shadow.DisplayUnreachable, Detail: "not in time"}
	root := &shadow.End{Reason: shadow.NoUser, Detail: "not well enough: it is root's"}
	for name, test := range map[string]struct {
		others []*shadow.Session
		err    error
		want   string // part of the error; empty: it fits
		sure   bool
	}{
		"alone":            {[]*shadow.Session{&alice}, nil, "", false},
		"not seen herself": {[]*shadow.Session{{ID: "1", User: "alice", Unavailable: unknown}}, nil, "", false},
		"a greeter":        {[]*shadow.Session{&alice, like(func(s *shadow.Session) { s.Class = "greeter" })}, nil, "", false},
		"one that closes":  {[]*shadow.Session{&alice, like(func(s *shadow.Session) { s.State = "closing" })}, nil, "", false},
		"the same screen":  {[]*shadow.Session{&alice, like(func(s *shadow.Session) { s.Display = ":1.0" })}, nil, "", false},
		"another":          {[]*shadow.Session{&alice, like(func(*shadow.Session) {})}, nil, "2 sessions", true},
		"another that is locked": {[]*shadow.Session{&alice, like(func(s *shadow.Session) { s.Locked = true })},
			nil, "2 sessions", true},
		"another in her place": {[]*shadow.Session{like(func(*shadow.Session) {})}, nil, "2 sessions", true},
		"a text console": {[]*shadow.Session{&alice, like(func(s *shadow.Session) { s.Display, s.Type = "", "tty" })},
			nil, "2 sessions", true},
		"one of whom too little is known": {[]*shadow.Session{&alice, like(func(s *shadow.Session) { s.Display, s.Unavailable = "", unknown })},
			nil, "not in time", false},
		"root's":                     {[]*shadow.Session{&alice, {ID: "2", Type: "tty", Class: "user", Unavailable: root}}, nil, "2 sessions", true},
		"root's on a screen":         {[]*shadow.Session{&alice, {ID: "2", Display: ":2", Unavailable: root}}, nil, "2 sessions", true},
		"a service of root's":        {[]*shadow.Session{&alice, {ID: "2", Class: "manager", Unavailable: root}}, nil, "", false},
		"nobody's on a screen":       {[]*shadow.Session{&alice, {ID: "2", Display: ":2"}}, nil, "", false},
		"her id is bob's":            {[]*shadow.Session{like(func(s *shadow.Session) { s.ID = "1" })}, nil, "2 sessions", true},
		"her id and screen are":      {[]*shadow.Session{like(func(s *shadow.Session) { s.ID, s.Display = "1", ":1" })}, nil, "belongs to another session", true},
		"her id is root's, it seems": {[]*shadow.Session{{ID: "1", Unavailable: root}}, nil, "not well enough", false},
		"bob on her screen":          {[]*shadow.Session{like(func(s *shadow.Session) { s.Display = ":1" })}, nil, "no longer listed", true},
		"nobody":                     {nil, nil, "no longer listed", true},
		"no list":                    {nil, errors.New("no broker"), "no broker", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := &source.Dial{Network: "unix", Address: "/x", Sessions: listOf{test.others, test.err}}
			err := d.Fits(t.Context(), &alice)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			_, sure := errors.AsType[*shadow.End](err)
			assert.Equal(t, test.sure, sure)
		})
	}
	require.NoError(t, new(source.Dial).Fits(t.Context(), &alice), "whoever names no sessions sees to it")
}

// As logind and a program list them, too, root's session and one whose account is unknown aren't nobody's.
func TestDialFitsBesideRoot(t *testing.T) {
	nobody := uint32(65534)
	logind := testlogind.Start(t)
	logind.Add("1", nobody, nil)
	byLogind := &sessions.Logind{Address: logind.Address}
	program := filepath.Join(t.TempDir(), "lines")
	byProgram := &sessions.Exec{Command: []string{"/bin/cat", program}}
	line := func(lines string) {
		require.NoError(t, os.WriteFile(program, []byte(`{"id": "1", "user": "nobody", "display": ":1"}`+"\n"+lines), 0o600))
	}
	line("")
	for name, test := range map[string]struct {
		resolver shadow.Resolver
		comes    func()
	}{
		"logind, root on a text console": {byLogind, func() { logind.Add("2", 0, map[string]any{"Type": "tty", "Display": "", "Name": "root"}) }},
		"logind, no account":             {byLogind, func() { logind.Add("2", 4000000000, map[string]any{"Display": ":2"}) }},
		"program, root":                  {byProgram, func() { line(`{"id": "2", "user": "root", "display": ":2"}`) }},
		"program, no account":            {byProgram, func() { line(`{"id": "2", "user": "no-such-account", "display": ":2"}`) }},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := test.resolver.Session(t.Context(), "1")
			require.NoError(t, err)
			d := &source.Dial{Network: "unix", Address: "/x", Sessions: test.resolver}
			require.NoError(t, d.Fits(t.Context(), s))
			test.comes()
			defer func() { logind.Remove("2"); line("") }()
			err = d.Fits(t.Context(), s)
			require.ErrorContains(t, err, "2 sessions")
			_, sure := errors.AsType[*shadow.End](err)
			require.True(t, sure)
		})
	}
}

// A listOf sessions is a resolver.
type listOf struct {
	list []*shadow.Session
	err  error
}

func (l listOf) Sessions(context.Context) ([]*shadow.Session, error) { return l.list, l.err }
func (l listOf) Session(context.Context, string) (*shadow.Session, error) {
	return nil, &shadow.End{Reason: shadow.NoSession}
}
