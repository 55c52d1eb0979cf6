package desktop

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testlogind"
	"vda.internal/shadow/internal/testnotify"
)

// A notifiedDesk is a desktop with a notification service, and a request about its session,
// which is that of whoever runs the test.
type notifiedDesk struct {
	*testnotify.Service
	r consent.Request
}

func newNotifiedDesk(t *testing.T) notifiedDesk {
	r := self()
	r.Bus, r.Display = testlogind.StartBus(t), ""
	return notifiedDesk{testnotify.Start(t, r.Bus, "actions", "body", "body-markup"), r}
}

// next is the next thing that comes.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(testenv.Patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// notified asks, and answers with what user does when the notification is there.
func (d notifiedDesk) notified(t *testing.T, ctx context.Context, user func(n testnotify.Notification)) (consent.Decision, error) {
	t.Helper()
	type answer struct {
		d   consent.Decision
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		d, err := Notify{Command: quick.Command}.Ask(ctx, d.r)
		answers <- answer{d, err}
	}()
	user(next(t, d.Shown))
	a := next(t, answers)
	return a.d, a.err
}

func TestNotify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(d notifiedDesk, id uint32)
		want consent.Decision
	}{
		"yes":       {func(d notifiedDesk, id uint32) { d.Invoke(id, "yes") }, consent.Granted},
		"no":        {func(d notifiedDesk, id uint32) { d.Invoke(id, "no") }, consent.Denied},
		"dismissed": {func(d notifiedDesk, id uint32) { d.Dismiss(id, 2) }, consent.Closed},
		"expired":   {func(d notifiedDesk, id uint32) { d.Dismiss(id, 1) }, consent.TimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newNotifiedDesk(t)
			got, err := d.notified(t, t.Context(), func(n testnotify.Notification) {
				<-time.After(600 * time.Millisecond) // a Yes before would not be meant
				c.do(d, n.ID)
			})
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestNotifyHasTheUsersWords(t *testing.T) {
	t.Parallel()
	d := newNotifiedDesk(t)
	d.r.Admin, d.r.Replaces, d.r.Locale, d.r.Timeout = "CORP\\alice <script>\n", "bob & co", "de_DE.UTF-8", 30*time.Second
	d.r.Identity = consent.Identity{}
	got, err := d.notified(t, t.Context(), func(n testnotify.Notification) {
		assert.Equal(t, `CORP\alice ‹script› möchte Ihren Bildschirm sehen`, n.Summary)
		assert.Equal(t, "Dieser Name stammt aus der Anfrage; dieser Rechner konnte ihn nicht überprüfen.\n"+
			"Dabei ist alles zu sehen, was Sie auf vda1.corp.example sehen.\n"+
			"Maus und Tastatur bedienen weiterhin nur Sie.\n"+
			"bob &amp; co sieht gerade zu und wird getrennt, wenn Sie mit Ja antworten.\n"+
			"Ohne Antwort in 30 s gilt Nein", n.Body)
		assert.Equal(t, []string{"no", "Nein", "yes", "Ja"}, n.Actions)
		assert.InDelta(t, 30000, n.Expire, 5000)
		d.Invoke(n.ID, "no")
	})
	require.NoError(t, err)
	assert.Equal(t, consent.Denied, got)
}

// At the end of the time the notification goes, although the service would show it on.
func TestNotifyLapses(t *testing.T) {
	t.Parallel()
	d := newNotifiedDesk(t)
	id := d.lapses(t)
	assert.Equal(t, id, next(t, d.Closed))
}

// Silence behind a notification is never a Yes: nobody knows whether the user could see it.
func TestNotifyIsNotSeen(t *testing.T) {
	t.Parallel()
	d := newNotifiedDesk(t)
	shown := false
	d.r.SilenceAllows, d.r.Shown = true, func() { shown = true }
	d.lapses(t)
	assert.False(t, shown)
}

// lapses asks for six seconds, and for four times as long if that was too little to show it, without an answer. It
// returns the number of the notification.
func (d notifiedDesk) lapses(t *testing.T) (id uint32) {
	t.Helper()
	for limit := 6 * time.Second; limit < 10*time.Minute; limit *= 4 {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		got, err := Notify{Command: quick.Command}.Ask(ctx, d.r)
		cancel()
		require.NoError(t, err)
		require.Equal(t, consent.TimedOut, got)
		select {
		case n := <-d.Shown:
			return n.ID
		default:
		}
	}
	require.FailNow(t, "it was never shown")
	return 0
}

func TestNotifyGivenUp(t *testing.T) {
	t.Parallel()
	d := newNotifiedDesk(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var id uint32
	got, err := d.notified(t, ctx, func(n testnotify.Notification) {
		id = n.ID
		cancel()
	})
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, consent.Denied, got)
	assert.Equal(t, id, next(t, d.Closed))
}

func TestNotifyFails(t *testing.T) {
	t.Parallel()
	t.Run("service ends", func(t *testing.T) {
		d := newNotifiedDesk(t)
		got, err := d.notified(t, t.Context(), func(testnotify.Notification) { d.Stop() })
		assert.ErrorContains(t, err, "the desktop's notification service has ended")
		assert.Equal(t, consent.Denied, got)
	})
	t.Run("no buttons", func(t *testing.T) {
		r := self()
		r.Bus, r.Display = testlogind.StartBus(t), ""
		testnotify.Start(t, r.Bus, "body")
		got, err := Notify{Command: quick.Command}.Ask(t.Context(), r)
		assert.ErrorContains(t, err, `it lacks "actions"`)
		assert.Equal(t, consent.Denied, got)
	})
	t.Run("no bus", func(t *testing.T) {
		r := self()
		r.Bus, r.Display = "unix:path=/nowhere/bus", ""
		got, err := Notify{Command: quick.Command}.Ask(t.Context(), r)
		assert.ErrorContains(t, err, "no D-Bus bus answers")
		assert.Equal(t, consent.Denied, got)
	})
	t.Run("no address", func(t *testing.T) {
		mark := t.TempDir() + "/ran"
		r := self()
		r.Display, r.Bus = "", "unixexec:path=/bin/touch,argv1="+mark
		got, err := Notify{Command: quick.Command}.Ask(t.Context(), r)
		assert.ErrorContains(t, err, "is no address of a socket of this host")
		assert.Equal(t, consent.Denied, got)
		_, err = os.Stat(mark)
		assert.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("bad texts", func(t *testing.T) {
		got, err := Notify{Texts: consent.Texts{Question: "?"}}.Ask(t.Context(), self())
		assert.ErrorContains(t, err, "must hold {admin}")
		assert.Equal(t, consent.Denied, got)
	})
}

// lockedSaver is a desktop's screen saver that is on.
type lockedSaver struct{}

func (lockedSaver) GetActive() (bool, *dbus.Error) { return true, nil }

// lockedBus is a bus of a session whose screen saver is on.
func lockedBus(t *testing.T) string {
	address := testlogind.StartBus(t)
	conn, err := dbus.Connect(address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.Export(lockedSaver{}, "/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver"))
	_, err = conn.RequestName("org.freedesktop.ScreenSaver", dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	return address
}

func TestNotifyAtALockedScreen(t *testing.T) {
	t.Parallel()
	r := self()
	r.Bus, r.Display = lockedBus(t), ""
	service := testnotify.Start(t, r.Bus, "actions", "body")
	got, err := Notify{Command: quick.Command}.Ask(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, consent.Locked, got)
	assert.Empty(t, service.Shown)
}

// The window isn't shown there, either, on a display that knows nothing of it.
func TestLockedAsTheBusSays(t *testing.T) {
	t.Parallel()
	own := child.Own()
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 240, Identity: &own})
	r := request(d)
	r.Bus = lockedBus(t)
	got, err := quick.Ask(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, consent.Locked, got)
}

// muteBus is the address of a bus that takes connections and says nothing.
func muteBus(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return "unix:path=" + path
}

// A bus that hangs is given up long before the time is, and holds up no window.
func TestMuteBus(t *testing.T) {
	t.Parallel()
	r := self()
	r.Bus, r.Display, r.Timeout = muteBus(t), "", time.Minute
	got, err := Notify{Command: quick.Command}.Ask(t.Context(), r)
	assert.ErrorContains(t, err, "doesn't let this user in: context deadline exceeded")
	assert.Equal(t, consent.Denied, got)

	own := child.Own()
	d := put(t, testhost.Options{Width: 640, Height: 480, Identity: &own}, nil, func(q *consent.Request) { q.Bus = r.Bus })
	d.ready().key("Escape")
	d.expect(consent.Denied)
}
