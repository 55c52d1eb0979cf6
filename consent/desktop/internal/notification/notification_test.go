package notification

import (
	"context"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testlogind"
	"vda.internal/shadow/internal/testnotify"
)

// patience is how long a test waits for what is to come soon.
const patience = testenv.Patience

var question = Question{
	Summary: `CORP\alice <b> wants to view your screen`, Body: "They see <i>everything</i> & more.\nThey can't type.",
	No: "Nein", Yes: "Ja", Left: 20 * time.Second,
}

// A desk is a user's desktop, with a notification service.
type desk struct {
	*testnotify.Service
	address string
	t       *testing.T
}

func newDesk(t *testing.T, capabilities ...string) *desk {
	address := testlogind.StartBus(t)
	if capabilities == nil {
		capabilities = []string{"body", "actions", "body-markup"}
	}
	return &desk{testnotify.Start(t, address, capabilities...), address, t}
}

func (d *desk) dial() *dbus.Conn {
	d.t.Helper()
	conn, err := dbus.Connect(d.address)
	require.NoError(d.t, err)
	d.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// next is the next thing that comes.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// result is what Ask returned.
type result struct {
	answer Answer
	err    error
}

// ask begins to ask, and returns when the notification is there.
func (d *desk) ask(ctx context.Context) (testnotify.Notification, <-chan result) {
	d.t.Helper()
	results := make(chan result, 1)
	shown := make(chan struct{})
	conn := d.dial()
	go func() {
		answer, err := Ask(ctx, conn, question, func() { close(shown) })
		results <- result{answer, err}
	}()
	n := next(d.t, d.Shown)
	next(d.t, shown)
	return n, results
}

// read waits until the user can have read the question.
func read() { <-time.After(guardTime + 50*time.Millisecond) }

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		do     func(d *desk, id uint32)
		want   Answer
		closes bool // the notification is taken down
	}{
		"yes":                 {func(d *desk, id uint32) { d.Invoke(id, "yes") }, Yes, true},
		"no":                  {func(d *desk, id uint32) { d.Invoke(id, "no") }, No, true},
		"beside them":         {func(d *desk, id uint32) { d.Invoke(id, "default") }, Closed, true},
		"expired":             {func(d *desk, id uint32) { d.Dismiss(id, 1) }, Expired, false},
		"dismissed":           {func(d *desk, id uint32) { d.Dismiss(id, 2) }, Closed, false},
		"closed":              {func(d *desk, id uint32) { d.Dismiss(id, 3) }, Closed, false},
		"closed for whatever": {func(d *desk, id uint32) { d.Dismiss(id, 9) }, Closed, false},
		"others before": {func(d *desk, id uint32) {
			d.Invoke(id+1, "yes")
			d.Dismiss(id+1, 2)
			d.Invoke(id, "no")
		}, No, true},
		"dismissed before yes": {func(d *desk, id uint32) { d.Dismiss(id, 2); d.Invoke(id, "yes") }, Closed, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			n, results := d.ask(t.Context())
			read()
			c.do(d, n.ID)
			r := next(t, results)
			require.NoError(t, r.err)
			assert.Equal(t, c.want, r.answer)
			if c.closes {
				assert.Equal(t, n.ID, next(t, d.Closed))
			} else {
				assert.Empty(t, d.Closed)
			}
		})
	}
}

func TestWhatIsShown(t *testing.T) {
	for name, c := range map[string]struct {
		can  []string
		body string
	}{
		"markup": {[]string{"actions", "body", "body-markup"}, "They see &lt;i&gt;everything&lt;/i&gt; &amp; more.\nThey can&#39;t type."},
		"plain":  {[]string{"actions", "body"}, "They see ‹i›everything‹/i› & more.\nThey can't type."},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, c.can...)
			n, results := d.ask(t.Context())
			assert.Equal(t, `CORP\alice ‹b› wants to view your screen`, n.Summary, "is never markup")
			assert.Equal(t, c.body, n.Body)
			assert.Equal(t, []string{"no", "Nein", "yes", "Ja"}, n.Actions, "nothing but the buttons answers")
			assert.EqualValues(t, 20000, n.Expire)
			assert.Equal(t, byte(2), n.Hints["urgency"].Value(), "critical")
			assert.Equal(t, true, n.Hints["transient"].Value(), "not kept for later")
			d.Invoke(n.ID, "no")
			assert.Equal(t, result{No, nil}, next(t, results))
		})
	}
}

// A Yes comes too early to be meant.
func TestYesAtOnce(t *testing.T) {
	d := newDesk(t)
	n, results := d.ask(t.Context())
	d.Invoke(n.ID, "yes")
	assert.Equal(t, result{Closed, nil}, next(t, results))
	assert.Equal(t, n.ID, next(t, d.Closed))
}

// What others on the bus say in the service's name doesn't count.
func TestSignalsOfOthers(t *testing.T) {
	d := newDesk(t)
	n, results := d.ask(t.Context())
	read()
	other := d.dial()
	for _, to := range []string{"", d.dial().Names()[0]} {
		require.NoError(t, other.Emit(path, invoked, n.ID, "yes"), to)
		require.NoError(t, other.Emit(path, closed, n.ID, uint32(2)), to)
		require.NoError(t, other.Emit("/org/freedesktop/DBus", ownerIsNew, "x", "x", ""), to)
	}
	d.Invoke(n.ID, "no")
	assert.Equal(t, result{No, nil}, next(t, results))
}

// Signals that are sent to the asker alone reach it, whatever it has subscribed to.
func TestSignalsOfOthersToTheAsker(t *testing.T) {
	d := newDesk(t)
	conn := d.dial()
	results := make(chan result, 1)
	go func() {
		answer, err := Ask(t.Context(), conn, question, func() {})
		results <- result{answer, err}
	}()
	n := next(t, d.Shown)
	read()
	other := d.dial()
	msg := &dbus.Message{Type: dbus.TypeSignal, Body: []any{n.ID, "yes"}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldInterface: dbus.MakeVariant(name), dbus.FieldMember: dbus.MakeVariant("ActionInvoked"),
		dbus.FieldDestination: dbus.MakeVariant(conn.Names()[0]), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(n.ID, "yes")),
	}}
	require.NoError(t, other.Send(msg, nil).Err)
	require.NoError(t, other.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err, "the bus has passed it on")
	d.Invoke(n.ID, "no")
	assert.Equal(t, result{No, nil}, next(t, results))
}

func TestServicesThatCantAsk(t *testing.T) {
	for name, c := range map[string]struct {
		can  []string
		want string
	}{
		"no buttons": {[]string{"body", "body-markup"}, `it lacks "actions"`},
		"no body":    {[]string{"actions"}, `it lacks "body"`},
		"nothing":    {[]string{}, `it lacks "actions"`},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, c.can...)
			_, err := Ask(t.Context(), d.dial(), question, func() { t.Error("shown") })
			assert.ErrorContains(t, err, c.want)
			assert.Empty(t, d.Shown)
		})
	}
	t.Run("none", func(t *testing.T) {
		conn, err := dbus.Connect(testlogind.StartBus(t))
		require.NoError(t, err)
		defer conn.Close()
		_, err = Ask(t.Context(), conn, question, func() { t.Error("shown") })
		assert.ErrorContains(t, err, "the desktop has no notification service")
	})
}

func TestServiceEnds(t *testing.T) {
	d := newDesk(t)
	_, results := d.ask(t.Context())
	d.Stop()
	assert.Equal(t, result{No, errEnded}, next(t, results))
}

// hasty is a service that ends instead of an answer to one of its calls.
type hasty struct {
	conn *dbus.Conn
	in   string
}

func (h hasty) GetCapabilities() ([]string, *dbus.Error) {
	if h.in == "GetCapabilities" {
		_ = h.conn.Close()
	}
	return []string{"actions", "body"}, nil
}

func (h hasty) Notify(string, uint32, string, string, string, []string, map[string]dbus.Variant, int32) (uint32, *dbus.Error) {
	_ = h.conn.Close()
	return 1, nil
}

// It is the same to the administrator in which call a service ended.
func TestServiceEndsInACall(t *testing.T) {
	for _, in := range []string{"GetCapabilities", "Notify"} {
		d := &desk{address: testlogind.StartBus(t), t: t}
		conn := d.dial()
		require.NoError(t, conn.Export(hasty{conn, in}, path, name))
		_, err := conn.RequestName(name, dbus.NameFlagDoNotQueue)
		require.NoError(t, err)
		answer, err := Ask(t.Context(), d.dial(), question, func() { t.Error("shown") })
		assert.Equal(t, errEnded, err, in)
		assert.Equal(t, No, answer)
	}
}

func TestBusGoesAway(t *testing.T) {
	d := newDesk(t)
	conn := d.dial()
	results := make(chan result, 1)
	go func() {
		answer, err := Ask(t.Context(), conn, question, func() {})
		results <- result{answer, err}
	}()
	next(t, d.Shown)
	require.NoError(t, conn.Close())
	r := next(t, results)
	assert.Error(t, r.err)
	assert.Equal(t, No, r.answer)
}

func TestGivenUp(t *testing.T) {
	d := newDesk(t)
	ctx, cancel := context.WithCancel(t.Context())
	n, results := d.ask(ctx)
	cancel()
	assert.ErrorIs(t, next(t, results).err, context.Canceled)
	assert.Equal(t, n.ID, next(t, d.Closed), "it is taken down")
}
