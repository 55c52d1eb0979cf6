package rig_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What a slow line does, each way. It does so to each frame, as netem does where a kernel has it, so that TCP at both
// ends sees what it sees on such a line: it isn't a proxy.
const (
	lineDelay = 40 * time.Millisecond
	lineLoss  = 0.01
	lineRate  = 20e6 / 8 // bytes a second
	lineQueue = 512      // frames that wait for the line; more are lost
	maxFrame  = 2048     // bytes
)

// slow puts a slow line between a machine and the bridge, until mend. Its connections go on.
func (e *end) slow(t *testing.T) (mend func()) {
	t.Helper()
	mac := e.mac(t)
	here, there := "s-"+e.name, "l-"+e.name
	bridge, machine := tap(t, here), tap(t, there)
	tool(t, fmt.Sprintf("ip link set %s master br0 up", here))
	tool(t, fmt.Sprintf("ip link set %s netns %s", there, e.name))
	tool(t, fmt.Sprintf("ip -n %s link set %s address %s", e.name, there, mac))
	e.swap(t, "eth0", "idle", there)
	l := &line{stop: make(chan struct{}), random: rand.New(rand.NewPCG(7, 7))}
	l.carry(machine, bridge)
	l.carry(bridge, machine)
	once := sync.OnceFunc(func() {
		close(l.stop)
		_, _ = machine.Close(), bridge.Close()
		l.work.Wait()
	})
	t.Cleanup(once)
	return func() {
		t.Helper()
		e.swap(t, "eth0", "line", "idle")
		once()
		t.Logf("the line of %s has carried %d frames and lost %d", e.name, l.carried, l.lost)
	}
}

// swap has another device be the machine's.
func (e *end) swap(t *testing.T, now, aside, next string) {
	t.Helper()
	tool(t, fmt.Sprintf("ip -n %s addr flush dev %s", e.name, now))
	tool(t, fmt.Sprintf("ip -n %s link set %s down", e.name, now))
	tool(t, fmt.Sprintf("ip -n %s link set %s name %s", e.name, now, aside))
	tool(t, fmt.Sprintf("ip -n %s link set %s name %s", e.name, next, now))
	tool(t, fmt.Sprintf("ip -n %s addr add %s/24 dev %s", e.name, e.address, now))
	tool(t, fmt.Sprintf("ip -n %s link set %s up", e.name, now))
}

func (e *end) mac(t *testing.T) string {
	t.Helper()
	_, rest, found := strings.Cut(said(t, "ip -n "+e.name+" -oneline link show eth0"), "link/ether ")
	require.True(t, found)
	return strings.Fields(rest)[0]
}

// tap makes a network device whose other end is the file.
func tap(t *testing.T, name string) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	request, err := unix.NewIfreq(name)
	require.NoError(t, err)
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	require.NoError(t, unix.IoctlIfreq(fd, unix.TUNSETIFF, request))
	return os.NewFile(uintptr(fd), name)
}

// A line carries frames, late, and not all of them.
type line struct {
	stop chan struct{}
	work sync.WaitGroup

	mu            sync.Mutex
	random        *rand.Rand
	carried, lost int
}

// A frame is one on its way.
type frame struct {
	data []byte
	due  time.Time
}

// carry is one way.
func (l *line) carry(from, to *os.File) {
	under := make(chan frame, lineQueue)
	l.work.Go(func() {
		defer close(under)
		var free time.Time // when the line has sent what was before
		for buf := make([]byte, maxFrame); ; {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if free = later(free, time.Now()).Add(time.Duration(float64(n) / lineRate * float64(time.Second))); l.loses() {
				continue
			}
			select {
			case under <- frame{append([]byte(nil), buf[:n]...), free.Add(lineDelay)}:
			default:
				l.count(0, 1)
			}
		}
	})
	l.work.Go(func() {
		for f := range under {
			select {
			case <-time.After(time.Until(f.due)):
			case <-l.stop:
				return
			}
			_, _ = to.Write(f.data) // a device that is down takes none
			l.count(1, 0)
		}
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (l *line) loses() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.random.Float64() >= lineLoss {
		return false
	}
	l.lost++
	return true
}

func (l *line) count(carried, lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.carried += carried
	l.lost += lost
}
