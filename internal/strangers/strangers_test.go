package strangers

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// A conn comes from an address and knows whether it is closed.
type conn struct {
	net.Conn
	from   string
	closed atomic.Bool
}

func (c *conn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.from), Port: 1} }
func (c *conn) Close() error         { c.closed.Store(true); return nil }

// come lets n strangers in from an address.
func come(d *Door, from string, n int) (list []*conn) {
	for range n {
		c := &conn{from: from}
		d.Arrive(c, time.Minute)
		list = append(list, c)
	}
	return list
}

func closed(list []*conn) (which []int) {
	for i, c := range list {
		if c.closed.Load() {
			which = append(which, i)
		}
	}
	return which
}

func TestTheOldestOfAnAddressGoes(t *testing.T) {
	c := &Crowd{Max: 100, PerDoor: 100, PerAddress: 3}
	d, other := c.Door(), c.Door()
	elsewhere := come(other, "10.0.0.1", 3)
	first := come(d, "10.0.0.2", 1)
	list := come(d, "10.0.0.1", 5)
	assert.Equal(t, []int{0, 1}, closed(list))
	assert.Empty(t, closed(first), "another address has to go")
	assert.Empty(t, closed(elsewhere), "another door's has to go")
	assert.Equal(t, Turned{Crowded: 2}, d.Turned())
	assert.Equal(t, Turned{}, other.Turned())
	assert.Equal(t, Turned{Crowded: 2}, c.Turned())
	assert.Equal(t, 7, c.Here())
}

// Who has come once isn't let go for those who come in crowds.
func TestTheBiggestGroupGoesFirst(t *testing.T) {
	c := &Crowd{Max: 100, PerDoor: 6, PerAddress: 5}
	d := c.Door()
	viewer := come(d, "10.0.0.1", 1)
	crowd := come(d, "10.0.0.2", 5)
	late := come(d, "10.0.0.3", 2)
	assert.Empty(t, closed(viewer))
	assert.Empty(t, closed(late))
	assert.Equal(t, []int{0, 1}, closed(crowd))
}

// One door's crowd takes no other door's places.
func TestAllDoorsTogether(t *testing.T) {
	c := &Crowd{Max: 6, PerDoor: 5, PerAddress: 5}
	crowded, quiet := c.Door(), c.Door()
	viewer := come(quiet, "10.0.0.1", 1)
	crowd := come(crowded, "10.0.0.2", 5)
	second := come(quiet, "10.0.0.1", 1)
	assert.Empty(t, closed(viewer))
	assert.Empty(t, closed(second))
	assert.Equal(t, []int{0}, closed(crowd))
}

// One customer's network is one address.
func TestNetworks(t *testing.T) {
	c := &Crowd{Max: 100, PerDoor: 100, PerAddress: 1}
	d := c.Door()
	a := come(d, "2001:db8::1", 1)
	come(d, "2001:db8::2", 1)
	assert.Equal(t, []int{0}, closed(a))
	b := come(d, "2001:db8:0:1::1", 1)
	assert.Empty(t, closed(b))
	v4 := come(d, "::ffff:10.0.0.1", 1)
	come(d, "10.0.0.1", 1)
	assert.Equal(t, []int{0}, closed(v4))
	local := come(d, "127.1.2.3", 1)
	come(d, "127.200.0.9", 1)
	assert.Equal(t, []int{0}, closed(local), "a local user has all of them")
	assert.Equal(t, 4, c.Here())
}

func TestTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Crowd{Max: 9, PerDoor: 9, PerAddress: 9}
		d := c.Door()
		slow, asking, known := &conn{from: "10.0.0.1"}, &conn{from: "10.0.0.1"}, &conn{from: "10.0.0.1"}
		d.Arrive(slow, time.Second)
		d.Arrive(asking, time.Second).Grant(3 * time.Second)
		s := d.Arrive(known, time.Second)
		s.Leave()
		s.Leave()
		s.Grant(time.Second)
		assert.Equal(t, 2, c.Here())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, []int{0}, closed([]*conn{slow, asking, known}))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, []int{0, 1}, closed([]*conn{slow, asking, known}))
		assert.Equal(t, Turned{Late: 2}, d.Turned())
		assert.Zero(t, c.Here())
	})
}
