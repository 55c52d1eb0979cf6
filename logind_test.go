package shadow

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startBus runs a dbus-daemon of our own and returns its address.
func startBus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "bus.conf")
	require.NoError(t, os.WriteFile(config, []byte(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=`+dir+`/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*" eavesdrop="true"/>
  </policy>
</busconfig>
`), 0o600))
	cmd := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile", "--print-address=1")
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start(), "dbus-daemon is needed: install the package dbus")
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

// A loginService stands in for logind on a real bus.
type loginService struct {
	conn *dbus.Conn

	mu       sync.Mutex
	sessions []listed
	hang     chan struct{} // if it isn't nil ListSessions waits for it
}

func startLogind(t *testing.T, address string) *loginService {
	t.Helper()
	conn, err := dbus.Connect(address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	l := &loginService{conn: conn}
	require.NoError(t, conn.Export(l, loginPath, "org.freedesktop.login1.Manager"))
	reply, err := conn.RequestName(loginName, dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	require.Equal(t, dbus.RequestNameReplyPrimaryOwner, reply)
	return l
}

// ListSessions is what logind answers.
func (l *loginService) ListSessions() ([]listed, *dbus.Error) {
	l.mu.Lock()
	hang, sessions := l.hang, l.sessions
	l.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return sessions, nil
}

// GetSession is what logind answers.
func (l *loginService) GetSession(id string) (dbus.ObjectPath, *dbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		if s.ID == id {
			return s.Path, nil
		}
	}
	return "", dbus.NewError(errNoSession, nil)
}

// remove ends a session as logind does, and says so.
func (l *loginService) remove(t *testing.T, id string) {
	t.Helper()
	l.mu.Lock()
	l.sessions = slices.DeleteFunc(l.sessions, func(s listed) bool { return s.ID == id })
	l.mu.Unlock()
	require.NoError(t, l.conn.Export(nil, path(id), "org.freedesktop.DBus.Properties"))
	require.NoError(t, l.conn.Emit(loginPath, loginManager+".SessionRemoved", id, path(id)))
}

// A loginObject stands in for a session object.
type loginObject struct {
	properties properties
	gone       string // if the session has ended: the error that tells so
}

// GetAll is what logind answers.
func (s loginObject) GetAll(string) (map[string]dbus.Variant, *dbus.Error) {
	if s.gone != "" {
		return nil, dbus.NewError(s.gone, nil)
	}
	return s.properties, nil
}

// Get is what logind answers.
func (s loginObject) Get(_, name string) (dbus.Variant, *dbus.Error) {
	if s.gone != "" {
		return dbus.Variant{}, dbus.NewError(s.gone, nil)
	}
	return s.properties[name], nil
}

// path is a session's object path, escaped as systemd does it (sd_bus_path_encode).
func path(id string) dbus.ObjectPath {
	return dbus.ObjectPath(fmt.Sprintf("%s/session/_%x", loginPath, id))
}

type userProperty struct {
	UID  uint32
	Path dbus.ObjectPath
}

// add announces a session; p changes or adds to the properties of an ordinary one.
func (l *loginService) add(t *testing.T, id string, uid uint32, p map[string]any) {
	t.Helper()
	all := properties{
		"Id":         dbus.MakeVariant(id),
		"Name":       dbus.MakeVariant("nobody"),
		"User":       dbus.MakeVariant(userProperty{uid, dbus.ObjectPath(fmt.Sprintf("%s/user/_%d", loginPath, uid))}),
		"Display":    dbus.MakeVariant(":1"),
		"Type":       dbus.MakeVariant("x11"),
		"Class":      dbus.MakeVariant("user"),
		"State":      dbus.MakeVariant("active"),
		"Active":     dbus.MakeVariant(true),
		"Remote":     dbus.MakeVariant(false),
		"Leader":     dbus.MakeVariant(uint32(0)),
		"LockedHint": dbus.MakeVariant(false),
	}
	for name, v := range p {
		all[name] = dbus.MakeVariant(v)
	}
	l.export(t, id, loginObject{properties: all})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions = append(l.sessions, listed{id, uid, "nobody", "seat0", path(id)})
}

// export puts a session's object on the bus, in place of the one before.
func (l *loginService) export(t *testing.T, id string, o loginObject) {
	t.Helper()
	require.NoError(t, l.conn.Export(o, path(id), "org.freedesktop.DBus.Properties"))
}

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
	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(dir, int(uid), -1))
	}
}

func TestLogind(t *testing.T) {
	uid := someUser(t)
	address := startBus(t)
	logind := startLogind(t, address)
	root := t.TempDir()
	fakeProcess(t, root, 100, 1, 0)
	fakeProcess(t, root, 101, 100, uid, "DISPLAY=:5", "XAUTHORITY=/run/cookie")
	fakeProcess(t, root, 200, 1, uid, "DISPLAY=localhost:10.0")
	fakeProcess(t, root, 300, 1, uid, "DISPLAY=:6")

	logind.add(t, "2", uid, map[string]any{"Leader": uint32(100), "Display": ":5"})
	logind.add(t, "10", uid, map[string]any{"Leader": uint32(100), "Display": ""})
	logind.add(t, "c1", uid, map[string]any{"Class": "greeter"})
	logind.add(t, "c2", uid, map[string]any{"Type": "wayland", "Display": ":0"})
	logind.add(t, "c3", uid, map[string]any{"State": "closing"})
	logind.add(t, "c4", uid, map[string]any{"LockedHint": true})
	logind.add(t, "c5", uid, map[string]any{"Type": "tty", "Remote": true, "Leader": uint32(200), "Display": ""})
	logind.add(t, "c6", uid, map[string]any{"Type": "tty", "Leader": uint32(300), "Display": ""})
	logind.add(t, "c7", uid, map[string]any{"Type": "tty", "Remote": true, "Leader": uint32(300), "Display": ""})
	logind.add(t, "c8", 4000000000, nil)
	logind.add(t, "c9", 0, map[string]any{"Name": "root"})
	logind.add(t, "d1", uid, map[string]any{"Display": ""})
	logind.add(t, "d2", uid, map[string]any{"Type": "unspecified", "Remote": true, "Leader": uint32(300), "Display": ""})
	logind.add(t, "d3", uid, nil)
	logind.export(t, "d3", loginObject{gone: errNoSession}) // ended between the list and the question
	logind.add(t, "d4", uid, nil)
	logind.export(t, "d4", loginObject{gone: errNoObject})
	resolver := &Logind{Address: address, root: root}

	t.Run("one", func(t *testing.T) {
		s, err := resolver.Session(t.Context(), "2")
		require.NoError(t, err)
		assert.NotEmpty(t, s.GID)
		s.GID, s.Groups = 0, nil
		assert.Equal(t, &Session{
			ID: "2", User: "nobody", UID: uid, Display: ":5", Xauthority: "/run/cookie",
			Type: "x11", Class: "user", State: "active",
		}, s)
	})
	t.Run("display from the processes", func(t *testing.T) {
		s, err := resolver.Session(t.Context(), "10")
		require.NoError(t, err)
		assert.Equal(t, ":5", s.Display)
		assert.Equal(t, "/run/cookie", s.Xauthority)
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
			requireRefusal(t, err, NoSession)
		}
	})
	t.Run("no account", func(t *testing.T) {
		_, err := resolver.Session(t.Context(), "c8")
		assert.Contains(t, requireRefusal(t, err, NoUser).Detail, "4000000000")
	})
	t.Run("root", func(t *testing.T) {
		_, err := resolver.Session(t.Context(), "c9")
		requireRefusal(t, err, NoUser)
	})
	t.Run("list", func(t *testing.T) {
		list, err := resolver.Sessions(t.Context())
		require.NoError(t, err)
		var ids []string
		reasons := map[string]Reason{}
		for _, s := range list {
			ids = append(ids, s.ID)
			reasons[s.ID] = reasonOf(s)
		}
		assert.Equal(t, []string{"2", "10", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "d1", "d2"}, ids)
		assert.Equal(t, map[string]Reason{
			"2": "", "10": "", "c1": NoUser, "c2": Wayland, "c3": SessionEnded, "c4": Locked, "c5": Wayland, "c6": "",
			"c7": Wayland, "c8": NoUser, "c9": NoUser, "d1": DisplayUnreachable, "d2": "",
		}, reasons)
	})
	t.Run("an error is no end", func(t *testing.T) {
		logind.add(t, "odd", uid, nil)
		logind.export(t, "odd", loginObject{gone: "org.freedesktop.DBus.Error.AccessDenied"})
		_, err := resolver.Session(t.Context(), "odd")
		require.ErrorContains(t, err, `didn't describe session "odd"`)
	})
	t.Run("nothing is kept", func(t *testing.T) {
		logind.add(t, "new", uid, map[string]any{"LockedHint": false})
		s, err := resolver.Session(t.Context(), "new")
		require.NoError(t, err)
		assert.False(t, s.Locked)
		logind.export(t, "new", loginObject{gone: errNoSession})
		_, err = resolver.Session(t.Context(), "new")
		requireRefusal(t, err, NoSession)
	})
}

func TestLogindHangs(t *testing.T) {
	address := startBus(t)
	logind := startLogind(t, address)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	logind.mu.Lock()
	logind.hang = hang
	logind.mu.Unlock()
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
		_, err := (&Logind{Address: startBus(t)}).Sessions(t.Context())
		require.ErrorContains(t, err, "logind isn't on this host")
	})
	t.Run("the address from the environment", func(t *testing.T) {
		address := startBus(t)
		startLogind(t, address)
		t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
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
	address := startBus(t)
	logind := startLogind(t, address)
	logind.add(t, "1", uid, nil)
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
		case <-time.After(10 * time.Second):
			require.Fail(t, "it waits for ever")
			return nil
		}
	}
	slow := &Logind{Address: address, interval: time.Hour} // only signals count

	t.Run("removed", func(t *testing.T) {
		logind.add(t, "2", uid, nil)
		_, done := wait(t, slow, "2")
		waiting(t, done)
		logind.remove(t, "1") // another one's end is not ours
		waiting(t, done)
		logind.remove(t, "2")
		require.NoError(t, end(t, done))
	})
	t.Run("not there", func(t *testing.T) {
		_, done := wait(t, slow, "2")
		require.NoError(t, end(t, done))
	})
	t.Run("closing", func(t *testing.T) {
		logind.add(t, "3", uid, nil)
		_, done := wait(t, &Logind{Address: address, interval: 10 * time.Millisecond}, "3")
		waiting(t, done)
		logind.export(t, "3", loginObject{properties: properties{"State": dbus.MakeVariant("closing")}})
		require.NoError(t, end(t, done))
	})
	t.Run("given up", func(t *testing.T) {
		logind.add(t, "4", uid, nil)
		cancel, done := wait(t, slow, "4")
		waiting(t, done)
		why := errors.New("enough")
		cancel(why)
		require.ErrorIs(t, end(t, done), why)
	})
	t.Run("an error is no end", func(t *testing.T) {
		logind.add(t, "5", uid, nil)
		logind.export(t, "5", loginObject{gone: "org.freedesktop.DBus.Error.AccessDenied"})
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
