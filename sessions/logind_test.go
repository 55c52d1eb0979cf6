package sessions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testlogind"
)

// someUser is an account that isn't root's and whose processes we can imitate.
func someUser(t *testing.T) uint32 {
	t.Helper()
	if uid := os.Getuid(); uid != 0 {
		return uint32(uid)
	}
	return 65534
}

// fakeProcess makes a process of uid under root with that environment.
func fakeProcess(t *testing.T, root string, pid, parent int, uid uint32, env ...string) {
	t.Helper()
	dir := filepath.Join(root, "proc", strconv.Itoa(pid))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "stat"), fmt.Appendf(nil, "%d (sh) S %d 0", pid, parent), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "environ"), []byte(strings.Join(env, "\x00")+"\x00"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "status"), fmt.Appendf(nil, "Name:\tsh\nUid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", uid), 0o644))
}

func TestLogind(t *testing.T) {
	uid := someUser(t)
	logind := testlogind.Start(t)
	address := logind.Address
	root := t.TempDir()
	fakeProcess(t, root, 100, 1, 0)
	fakeProcess(t, root, 101, 100, uid, "DISPLAY=:5", "XAUTHORITY=/run/cookie", "LANG=de_AT.UTF-8", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/bus")
	fakeProcess(t, root, 200, 1, uid, "DISPLAY=localhost:10.0")
	fakeProcess(t, root, 300, 1, uid, "DISPLAY=:6")

	logind.Add("2", uid, map[string]any{"Leader": uint32(100), "Display": ":5", "Timestamp": uint64(1_764_489_600_123_456)})
	logind.Add("10", uid, map[string]any{"Leader": uint32(100), "Display": ""})
	logind.Add("c1", uid, map[string]any{"Class": "greeter"})
	logind.Add("c2", uid, map[string]any{"Type": "wayland", "Display": ":0"})
	logind.Add("c3", uid, map[string]any{"State": "closing"})
	logind.Add("c4", uid, map[string]any{"LockedHint": true})
	logind.Add("c5", uid, map[string]any{"Type": "tty", "Remote": true, "Leader": uint32(200), "Display": ""})
	logind.Add("c6", uid, map[string]any{"Type": "tty", "Leader": uint32(300), "Display": ""})
	logind.Add("c7", uid, map[string]any{"Type": "tty", "Remote": true, "Leader": uint32(300), "Display": ""})
	logind.Add("c8", 4000000000, nil)
	logind.Add("c9", 0, map[string]any{"Name": "root"})
	logind.Add("d1", uid, map[string]any{"Display": ""})
	logind.Add("d2", uid, map[string]any{"Type": "unspecified", "Remote": true, "Leader": uint32(300), "Display": ""})
	logind.Add("d3", uid, nil)
	logind.Fail("d3", errNoSession) // ended between the list and the question
	logind.Add("d4", uid, nil)
	logind.Fail("d4", errNoObject)
	for id, class := range map[string]string{"e1": "manager", "e2": "manager-early"} { // of no list: nobody works in one
		logind.Add(id, uid, map[string]any{"Class": class, "Type": "unspecified", "Display": ""})
	}
	resolver := &Logind{Address: address, root: root}

	t.Run("one", func(t *testing.T) {
		s, err := resolver.Session(t.Context(), "2")
		require.NoError(t, err)
		assert.NotEmpty(t, s.GID)
		s.GID, s.Groups = 0, nil
		assert.Equal(t, &shadow.Session{
			ID: "2", User: "nobody", UID: uid, Display: ":5", Xauthority: "/run/cookie",
			Locale: "de_AT.UTF-8", Bus: "unix:path=/run/bus", Type: "x11", Class: "user", State: "active",
			Since: time.Date(2025, time.November, 30, 8, 0, 0, 123_456_000, time.UTC),
		}, s)
	})
	t.Run("display from the processes", func(t *testing.T) {
		s, err := resolver.Session(t.Context(), "10")
		require.NoError(t, err)
		assert.Equal(t, ":5", s.Display)
		assert.Equal(t, "/run/cookie", s.Xauthority)
		assert.Zero(t, s.Since, "logind doesn't say")
	})
	t.Run("startx", func(t *testing.T) {
		s, err := resolver.Session(t.Context(), "c6")
		require.NoError(t, err)
		assert.Equal(t, "x11", s.Type)
		assert.Equal(t, ":6", s.Display)
	})
	t.Run("not there", func(t *testing.T) {
		for _, id := range []string{"", "1", "self", "auto", "d3", "d4"} {
			_, err := resolver.Session(t.Context(), id)
			requireRefusal(t, err, shadow.NoSession)
		}
	})
	t.Run("no account", func(t *testing.T) {
		_, err := resolver.Session(t.Context(), "c8")
		assert.Contains(t, requireRefusal(t, err, shadow.NoUser).Detail, "4000000000")
	})
	t.Run("root", func(t *testing.T) {
		_, err := resolver.Session(t.Context(), "c9")
		requireRefusal(t, err, shadow.NoUser)
	})
	t.Run("list", func(t *testing.T) {
		list, err := resolver.Sessions(t.Context())
		require.NoError(t, err)
		var ids []string
		reasons := map[string]shadow.Reason{}
		for _, s := range list {
			ids = append(ids, s.ID)
			reasons[s.ID] = reasonOf(s)
		}
		assert.Equal(t, []string{"2", "10", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "d1", "d2"}, ids)
		assert.Equal(t, map[string]shadow.Reason{
			"2": "", "10": "", "c1": shadow.NoUser, "c2": shadow.Wayland, "c3": shadow.SessionEnded, "c4": shadow.Locked, "c5": shadow.Wayland, "c6": "",
			"c7": shadow.Wayland, "c8": shadow.NoUser, "c9": shadow.NoUser, "d1": shadow.DisplayUnreachable, "d2": "",
		}, reasons)
	})
	t.Run("an error is no end", func(t *testing.T) {
		logind.Add("odd", uid, nil)
		logind.Fail("odd", "org.freedesktop.DBus.Error.AccessDenied")
		logind.Add("anon", uid, map[string]any{"User": "nobody"}) // of the wrong type
		for id, why := range map[string]string{"odd": "AccessDenied", "anon": "it doesn't say whose it is"} {
			_, err := resolver.Session(t.Context(), id)
			detail := requireRefusal(t, err, shadow.DisplayUnreachable).Detail
			assert.Contains(t, detail, fmt.Sprintf("logind didn't describe session %q", id))
			assert.Contains(t, detail, why)
		}
		list, err := resolver.Sessions(t.Context())
		require.NoError(t, err, "the others can be shadowed")
		reasons := map[string]shadow.Reason{}
		for _, s := range list {
			reasons[s.ID] = reasonOf(s)
		}
		assert.Equal(t, shadow.DisplayUnreachable, reasons["odd"])
		assert.Equal(t, shadow.DisplayUnreachable, reasons["anon"])
		assert.Contains(t, reasons, "2")
		assert.Empty(t, reasons["2"])
	})
	t.Run("nothing is kept", func(t *testing.T) {
		logind.Add("new", uid, map[string]any{"LockedHint": false})
		s, err := resolver.Session(t.Context(), "new")
		require.NoError(t, err)
		assert.False(t, s.Locked)
		logind.Fail("new", errNoSession)
		_, err = resolver.Session(t.Context(), "new")
		requireRefusal(t, err, shadow.NoSession)
	})
}

func TestLogindHangs(t *testing.T) {
	logind := testlogind.Start(t)
	address := logind.Address
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	logind.Hang(hang)
	_, err := (&Logind{Address: address, Timeout: 100 * time.Millisecond}).Session(t.Context(), "2")
	require.ErrorIs(t, err, context.DeadlineExceeded)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = (&Logind{Address: address}).Session(ctx, "2")
	require.ErrorIs(t, err, context.Canceled)
}

func TestLogindNotThere(t *testing.T) {
	t.Run("no bus", func(t *testing.T) {
		_, err := (&Logind{Address: "unix:path=" + t.TempDir() + "/bus"}).Sessions(t.Context())
		require.ErrorContains(t, err, "the D-Bus system bus isn't there")
	})
	t.Run("no logind", func(t *testing.T) {
		_, err := (&Logind{Address: testlogind.StartBus(t)}).Sessions(t.Context())
		require.ErrorContains(t, err, "logind isn't on this host")
	})
	t.Run("the address from the environment", func(t *testing.T) {
		t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", testlogind.Start(t).Address)
		list, err := new(Logind).Sessions(t.Context())
		require.NoError(t, err)
		assert.Empty(t, list)
	})
}

// A bus that takes the connection and says nothing is not waited for.
func TestLogindMuteBus(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	ln, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	_, err = (&Logind{Address: "unix:path=" + socket, Timeout: 100 * time.Millisecond}).Sessions(t.Context())
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestLogindWaitEnd(t *testing.T) {
	uid := someUser(t)
	logind := testlogind.Start(t)
	address := logind.Address
	logind.Add("1", uid, nil)
	wait := func(t *testing.T, l *Logind, id string) (context.CancelCauseFunc, <-chan error) {
		ctx, cancel := context.WithCancelCause(t.Context())
		t.Cleanup(func() { cancel(nil) })
		done := make(chan error, 1)
		go func() { done <- l.WaitEnd(ctx, id) }()
		return cancel, done
	}
	// A subscription can't be seen from outside, so the end may come before it:
	// that the session is gone is seen then all the same.
	waiting := func(t *testing.T, done <-chan error) {
		t.Helper()
		select {
		case err := <-done:
			require.Fail(t, "it didn't wait", "%v", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	end := func(t *testing.T, done <-chan error) error {
		t.Helper()
		select {
		case err := <-done:
			return err
		case <-time.After(testenv.Patience):
			require.Fail(t, "it waits for ever")
			return nil
		}
	}
	slow := &Logind{Address: address, interval: time.Hour} // only signals count

	t.Run("removed", func(t *testing.T) {
		logind.Add("2", uid, nil)
		_, done := wait(t, slow, "2")
		waiting(t, done)
		logind.Remove("1") // another one's end is not ours
		waiting(t, done)
		logind.Remove("2")
		require.NoError(t, end(t, done))
	})
	t.Run("not there", func(t *testing.T) {
		_, done := wait(t, slow, "2")
		require.NoError(t, end(t, done))
	})
	t.Run("said by somebody else", func(t *testing.T) {
		logind.Add("4", uid, nil)
		_, done := wait(t, slow, "4")
		waiting(t, done)
		stranger, err := dbus.Connect(address)
		require.NoError(t, err)
		defer stranger.Close()
		var names []string
		require.NoError(t, stranger.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names))
		before := runtime.NumGoroutine()
		for _, name := range names {
			if !strings.HasPrefix(name, ":") || name == stranger.Names()[0] {
				continue
			}
			for i := range 3000 {
				signal := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
					dbus.FieldPath: dbus.MakeVariant(loginPath), dbus.FieldInterface: dbus.MakeVariant(loginManager), dbus.FieldMember: dbus.MakeVariant("SessionRemoved"),
					dbus.FieldDestination: dbus.MakeVariant(name), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf("", loginPath)),
				}, Body: []any{"4", loginPath}}
				require.NoError(t, stranger.Send(signal, nil).Err)
				if i%100 == 0 {
					require.Less(t, runtime.NumGoroutine(), before+50, "signals pile up")
				}
			}
		}
		for range 10 { // as long as a few looks take
			waiting(t, done)
		}
		logind.Remove("4")
		require.NoError(t, end(t, done))
	})
	t.Run("closing", func(t *testing.T) {
		logind.Add("3", uid, nil)
		_, done := wait(t, &Logind{Address: address, interval: 10 * time.Millisecond}, "3")
		waiting(t, done)
		logind.Add("3", uid, map[string]any{"State": "closing"})
		require.NoError(t, end(t, done))
	})
	t.Run("given up", func(t *testing.T) {
		logind.Add("4", uid, nil)
		cancel, done := wait(t, slow, "4")
		waiting(t, done)
		why := errors.New("enough")
		cancel(why)
		require.ErrorIs(t, end(t, done), why)
	})
	t.Run("an error is no end", func(t *testing.T) {
		logind.Add("5", uid, nil)
		logind.Fail("5", "org.freedesktop.DBus.Error.AccessDenied")
		_, done := wait(t, slow, "5")
		require.ErrorContains(t, end(t, done), `whether session "5" is there`)
	})
	t.Run("no bus", func(t *testing.T) {
		_, done := wait(t, &Logind{Address: "unix:path=" + t.TempDir() + "/bus"}, "5")
		require.ErrorContains(t, end(t, done), "the D-Bus system bus isn't there")
	})
	t.Run("the bus goes away", func(t *testing.T) {
		socket := filepath.Join(t.TempDir(), "bus")
		ln, err := net.Listen("unix", socket)
		require.NoError(t, err)
		_, done := wait(t, &Logind{Address: "unix:path=" + socket, Timeout: time.Minute}, "5")
		c, err := ln.Accept()
		require.NoError(t, err)
		waiting(t, done)
		require.NoError(t, c.Close())
		require.NoError(t, ln.Close())
		require.Error(t, end(t, done))
	})
	t.Run("a bus that says nothing", func(t *testing.T) {
		socket := filepath.Join(t.TempDir(), "bus")
		ln, err := net.Listen("unix", socket)
		require.NoError(t, err)
		t.Cleanup(func() { _ = ln.Close() })
		_, done := wait(t, &Logind{Address: "unix:path=" + socket, Timeout: 50 * time.Millisecond}, "5")
		require.ErrorIs(t, end(t, done), context.DeadlineExceeded)
	})
}

// An id that is another user's, or that a later login has got, is noticed while its end is waited for, and when it
// changed hands before that.
func TestLogindWaitEndOf(t *testing.T) {
	uid := someUser(t)
	logind := testlogind.Start(t)
	resolver := &Logind{Address: logind.Address, interval: 10 * time.Millisecond}
	login := map[string]any{"Timestamp": uint64(1_000_000)}
	for name, later := range map[string]func(){
		"another user's": func() { logind.Add("1", uid+1, login) },
		"a later login":  func() { logind.Add("1", uid, map[string]any{"Timestamp": uint64(2_000_000)}) },
	} {
		t.Run(name, func(t *testing.T) {
			logind.Add("1", uid, login)
			s, err := resolver.Session(t.Context(), "1")
			require.NoError(t, err)
			ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Minute, errors.New("it was not noticed"))
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- resolver.WaitEndOf(ctx, s) }()
			select {
			case <-done:
				require.Fail(t, "it didn't wait for the same")
			case <-time.After(100 * time.Millisecond):
			}
			later()
			require.NoError(t, <-done)
			require.NoError(t, resolver.WaitEndOf(ctx, s), "at the first look")

			// Who is told the id only notices it when he has seen both.
			go func() { done <- resolver.WaitEnd(ctx, "1") }()
			for turn, ended := 0, false; !ended; turn++ {
				select {
				case err := <-done:
					require.NoError(t, err)
					ended = true
				case <-time.After(100 * time.Millisecond):
					if turn%2 == 0 {
						logind.Add("1", uid, login)
					} else {
						later()
					}
				}
			}
		})
	}
}

// Only sessions that users work in are shadowed.
func TestClasses(t *testing.T) {
	for _, class := range []string{"", "user", "user-early", "user-light"} {
		assert.Nil(t, (&shadow.Session{User: "u", UID: 1, Display: ":1", Class: class}).Refusal(), class)
	}
	for _, class := range []string{"greeter", "lock-screen", "background", "background-light", "manager", "manager-early", "user-incomplete", "none", "new"} {
		r := (&shadow.Session{User: "u", UID: 1, Display: ":1", Class: class}).Refusal()
		require.NotNil(t, r, class)
		assert.Equal(t, &shadow.End{Reason: shadow.NoUser, Detail: "it is a " + class + " session"}, r)
	}
}
