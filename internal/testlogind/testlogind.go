// Package testlogind stands in for systemd-logind in tests, on a real
// dbus-daemon of its own: what is tested speaks D-Bus as it does on a host.
//
//	logind := testlogind.Start(t)
//	logind.Add("2", 1000, map[string]any{"Display": ":1"})
//	resolver := &sessions.Logind{Address: logind.Address}
//	...
//	logind.Remove("2")
//
// It has what is asked of logind here (org.freedesktop.login1(5)):
// ListSessions, GetSession, GetUser and its Display, a session's properties and their changes, and SessionRemoved.
package testlogind

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

const (
	name       = "org.freedesktop.login1"
	path       = dbus.ObjectPath("/org/freedesktop/login1")
	manager    = "org.freedesktop.login1.Manager"
	properties = "org.freedesktop.DBus.Properties"
)

// NoSuchSession is the error for a session that has ended.
const NoSuchSession = "org.freedesktop.login1.NoSuchSession"

// A Service is a logind. Its methods are safe for concurrent use.
type Service struct {
	Address string // of its bus

	t    testing.TB
	conn *dbus.Conn

	mu       sync.Mutex
	sessions []entry
	objects  map[string]object // by the session's id
	hang     <-chan struct{}
}

// entry is one element of what ListSessions returns.
type entry struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// StartBus runs a dbus-daemon until the test ends, and returns its address.
// Further lines of its configuration may be given, such as <servicedir>.
func StartBus(t testing.TB, lines ...string) string {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "bus.conf")
	require.NoError(t, os.WriteFile(config, []byte(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=`+dir+`/bus</listen>
  <auth>EXTERNAL</auth>
  `+strings.Join(lines, "\n")+`
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*" eavesdrop="true"/>
  </policy>
</busconfig>
`), 0o600))
	cmd := exec.Command(testenv.Program(t, "dbus-daemon", "dbus"), "--config-file="+config, "--nofork", "--nopidfile", "--print-address=1")
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

// Start runs a logind without sessions, on a bus of its own.
func Start(t testing.TB) *Service {
	t.Helper()
	l := &Service{Address: StartBus(t), t: t}
	conn, err := dbus.Connect(l.Address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	l.conn = conn
	require.NoError(t, conn.Export(methods{l}, path, manager))
	reply, err := conn.RequestName(name, dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	require.Equal(t, dbus.RequestNameReplyPrimaryOwner, reply)
	return l
}

// Hang makes ListSessions wait until c is closed.
func (l *Service) Hang(c <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hang = c
}

type userProperty struct {
	UID  uint32
	Path dbus.ObjectPath
}

// Add announces a session; p changes or adds to the properties of an ordinary
// one.
func (l *Service) Add(id string, uid uint32, p map[string]any) {
	l.t.Helper()
	all := map[string]any{
		"Id": id, "Name": "nobody", "User": userProperty{uid, userPath(uid)},
		"Display": ":1", "Type": "x11", "Class": "user", "State": "active", "Active": true, "Remote": false,
		"Leader": uint32(0), "LockedHint": false,
	}
	for name, v := range p {
		all[name] = v
	}
	o := object{values: map[string]dbus.Variant{}}
	for name, v := range all {
		o.values[name] = dbus.MakeVariant(v)
	}
	l.export(id, o)
	display := dbus.MakeVariant(struct {
		ID   string
		Path dbus.ObjectPath
	}{id, pathOf(id)})
	user := object{values: map[string]dbus.Variant{"Display": display}}
	require.NoError(l.t, l.conn.Export(user, userPath(uid), properties))
	require.NoError(l.t, l.conn.Export(locker{l, id}, pathOf(id), name+".Session"))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions = slices.DeleteFunc(l.sessions, func(s entry) bool { return s.ID == id })
	l.sessions = append(l.sessions, entry{id, uid, "nobody", "seat0", pathOf(id)})
}

// Set changes a property of a session, and says so, as logind does of those that emit changes.
func (l *Service) Set(id, property string, value any) {
	l.t.Helper()
	l.mu.Lock()
	o := object{values: maps.Clone(l.objects[id].values)}
	l.mu.Unlock()
	o.values[property] = dbus.MakeVariant(value)
	l.export(id, o)
	require.NoError(l.t, l.conn.Emit(pathOf(id), properties+".PropertiesChanged", name+".Session",
		map[string]dbus.Variant{property: dbus.MakeVariant(value)}, []string{}))
}

// Value is that of a session's property now.
func (l *Service) Value(id, property string) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.objects[id].values[property].Value()
}

// A locker is the object by which a desktop says whether it is locked.
type locker struct {
	l  *Service
	id string
}

// SetLockedHint is logind's.
func (s locker) SetLockedHint(locked bool) *dbus.Error {
	s.l.Set(s.id, "LockedHint", locked)
	return nil
}

// Fail makes a listed session answer with a D-Bus error.
func (l *Service) Fail(id, name string) {
	l.t.Helper()
	l.export(id, object{fails: name})
}

// Remove ends a session, as logind does, and says so.
func (l *Service) Remove(id string) {
	l.t.Helper()
	l.mu.Lock()
	l.sessions = slices.DeleteFunc(l.sessions, func(s entry) bool { return s.ID == id })
	l.mu.Unlock()
	require.NoError(l.t, l.conn.Export(nil, pathOf(id), properties))
	require.NoError(l.t, l.conn.Emit(path, manager+".SessionRemoved", id, pathOf(id)))
}

func (l *Service) export(id string, o object) {
	l.t.Helper()
	l.mu.Lock()
	if l.objects == nil {
		l.objects = map[string]object{}
	}
	l.objects[id] = o
	l.mu.Unlock()
	require.NoError(l.t, l.conn.Export(o, pathOf(id), properties))
}

func userPath(uid uint32) dbus.ObjectPath {
	return dbus.ObjectPath(fmt.Sprintf("%s/user/_%d", path, uid))
}

// pathOf is a session's object path, escaped as systemd does it
// (sd_bus_path_encode).
func pathOf(id string) dbus.ObjectPath {
	return dbus.ObjectPath(fmt.Sprintf("%s/session/_%x", path, id))
}

// methods are what the manager object answers.
type methods struct{ l *Service }

// ListSessions is logind's.
func (m methods) ListSessions() ([]entry, *dbus.Error) {
	m.l.mu.Lock()
	hang, sessions := m.l.hang, slices.Clone(m.l.sessions)
	m.l.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return sessions, nil
}

// GetSession is logind's.
func (m methods) GetSession(id string) (dbus.ObjectPath, *dbus.Error) {
	m.l.mu.Lock()
	defer m.l.mu.Unlock()
	for _, s := range m.l.sessions {
		if s.ID == id {
			return s.Path, nil
		}
	}
	return "", dbus.NewError(NoSuchSession, nil)
}

// GetUser is logind's, for whoever has a session.
func (m methods) GetUser(uid uint32) (dbus.ObjectPath, *dbus.Error) {
	m.l.mu.Lock()
	defer m.l.mu.Unlock()
	for _, s := range m.l.sessions {
		if s.UID == uid {
			return userPath(uid), nil
		}
	}
	return "", dbus.NewError("org.freedesktop.login1.NoSuchUser", nil)
}

// An object is what a session object answers.
type object struct {
	values map[string]dbus.Variant
	fails  string // the error instead
}

// GetAll is org.freedesktop.DBus.Properties's.
func (o object) GetAll(string) (map[string]dbus.Variant, *dbus.Error) {
	if o.fails != "" {
		return nil, dbus.NewError(o.fails, nil)
	}
	return o.values, nil
}

// Get is org.freedesktop.DBus.Properties's.
func (o object) Get(_, name string) (dbus.Variant, *dbus.Error) {
	if o.fails != "" {
		return dbus.Variant{}, dbus.NewError(o.fails, nil)
	}
	return o.values[name], nil
}
