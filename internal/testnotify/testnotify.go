// Package testnotify stands in for a desktop's notification service in tests, on a real
// dbus-daemon (Desktop Notifications Specification 1.2). It shows nothing; the test is the
// user:
//
//	service := testnotify.Start(t, address, "actions", "body")
//	shown := <-service.Shown
//	service.Invoke(shown.ID, "yes")
package testnotify

import (
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"
)

const (
	name = "org.freedesktop.Notifications"
	path = dbus.ObjectPath("/org/freedesktop/Notifications")
)

// A Notification is what a client has asked to be shown.
type Notification struct {
	ID            uint32
	App           string
	Icon          string
	Summary, Body string
	Actions       []string // keys and labels in turn
	Hints         map[string]dbus.Variant
	Expire        int32 // ms
}

// A Service is a notification service. Its methods are safe for concurrent use.
type Service struct {
	Shown  chan Notification // what has come
	Closed chan uint32       // what clients have closed

	t    testing.TB
	conn *dbus.Conn
	can  []string

	mu   sync.Mutex
	last uint32
}

// Start runs a service with these capabilities, on the bus at address, until the test ends.
func Start(t testing.TB, address string, capabilities ...string) *Service {
	t.Helper()
	conn, err := dbus.Connect(address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	s := &Service{Shown: make(chan Notification, 16), Closed: make(chan uint32, 16), t: t, conn: conn, can: capabilities}
	require.NoError(t, conn.Export(methods{s}, path, name))
	reply, err := conn.RequestName(name, dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	require.Equal(t, dbus.RequestNameReplyPrimaryOwner, reply)
	return s
}

// Invoke says that the user has pressed the button with that key.
func (s *Service) Invoke(id uint32, key string) { s.emit("ActionInvoked", id, key) }

// Dismiss says that a notification is gone: 1 expired, 2 by the user, 3 by its client.
func (s *Service) Dismiss(id, reason uint32) { s.emit("NotificationClosed", id, reason) }

// Stop ends the service.
func (s *Service) Stop() { _ = s.conn.Close() }

func (s *Service) emit(member string, values ...any) {
	s.t.Helper()
	require.NoError(s.t, s.conn.Emit(path, name+"."+member, values...))
}

// methods are what clients call.
type methods struct{ s *Service }

func (m methods) GetCapabilities() ([]string, *dbus.Error) { return m.s.can, nil }

func (m methods) GetServerInformation() (string, string, string, string, *dbus.Error) {
	return "testnotify", "shadow", "1", "1.2", nil
}

func (m methods) Notify(app string, replaces uint32, icon, summary, body string, actions []string, hints map[string]dbus.Variant, expire int32) (uint32, *dbus.Error) {
	m.s.mu.Lock()
	m.s.last++
	id := m.s.last
	m.s.mu.Unlock()
	m.s.Shown <- Notification{id, app, icon, summary, body, actions, hints, expire}
	return id, nil
}

func (m methods) CloseNotification(id uint32) *dbus.Error {
	m.s.Closed <- id
	m.s.emit("NotificationClosed", id, uint32(3))
	return nil
}
