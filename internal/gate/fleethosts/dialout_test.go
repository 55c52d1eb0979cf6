package fleethosts_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/dialout"
	"vda.internal/shadow/internal/fleet/host"
	"vda.internal/shadow/internal/fleet/testfleet"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/fleethosts"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
)

// dialling is a gate in front of a host that dials it. address is what the host is told; "": where the gate is.
func dialling(t *testing.T, address string) (*testgate.Gate, *testgate.Daemon, *rig) {
	t.Helper()
	r := newRig(t)
	d := testgate.NewDaemon(t)
	r.Run(r.Enroll("vda1"), d.Manager, testfleet.NewSpool(), func(c *host.Config) { c.Views = new(dialout.Ports) })
	return r.dialled(t, "gate1", address, ""), d, r
}

// dialled is a gate that hosts dial, with the files in dir of an earlier one; "": with new ones.
func (r *rig) dialled(t *testing.T, name, address, dir string) *testgate.Gate {
	t.Helper()
	listen := fmt.Sprintf("127.0.0.1:%d", testenv.Ports(t, 1))
	if address == "" {
		address = "http://" + listen
	}
	desk := new(dialout.Desk)
	directory := fleethosts.New(r.Conn(name), fleethosts.Options{
		Fleet: r.Keys.Fleet(), Revoked: r.Server.Revoke, Logger: testfleet.Logger(t), Views: desk, Address: address,
	})
	return testgate.New(t, nil, testgate.Options{Dir: dir, Listen: listen, Gate: func(c *gate.Config) { c.Directory, c.Views = directory, desk }})
}

// A host that nobody can dial brings its views to the gate; nothing listens on it. A viewer that was cut off
// returns, and a second one takes over, as anywhere.
func TestDialOut(t *testing.T) {
	g, d, _ := dialling(t, "")
	alice := g.SignIn("alice")
	up(t, alice, 1)
	view := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"})
	assert.Zero(t, d.Manager.PortsInUse(), "a port is open")
	v := alice.View(view.ID)
	v.Picture()
	assert.Zero(t, d.Manager.PortsInUse(), "a port is open")

	v.Cut()
	again := alice.View(view.ID)
	again.Picture()
	list := d.Manager.List()
	require.Len(t, list, 1)
	assert.Equal(t, shadow.Viewing, list[0].State)

	second := g.SignIn("alice")
	other := second.View(second.AskFor(gate.Wish{Host: "vda1", Session: "s1"}).ID)
	code, _ := again.End()
	assert.Equal(t, 4001, code)
	other.Picture()
	for _, s := range d.Manager.List() {
		second.Do(http.MethodDelete, "/api/v1/shadows/"+s.ID, nil, http.StatusNoContent)
	}
	code, _ = other.End()
	assert.Equal(t, 1000, code)
}

// A view that its host carries to a gate, which goes, comes back through another: the host dials that one, and its user
// isn't asked again.
func TestDialOutThroughAnotherGate(t *testing.T) {
	first, d, r := dialling(t, "")
	alice := first.SignIn("alice")
	up(t, alice, 1)
	view := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"})
	v := alice.View(view.ID)
	v.Picture()
	first.Stop()
	v.Cut()

	there := &testgate.Client{HTTP: alice.HTTP, Gate: r.dialled(t, "gate2", "", first.Dir), Header: alice.Header}
	up(t, there, 1)
	comesBack(t, there, view.ID)
	list := d.Manager.List()
	require.Len(t, list, 1)
	assert.Equal(t, view.ID, list[0].ID)
	assert.Zero(t, d.Manager.PortsInUse(), "a port is open")
	there.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
}

// The host takes a gate's word for where to dial, but goes nowhere that its authorities don't vouch for; the
// view ends by itself.
func TestDialOutElsewhere(t *testing.T) {
	g, d, _ := dialling(t, "http://192.0.2.1")
	alice := g.SignIn("alice")
	up(t, alice, 1)
	view := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"})
	v, err := alice.Connect(view.ID)
	require.NoError(t, err)
	code, _ := v.End()
	assert.Equal(t, 1013, code)
	require.Len(t, d.Manager.List(), 1)
	assert.Equal(t, shadow.Granted, d.Manager.List()[0].State, "nobody has come")
}

// Whoever rules the bus reads the ticket of a view, and can't bring a connection of his own with it: the gate
// takes the host's only, and shows nobody the view's token.
func TestHostileBusBringsNoView(t *testing.T) {
	nowhere, err := net.Listen("tcp", "127.0.0.1:0") // takes the host's connection, and says nothing: the host comes too late
	require.NoError(t, err)
	defer nowhere.Close()
	g, _, r := dialling(t, "http://"+nowhere.Addr().String())
	alice := g.SignIn("alice")
	up(t, alice, 1)
	bus := r.Hostile()
	caught, err := bus.SubscribeSync(fleet.Subject("vda1", fleet.Dial))
	require.NoError(t, err)
	require.NoError(t, bus.Flush())
	view := alice.AskFor(gate.Wish{Host: "vda1", Session: "s1"})
	ended := make(chan int, 1)
	go func() {
		v, err := alice.Connect(view.ID)
		if err != nil {
			ended <- 0
			return
		}
		code, _ := v.End()
		ended <- code
	}()
	msg, err := caught.NextMsg(testfleet.Patience)
	require.NoError(t, err)
	var order fleet.Order
	require.NoError(t, json.Unmarshal(msg.Data, &order))
	var dial fleet.DialBody
	require.NoError(t, json.Unmarshal(order.Body, &dial))
	require.NotEmpty(t, dial.Ticket)
	own, err := nkeys.CreateUser()
	require.NoError(t, err)
	forged, err := fleet.SignView(own, "vda1", dial.Gate, dial.Ticket)
	require.NoError(t, err)
	for _, proof := range []string{forged, msg.Header.Get(fleet.SignatureHeader), "x"} {
		c, err := dialout.Dial(t.Context(), g.URL, dial.Ticket, proof, nil)
		if err == nil {
			_ = c.Close()
		}
		require.ErrorContains(t, err, "403")
	}
	select {
	case code := <-ended:
		assert.Equal(t, 1013, code)
	case <-time.After(testgate.Patience):
		require.Fail(t, "the viewer isn't told")
	}
}
